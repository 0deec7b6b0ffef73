//! What a request says that its body is.

use hyper::body::Body;
use hyper::header::CONTENT_TYPE;
use hyper::{HeaderMap, Request, StatusCode};

use crate::http::answer::{Answer, JSON, fault};

/// One JSON object a line.
pub(super) const NDJSON: &str = "application/x-ndjson";

/// The media type of a body, without its parameters; None where it is not said, or no text.
pub(super) fn media_type(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim())
}

/// A request that needs no body; one that has some says that it is JSON, as a page of somebody else cannot.
///
/// # Errors
/// 415.
pub(super) fn none<B: Body>(request: &Request<B>) -> Result<(), Box<Answer>> {
    let is_json = || media_type(request.headers()).is_some_and(|is| is.eq_ignore_ascii_case(JSON));
    if request.body().is_end_stream() || is_json() {
        Ok(())
    } else {
        Err(Box::new(unsupported(JSON)))
    }
}

/// 415: what would do.
pub(super) fn unsupported(supported: &str) -> Answer {
    let reason = format!("the header Content-Type has to say {supported}");
    fault(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", &reason)
}
