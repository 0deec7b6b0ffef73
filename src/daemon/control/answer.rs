//! Owns how answers look: JSON, health in a line of text, errors with `error` and `reason`.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

use crate::daemon::ask::ReloadOutcome;

pub(super) type Answer = Response<Full<Bytes>>;

/// An error as its receiver reads it.
#[derive(Serialize)]
struct Fault<'a> {
    /// A stable word.
    error: &'a str,
    /// A sentence.
    reason: &'a str,
    /// All of them, where there are several.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    faults: &'a [String],
}

/// What was asked for.
pub(super) fn json(body: &impl Serialize) -> Answer {
    with_status(StatusCode::OK, body)
}

/// Why not.
pub(super) fn fault(status: StatusCode, error: &str, reason: &str) -> Answer {
    with_status(status, &Fault { error, reason, faults: &[] })
}

/// A path that knows other methods.
pub(super) fn wrong_method(allow: &'static str) -> Answer {
    let reason = format!("this path takes {allow}");
    let mut answer = fault(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &reason);
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    answer
}

/// 200 with what changed, 422 with every fault, 409 while going down.
pub(super) fn reloaded(outcome: &ReloadOutcome) -> Answer {
    match outcome {
        ReloadOutcome::Done(reloaded) => json(reloaded),
        ReloadOutcome::Rejected(faults) => with_status(
            StatusCode::UNPROCESSABLE_ENTITY,
            &Fault {
                error: "rejected",
                reason: "the configuration has faults; the old one holds",
                faults,
            },
        ),
        ReloadOutcome::Draining => {
            fault(StatusCode::CONFLICT, "draining", "the server is shutting down")
        }
    }
}

/// Health, as on every listener.
pub(super) fn text(status: StatusCode, line: &str) -> Answer {
    respond(status, "text/plain; charset=utf-8", format!("{line}\n").into())
}

fn with_status(status: StatusCode, body: &impl Serialize) -> Answer {
    let mut body = serde_json::to_vec(body).expect("texts and numbers are JSON");
    body.push(b'\n');
    respond(status, "application/json", body.into())
}

fn respond(status: StatusCode, content_type: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
