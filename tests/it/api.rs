//! `/api`: publishing without a connection, and who and what is there.

mod connections;
mod publish;

use serde_json::Value;

use crate::support::http::{Request, Response};
use crate::support::server::Server;
use crate::support::token::token;

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";

/// A token for `POST /api/publish` on these channels.
fn writer(write: &[&str]) -> String {
    token(&serde_json::json!({ "api": true, "write": write }).to_string())
}

fn manager() -> String {
    token(r#"{"manage":true}"#)
}

fn post(body: &str) -> Request {
    Request::new("POST", "/api/publish").body(JSON, body)
}

#[track_caller]
fn json(answer: &Response) -> Value {
    assert_eq!(answer.header("content-type"), Some(JSON), "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
    serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("no JSON: {answer:?}"))
}

/// Asks and expects 200.
#[track_caller]
fn get(server: &Server, path: &str) -> Value {
    let answer = server.ask(&Request::get(path).bearer(&manager()));
    assert_eq!(answer.status, 200, "{answer:?}");
    json(&answer)
}

/// The status and the stable word of an error, which has a sentence too.
#[track_caller]
fn refused(server: &Server, request: &Request) -> (u16, String) {
    let answer = server.ask(request);
    let body = json(&answer);
    assert!(body["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{answer:?}");
    (answer.status, body["error"].as_str().expect("a word").to_owned())
}
