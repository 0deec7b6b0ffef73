//! The body of a plain request: read whole, bounded in bytes, in time, and in what all of them hold.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::StatusCode;
use hyper::body::Body;
use tokio::time::timeout;

use super::answer::{Answer, fault};
use super::body_room::BodyPlace;
use super::refusal::retry_later;

/// How long a body may take to come: 16 MiB over a line of 2 Mbit/s.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no whole body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyFault {
    /// More bytes than it may have.
    TooLarge,
    /// All together hold as much as they may.
    TooMany,
    /// Everything that clients make grow holds as much as it may.
    NoMemory,
    /// It took too long.
    TooSlow,
    /// Its sender has gone, or does not keep to HTTP.
    Lost,
}

/// Reads a body of at most so many bytes into its place, which it has until that is dropped. `has_memory` says whether
/// the server has memory for more than what has come.
///
/// # Errors
/// A body that is announced to be too long is refused before any of it is read.
pub(super) async fn read<B>(
    body: B,
    most: usize,
    place: &mut BodyPlace<'_>,
    has_memory: impl Fn() -> bool,
) -> Result<Vec<u8>, BodyFault>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    if body.size_hint().lower() > most as u64 {
        return Err(BodyFault::TooLarge);
    }
    timeout(PATIENCE, take(body, most, place, has_memory)).await.unwrap_or(Err(BodyFault::TooSlow))
}

async fn take<B>(
    mut body: B,
    most: usize,
    place: &mut BodyPlace<'_>,
    has_memory: impl Fn() -> bool,
) -> Result<Vec<u8>, BodyFault>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        // Trailers say nothing that anybody asks for.
        let Ok(bytes) = frame.map_err(|_| BodyFault::Lost)?.into_data() else { continue };
        if bytes.len() > most - whole.len() {
            return Err(BodyFault::TooLarge);
        }
        if !place.grow(bytes.len(), most) {
            return Err(BodyFault::TooMany);
        }
        // What has been read of it counts already.
        if !has_memory() {
            return Err(BodyFault::NoMemory);
        }
        whole.extend_from_slice(&bytes);
    }
    Ok(whole)
}

impl BodyFault {
    /// Why the request is not served. `key` says where the bound comes from.
    pub(super) fn answer(self, key: &str) -> Answer {
        match self {
            BodyFault::TooLarge => {
                let reason = format!("the body is longer than {key} allows");
                fault(StatusCode::PAYLOAD_TOO_LARGE, "too_large", &reason)
            }
            BodyFault::TooMany => {
                let reason =
                    format!("the bodies of all requests together hold more than {key} allows");
                retry_later(fault(StatusCode::SERVICE_UNAVAILABLE, "too_many_bodies", &reason))
            }
            BodyFault::NoMemory => {
                let reason = "no memory for the body: limits.memory is reached";
                retry_later(fault(StatusCode::SERVICE_UNAVAILABLE, "memory_full", reason))
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
