//! Publishing by HTTP: some messages on one channel, and how many subscribers each has reached.

use std::time::Duration;

use hyper::Method;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::door::Door;
use super::escape::escaped;
use super::failure::Failure;
use super::request::Question;

/// How long the server may take: it waits for every worker.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Serialize)]
struct Message<'a> {
    channel: &'a str,
    data: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    exclude: Option<Uuid>,
}

/// What became of one.
#[derive(Deserialize)]
struct Outcome {
    accepted: bool,
    #[serde(default)]
    subscribers: u32,
    #[serde(default)]
    reason: String,
}

/// Publishes; how many subscribers each message has reached.
///
/// # Errors
/// Where no server answers, or it does not take one of them.
pub(super) async fn post(
    door: &Door<'_>,
    channel: &str,
    exclude: Option<Uuid>,
    data: &[String],
) -> Result<Vec<u32>, Failure> {
    let mut body = Vec::new();
    for data in data {
        let message = Message { channel, data, exclude };
        serde_json::to_writer(&mut body, &message)
            .map_err(|error| Failure::Internal(error.to_string()))?;
        body.push(b'\n');
    }
    let question = Question::new(Method::POST, "/api/publish");
    let question = question.with_body("application/x-ndjson", body);
    let told = door.ask(question, PATIENCE).await?.text();
    let understood = |line| {
        serde_json::from_str::<Outcome>(line).map_err(|error| {
            Failure::Internal(format!("the server's answer is not understood: {error}"))
        })
    };
    told.lines()
        .map(|line| match understood(line)? {
            Outcome { accepted: true, subscribers, .. } => Ok(subscribers),
            Outcome { reason, .. } => {
                Err(Failure::NotPermitted(format!("the server refuses: {}", escaped(&reason))))
            }
        })
        .collect()
}
