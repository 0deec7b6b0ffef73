//! `GET /api/info`: what the server says of itself.

use std::sync::atomic::Ordering;

use hyper::Request;
use serde::Serialize;

use super::Caller;
use super::rights::Rights;
use crate::http::Front;
use crate::http::answer::{Answer, json};
use crate::http::refusal::Refusal;

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

/// # Errors
/// Where the caller may not ask.
pub(super) async fn answer<B>(
    front: &Front,
    caller: Caller,
    request: &Request<B>,
) -> Result<Answer, Refusal> {
    Rights::of_anywhere(front, caller, request).await?.need_api()?;
    let rules = front.rules();
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
    Ok(json(&info))
}
