//! Owns [`Auth`]: which keys and which pages are accepted. Verifies no token.

use std::time::Duration;

use super::{AllowedOrigin, PublicKey, Secret, word::words};

/// The section `auth`.
#[derive(Clone, Debug, PartialEq)]
pub struct Auth {
    /// The secret that tokens are signed with; empty where nothing is configured. Which secrets
    /// verify a token is what [`Auth::accepted_secrets`] says.
    pub secret: Secret,
    /// Whether `auth.secret` or `auth.secret_file` is set, be it to the empty string.
    pub secret_configured: bool,
    /// Secrets that still verify, at most four, in order of trial.
    pub previous_secrets: Vec<Secret>,
    /// Keys that verify tokens which others sign, at most four, in order of trial.
    pub public_keys: Vec<PublicKey>,
    /// Whether the empty secret may be accepted beyond this machine.
    pub allow_empty_secret: bool,
    /// What a token's `iss` must be; `None` is anything.
    pub issuer: Option<String>,
    /// What a token's `aud` must be or hold; `None` is anything.
    pub audience: Option<String>,
    /// By how much the clock of whoever signs may be ahead, for `nbf` and `iat`.
    pub leeway: Duration,
    /// Whether an open connection is closed when its token expires.
    pub close_at_expiry: bool,
    /// What happens to connections whose key is accepted no more.
    pub on_withdrawal: OnWithdrawal,
    /// Over how long those connections are closed, evenly; zero is at once.
    pub withdrawal_spread: Duration,
    /// Whether a page's `Origin` is looked at.
    pub check_origin: bool,
    /// Origins that are accepted beside the server's own host.
    pub allowed_origins: Vec<AllowedOrigin>,
}

impl Auth {
    /// The secrets that verify a token, in order of trial. Where only previous secrets or public keys
    /// are configured, the empty one is not among them.
    pub fn accepted_secrets(&self) -> impl Iterator<Item = &Secret> {
        self.signing_secret().into_iter().chain(&self.previous_secrets)
    }

    /// Whether anyone can sign a token that is accepted.
    pub fn accepts_empty_key(&self) -> bool {
        self.accepted_secrets().any(Secret::is_empty)
    }

    /// Whether anyone can sign a token and nobody said that this is meant: a developer's machine.
    pub fn is_confined_to_loopback(&self) -> bool {
        self.accepts_empty_key() && !self.allow_empty_secret
    }

    /// The secret to sign tokens of our own with: none where nothing but previous ones or public keys
    /// is configured. It may be the empty one, which anyone has.
    pub fn signing_secret(&self) -> Option<&Secret> {
        (self.secret_configured || !self.has_other_keys()).then_some(&self.secret)
    }

    /// Whether there are keys beside the secret.
    pub(super) fn has_other_keys(&self) -> bool {
        !self.previous_secrets.is_empty() || !self.public_keys.is_empty()
    }
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            secret: Secret::default(),
            secret_configured: false,
            previous_secrets: Vec::new(),
            public_keys: Vec::new(),
            allow_empty_secret: false,
            issuer: None,
            audience: None,
            leeway: Duration::from_secs(5),
            close_at_expiry: false,
            on_withdrawal: OnWithdrawal::Close,
            withdrawal_spread: Duration::from_secs(10),
            check_origin: false,
            allowed_origins: Vec::new(),
        }
    }
}

/// What happens to open connections whose key is withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnWithdrawal {
    /// They are closed with 1008.
    Close,
    /// They stay.
    Keep,
}

words!(OnWithdrawal { Close = "close", Keep = "keep" });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_key_is_accepted_only_where_it_is_the_only_one_or_configured() {
        let with = |secret_configured, secret: &str, previous: &[&str]| Auth {
            secret: secret.into(),
            secret_configured,
            previous_secrets: previous.iter().map(|text| Secret::from(*text)).collect(),
            ..Auth::default()
        };
        let cases = [
            (with(false, "", &[]), true, 1),
            (with(true, "", &[]), true, 1),
            (with(true, "s", &[]), false, 1),
            (with(false, "", &["old"]), false, 1),
            (with(true, "", &["old"]), true, 2),
            (with(true, "s", &["", "old"]), true, 3),
        ];
        for (auth, accepts, count) in cases {
            assert_eq!(auth.accepts_empty_key(), accepts, "{auth:?}");
            assert_eq!(auth.accepted_secrets().count(), count, "{auth:?}");
        }
        let key = include_bytes!("../../tests/keys/ed25519.pub");
        let key = PublicKey::parse(std::path::Path::new("/k"), key).expect("a good key");
        for (secret_configured, count) in [(false, 0), (true, 1)] {
            let auth = Auth { public_keys: vec![key.clone()], ..with(secret_configured, "s", &[]) };
            assert_eq!((auth.accepts_empty_key(), auth.accepted_secrets().count()), (false, count));
        }
    }
}
