//! What may be asked of the running daemon, and what it answers: the same for the control socket and for whatever
//! else asks. The answers are what goes over the wire, so a tool of the same version reads them back.

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// Asked of the daemon's one loop, which answers in its own time. Dropped unanswered, the daemon is going down.
#[derive(Debug)]
pub enum Ask {
    /// Read the configuration again and put it in force, all or nothing. Answered by the outcome of a reload
    /// that began after this was asked.
    Reload(oneshot::Sender<ReloadOutcome>),
    /// The same without putting it in force: what would change.
    Check(oneshot::Sender<ReloadOutcome>),
    /// Go down, as SIGTERM asks for.
    Drain(oneshot::Sender<()>),
    /// How it is.
    Status(oneshot::Sender<Status>),
}

/// What a reload came to, or would.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReloadOutcome {
    /// Everything that can hold without a restart holds.
    Done(Reloaded),
    /// Nothing has changed: why, one line a fault.
    Rejected(Vec<String>),
    /// The daemon is going down and reloads no more.
    Draining,
}

/// What changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// One line a key that has changed, secrets masked.
    pub changes: Vec<String>,
    /// One line a key that waits for a restart.
    pub restart: Vec<String>,
    /// What is worth knowing.
    pub warnings: Vec<String>,
    /// Connections that rest on a key which is accepted no more, to be closed over the time configured.
    pub withdrawn: usize,
}

/// How the daemon is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The version that runs.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Seconds since it started.
    pub uptime_seconds: u64,
    /// `running` or `draining`.
    pub state: String,
    /// Addresses it listens on.
    pub listening: Vec<String>,
    /// Addresses where metrics are read, beside the control socket.
    pub metrics: Vec<String>,
    /// The configuration file in force.
    pub configuration: Option<String>,
    /// Workers.
    pub workers: usize,
    /// Open connections.
    pub connections: u64,
    /// The most there may be.
    pub max_connections: usize,
    /// Sockets accepted and not upgraded.
    pub pending: usize,
    /// Channels with subscribers, and some that are only written.
    pub channels: u64,
    /// Bytes waiting in all outbound queues.
    pub queued_bytes: u64,
    /// The memory that they take, where a message for many counts once.
    pub queue_memory_bytes: u64,
    /// The most that it may take.
    pub queue_memory_limit_bytes: u64,
    /// Connections opened since the start.
    pub connections_opened: u64,
    /// Bytes read from connections since the start.
    pub bytes_in: u64,
    /// Bytes written to connections since the start.
    pub bytes_out: u64,
    /// How long messages took from being read to being written, since the start.
    pub fanout: Fanout,
    /// How late each worker is with what it does each second.
    pub worker_lag_seconds: Vec<f64>,
    /// Messages read since the start, those that were refused among them.
    pub messages_in: u64,
    /// Messages delivered since the start.
    pub messages_out: u64,
    /// Handshakes refused since the start.
    pub handshakes_refused: u64,
    /// Publishes refused since the start.
    pub publishes_refused: u64,
    /// Messages dropped from the queues of slow consumers since the start.
    pub messages_dropped: u64,
    /// Connections closed as slow consumers since the start.
    pub slow_consumers: u64,
    /// Until when the certificate is good, in seconds since 1970.
    pub certificate_expires: Option<u64>,
    /// The last reload, if there was one.
    pub last_reload: Option<LastReload>,
    /// The channels with most messages in the last whole second.
    pub busiest_channels: Vec<ChannelLoad>,
    /// The connections for which most waits; none where nothing does.
    pub longest_queues: Vec<QueueLoad>,
}

/// How long messages took, as a histogram.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Fanout {
    /// The upper end of each bucket but the last, which has none.
    pub bounds_seconds: Vec<f64>,
    /// Deliveries in each bucket.
    pub counts: Vec<u64>,
}

/// A busy channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelLoad {
    /// Its name.
    pub channel: String,
    /// Messages published on it in the last whole second.
    pub messages_a_second: u32,
    /// How many connections read it.
    pub subscribers: usize,
}

/// A connection for which something waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueLoad {
    /// Its id.
    pub id: uuid::Uuid,
    /// Where it comes from.
    pub peer: String,
    /// The `sub` of its token.
    pub subject: Option<String>,
    /// Bytes that wait for it.
    pub queued_bytes: usize,
    /// Whether it is over its bound, and will be a slow consumer if that lasts.
    pub over: bool,
}

/// How the last reload went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastReload {
    /// When, in seconds since 1970.
    pub at: u64,
    /// Whether it was put in force.
    pub done: bool,
    /// The first fault where it was not.
    pub fault: Option<String>,
}
