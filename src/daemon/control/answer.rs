//! Owns how the outcome of a reload is answered: with what changed, or with every fault.

use hyper::StatusCode;
use serde::Serialize;

use crate::daemon::ask::ReloadOutcome;
use crate::http::answer::{Answer, fault, json, json_with};

/// An error of several causes.
#[derive(Serialize)]
struct Rejected<'a> {
    error: &'a str,
    reason: &'a str,
    /// All of them.
    faults: &'a [String],
}

/// 200 with what changed, 422 with every fault, 409 while going down.
pub(super) fn reloaded(outcome: &ReloadOutcome) -> Answer {
    match outcome {
        ReloadOutcome::Done(reloaded) => json(reloaded),
        ReloadOutcome::Rejected(faults) => json_with(
            StatusCode::UNPROCESSABLE_ENTITY,
            &Rejected {
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
