//! Owns [`AuthError`], why a token opens nothing, and what each answer to it is.

use std::fmt;

/// Why a token was refused.
///
/// The texts are a fixed set and hold nothing that a client chose, so that they may be sent back,
/// logged and matched. What a claim says is judged, and named, only after the signature verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AuthError {
    /// Not three parts of base64url, or a header that is not a JSON object with one `alg`.
    #[error("token is malformed")]
    Malformed,
    /// `none`, an algorithm that is not known, or one that no key of this server is for.
    #[error("token is signed with an algorithm that is not accepted here")]
    Algorithm,
    /// The header has a `crit`: extensions that must be understood (RFC 7515, 4.1.11). None is.
    #[error("token has a critical header, and none is supported")]
    Critical,
    /// No key that is accepted made this signature.
    #[error("token's signature does not verify")]
    Signature,
    /// Signed, but what is signed is not a JSON object.
    #[error("token's claims are not a JSON object")]
    NotAnObject,
    /// A claim has the wrong type.
    #[error("token's claim {0} is not {kind}", kind = .0.kind())]
    WrongType(Claim),
    /// A claim stands twice; which one was meant is not guessed (RFC 7519, section 4).
    #[error("token's claim {0} stands twice")]
    Repeated(Claim),
    /// `auth.issuer` is set, and `iss` is another, or absent.
    #[error("token's claim iss is not what auth.issuer asks for")]
    Issuer,
    /// `auth.audience` is set, and is not among `aud`, or that is absent.
    #[error("token's claim aud is not what auth.audience asks for")]
    Audience,
    /// `exp` has come.
    #[error("token has expired")]
    Expired,
    /// `nbf` is further ahead than `auth.leeway`.
    #[error("token is not valid yet")]
    NotYetValid,
    /// `iat` is further ahead than `auth.leeway`.
    #[error("token was issued in the future")]
    IssuedInFuture,
    /// More distinct names in `read` or in `write` than [`super::Policy::max_channels`].
    #[error("token has more channels than limits.max_channels allows")]
    TooManyChannels,
    /// A name of more bytes than [`super::Policy::max_channel_length`].
    #[error("token has a channel's name longer than limits.max_channel_length allows")]
    ChannelTooLong,
}

impl AuthError {
    /// The status of the HTTP response: 403 where the token is good and a limit is in its way,
    /// else 401.
    pub fn status(self) -> u16 {
        match self {
            Self::TooManyChannels | Self::ChannelTooLong => 403,
            _ => 401,
        }
    }

    /// A short stable name, for a metric's label and a log's field.
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "token_malformed",
            Self::Algorithm => "algorithm",
            Self::Critical => "critical_header",
            Self::Signature => "signature",
            Self::NotAnObject | Self::WrongType(_) | Self::Repeated(_) => "claims",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::IssuedInFuture => "issued_in_future",
            Self::TooManyChannels => "too_many_channels",
            Self::ChannelTooLong => "channel_too_long",
        }
    }
}

/// A claim that is looked at; all others are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Claim {
    /// `read`, channels to subscribe to.
    Read,
    /// `write`, channels to publish to.
    Write,
    /// `api`, whether `GET /api/info` and `POST /api/publish` are open.
    Api,
    /// `manage`, whether connections and channels may be looked at, and connections closed.
    Manage,
    /// `iss`, who has made it; looked at where `auth.issuer` is set.
    Iss,
    /// `aud`, whom it is for; looked at where `auth.audience` is set.
    Aud,
    /// `exp`, from when on the token is not accepted.
    Exp,
    /// `nbf`, before when it is not.
    Nbf,
    /// `iat`, when it was made.
    Iat,
}

impl Claim {
    fn kind(self) -> &'static str {
        match self {
            Self::Read | Self::Write => "an array of strings",
            Self::Api | Self::Manage => "true or false",
            Self::Iss => "a string",
            Self::Aud => "a string or an array of strings",
            Self::Exp | Self::Nbf | Self::Iat => "a number",
        }
    }
}

/// The member's name.
impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Api => "api",
            Self::Manage => "manage",
            Self::Iss => "iss",
            Self::Aud => "aud",
            Self::Exp => "exp",
            Self::Nbf => "nbf",
            Self::Iat => "iat",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_forbidden_and_names_its_key_and_all_else_is_unauthorized() {
        let limits = [
            (AuthError::TooManyChannels, "limits.max_channels"),
            (AuthError::ChannelTooLong, "limits.max_channel_length"),
        ];
        for (error, key) in limits {
            assert_eq!(error.status(), 403);
            assert!(error.to_string().contains(key), "{error}");
        }
        for error in [AuthError::Malformed, AuthError::Signature, AuthError::Expired] {
            assert_eq!(error.status(), 401);
        }
    }

    #[test]
    fn a_wrong_claim_is_named_with_what_it_should_be() {
        let cases = [
            (AuthError::WrongType(Claim::Read), "token's claim read is not an array of strings"),
            (AuthError::WrongType(Claim::Api), "token's claim api is not true or false"),
            (AuthError::WrongType(Claim::Nbf), "token's claim nbf is not a number"),
            (AuthError::Repeated(Claim::Exp), "token's claim exp stands twice"),
        ];
        for (error, text) in cases {
            assert_eq!(error.to_string(), text);
            assert_eq!(error.name(), "claims");
        }
    }
}
