//! Owns [`verify`], the judgement of a token, and [`Grants`], what it opens (RFC 7519, section 7.2).
//!
//! The order is: form, header, signature, claims. Nothing of the payload is looked at before a key
//! has verified it.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, de::IgnoredAny};

use super::claims::{Seconds, SignedClaims};
use super::keys::SignedWith;
use super::{AuthError, KeyId, Keys};
use crate::config::Config;

/// What is judged beside the signature; each is a key of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// `auth.issuer`: what `iss` must be; `None` is anything.
    pub issuer: Option<Box<str>>,
    /// `auth.audience`: what `aud` must be or hold; `None` is anything.
    pub audience: Option<Box<str>>,
    /// `auth.leeway`: how far `nbf` and `iat` may be ahead of now, in whole seconds, rounded up.
    /// `exp` has none.
    pub leeway: Duration,
    /// `limits.max_channels`: distinct names in `read`, and in `write`.
    pub max_channels: usize,
    /// `limits.max_channel_length`: bytes of one name.
    pub max_channel_length: usize,
}

impl From<&Config> for Policy {
    fn from(config: &Config) -> Self {
        Self {
            issuer: config.auth.issuer.as_deref().map(Box::from),
            audience: config.auth.audience.as_deref().map(Box::from),
            leeway: config.auth.leeway,
            max_channels: config.limits.max_channels,
            max_channel_length: config.limits.max_channel_length,
        }
    }
}

/// What a token opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants {
    /// Channels that the connection is subscribed to, each once, in the token's order. A name may be
    /// empty.
    pub read: Vec<Box<str>>,
    /// Channels that it may publish to, likewise.
    pub write: Vec<Box<str>>,
    /// Whether `GET /api/info` is open, and `POST /api/publish` for the channels in `write`.
    pub api: bool,
    /// Whether connections and channels may be looked at, and connections closed; `api` does not imply it.
    pub manage: bool,
    /// `sub`, where it is a string. What it says is the issuer's: escape it where it is shown.
    pub subject: Option<Box<str>>,
    /// `exp`, in seconds since 1970, fractions cut off. Has not come at the `now` of [`verify`].
    pub expires: Option<u64>,
    /// The key that the token was signed with.
    pub key: KeyId,
}

/// Judges `token` at `now`, in seconds since 1970.
///
/// Keys for the header's algorithm are tried in order; only a signature that does not verify goes on to
/// the next. `kid`, `jku`, `jwk`, `x5u` and `x5c` select nothing and are not read, unknown claims are
/// ignored, every claim may be absent that the policy does not ask for, and null is absent.
///
/// # Errors
/// See [`AuthError`]. None holds anything of the token.
pub fn verify(token: &str, keys: &Keys, policy: &Policy, now: u64) -> Result<Grants, AuthError> {
    let (message, signature_text) = token.rsplit_once('.').ok_or(AuthError::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(AuthError::Malformed)?;
    let with = signed_with(header)?;
    let signature = decode(signature_text)?;
    let key = signer(keys, &Signed { with, message, signature, signature_text })?;
    let payload = decode(payload)?;
    let mut claims = SignedClaims::parse(&payload)?;
    check_origin(&claims, policy)?;
    check_times(&claims, policy.leeway, Seconds::from_unix(now))?;
    let (read, write) = (claims.take_read(), claims.take_write());
    for names in [&read, &write] {
        check_limits(names, policy)?;
    }
    Ok(Grants {
        read,
        write,
        api: claims.api(),
        manage: claims.manage(),
        subject: claims.subject(),
        // It is later than `now`, so it is not negative.
        expires: claims.exp.map(|Seconds(exp)| exp.unsigned_abs()),
        key,
    })
}

/// What of a token a key verifies.
pub(super) struct Signed<'a> {
    pub(super) with: SignedWith,
    pub(super) message: &'a str,
    pub(super) signature: Vec<u8>,
    /// The same in base64url.
    pub(super) signature_text: &'a str,
}

/// The key that made a signature.
fn signer(keys: &Keys, signed: &Signed<'_>) -> Result<KeyId, AuthError> {
    let mut fault = AuthError::Algorithm;
    for key in keys.iter() {
        match key.verifies(signed) {
            Some(true) => return Ok(key.id),
            Some(false) => fault = AuthError::Signature,
            None => {}
        }
    }
    Err(fault)
}

pub(super) fn decode(part: &str) -> Result<Vec<u8>, AuthError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| AuthError::Malformed)
}

/// What the header asks for (RFC 7515, section 4.1); all but `alg` and `crit` is ignored.
#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(default, deserialize_with = "present")]
    crit: bool,
}

/// True for any value, null too.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(value).map(|_| true)
}

fn signed_with(header: &str) -> Result<SignedWith, AuthError> {
    let json = decode(header)?;
    // What is ignored has to be text as well (RFC 7515, section 3); serde would not look at it.
    let json = std::str::from_utf8(&json).map_err(|_| AuthError::Malformed)?;
    // serde would read an array as the header's members in their order.
    if !json.trim_ascii_start().starts_with('{') {
        return Err(AuthError::Malformed);
    }
    let header: Header<'_> = serde_json::from_str(json).map_err(|_| AuthError::Malformed)?;
    if header.crit {
        return Err(AuthError::Critical);
    }
    SignedWith::from_name(&header.alg).ok_or(AuthError::Algorithm)
}

fn check_origin(claims: &SignedClaims<'_>, policy: &Policy) -> Result<(), AuthError> {
    if let Some(issuer) = &policy.issuer
        && !claims.is_issued_by(issuer)?
    {
        return Err(AuthError::Issuer);
    }
    if let Some(audience) = &policy.audience
        && !claims.is_meant_for(audience)?
    {
        return Err(AuthError::Audience);
    }
    Ok(())
}

fn check_times(
    claims: &SignedClaims<'_>,
    leeway: Duration,
    Seconds(now): Seconds,
) -> Result<(), AuthError> {
    let leeway = leeway.as_secs().saturating_add(u64::from(leeway.subsec_nanos() > 0));
    let latest = Seconds(now.saturating_add_unsigned(leeway));
    if claims.exp.is_some_and(|exp| exp <= Seconds(now)) {
        return Err(AuthError::Expired);
    }
    if claims.nbf.is_some_and(|nbf| nbf > latest) {
        return Err(AuthError::NotYetValid);
    }
    if claims.iat.is_some_and(|iat| iat > latest) {
        return Err(AuthError::IssuedInFuture);
    }
    Ok(())
}

fn check_limits(names: &[Box<str>], policy: &Policy) -> Result<(), AuthError> {
    if names.len() > policy.max_channels {
        return Err(AuthError::TooManyChannels);
    }
    if names.iter().any(|name| name.len() > policy.max_channel_length) {
        return Err(AuthError::ChannelTooLong);
    }
    Ok(())
}

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod tests;
