//! Whether the process serves and whether it takes newcomers, for probes: the same on every socket, for anybody.

use std::sync::atomic::Ordering;

use hyper::StatusCode;

use super::answer::{Answer, text};
use super::front::Shared;

/// `GET /healthz`: 200 while the process serves at all.
pub fn health() -> Answer {
    text(StatusCode::OK, "ok")
}

/// `GET /readyz`: 200, or 503 and why.
pub fn readiness(shared: &Shared) -> Answer {
    if shared.draining.load(Ordering::Relaxed) {
        text(StatusCode::SERVICE_UNAVAILABLE, "draining")
    } else {
        text(StatusCode::OK, "ready")
    }
}
