//! Owns how answers to plain requests look, on every socket that takes any: JSON, one line of text, and errors
//! with `error` (a stable word) and `reason` (a sentence). None may be kept by a cache, none is shared with pages
//! of other origins.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

/// An answer with its whole body.
pub type Answer = Response<Full<Bytes>>;

/// JSON, RFC 8259.
pub const JSON: &str = "application/json";

#[derive(Serialize)]
struct Fault<'a> {
    error: &'a str,
    reason: &'a str,
}

/// What was asked for.
pub fn json(body: &impl Serialize) -> Answer {
    json_with(StatusCode::OK, body)
}

/// JSON with another status.
pub fn json_with(status: StatusCode, body: &impl Serialize) -> Answer {
    let mut body = serde_json::to_vec(body).expect("texts and numbers are JSON");
    body.push(b'\n');
    respond(status, JSON, body.into())
}

/// Why not: `error` is a stable word, `reason` a sentence with nothing in it that a client should not read.
pub fn fault(status: StatusCode, error: &str, reason: &str) -> Answer {
    json_with(status, &Fault { error, reason })
}

/// A path that knows these methods only.
pub fn wrong_method(allow: &str) -> Answer {
    let reason = format!("this path takes {allow}");
    let mut answer = fault(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &reason);
    if let Ok(allow) = HeaderValue::from_str(allow) {
        answer.headers_mut().insert(ALLOW, allow);
    }
    answer
}

/// One line of plain text.
pub fn text(status: StatusCode, line: &str) -> Answer {
    respond(status, "text/plain; charset=utf-8", format!("{line}\n").into())
}

/// Any body.
pub fn respond(status: StatusCode, content_type: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
