//! Owns [`Keys`], the secrets that verify a token, and [`KeyId`], by which a connection remembers the
//! one that it rests on. Never shows a secret.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use jsonwebtoken::DecodingKey;

/// The secrets that verify a token, in order of trial, each once.
pub struct Keys(Vec<Key>);

pub(super) struct Key {
    pub(super) id: KeyId,
    pub(super) decoding: DecodingKey,
}

impl Keys {
    /// The secret, then the previous ones. An empty secret verifies tokens that are signed with
    /// nothing; whether that may be is the configuration's to decide.
    pub fn new(secret: &[u8], previous: &[&[u8]]) -> Self {
        std::iter::once(secret).chain(previous.iter().copied()).collect()
    }

    /// Whether `id` is among these keys. One that was accepted before and is no more has been
    /// withdrawn.
    pub fn accepts(&self, id: &KeyId) -> bool {
        self.iter().any(|key| key.id == *id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }
}

/// From whatever the configuration accepts, in order of trial; repeated secrets count once. No secret
/// at all refuses every token.
impl<'a> FromIterator<&'a [u8]> for Keys {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(secrets: I) -> Self {
        let mut keys = Self(Vec::new());
        for secret in secrets {
            let id = KeyId::of(secret);
            if !keys.accepts(&id) {
                keys.0.push(Key { id, decoding: DecodingKey::from_secret(secret) });
            }
        }
        keys
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
/// It is 64 bits of SipHash under a key that the process draws at random, so it says nothing of the
/// secret, and means nothing in another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyId(u64);

impl KeyId {
    fn of(secret: &[u8]) -> Self {
        static FINGERPRINT: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self(FINGERPRINT.hash_one(secret))
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
}
