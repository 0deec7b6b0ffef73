//! What a worker counts: relaxed atomics that it alone writes and anybody may read.
//!
//! - [`histogram`]: how long things took. [`tally`]: counts by a name out of a fixed set.
//! - [`memory`]: what is held, by kind.

pub mod histogram;
pub mod memory;
pub mod tally;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::hub::held::Held;
use histogram::Histogram;
use memory::{Kind, Memory};
use tally::{Names, Tally};

/// A figure that one thread changes and others read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only the worker that owns the counter calls it, so no read-modify-write is needed.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Replaces the figure, for those that go up and down.
    #[inline]
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The figure.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The figures of one worker since it started; summed over the workers when somebody asks.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections open now.
    pub connections: Counter,
    /// Channels now whose home this worker is.
    pub channels: Counter,
    /// Bytes waiting in outbound queues now; a frame shared by many counts once a queue.
    pub queued: Counter,
    /// Those of them that wait for connections which are closing, and can be discarded.
    pub queued_for_closing: Counter,
    /// Notified when another worker has found that too much memory is held, and this one can do something about it.
    pub memory_is_short: Notify,
    /// Memory of the largest message of which a part has come, or more: it falls only when it is looked for.
    pub largest_message: Counter,
    /// Memory of the frames that wait anywhere now; a frame shared by many counts once.
    pub held: Held,
    /// Memory that is held now, by kind; that of frames is in `held`.
    pub memory: Arc<Memory>,
    /// Connections opened.
    pub opened: Counter,
    /// Connections that are over, by why.
    pub closed: Tally<Endings>,
    /// Times that it has shown that it turns: one a second.
    pub beats: Counter,
    /// When it last did, in nanoseconds since the server started.
    pub beat_at: Counter,
    /// How late that was, in nanoseconds.
    pub beat_late: Counter,
    /// CPU time of its thread by then, in nanoseconds.
    pub cpu: Counter,
    /// Tasks on its thread by then: one a connection, one a socket that is none yet, and some of its own.
    pub tasks: Counter,
    /// Handshakes refused.
    pub refused: Counter,
    /// The same, by why.
    pub refusals: Tally<Refusals>,
    /// Pending sockets that were closed to make room, by what they did.
    pub evictions: Tally<Evictions>,
    /// Messages read, those that were refused among them.
    pub messages_in: Counter,
    /// Messages put into the queues of subscribers.
    pub deliveries: Counter,
    /// Messages delivered to sockets.
    pub messages_out: Counter,
    /// From when the first message of a turn was read until the turn's last write was done, counted for each
    /// message that was written then.
    pub fanout: Histogram,
    /// Bytes read from connections.
    pub bytes_in: Counter,
    /// Bytes written to connections.
    pub bytes_out: Counter,
    /// Publishes to a channel that their connection may not write.
    pub not_granted: Counter,
    /// Messages dropped from the queues of slow consumers.
    pub dropped: Counter,
    /// Messages that waited for connections which ended otherwise.
    pub abandoned: Counter,
    /// Connections closed for reading too slowly.
    pub slow_consumers: Counter,
    /// Connections whose peer had vanished.
    pub vanished: Counter,
    /// Connections cut because they did not answer a Close in time.
    pub cut: Counter,
    /// Connections that ended by a fault of ours.
    pub faults: Counter,
}

impl Counters {
    /// Memory of one kind, in bytes, as this worker sees it: only the sum over all workers is what is held.
    pub fn memory_of(&self, kind: Kind) -> i64 {
        match kind {
            Kind::Frames => self.held.bytes() as i64,
            _ => self.memory.get(kind),
        }
    }

    /// Memory of all kinds, likewise.
    pub fn all_memory(&self) -> i64 {
        self.held.bytes() as i64 + self.memory.sum()
    }

    /// Memory of all that waits in outbound queues, in bytes: frames, each once, and what the queues need to hold them.
    pub fn queue_memory(&self) -> usize {
        self.held.bytes() + usize::try_from(self.memory.get(Kind::Queues)).unwrap_or(0)
    }
}

/// Why connections end: what `Ending::name` says in [`crate::connection`].
#[derive(Debug)]
pub struct Endings;

impl Names for Endings {
    const NAMES: &'static [&'static str] = &[
        "closed_by_peer",
        "lost",
        "vanished",
        "slow_consumer",
        "too_fast",
        "shutting_down",
        "key_withdrawn",
        "token_expired",
        "administrator",
        "malformed_message",
        "message_too_big",
        "memory_full",
        "protocol_error",
        "fault",
    ];
}

/// What evicted sockets did: what `Activity::name` says in [`crate::http`].
#[derive(Debug)]
pub struct Evictions;

impl Names for Evictions {
    const NAMES: &'static [&'static str] = &["no_request", "idle", "answering"];
}

/// Why handshakes are refused: what `Refusal::name` says in [`crate::http`].
#[derive(Debug)]
pub struct Refusals;

impl Names for Refusals {
    const NAMES: &'static [&'static str] = &[
        "malformed",
        "not_an_upgrade",
        "handshake_took_too_long",
        "no_token",
        "token_malformed",
        "algorithm",
        "critical_header",
        "signature",
        "claims",
        "issuer",
        "audience",
        "expired",
        "not_yet_valid",
        "issued_in_future",
        "too_many_channels",
        "channel_too_long",
        "no_api_grant",
        "no_manage_grant",
        "origin",
        "not_loopback",
        "too_many_handshakes",
        "too_many_connections",
        "full",
        "memory_full",
        "draining",
        "not_a_trusted_proxy",
        "no_proxy_header",
        "proxy_header_took_too_long",
        "no_tls",
        "tls_handshake",
        "tls_handshake_took_too_long",
        "no_certificate",
    ];
}
