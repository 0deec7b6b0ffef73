//! What a worker counts: relaxed atomics that it alone writes and anybody may read.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::hub::held::Held;

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
    /// Bytes of deliveries that wait anywhere now; a frame shared by many counts once.
    pub held: Held,
    /// Connections opened.
    pub opened: Counter,
    /// Times that it has shown that it turns: one a second.
    pub beats: Counter,
    /// Handshakes refused.
    pub refused: Counter,
    /// Messages read, those that were refused among them.
    pub messages_in: Counter,
    /// Messages delivered to sockets.
    pub messages_out: Counter,
    /// Bytes read from connections.
    pub bytes_in: Counter,
    /// Bytes written to connections.
    pub bytes_out: Counter,
    /// Publishes to a channel that their connection may not write.
    pub not_granted: Counter,
    /// Messages dropped from the queues of slow consumers.
    pub dropped: Counter,
    /// Connections closed for reading too slowly.
    pub slow_consumers: Counter,
    /// Connections whose peer had vanished.
    pub vanished: Counter,
    /// Connections cut because they did not answer a Close in time.
    pub cut: Counter,
    /// Connections that ended by a fault of ours.
    pub faults: Counter,
}
