//! Tokens signed with private keys, by openssl and not by the server's library.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::dir::Dir;
use super::token::encode;
use super::tools::{in_tests, require_tool};

/// The keys in `tests/keys` that have both halves, by the algorithm that they are for.
pub(crate) const ALGORITHMS: [(&str, &str); 3] =
    [("RS256", "rsa"), ("ES256", "p256"), ("EdDSA", "ed25519")];

/// The public half `NAME.pub` of `tests/keys`.
pub(crate) fn public(name: &str) -> PathBuf {
    in_tests(&format!("keys/{name}.pub"))
}

/// Whether openssl is there; told and counted where it is not.
pub(crate) fn can_sign() -> bool {
    require_tool("openssl", "apt install openssl").is_some()
}

/// A token of these claims under this algorithm, signed with its key.
pub(crate) fn signed(algorithm: &str, claims: &str) -> String {
    signed_with_header(&format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#), algorithm, claims)
}

/// A token whose header says whatever it likes.
pub(crate) fn signed_with_header(header: &str, algorithm: &str, claims: &str) -> String {
    let (_, name) = ALGORITHMS.iter().find(|(one, _)| *one == algorithm).expect("an algorithm");
    let key = in_tests(&format!("keys/{name}.key")).display().to_string();
    let message = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
    let signature = match algorithm {
        // It takes no message from a pipe.
        "EdDSA" => {
            let dir = Dir::new();
            let file = dir.write("message", &message).display().to_string();
            openssl(&["pkeyutl", "-sign", "-rawin", "-inkey", &key, "-in", &file], "")
        }
        "ES256" => fixed(&openssl(&["dgst", "-sha256", "-sign", &key], &message)),
        _ => openssl(&["dgst", "-sha256", "-sign", &key], &message),
    };
    format!("{message}.{}", encode(&signature))
}

fn openssl(arguments: &[&str], input: &str) -> Vec<u8> {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl runs");
    let mut stdin = child.stdin.take().expect("its stdin");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "openssl {arguments:?}: {}", output.status);
    output.stdout
}

/// An ECDSA signature as tokens have it, 32 bytes each for r and s (RFC 7518, 3.4), from one in DER.
fn fixed(der: &[u8]) -> Vec<u8> {
    let integer = |at: usize| {
        assert_eq!(der[at], 2, "an INTEGER in {der:02x?}");
        let length = usize::from(der[at + 1]);
        (&der[at + 2..at + 2 + length], at + 2 + length)
    };
    let (r, next) = integer(2);
    let (s, _) = integer(next);
    let mut fixed = Vec::new();
    for number in [r, s] {
        let digits = &number[number.len().saturating_sub(32)..];
        fixed.extend(std::iter::repeat_n(0, 32 - digits.len()));
        fixed.extend(digits);
    }
    fixed
}
