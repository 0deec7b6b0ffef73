//! Owns [`self_check`]: proof at start that this build can verify a token at all.

use std::path::Path;
use std::time::Duration;

use super::{Keys, Policy, verify};
use crate::config::PublicKey;

/// `{"read":["c"]}` signed with the secret `self-check`, by a program that is not this one.
const TOKENS: [&str; 3] = [
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJyZWFkIjpbImMiXX0.2MvrowwIHH9BA7wWFCeZJqrSnGBvzD0zXQ9q1a_AZrA",
    "eyJhbGciOiJIUzM4NCIsInR5cCI6IkpXVCJ9.eyJyZWFkIjpbImMiXX0.MMXUdF-Kd_Cqw5TyJzX9os03Q6Ishta1KS58n7nw21xSFlBMAUC3BfVpkp5sQYE0",
    "eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9.eyJyZWFkIjpbImMiXX0.qgZlGyXm540TtBfd0dLDINLZMZMeW1jfxCX95djQYnb3gxbbJi0LNkuUIB86R4nQUAad8sR6gLI8tU7cvr6zKQ",
];

/// A public key and a token of the same claims that its private half has signed, by such a program too;
/// what it was signed with is gone.
const SIGNED: [(&str, &str); 3] = [
    (include_str!("self_check/rs256.pub"), include_str!("self_check/rs256.token")),
    (include_str!("self_check/es256.pub"), include_str!("self_check/es256.token")),
    (include_str!("self_check/eddsa.pub"), include_str!("self_check/eddsa.token")),
];

/// This build refuses good tokens, or accepts bad ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this build cannot verify tokens; rebuild it with exactly one crypto library")]
pub struct SelfCheckError;

/// Verifies a constant token of each algorithm, with the right key and with wrong ones. To be called
/// once at start: `jsonwebtoken` compiles without a crypto library, and with two, and then panics on
/// the first well-formed token.
///
/// # Errors
/// [`SelfCheckError`] where a token is judged wrongly or judging it panics.
pub fn self_check() -> Result<(), SelfCheckError> {
    let judged_rightly = std::panic::catch_unwind(|| {
        let secret = Keys::new(b"self-check", &[]);
        let public: Option<Vec<Keys>> = SIGNED.iter().map(|(key, _)| public(key)).collect();
        let Some(public) = public else { return false };
        TOKENS.iter().all(|token| opens(token, &secret) && !opens(token, &Keys::new(b"", &[])))
            && SIGNED.iter().zip(&public).all(|((_, token), keys)| {
                opens(token, keys) && !opens(&changed(token), keys) && !opens(token, &secret)
            })
    });
    if judged_rightly.is_ok_and(|rightly| rightly) { Ok(()) } else { Err(SelfCheckError) }
}

fn public(text: &str) -> Option<Keys> {
    let key = PublicKey::parse(Path::new("self-check"), text.as_bytes()).ok()?;
    Some(std::iter::empty::<&[u8]>().collect::<Keys>().with_public([&key]))
}

/// Whether the token opens anything.
fn opens(token: &str, keys: &Keys) -> bool {
    let policy = Policy {
        issuer: None,
        audience: None,
        leeway: Duration::ZERO,
        max_channels: 1,
        max_channel_length: 1,
    };
    verify(token, keys, &policy, 0).is_ok_and(|grants| matches!(&*grants.read[0], "c" | "d"))
}

/// The same with the channel `d`, under the signature of the other.
fn changed(token: &str) -> String {
    token.replacen("eyJyZWFkIjpbImMiXX0", "eyJyZWFkIjpbImQiXX0", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_build_verifies_tokens() {
        assert_eq!(self_check(), Ok(()));
        for (_, token) in SIGNED {
            assert_ne!(changed(token), token);
        }
    }
}
