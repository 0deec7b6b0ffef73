//! Who is not let in: each refusal with its status, its reason and its name in log and metrics. A handshake is
//! told in one line of text, a request to the API in JSON.

use hyper::StatusCode;
use hyper::header::{
    CONNECTION, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE,
};

use super::answer::{self, Answer, text};
use super::head::Fault;
use crate::auth::AuthError;

/// What a handshake is told that has run out of time; hyper itself would say nothing.
pub(super) const TIMED_OUT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\ncontent-type: text/plain\r\n\
    connection: close\r\ncontent-length: 29\r\n\r\nthe handshake took too long.\n";

/// The name of that, in log and metrics.
pub(super) const TIMED_OUT_NAME: &str = "handshake_took_too_long";

/// The name of a handshake that is none, and of a request whose head cannot be read.
pub(super) const MALFORMED_NAME: &str = "malformed";

/// Seconds after which one that was turned away may try again.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("5");

/// The same for one that has asked too often: whatever the rate, one attempt is granted again within it.
const RETRY_RATE: HeaderValue = HeaderValue::from_static("1");

/// The same answer, with the word when to try again, on another connection.
fn retry_after(mut answer: Answer, seconds: HeaderValue) -> Answer {
    answer.headers_mut().insert(RETRY_AFTER, seconds);
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// The same for what is short of room.
pub(super) fn retry_later(answer: Answer) -> Answer {
    retry_after(answer, RETRY_SECONDS)
}

/// Why a handshake is not answered 101, or a request to the API not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// No WebSocket handshake: what, is said.
    #[error("malformed WebSocket handshake: {0}")]
    Malformed(&'static str),
    /// No request that can be read in one way alone.
    #[error("{0}")]
    Head(Fault),
    /// Not a WebSocket handshake at all, where one is expected.
    #[error("this is a WebSocket server: ask for an upgrade to websocket, version 13")]
    NotAnUpgrade,
    /// A handshake for another version of the protocol.
    #[error("this is a WebSocket server: ask for an upgrade to websocket, version 13")]
    WrongVersion,
    /// No token anywhere.
    #[error("no token: send it as Authorization: Bearer TOKEN, or as ?auth=TOKEN")]
    NoToken,
    /// None in the header, where no other place counts.
    #[error("no token: send it as Authorization: Bearer TOKEN")]
    NoHeader,
    /// A token that does not admit.
    #[error("{0}")]
    Token(AuthError),
    /// An origin that the rules do not know.
    #[error("this origin may not connect: see auth.check_origin and auth.allowed_origins")]
    Origin,
    /// A foreign host or origin, while anyone can sign tokens.
    #[error(
        "only loopback hosts and origins are served while no secret is set: set SECRET or auth.secret_file"
    )]
    NotLoopback,
    /// The token does not grant this.
    #[error("the token lacks the claim api")]
    NoApiGrant,
    /// Nor this.
    #[error("the token lacks the claim manage")]
    NoManageGrant,
    /// Its address has asked too often.
    #[error("too many attempts from this address: see limits.handshakes_per_second_per_ip")]
    TooManyHandshakes,
    /// Its address has as many connections as it may have.
    #[error("too many connections from this address: see limits.max_connections_per_ip")]
    TooManyConnections,
    /// No room.
    #[error("no more connections: limits.max_connections is reached")]
    Full,
    /// No memory for one more.
    #[error("no memory for more connections: limits.memory is reached")]
    MemoryFull,
    /// Going down.
    #[error("the server is shutting down")]
    Draining,
}

impl Refusal {
    /// The one for a head that is at fault.
    pub(super) fn of_head(fault: Fault, is_handshake: bool) -> Refusal {
        match fault {
            Fault::Malformed(what) if is_handshake => Refusal::Malformed(what),
            fault => Refusal::Head(fault),
        }
    }

    /// The HTTP status.
    pub(super) fn status(self) -> StatusCode {
        match self {
            // Not 426, which is for a client that speaks WebSocket: behind a proxy it would carry `Upgrade` into
            // HTTP/2, where that header is forbidden (RFC 9113, 8.2.2).
            Refusal::Malformed(_) | Refusal::NotAnUpgrade => StatusCode::BAD_REQUEST,
            Refusal::Head(fault) => fault.status(),
            Refusal::WrongVersion => StatusCode::UPGRADE_REQUIRED,
            Refusal::NoToken | Refusal::NoHeader => StatusCode::UNAUTHORIZED,
            Refusal::Token(error) => {
                StatusCode::from_u16(error.status()).unwrap_or(StatusCode::UNAUTHORIZED)
            }
            Refusal::Origin
            | Refusal::NotLoopback
            | Refusal::NoApiGrant
            | Refusal::NoManageGrant => StatusCode::FORBIDDEN,
            Refusal::TooManyHandshakes | Refusal::TooManyConnections => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Refusal::Full | Refusal::MemoryFull | Refusal::Draining => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// A stable name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Refusal::Malformed(_) | Refusal::Head(_) => MALFORMED_NAME,
            Refusal::NotAnUpgrade | Refusal::WrongVersion => "not_an_upgrade",
            Refusal::NoToken | Refusal::NoHeader => "no_token",
            Refusal::Token(error) => error.name(),
            Refusal::Origin => "origin",
            Refusal::NotLoopback => "not_loopback",
            Refusal::NoApiGrant => "no_api_grant",
            Refusal::NoManageGrant => "no_manage_grant",
            Refusal::TooManyHandshakes => "too_many_handshakes",
            Refusal::TooManyConnections => "too_many_connections",
            Refusal::Full => "full",
            Refusal::MemoryFull => "memory_full",
            Refusal::Draining => "draining",
        }
    }

