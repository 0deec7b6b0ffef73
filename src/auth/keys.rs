//! Owns [`Keys`], what verifies a token, and [`KeyId`], by which a connection remembers the one that it
//! rests on. Never shows a secret.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use jsonwebtoken::DecodingKey;

use super::Algorithm;
use super::verify::Signed;
use crate::config::{self, PublicAlgorithm, PublicKey};

/// What verifies a token, in order of trial, each once.
pub struct Keys(Vec<Key>);

pub(super) struct Key {
    pub(super) id: KeyId,
    verifier: Verifier,
}

/// A key is of one kind, and verifies its own algorithms only (RFC 8725, 3.1 and 3.2): what a token's
/// header says chooses among the keys of that kind, and never how a key is used.
enum Verifier {
    /// A shared secret, which signs too.
    Secret(DecodingKey),
    /// A public key.
    Public(PublicKey),
}

/// What a token's header says it is signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignedWith {
    /// A secret.
    Secret(Algorithm),
    /// A private key.
    Private(PublicAlgorithm),
}

impl SignedWith {
    /// What the header's `alg` stands for; `None` for all that no key verifies.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "HS256" => Self::Secret(Algorithm::Hs256),
            "HS384" => Self::Secret(Algorithm::Hs384),
            "HS512" => Self::Secret(Algorithm::Hs512),
            "RS256" => Self::Private(PublicAlgorithm::Rs256),
            "ES256" => Self::Private(PublicAlgorithm::Es256),
            "EdDSA" => Self::Private(PublicAlgorithm::EdDsa),
            _ => return None,
        })
    }
}

impl Key {
    /// Whether it made the signature; `None` where it is no key for that algorithm.
    pub(super) fn verifies(&self, signed: &Signed<'_>) -> Option<bool> {
        match (&self.verifier, signed.with) {
            (Verifier::Secret(secret), SignedWith::Secret(algorithm)) => {
                let (text, message) = (signed.signature_text, signed.message.as_bytes());
                // Its only error is a signature that is not base64url, which was looked at before.
                Some(
                    jsonwebtoken::crypto::verify(text, message, secret, algorithm.into())
                        .unwrap_or(false),
                )
            }
            (Verifier::Public(key), SignedWith::Private(algorithm))
                if key.algorithm() == algorithm =>
            {
                Some(key.verifies(signed.message.as_bytes(), &signed.signature))
            }
            _ => None,
        }
    }
}

impl Keys {
    /// The secret, then the previous ones. An empty secret verifies tokens that are signed with
    /// nothing; whether that may be is the configuration's to decide.
    pub fn new(secret: &[u8], previous: &[&[u8]]) -> Self {
        std::iter::once(secret).chain(previous.iter().copied()).collect()
    }

    /// With these public keys behind what there is.
    pub fn with_public<'a>(mut self, keys: impl IntoIterator<Item = &'a PublicKey>) -> Self {
        for key in keys {
            self.add(KeyId::of(key.info()), || Verifier::Public(key.clone()));
        }
        self
    }

    /// Whether `id` is among these keys. One that was accepted before and is no more has been
    /// withdrawn.
    pub fn accepts(&self, id: &KeyId) -> bool {
        self.iter().any(|key| key.id == *id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }

    fn add(&mut self, id: KeyId, verifier: impl FnOnce() -> Verifier) {
        if !self.accepts(&id) {
            self.0.push(Key { id, verifier: verifier() });
        }
    }
}

/// From secrets, in order of trial; repeated ones count once. No key at all refuses every token.
impl<'a> FromIterator<&'a [u8]> for Keys {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(secrets: I) -> Self {
        let mut keys = Self(Vec::new());
        for secret in secrets {
            keys.add(KeyId::of(secret), || Verifier::Secret(DecodingKey::from_secret(secret)));
        }
        keys
    }
}

/// Whatever the configuration accepts: its secrets, then its public keys.
impl From<&config::Auth> for Keys {
    fn from(auth: &config::Auth) -> Self {
        auth.accepted_secrets()
            .map(config::Secret::as_bytes)
            .collect::<Self>()
            .with_public(&auth.public_keys)
    }
}

/// Says how many there are.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({} masked)", self.0.len())
    }
}

/// Which key a token was signed with: the same for the same bytes wherever they stand in the
/// configuration, as long as the process lives.
///
/// It is 64 bits of SipHash under a key that the process draws at random, so it says nothing of a
/// secret, and means nothing in another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyId(u64);

impl KeyId {
    /// Of a secret, or of a public key in DER; the configuration takes none of the latter as a secret.
    fn of(key: &[u8]) -> Self {
        static FINGERPRINT: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self(FINGERPRINT.hash_one(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_keeps_its_id_whatever_its_place() {
        let before = Keys::new(b"one", &[b"two"]);
        let after = Keys::new(b"three", &[b"one"]);
        let id = KeyId::of(b"one");
        assert!(before.accepts(&id) && after.accepts(&id));
        assert!(!after.accepts(&KeyId::of(b"two")));
        assert!(!before.accepts(&KeyId::of(b"")));
    }

    #[test]
    fn a_secret_that_stands_twice_is_tried_once() {
        assert_eq!(Keys::new(b"s", &[b"s", b"t", b"s"]).iter().count(), 2);
        assert_eq!(std::iter::empty().collect::<Keys>().iter().count(), 0);
    }

    #[test]
    fn keys_are_shared_between_threads_and_never_shown() {
        fn shared<T: Send + Sync>(_: &T) {}
        let keys = Keys::new(b"hunter2", &[b"hunter1"]);
        shared(&keys);
        assert_eq!(format!("{keys:?}"), "Keys(2 masked)");
    }

    #[test]
    fn a_public_key_keeps_its_id_whatever_its_file_and_is_tried_once() {
        let text = include_bytes!("../../tests/keys/p256.pub");
        let read = |file| PublicKey::parse(std::path::Path::new(file), text).expect("a good key");
        let keys = Keys::new(b"s", &[]).with_public(&[read("/one"), read("/two")]);
        assert_eq!(keys.iter().count(), 2);
        let id = keys.iter().last().expect("two").id;
        let none = std::iter::empty::<&[u8]>().collect::<Keys>();
        assert!(none.with_public(&[read("/three")]).accepts(&id));
        assert!(!Keys::new(b"s", &[]).accepts(&id));
    }
}
