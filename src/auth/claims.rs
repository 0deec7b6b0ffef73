//! Owns [`SignedClaims`]: the JSON of a token's payload, read once. It knows types and repeated
//! members; times and limits are judged by `verify`. Only payloads whose signature verified come here.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{AuthError, Claim};
use crate::protocol::{MemberName, decode_string};

/// What the claims say; `None` for those that are absent or null.
#[derive(Debug, Default)]
pub(super) struct SignedClaims<'a> {
    read: Option<Vec<Name>>,
    write: Option<Vec<Name>>,
    api: Option<bool>,
    manage: Option<bool>,
    subject: Option<&'a RawValue>,
    /// `iss` and `aud` as they stand, since they may be anything where nobody asks for them.
    issuer: Raw<'a>,
    audience: Raw<'a>,
    pub(super) exp: Option<Seconds>,
    pub(super) nbf: Option<Seconds>,
    pub(super) iat: Option<Seconds>,
}

/// A claim that is read only where the configuration asks for it.
#[derive(Debug, Default)]
struct Raw<'a> {
    value: Option<&'a RawValue>,
    repeated: bool,
}

impl<'a> SignedClaims<'a> {
    /// Reads a payload. Unknown claims only have to be JSON, at any depth.
    ///
    /// # Errors
    /// [`AuthError::NotAnObject`], [`AuthError::WrongType`], [`AuthError::Repeated`].
    pub(super) fn parse(payload: &'a [u8]) -> Result<Self, AuthError> {
        let text = std::str::from_utf8(payload).map_err(|_| AuthError::NotAnObject)?;
        let mut json = serde_json::Deserializer::from_str(text);
        let mut fault = AuthError::NotAnObject;
        let claims = json
            .deserialize_map(Members { fault: &mut fault })
            .map_err(|error| if error.is_data() { fault } else { AuthError::NotAnObject })?;
        json.end().map_err(|_| AuthError::NotAnObject)?;
        Ok(claims)
    }

    /// The names in `read`, each once, in their order.
    pub(super) fn take_read(&mut self) -> Vec<Box<str>> {
        distinct(self.read.take().unwrap_or_default())
    }

    /// The names in `write`, each once, in their order.
    pub(super) fn take_write(&mut self) -> Vec<Box<str>> {
        distinct(self.write.take().unwrap_or_default())
    }

    pub(super) fn api(&self) -> bool {
        self.api.unwrap_or(false)
    }

    pub(super) fn manage(&self) -> bool {
        self.manage.unwrap_or(false)
    }

    /// Whether `iss` is this, to the letter.
    ///
    /// # Errors
    /// [`AuthError::WrongType`], [`AuthError::Repeated`].
    pub(super) fn is_issued_by(&self, issuer: &str) -> Result<bool, AuthError> {
        let Some(value) = self.issuer.once(Claim::Iss)? else { return Ok(false) };
        let is = serde_json::from_str::<Cow<'_, str>>(value.get());
        is.map(|is| is == issuer).map_err(|_| AuthError::WrongType(Claim::Iss))
    }

    /// Whether `aud` is this, to the letter, or an array that holds it.
    ///
    /// # Errors
    /// [`AuthError::WrongType`], [`AuthError::Repeated`].
    pub(super) fn is_meant_for(&self, audience: &str) -> Result<bool, AuthError> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Audience {
            One(String),
            Many(Vec<String>),
        }
        let Some(value) = self.audience.once(Claim::Aud)? else { return Ok(false) };
        match serde_json::from_str(value.get()) {
            Ok(Audience::One(one)) => Ok(one == audience),
            Ok(Audience::Many(many)) => Ok(many.iter().any(|one| one == audience)),
            Err(_) => Err(AuthError::WrongType(Claim::Aud)),
        }
    }

    /// `sub` where it is a string.
    pub(super) fn subject(&self) -> Option<Box<str>> {
        let name: Result<Name, _> = serde_json::from_str(self.subject?.get());
        name.ok().map(|name| name.0)
    }
}

impl<'a> Raw<'a> {
    fn once(&self, claim: Claim) -> Result<Option<&'a RawValue>, AuthError> {
        if self.repeated { Err(AuthError::Repeated(claim)) } else { Ok(self.value) }
    }

    fn put(&mut self, value: Option<&'a RawValue>, repeated: bool) {
        *self = Self { value, repeated };
    }
}

