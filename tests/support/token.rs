//! Tokens, signed here (RFC 7515, RFC 7519) and not by the server's library, so that both are
//! held against the standard and not against each other.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha384, Sha512};
use std::time::{SystemTime, UNIX_EPOCH};

/// The secret of every server that a test starts, unless the test says otherwise.
pub(crate) const SECRET: &str = "the secret of these tests: more than thirty-two bytes";

/// A token of `claims`, signed with [`SECRET`] by HS256.
pub(crate) fn token(claims: &str) -> String {
    signed("HS256", claims, SECRET)
}

/// A token that may hear `read` and publish to `write`.
pub(crate) fn grant(read: &[&str], write: &[&str]) -> String {
    token(&serde_json::json!({ "read": read, "write": write }).to_string())
}

/// A token of `claims`, signed by one of HS256, HS384 and HS512.
pub(crate) fn signed(algorithm: &str, claims: &str, secret: &str) -> String {
    let header = format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#);
    with_header(&header, algorithm, claims, secret)
}

/// A token whose header says whatever it likes, signed by `algorithm`; by nothing, where that
/// is `none`.
pub(crate) fn with_header(header: &str, algorithm: &str, claims: &str, secret: &str) -> String {
    let text = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
    let signature = match algorithm {
        "HS256" => tag::<Hmac<Sha256>>(&text, secret),
        "HS384" => tag::<Hmac<Sha384>>(&text, secret),
        "HS512" => tag::<Hmac<Sha512>>(&text, secret),
        "none" => Vec::new(),
        other => panic!("{other} is not signed with here"),
    };
    format!("{text}.{}", encode(&signature))
}

/// Seconds since 1970, `offset` from now, as `exp`, `nbf` and `iat` want them.
pub(crate) fn seconds_from_now(offset: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    i64::try_from(now.as_secs()).expect("a clock before the end of time") + offset
}

fn tag<M: Mac + KeyInit>(text: &str, secret: &str) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// In base64url, as the parts of a token are.
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
