//! Owns [`self_check`]: proof at start that this build can verify a token at all.

use std::time::Duration;

use super::{Keys, Policy, verify};

/// `{"read":["c"]}` signed with the secret `self-check`, by a program that is not this one.
const TOKENS: [&str; 3] = [
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJyZWFkIjpbImMiXX0.2MvrowwIHH9BA7wWFCeZJqrSnGBvzD0zXQ9q1a_AZrA",
    "eyJhbGciOiJIUzM4NCIsInR5cCI6IkpXVCJ9.eyJyZWFkIjpbImMiXX0.MMXUdF-Kd_Cqw5TyJzX9os03Q6Ishta1KS58n7nw21xSFlBMAUC3BfVpkp5sQYE0",
    "eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9.eyJyZWFkIjpbImMiXX0.qgZlGyXm540TtBfd0dLDINLZMZMeW1jfxCX95djQYnb3gxbbJi0LNkuUIB86R4nQUAad8sR6gLI8tU7cvr6zKQ",
];

/// This build refuses good tokens, or accepts bad ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this build cannot verify tokens; rebuild it with exactly one crypto library")]
pub struct SelfCheckError;

/// Verifies a constant token of each algorithm, with the right key and with a wrong one. To be called
/// once at start: `jsonwebtoken` compiles without a crypto library, and with two, and then panics on
/// the first well-formed token.
///
/// # Errors
/// [`SelfCheckError`] where a token is judged wrongly or judging it panics.
pub fn self_check() -> Result<(), SelfCheckError> {
    let judged_rightly = std::panic::catch_unwind(|| {
        let policy = Policy { leeway: Duration::ZERO, max_channels: 1, max_channel_length: 1 };
        let (right, wrong) = (Keys::new(b"self-check", &[]), Keys::new(b"", &[]));
        TOKENS.iter().all(|token| {
            verify(token, &right, &policy, 0).is_ok_and(|grants| &*grants.read[0] == "c")
                && verify(token, &wrong, &policy, 0).is_err()
        })
    });
    if judged_rightly.is_ok_and(|rightly| rightly) { Ok(()) } else { Err(SelfCheckError) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_build_verifies_tokens() {
        assert_eq!(self_check(), Ok(()));
    }
}
