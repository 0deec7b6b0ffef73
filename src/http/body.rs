//! The body of a plain request: read whole, bounded in bytes and in time.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::StatusCode;
use hyper::body::Body;
use tokio::time::timeout;

use super::answer::{Answer, fault};

/// How long a body may take to come: 16 MiB over a line of 2 Mbit/s.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no whole body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyFault {
    /// More bytes than it may have.
    TooLarge,
    /// It took too long.
    TooSlow,
    /// Its sender has gone, or does not keep to HTTP.
    Lost,
}

/// Reads a body of at most so many bytes.
///
/// # Errors
/// A body that is announced to be too long is refused before any of it is read.
pub(super) async fn read<B>(body: B, most: usize) -> Result<Bytes, BodyFault>
where
    B: Body<Data = Bytes, Error = hyper::Error>,
{
    if body.size_hint().lower() > most as u64 {
        return Err(BodyFault::TooLarge);
    }
    match timeout(PATIENCE, Limited::new(body, most).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BodyFault::TooLarge),
        Ok(Err(_)) => Err(BodyFault::Lost),
        Err(_) => Err(BodyFault::TooSlow),
    }
}

impl BodyFault {
    /// Why the request is not served. `key` says where the bound comes from.
    pub(super) fn answer(self, key: &str) -> Answer {
        match self {
            BodyFault::TooLarge => {
                let reason = format!("the body is longer than {key} allows");
                fault(StatusCode::PAYLOAD_TOO_LARGE, "too_large", &reason)
            }
            BodyFault::TooSlow => {
                let reason = "the body took too long to come";
                fault(StatusCode::REQUEST_TIMEOUT, "too_slow", reason)
            }
            BodyFault::Lost => {
                fault(StatusCode::BAD_REQUEST, "bad_request", "the body ended too early")
            }
        }
    }
}