    /// The answer to a handshake: one line that says why.
    pub(super) fn answer(self) -> Answer {
        self.with_headers(text(self.status(), &self.to_string()))
    }

    /// The answer to any other request: JSON that says why.
    pub(super) fn fault(self) -> Answer {
        self.with_headers(answer::fault(self.status(), self.name(), &self.to_string()))
    }

    fn with_headers(self, mut answer: Answer) -> Answer {
        let headers = answer.headers_mut();
        match self.status() {
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                let is_rate = self == Refusal::TooManyHandshakes;
                return retry_after(answer, if is_rate { RETRY_RATE } else { RETRY_SECONDS });
            }
            StatusCode::UPGRADE_REQUIRED => {
                headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                // RFC 9110, 7.8: whoever sends `Upgrade` names it in `Connection`.
                headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            }
            _ => {}
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Claim;
    use crate::counters::Refusals;
    use crate::counters::tally::Names;
    use crate::http::newcomer;

    /// What comes behind a refusal in their order; the compiler says where one is missing.
    fn after(refusal: Option<Refusal>) -> Option<Refusal> {
        use AuthError::*;
        let token = |error| Some(Refusal::Token(error));
        let Some(refusal) = refusal else { return Some(Refusal::Malformed("x")) };
        match refusal {
            Refusal::Malformed(_) => Some(Refusal::Head(Fault::Malformed("x"))),
            Refusal::Head(Fault::Malformed(_)) => Some(Refusal::Head(Fault::TooLong)),
            Refusal::Head(Fault::TooLong) => Some(Refusal::NotAnUpgrade),
            Refusal::NotAnUpgrade => Some(Refusal::WrongVersion),
            Refusal::WrongVersion => Some(Refusal::NoToken),
            Refusal::NoToken => Some(Refusal::NoHeader),
            Refusal::NoHeader => token(Malformed),
            Refusal::Token(Malformed) => token(Algorithm),
            Refusal::Token(Algorithm) => token(Critical),
            Refusal::Token(Critical) => token(Signature),
            Refusal::Token(Signature) => token(NotAnObject),
            Refusal::Token(NotAnObject) => token(WrongType(Claim::Read)),
            Refusal::Token(WrongType(_)) => token(Repeated(Claim::Read)),
            Refusal::Token(Repeated(_)) => token(Issuer),
            Refusal::Token(Issuer) => token(Audience),
            Refusal::Token(Audience) => token(Expired),
            Refusal::Token(Expired) => token(NotYetValid),
            Refusal::Token(NotYetValid) => token(IssuedInFuture),
            Refusal::Token(IssuedInFuture) => token(TooManyChannels),
            Refusal::Token(TooManyChannels) => token(ChannelTooLong),
            Refusal::Token(ChannelTooLong) => Some(Refusal::Origin),
            Refusal::Origin => Some(Refusal::NotLoopback),
            Refusal::NotLoopback => Some(Refusal::NoApiGrant),
            Refusal::NoApiGrant => Some(Refusal::NoManageGrant),
            Refusal::NoManageGrant => Some(Refusal::TooManyHandshakes),
            Refusal::TooManyHandshakes => Some(Refusal::TooManyConnections),
            Refusal::TooManyConnections => Some(Refusal::Full),
            Refusal::Full => Some(Refusal::MemoryFull),
            Refusal::MemoryFull => Some(Refusal::Draining),
            Refusal::Draining => None,
        }
    }

    #[test]
    fn every_refusal_is_counted_by_its_name() {
        let mut names: Vec<&str> = std::iter::successors(after(None), |last| after(Some(*last)))
            .map(Refusal::name)
            .chain([TIMED_OUT_NAME])
            .chain(newcomer::REASONS)
            .collect();
        names.sort_unstable();
        names.dedup();
        let mut known = Refusals::NAMES.to_vec();
        known.sort_unstable();
        assert_eq!(names, known);
    }
}
