//! Requests that are no handshake: health, readiness, and what the server says of itself.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;

use super::refusal::{Refusal, text};
use super::{Answer, Front, handshake, origin};
use crate::connection::Peer;

/// Answers a request that asks for no WebSocket.
pub(super) fn answer<B>(front: &Front, peer: Peer, request: &Request<B>) -> Answer {
    let draining = front.shared.draining.load(Ordering::Relaxed);
    let path = request.uri().path();
    if !matches!(path, "/" | "/healthz" | "/readyz" | "/api/info") {
        return text(StatusCode::NOT_FOUND, "nothing is served under this path");
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET is allowed here");
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    match path {
        "/healthz" => text(StatusCode::OK, "ok"),
        "/readyz" if draining => text(StatusCode::SERVICE_UNAVAILABLE, "draining"),
        "/readyz" => text(StatusCode::OK, "ready"),
        _ if draining => Refusal::Draining.answer(),
        "/api/info" => match info(front, request) {
            Ok(answer) => answer,
            Err(refusal) => {
                front.note_refused(peer, refusal.name());
                refusal.answer()
            }
        },
        _ => Refusal::NotAnUpgrade.answer(),
    }
}

/// What existing tools print, with the names and types that they know, and a little more.
#[derive(Serialize)]
struct Info {
    version: &'static str,
    num_cpu: usize,
    uptime_in_seconds: u64,
    uptime_in_days: u64,
    /// A string, as it always was.
    tcp_port: String,
    pid: u32,
    connections: usize,
    max_connections: usize,
    read_buffer_size: u32,
    write_buffer_size: u32,
    check_origin: bool,
    messages_published: u64,
    messages_delivered: u64,
    messages_dropped: u64,
    publishes_refused: u64,
    slow_consumers: u64,
}

fn info<B>(front: &Front, request: &Request<B>) -> Result<Answer, Refusal> {
    let rules = front.rules();
    origin::judge(&rules, request.headers())?;
    if !handshake::grants(front, request)?.api {
        return Err(Refusal::NoApiGrant);
    }
    let shared = &front.shared;
    let uptime = shared.started.elapsed().as_secs();
    let info = Info {
        version: env!("CARGO_PKG_VERSION"),
        num_cpu: std::thread::available_parallelism().map_or(1, usize::from),
        uptime_in_seconds: uptime,
        uptime_in_days: uptime / 86_400,
        tcp_port: match shared.tcp_port.load(Ordering::Relaxed) {
            0 => String::new(),
            port => port.to_string(),
        },
        pid: std::process::id(),
        connections: shared.taken.load(Ordering::Relaxed),
        max_connections: rules.max_connections,
        read_buffer_size: rules.read_buffer_size,
        write_buffer_size: rules.write_buffer_size,
        check_origin: rules.check_origin,
        messages_published: shared.sum(|counters| counters.messages_in.get()),
        messages_delivered: shared.sum(|counters| counters.messages_out.get()),
        messages_dropped: shared.sum(|counters| counters.dropped.get()),
        publishes_refused: shared.sum(|counters| counters.not_granted.get()),
        slow_consumers: shared.sum(|counters| counters.slow_consumers.get()),
    };
    let body = serde_json::to_vec(&info).expect("numbers and plain strings are JSON");
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}
