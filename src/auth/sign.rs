//! Owns [`sign`]: claims in, a token out, for `philote token` and for the clients that make their own.
//! Nothing on the way of a handshake comes here.

use jsonwebtoken::{EncodingKey, Header};
use serde::Serialize;

/// What a token says. What is empty or `None` is left out of it; there is no `iat`, which could only
/// make a token invalid on a machine whose clock is behind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Claims {
    /// Channels to subscribe to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<String>,
    /// Channels to publish to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub write: Vec<String>,
    /// Whether `GET /api/info` is open, and `POST /api/publish` for the channels in `write`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub api: bool,
    /// Whether connections and channels may be looked at, and connections closed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub manage: bool,
    /// Who has made it.
    #[serde(rename = "iss", skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Which server it is for.
    #[serde(rename = "aud", skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Who it is for.
    #[serde(rename = "sub", skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// From when on it is not accepted, in seconds since 1970.
    #[serde(rename = "exp", skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
}

/// How a token is signed with a secret (RFC 7518, section 3.2). All three are accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    #[default]
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
}

impl From<Algorithm> for jsonwebtoken::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Hs256 => Self::HS256,
            Algorithm::Hs384 => Self::HS384,
            Algorithm::Hs512 => Self::HS512,
        }
    }
}

/// The crypto library refused to sign. It holds no more, since the library's own text may hold the
/// claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token could not be signed")]
pub struct SignError;

/// Signs `claims` with `secret`, which may be empty.
///
/// # Errors
/// [`SignError`] where the crypto library fails.
pub fn sign(claims: &Claims, secret: &[u8], algorithm: Algorithm) -> Result<String, SignError> {
    let header = Header::new(algorithm.into());
    let key = EncodingKey::from_secret(secret);
    jsonwebtoken::encode(&header, claims, &key).map_err(|_| SignError)
}
