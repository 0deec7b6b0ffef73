//! Queues into sockets: one write a subscriber and turn, and what becomes of one that does not keep up.

use std::io::{self, IoSlice};
use std::time::{Duration, Instant};

use super::Connection;
use super::close::CloseReason;
use super::table::Connections;
use crate::config::SlowConsumer;
use crate::hub::MemberKey;
use crate::hub::queue::{MAX_SLICES, OutboundQueue, RingPool};

/// How long a queue may be over its bound before its owner is a slow consumer: healthy is who keeps up with
/// the mean rate over a second. On a busy machine a healthy reader may get no processor for tens of
/// milliseconds; at 200 MB/s that is more than a queue's bound, and with the verdict at the first sight of it
/// floods evicted half of the healthy readers.
const GRACE: Duration = Duration::from_secs(1);
/// How many times its bound a queue may hold at once within that time.
const FAR_OVER: usize = 16;

/// What a flush came to.
struct Written {
    messages: u32,
    bytes: usize,
    /// None where everything went out.
    stopped: Option<io::Error>,
}

impl Connections {
    /// Flushes every queue that has something to flush, and looks at the bounds. `dirty` is a list to use
    /// again and again.
    pub fn flush(&self, dirty: &mut Vec<MemberKey>) {
        dirty.clear();
        let since = {
            let hub = &mut *self.hub.borrow_mut();
            hub.take_dirty(dirty);
            hub.take_since()
        };
        let before = self.counters.messages_out.get();
        for key in dirty.iter() {
            // A member without a connection is in its handshake; its queue waits.
            let Some(connection) = self.get(*key) else {
                self.bound_reservation(*key);
                continue;
            };
            if connection.blocked.get() {
                self.bound_queue(&connection);
            } else {
                self.flush_one(&connection);
            }
        }
        let written = self.counters.messages_out.get() - before;
        if let Some(since) = since.filter(|_| written > 0) {
            self.counters.fanout.observe(since.elapsed(), written);
        }
        let hub = self.hub.borrow();
        self.counters.deliveries.set(hub.delivered());
        self.counters.channels.set(hub.channels_at_home() as u64);
        drop(hub);
        self.note_memory();
        self.bound_memory();
    }

    /// Flushes one queue; how many bytes its socket took.
    pub(super) fn flush_one(&self, connection: &Connection) -> usize {
        let written = self.in_hub(|hub| {
            hub.with_queue(connection.key, |queue, pool| write(connection, queue, pool))
        });
        self.counters.messages_out.add(u64::from(written.messages));
        self.counters.bytes_out.add(written.bytes as u64);
        connection.bytes_out.set(connection.bytes_out.get() + written.bytes as u64);
        match written.stopped {
            None => {
                connection.over_since.set(None);
                if !connection.is_open() {
                    connection.wake();
                }
            }
            Some(error) if error.kind() == io::ErrorKind::WouldBlock => {
                connection.blocked.set(true);
                connection.wake();
                self.bound_queue(connection);
            }
            Some(error) => connection.stream_failed(self, &error),
        }
        written.bytes
    }

    /// Looks at a queue whose socket takes no more: only such a queue can be over its bound, so that a
    /// burst evicts nobody who reads.
    fn bound_queue(&self, connection: &Connection) {
        let (bound, policy) = {
            let settings = self.settings.borrow();
            (settings.outbound_queue, settings.slow_consumer)
        };
        let backlog = self.hub.borrow().queue(connection.key).backlog();
        if backlog <= bound {
            connection.over_since.set(None);
            return;
        }
        let now = Instant::now();
        let over = connection.over_since.get().unwrap_or_else(|| {
            self.behind.borrow_mut().push(connection.key);
            now
        });
        connection.over_since.set(Some(over));
        if backlog > bound.saturating_mul(FAR_OVER) || now.duration_since(over) >= GRACE {
            self.too_slow(connection, policy, bound);
        }
    }

    /// Looks again at the queues that were over their bound, though nothing may have been put into them since:
    /// once a second, so that a second of grace does not become an hour where a publisher falls silent.
    pub fn look_at_slow_consumers(&self) {
        let mut keys = std::mem::take(&mut *self.behind.borrow_mut());
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            let Some(connection) = self.get(key) else { continue };
            if connection.is_open() && connection.blocked.get() {
                self.bound_queue(&connection);
                if connection.is_open() && connection.over_since.get().is_some() {
                    self.behind.borrow_mut().push(key);
                }
            } else {
                connection.over_since.set(None);
            }
        }
        self.nudge();
    }

    pub(super) fn too_slow(&self, connection: &Connection, policy: SlowConsumer, bound: usize) {
        if !connection.is_open() {
            return;
        }
        match policy {
            SlowConsumer::Disconnect => {
                self.counters.slow_consumers.add(1);
                connection.close(self, CloseReason::SlowConsumer);
            }
            SlowConsumer::Drop => {
                let dropped = self.in_hub(|hub| {
                    hub.with_queue(connection.key, |queue, pool| queue.drop_oldest(bound, pool))
                });
                self.counters.dropped.add(dropped);
                connection.log_dropped(dropped);
            }
        }
    }

    /// Looks at what waits for a handshake whose 101 its peer does not take. What it would be closed with is
    /// the first that it hears then.
    fn bound_reservation(&self, key: MemberKey) {
        let (bound, policy) = {
            let settings = self.settings.borrow();
            (settings.outbound_queue, settings.slow_consumer)
        };
        if self.hub.borrow().queue(key).backlog() <= bound.saturating_mul(FAR_OVER) {
            return;
        }
        self.too_slow_to_open(key, policy, bound);
    }

    pub(super) fn too_slow_to_open(&self, key: MemberKey, policy: SlowConsumer, bound: usize) {
        let (dropped, told) = self.in_hub(|hub| {
            hub.with_queue(key, |queue, pool| match policy {
                SlowConsumer::Drop => (queue.drop_oldest(bound, pool), false),
                SlowConsumer::Disconnect => {
                    let dropped = queue.discard(pool);
                    let close = pool.frame(CloseReason::SlowConsumer.frame());
                    (dropped, queue.push_close(close, pool))
                }
            })
        });
        self.counters.slow_consumers.add(u64::from(told));
        self.counters.dropped.add(dropped);
    }
}

/// Writes until the queue is empty or the socket takes no more: one system call where it is not full.
fn write(connection: &Connection, queue: &mut OutboundQueue, pool: &mut RingPool) -> Written {
    let mut socket = connection.socket.borrow_mut();
    let mut written = Written { messages: 0, bytes: 0, stopped: None };
    while !queue.is_empty() {
        let result = if let Some(only) = queue.only_slice() {
            socket.try_write(only)
        } else {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let count = queue.slices(&mut slices, pool);
            socket.try_write_vectored(&slices[..count])
        };
        match result {
            Ok(bytes) => {
                written.bytes += bytes;
                written.messages += queue.advance(bytes, pool);
            }
            Err(error) => {
                written.stopped = Some(error);
                return written;
            }
        }
    }
    written.stopped = socket.try_flush().err();
    written
}
