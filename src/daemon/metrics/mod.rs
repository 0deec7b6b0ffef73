//! What is measured, for Prometheus and whoever else reads its formats: OpenMetrics 1.0, and the text format
//! 0.0.4 for those who do not ask for the former. Every metric stands in [`METRICS`], once.
//!
//! A scrape reads counters that others write and asks nobody: neither the daemon's loop nor a worker has to turn
//! for it. No label's values come from a client.
//!
//! - [`definitions`]: the metrics. `reading`: what their values are made of. `process`: what the kernel says of
//!   the process. `format`: the two formats. `exposition`: who reads them on sockets of their own.

pub mod definitions;
mod exposition;
mod format;
pub(super) mod process;
mod reading;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::SystemTime;

use hyper::StatusCode;
use hyper::header::{ACCEPT, HeaderMap};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;

use super::ask::Fanout;
use crate::config::Limits;
use crate::counters::histogram::BOUNDS;
use crate::http::answer::{Answer, respond};
use crate::http::front::Shared;
pub use definitions::{METRICS, Metric, markdown_table};
pub(super) use exposition::Exposition;
pub use format::Format;
use reading::Reading;

/// Tells how many lines of the log were lost so far.
pub type LinesLost = Box<dyn Fn() -> u64 + Send + Sync>;

/// What metrics are made of, beside what the kernel says.
pub struct Sources {
    /// What the workers share, and their counters.
    pub shared: Arc<Shared>,
    lines_lost: LinesLost,
    /// When the process began.
    began: SystemTime,
    /// The limits in force.
    max_connections: AtomicUsize,
    total_queue: AtomicUsize,
    memory: AtomicUsize,
    reloads_done: AtomicU64,
    reloads_rejected: AtomicU64,
    /// Whether the last reload was put in force, or none has been asked for.
    reload_holds: AtomicBool,
    /// When it was, or when the process began; in seconds since 1970.
    reloaded_at: AtomicU64,
}

impl Sources {
    /// Of a process that begins now.
    pub fn new(shared: Arc<Shared>, limits: &Limits, lines_lost: LinesLost) -> Sources {
        let began = SystemTime::now();
        let sources = Sources {
            shared,
            lines_lost,
            began,
            max_connections: AtomicUsize::default(),
            total_queue: AtomicUsize::default(),
            memory: AtomicUsize::default(),
            reloads_done: AtomicU64::default(),
            reloads_rejected: AtomicU64::default(),
            reload_holds: AtomicBool::new(true),
            reloaded_at: AtomicU64::new(seconds(began)),
        };
        sources.set_limits(limits);
        sources
    }

    /// Puts other limits in force.
    pub fn set_limits(&self, limits: &Limits) {
        self.max_connections.store(limits.max_connections, Relaxed);
        self.total_queue.store(limits.total_queue, Relaxed);
        self.memory.store(limits.memory, Relaxed);
    }

    /// How long messages took from being read to being written, since the start.
    pub fn fanout(&self) -> Fanout {
        let observed = Reading::new(self).observed(|counters| &counters.fanout);
        Fanout { bounds_seconds: BOUNDS.to_vec(), counts: observed.counts.to_vec() }
    }

    /// How late each worker is with what it does each second, in seconds.
    pub fn lags(&self) -> Vec<f64> {
        let reading = Reading::new(self);
        self.shared.counters.iter().map(|counters| reading.lag(counters)).collect()
    }

    /// Notes a reload, and whether it was put in force.
    pub fn note_reload(&self, at: SystemTime, done: bool) {
        let count = if done { &self.reloads_done } else { &self.reloads_rejected };
        count.fetch_add(1, Relaxed);
        self.reload_holds.store(done, Relaxed);
        self.reloaded_at.store(seconds(at), Relaxed);
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").field("began", &self.began).finish_non_exhaustive()
    }
}

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    sources: Arc<Sources>,
    registry: Registry,
}

impl Metrics {
    /// Made of these.
    pub fn new(sources: Arc<Sources>) -> Metrics {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(All(sources.clone())));
        Metrics { sources, registry }
    }

    /// What they are made of.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Everything as it is now, in a format.
    pub fn text(&self, format: Format) -> String {
        format.encode(&self.registry)
    }

    /// `GET /metrics`, in the format that the request's headers ask for.
    pub fn answer(&self, headers: &HeaderMap) -> Answer {
        let accept: Vec<&str> =
            headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
        let format = Format::accepted(&accept.join(","));
        respond(StatusCode::OK, format.content_type(), self.text(format).into())
    }
}

/// Reads all of them at each scrape.
#[derive(Debug)]
struct All(Arc<Sources>);

impl Collector for All {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let reading = Reading::new(&self.0);
        METRICS.iter().try_for_each(|metric| metric.encode(&mut encoder, &reading))
    }
}
