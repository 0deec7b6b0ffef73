//! Owns [`METRICS`]: every metric, with what it means and where its values come from.
//!
//! A name is a promise: dashboards and alarms are written against it.

use std::fmt::{self, Write as _};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use super::reading::Reading;
use crate::counters::histogram::{BOUNDS, Observed};

/// A metric.
pub struct Metric {
    /// Its name without unit and suffix.
    name: &'static str,
    unit: Option<Unit>,
    /// One sentence or two.
    pub meaning: &'static str,
    value: Value,
}

type Read<T> = fn(&Reading<'_>) -> T;

/// Where a metric's value comes from. What is None is left out.
enum Value {
    Counter(Read<u64>),
    /// In fractions, such as seconds.
    Sum(Read<f64>),
    Gauge(Read<Option<f64>>),
    Counters(&'static str, Read<Vec<(&'static str, u64)>>),
    Sums(&'static str, Read<Vec<(String, f64)>>),
    Gauges(&'static str, Read<Vec<(String, f64)>>),
    Histogram(Read<Observed>),
    /// What is known, always 1.
    Info(&'static [(&'static str, &'static str)]),
}

const BYTES: Option<Unit> = Some(Unit::Bytes);
const SECONDS: Option<Unit> = Some(Unit::Seconds);

/// All of them: connections, messages, what waits, the workers, the configuration, the process.
pub static METRICS: &[Metric] = &[
    Metric {
        name: "philote_connections",
        unit: None,
        meaning: "Connections that are open.",
        value: Value::Gauge(|reading| Some(reading.sum(|of| of.connections.get()) as f64)),
    },
    Metric {
        name: "philote_connections_limit",
        unit: None,
        meaning: "The most there may be, which is limits.max_connections.",
        value: Value::Gauge(|reading| Some(reading.sources.max_connections.load(Relaxed) as f64)),
    },
    Metric {
        name: "philote_pending_sockets",
        unit: None,
        meaning: "Accepted sockets that are no connection, or not yet.",
        value: Value::Gauge(|reading| Some(reading.sources.shared.pending.len() as f64)),
    },
    Metric {
        name: "philote_pending_evicted",
        unit: None,
        meaning: "Of those, the ones that were closed to make room: no request had come whole, all were answered \
                  (idle), or one was being answered.",
        value: Value::Counters("kind", |reading| reading.tally(|of| &of.evictions)),
    },
    Metric {
        name: "philote_handshakes",
        unit: None,
        meaning: "Handshakes that were answered: accepted, or refused and why.",
        value: Value::Counters("result", |reading| {
            let mut results = vec![("accepted", reading.sum(|of| of.opened.get()))];
            results.extend(reading.tally(|of| &of.refusals));
            results
        }),
    },
    Metric {
        name: "philote_connections_closed",
        unit: None,
        meaning: "Connections that are over: closed by the server for a reason, closed by the peer, lost \
                  without a close, or vanished.",
        value: Value::Counters("reason", |reading| reading.tally(|of| &of.closed)),
    },
    Metric {
        name: "philote_connections_cut",
        unit: None,
        meaning: "Of those, the ones that did not answer a close in time, or were cut at the end of a stop.",
        value: Value::Counter(|reading| reading.sum(|of| of.cut.get())),
    },
    Metric {
        name: "philote_channels",
        unit: None,
        meaning: "Channels that somebody reads or may write.",
        value: Value::Gauge(|reading| Some(reading.sum(|of| of.channels.get()) as f64)),
    },
    Metric {
        name: "philote_messages_received",
        unit: None,
        meaning: "Messages that were published, on connections and by requests, refused ones among them.",
        value: Value::Counter(|reading| reading.sum(|of| of.messages_in.get())),
    },
    Metric {
        name: "philote_publishes_refused",
        unit: None,
        meaning: "Messages for a channel that their sender may not write.",
        value: Value::Counter(|reading| reading.sum(|of| of.not_granted.get())),
    },
    Metric {
        name: "philote_deliveries",
        unit: None,
        meaning: "Messages put into the queues of subscribers: one for each message and subscriber.",
        value: Value::Counter(|reading| reading.sum(|of| of.deliveries.get())),
    },
    Metric {
        name: "philote_messages_sent",
        unit: None,
        meaning: "Messages written to sockets: deliveries that went out.",
        value: Value::Counter(|reading| reading.sum(|of| of.messages_out.get())),
    },
    Metric {
        name: "philote_messages_dropped",
        unit: None,
        meaning: "Messages that were taken out of a queue without being sent: their subscriber was a slow \
                  consumer, or its connection ended otherwise.",
        value: Value::Counters("reason", |reading| {
            vec![
                ("slow_consumer", reading.sum(|of| of.dropped.get())),
                ("connection_ended", reading.sum(|of| of.abandoned.get())),
            ]
        }),
    },
    Metric {
        name: "philote_received",
        unit: BYTES,
        meaning: "Bytes read from connections, frames and all.",
        value: Value::Counter(|reading| reading.sum(|of| of.bytes_in.get())),
    },
    Metric {
        name: "philote_sent",
        unit: BYTES,
        meaning: "Bytes written to connections, frames and all.",
        value: Value::Counter(|reading| reading.sum(|of| of.bytes_out.get())),
    },
    Metric {
        name: "philote_fanout",
        unit: SECONDS,
        meaning: "From when a message was read until it was written to the sockets of its subscribers. It is \
                  measured once a turn of a worker, from the turn's first message to its last write, and \
                  counted for each message written in it; what waits for a socket that takes nothing is not \
                  in it.",
        value: Value::Histogram(|reading| reading.observed(|of| &of.fanout)),
    },
    Metric {
        name: "philote_queue",
        unit: BYTES,
        meaning: "What waits in outbound queues; a message that waits in many counts in each.",
        value: Value::Gauge(|reading| Some(reading.sum(|of| of.queued.get()) as f64)),
    },
    Metric {
        name: "philote_queue_memory",
        unit: BYTES,
        meaning: "The memory that this takes; a message that waits in many queues counts once.",
        value: Value::Gauge(|reading| Some(reading.sum(|of| of.queue_memory() as u64) as f64)),
    },
    Metric {
        name: "philote_queue_memory_limit",
        unit: BYTES,
        meaning: "The most that it may take, which is limits.total_queue.",
        value: Value::Gauge(|reading| Some(reading.sources.total_queue.load(Relaxed) as f64)),
    },
    Metric {
        name: "philote_memory",
        unit: BYTES,
        meaning: "Memory for what clients can make grow: frames that wait for subscribers and the queues they \
                  wait in (both are philote_queue_memory_bytes), messages of which a part has come, channels, \
                  connections, requests, and mail between workers.",
        value: Value::Gauges("kind", |reading| reading.memory()),
    },
    Metric {
        name: "philote_memory_limit",
        unit: BYTES,
        meaning: "The most that all kinds together may take, which is limits.memory.",
        value: Value::Gauge(|reading| Some(reading.sources.memory.load(Relaxed) as f64)),
    },
    Metric {
        name: "philote_worker_lag",
        unit: SECONDS,
        meaning: "How late a worker came to what it does each second, the last time or by now.",
        value: Value::Gauges("worker", |reading| reading.by_worker(|of| reading.lag(of))),
    },
    Metric {
        name: "philote_worker_cpu",
        unit: SECONDS,
        meaning: "CPU time of a worker's thread; one that gains a second each second can do no more.",
        value: Value::Sums("worker", |reading| {
            reading.by_worker(|of| Duration::from_nanos(of.cpu.get()).as_secs_f64())
        }),
    },
    Metric {
        name: "philote_worker_tasks",
        unit: None,
        meaning: "Tasks of a worker, counted once a second: one for each connection and for each socket that is \
                  none, or not yet, and a few of its own. More than that are a leak.",
        value: Value::Gauges("worker", |reading| reading.by_worker(|of| of.tasks.get() as f64)),
    },
    Metric {
        name: "philote_config_reloads",
        unit: None,
        meaning: "Reloads that were put in force (done) or rejected.",
        value: Value::Counters("result", |reading| {
            vec![
                ("done", reading.sources.reloads_done.load(Relaxed)),
                ("rejected", reading.sources.reloads_rejected.load(Relaxed)),
            ]
        }),
    },
    Metric {
        name: "philote_config_last_reload_successful",
        unit: None,
        meaning: "1 where the last reload was put in force, or there was none; 0 where it was rejected.",
        value: Value::Gauge(|reading| {
            Some(f64::from(u8::from(reading.sources.reload_holds.load(Relaxed))))
        }),
    },
    Metric {
        name: "philote_config_last_reload_timestamp",
        unit: SECONDS,
        meaning: "When that was, in seconds since 1970; the start where there was none.",
        value: Value::Gauge(|reading| Some(reading.sources.reloaded_at.load(Relaxed) as f64)),
    },
    Metric {
        name: "philote_certificate_expiry_timestamp",
        unit: SECONDS,
        meaning: "Until when the certificate is good, in seconds since 1970. Without one it is absent.",
        value: Value::Gauge(|reading| {
            let expires = reading.sources.shared.certificate_expires.load(Relaxed);
            (expires > 0).then_some(expires as f64)
        }),
    },
    Metric {
        name: "philote_draining",
        unit: None,
        meaning: "1 while the server is shutting down.",
        value: Value::Gauge(|reading| Some(f64::from(u8::from(reading.is_draining())))),
    },
    Metric {
        name: "philote_log_lines_lost",
        unit: None,
        meaning: "Lines of the log that could not be written, or came faster than they could be.",
        value: Value::Counter(|reading| (reading.sources.lines_lost)()),
    },
    Metric {
        name: "philote_build",
        unit: None,
        meaning: "Which philote this is.",
        value: Value::Info(&[
            ("version", env!("CARGO_PKG_VERSION")),
            ("commit", env!("PHILOTE_BUILT_COMMIT")),
            ("target", env!("PHILOTE_BUILT_FOR")),
        ]),
    },
    Metric {
        name: "process_cpu",
        unit: SECONDS,
        meaning: "CPU time of the process, user and system.",
        value: Value::Sum(|reading| reading.process().cpu),
    },
    Metric {
        name: "process_start_time",
        unit: SECONDS,
        meaning: "When it started, in seconds since 1970.",
        value: Value::Gauge(|reading| {
            let since = reading.sources.began.duration_since(SystemTime::UNIX_EPOCH).ok()?;
            Some(since.as_secs_f64())
        }),
    },
    Metric {
        name: "process_resident_memory",
        unit: BYTES,
        meaning: "Memory in use.",
        value: Value::Gauge(|reading| Some(reading.process().resident? as f64)),
    },
    Metric {
        name: "process_virtual_memory",
        unit: BYTES,
        meaning: "Address space in use.",
        value: Value::Gauge(|reading| Some(reading.process().virtual_size? as f64)),
    },
    Metric {
        name: "process_open_fds",
        unit: None,
        meaning: "Open files, sockets among them.",
        value: Value::Gauge(|reading| Some(reading.process().open_files? as f64)),
    },
    Metric {
        name: "process_max_fds",
        unit: None,
        meaning: "The most there may be.",
        value: Value::Gauge(|reading| Some(reading.process().most_files? as f64)),
    },
    Metric {
        name: "process_threads",
        unit: None,
        meaning: "Threads.",
        value: Value::Gauge(|reading| Some(reading.process().threads? as f64)),
    },
];

impl Metric {
    /// Its full name, as queries have it.
    pub fn name(&self) -> String {
        let mut name = self.name.to_owned();
        if let Some(unit) = &self.unit {
            name.push('_');
            name.push_str(unit.as_str());
        }
        name.push_str(match self.value.kind() {
            MetricType::Counter => "_total",
            MetricType::Info => "_info",
            _ => "",
        });
        name
    }

    /// The word for its kind.
    pub fn kind(&self) -> &'static str {
        match self.value.kind() {
            MetricType::Counter => "counter",
            MetricType::Gauge => "gauge",
            MetricType::Histogram => "histogram",
            MetricType::Info => "info",
            MetricType::Unknown => "unknown",
        }
    }

    /// The names of its labels.
    pub fn labels(&self) -> Vec<&'static str> {
        match self.value {
            Value::Counters(label, _) | Value::Sums(label, _) | Value::Gauges(label, _) => {
                vec![label]
            }
            Value::Info(labels) => labels.iter().map(|(name, _)| *name).collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn encode(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        reading: &Reading<'_>,
    ) -> fmt::Result {
        let kind = self.value.kind();
        let mut metric = match &self.value {
            Value::Gauge(read) if read(reading).is_none() => return Ok(()),
            _ => encoder.encode_descriptor(self.name, self.meaning, self.unit.as_ref(), kind)?,
        };
        match &self.value {
            Value::Counter(read) => ConstCounter::new(read(reading)).encode(metric),
            Value::Sum(read) => ConstCounter::new(read(reading)).encode(metric),
            Value::Gauge(read) => ConstGauge::new(read(reading).unwrap_or_default()).encode(metric),
            Value::Counters(label, read) => read(reading).iter().try_for_each(|(value, count)| {
                ConstCounter::new(*count).encode(metric.encode_family(&[(*label, *value)])?)
            }),
            Value::Sums(label, read) => read(reading).iter().try_for_each(|(value, sum)| {
                ConstCounter::new(*sum).encode(metric.encode_family(&[(*label, value.as_str())])?)
            }),
            Value::Gauges(label, read) => read(reading).iter().try_for_each(|(value, figure)| {
                ConstGauge::new(*figure).encode(metric.encode_family(&[(*label, value.as_str())])?)
            }),
            Value::Histogram(read) => {
                let Observed { counts, seconds } = read(reading);
                let ends = BOUNDS.into_iter().chain([f64::INFINITY]);
                let buckets: Vec<(f64, u64)> = ends.zip(counts).collect();
                metric.encode_histogram::<NoLabelSet>(seconds, counts.iter().sum(), &buckets, None)
            }
            Value::Info(labels) => metric.encode_info(labels),
        }
    }
}

impl Value {
    fn kind(&self) -> MetricType {
        match self {
            Value::Counter(_) | Value::Sum(_) | Value::Counters(..) | Value::Sums(..) => {
                MetricType::Counter
            }
            Value::Gauge(_) | Value::Gauges(..) => MetricType::Gauge,
            Value::Histogram(_) => MetricType::Histogram,
            Value::Info(_) => MetricType::Info,
        }
    }
}

impl fmt::Debug for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metric").field("name", &self.name()).finish_non_exhaustive()
    }
}

/// The table of the metrics in `docs/metrics.md`.
pub fn markdown_table() -> String {
    let mut text = String::from("| metric | kind | labels | |\n|---|---|---|---|\n");
    for metric in METRICS {
        let labels: Vec<_> = metric.labels().iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, labels) = (metric.name(), metric.kind(), labels.join(", "));
        writeln!(text, "| `{name}` | {kind} | {labels} | {} |", metric.meaning)
            .expect("a string takes everything");
    }
    text
}
