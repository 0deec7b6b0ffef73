//! Owns [`UnverifiedGrants`]: what a token says, for whoever holds it. Proves nothing: the server's
//! word is [`super::verify`].

use super::claims::SignedClaims;
use super::verify::decode;

/// The channels that a token says it grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnverifiedGrants {
    /// Channels to subscribe to.
    pub read: Vec<Box<str>>,
    /// Channels to publish to.
    pub write: Vec<Box<str>>,
}

impl UnverifiedGrants {
    /// What `token` says, whoever signed it; `None` where it cannot be read.
    pub fn of(token: &str) -> Option<Self> {
        let mut parts = token.split('.');
        let (_header, payload) = (parts.next()?, parts.next()?);
        let payload = decode(payload).ok()?;
        let mut claims = SignedClaims::parse(&payload).ok()?;
        Some(Self { read: claims.take_read(), write: claims.take_write() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Algorithm, Claims, sign};

    #[test]
    fn whoever_holds_a_token_can_tell_its_channels() {
        let claims =
            Claims { read: vec!["r".into()], write: vec!["w".into()], ..Claims::default() };
        let token = sign(&claims, b"unknown", Algorithm::Hs384).unwrap();
        let grants = UnverifiedGrants::of(&token).unwrap();
        assert_eq!((&*grants.read[0], &*grants.write[0]), ("r", "w"));
        for no_token in ["", "a", "a.b", "a.e30=.c", "a.W10.c"] {
            assert_eq!(UnverifiedGrants::of(no_token), None, "{no_token}");
        }
    }
}