fn distinct(names: Vec<Name>) -> Vec<Box<str>> {
    // Most tokens have one channel.
    if names.len() < 2 {
        return names.into_iter().map(|name| name.0).collect();
    }
    let mut seen = HashSet::with_capacity(names.len());
    let is_first: Vec<bool> = names.iter().map(|name| seen.insert(&*name.0)).collect();
    names.into_iter().zip(is_first).filter_map(|(name, first)| first.then_some(name.0)).collect()
}

/// Reads the members of the claims. `fault` is what an error of the JSON's types means at each point.
struct Members<'f> {
    fault: &'f mut AuthError,
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = SignedClaims<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SignedClaims<'de>, A::Error> {
        let fault = self.fault;
        let mut claims = SignedClaims::default();
        let mut seen = [false; Claim::Iat as usize + 1];
        while let Some(Member(member)) = map.next_key()? {
            let claim = match member {
                Known::Claim(claim) => claim,
                Known::Subject => {
                    claims.subject = map.next_value()?;
                    continue;
                }
                Known::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let repeated = std::mem::replace(&mut seen[claim as usize], true);
            if repeated && !matches!(claim, Claim::Iss | Claim::Aud) {
                *fault = AuthError::Repeated(claim);
                return Err(A::Error::custom("repeated"));
            }
            *fault = AuthError::WrongType(claim);
            match claim {
                Claim::Read => claims.read = map.next_value()?,
                Claim::Write => claims.write = map.next_value()?,
                Claim::Api => claims.api = map.next_value()?,
                Claim::Manage => claims.manage = map.next_value()?,
                Claim::Iss => claims.issuer.put(map.next_value()?, repeated),
                Claim::Aud => claims.audience.put(map.next_value()?, repeated),
                Claim::Exp => claims.exp = map.next_value()?,
                Claim::Nbf => claims.nbf = map.next_value()?,
                Claim::Iat => claims.iat = map.next_value()?,
            }
            *fault = AuthError::NotAnObject;
        }
        Ok(claims)
    }
}

/// A member's name, as far as it matters.
struct Member(Known);

enum Known {
    Claim(Claim),
    Subject,
    Other,
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let MemberName(name) = MemberName::deserialize(deserializer)?;
        Ok(Member(match &*name {
            "read" => Known::Claim(Claim::Read),
            "write" => Known::Claim(Claim::Write),
            "api" => Known::Claim(Claim::Api),
            "manage" => Known::Claim(Claim::Manage),
            "iss" => Known::Claim(Claim::Iss),
            "aud" => Known::Claim(Claim::Aud),
            "exp" => Known::Claim(Claim::Exp),
            "nbf" => Known::Claim(Claim::Nbf),
            "iat" => Known::Claim(Claim::Iat),
            "sub" => Known::Subject,
            _ => Known::Other,
        }))
    }
}

/// A string in which lone surrogates have become U+FFFD, as in the channel of a publish: what a
/// browser grants and what it publishes to stay the same name.
#[derive(Debug)]
struct Name(Box<str>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let literal = <&RawValue>::deserialize(deserializer)?.get();
        let name = decode_string(literal).ok_or_else(|| D::Error::custom("not a string"))?;
        Ok(Name(name.into()))
    }
}

/// Seconds since 1970 (RFC 7519, NumericDate); fractions are cut off downwards, as `now` has none,
/// and what is beyond 64 bits is the last second that they can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seconds(pub(super) i64);

impl Seconds {
    pub(super) fn from_unix(seconds: u64) -> Self {
        Self(seconds.try_into().unwrap_or(i64::MAX))
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SecondsVisitor;
        impl Visitor<'_> for SecondsVisitor {
            type Value = Seconds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_u64<E>(self, seconds: u64) -> Result<Seconds, E> {
                Ok(Seconds::from_unix(seconds))
            }

            fn visit_i64<E>(self, seconds: i64) -> Result<Seconds, E> {
                Ok(Seconds(seconds))
            }

            fn visit_f64<E>(self, seconds: f64) -> Result<Seconds, E> {
                // The cast saturates.
                Ok(Seconds(seconds.floor() as i64))
            }
        }
        deserializer.deserialize_any(SecondsVisitor)
    }
}
