//! What happens at the bounds on memory: who has to give up what, in which order, and which worker sees to it.
//!
//! Each worker looks when what it holds has grown: at the end of a turn, and when part of a message has come. Two bounds
//! hold over all workers: `limits.total_queue` for what waits in queues, and `limits.memory` for everything.
//!
//! - What waits for connections that are closing goes first, on every worker: their peers are not served any more, and
//!   only their Close has to go out.
//! - Then, at three quarters of `limits.memory`, the connections with the largest parts of messages are closed. To read
//!   less of them is no answer: the parts that have come would wait for each other's rest for ever. A sixteenth of the
//!   bound is left to such parts whatever else is held.
//! - At seven eighths of `limits.memory` handshakes are refused, since what an open connection takes for its channels
//!   cannot be taken back. Parts of messages alone never come that far, so they keep no client out.
//! - At `limits.memory` the owners of the longest queues are slow consumers.
//!
//! The worker that holds most acts. One that does not wakes the one that does, and acts after all if the bound is
//! exceeded by an eighth: the other may be stuck.

use std::cell::Cell;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::Connection;
use super::close::CloseReason;
use super::table::Connections;
use crate::config::SlowConsumer;
use crate::counters::Counters;
use crate::counters::memory::Kind;
use crate::hub::MemberKey;

/// What a worker may take before it looks at the bounds again, in bytes, if they are not much smaller than is usual:
/// little beside the 64 KiB that one connection brings in a turn.
const STEP: usize = 64 * 1024;
/// The part of a bound by which it may be exceeded while another worker is asked to see to it, and that part of
/// `limits.memory` which new connections leave free.
const SLACK: usize = 8;
/// The part of `limits.memory` that messages of which a part has come leave free: enough for new connections.
const FREE_OF_MESSAGES: usize = 4;
/// The part of `limits.memory` that is left to messages of which a part has come.
const MESSAGES: usize = 16;
/// What a channel of a token takes, its name aside, in bytes: its entries here and at its home, and in the lists of its
/// member. Measured: 4,096 channels to read and as many to write take 560 bytes each.
const CHANNEL: usize = 512;

/// When a worker looks at the bounds next.
#[derive(Debug, Default)]
pub(super) struct LastLook {
    /// What it held when it last looked, or less since.
    held: Cell<i64>,
    /// It was over a bound then, or another worker asks: it looks whatever it holds.
    again: Cell<bool>,
}

impl Connections {
    /// Another worker has found a bound exceeded, and this one is to look as well.
    pub fn look_at_memory(&self) {
        self.last_look.again.set(true);
        self.nudge();
    }

    /// Whether there is memory for a connection that reads and writes these channels.
    pub fn has_memory_for(&self, reads: &[Box<str>], writes: &[Box<str>]) -> bool {
        let limit = self.settings.borrow().memory;
        let names = reads.iter().chain(writes);
        let channels: usize = names.map(|name| CHANNEL + 4 * name.len()).sum();
        self.all_memory() + channels <= limit - limit / SLACK
    }

    /// Whether no more is held than `limits.memory`.
    pub fn has_memory(&self) -> bool {
        self.all_memory() <= self.settings.borrow().memory
    }

    /// Says what this worker's hub holds.
    pub(super) fn note_memory(&self) {
        let hub = self.hub.borrow();
        self.counters.queued.set(hub.queued() as u64);
        self.counters.queued_for_closing.set(hub.queued_for_closing() as u64);
        self.counters.memory.set(Kind::Queues, hub.entries());
        self.counters.memory.set(Kind::Channels, hub.channel_memory());
        self.counters.memory.set_signed(Kind::Mail, hub.mail_memory());
    }

    /// Counts what has come of a connection's messages, and sees to the bounds if that has grown.
    pub(super) fn count_message(&self, connection: &Connection) {
        let now = connection.inbound.borrow().memory();
        let before = connection.counted.replace(now);
        if now == before {
            return;
        }
        self.counters.memory.change(Kind::Messages, now as i64 - before as i64);
        if now > before {
            let largest = &self.counters.largest_message;
            largest.set(largest.get().max(now as u64));
            self.bound_memory();
        }
    }

    /// Sees to the bounds if this worker holds more than when it last looked.
    pub(super) fn bound_memory(&self) {
        let (queues, memory, policy) = {
            let settings = self.settings.borrow();
            (settings.total_queue, settings.memory, settings.slow_consumer)
        };
        let mine = self.counters.all_memory();
        let last = &self.last_look;
        if mine < last.held.get() {
            last.held.set(mine);
        }
        if !last.again.get() && mine - last.held.get() < STEP.min(queues / 64) as i64 {
            return;
        }
        last.held.set(mine);
        let of_queues = || self.queue_memory().saturating_sub(queues);
        let of_all = || self.all_memory().saturating_sub(memory);
        let messages = memory - memory / FREE_OF_MESSAGES;
        let of_messages = || {
            let over = self.all_memory().saturating_sub(messages);
            if self.partial_messages() > memory / MESSAGES { over } else { 0 }
        };
        let over = || of_queues().max(of_all()).max(of_messages());
        last.again.set(over() > 0);
        if over() == 0 {
            return;
        }
        self.discard_for_the_closing(over);
        if of_messages() > 0 {
            self.close_largest_messages(messages, memory / MESSAGES);
        }
        // Whatever else is held, queues have the rest; at the bound on all memory they have less than their own.
        let over = of_queues().max(of_all());
        if over > 0 {
            let slack = if of_queues() > 0 { queues / SLACK } else { memory / SLACK };
            self.shorten_queues(over, slack, policy);
        }
        self.note_memory();
    }

    /// Memory of all queues of all workers, in bytes; a frame shared by many counts once.
    fn queue_memory(&self) -> usize {
        self.everybody.iter().map(|counters| counters.queue_memory()).sum()
    }

    /// Memory of all kinds over all workers, in bytes.
    fn all_memory(&self) -> usize {
        let sum: i64 = self.everybody.iter().map(|counters| counters.all_memory()).sum();
        usize::try_from(sum).unwrap_or(0)
    }

    /// Discards what waits for connections that are closing, the longest queue first, until nothing is `over`. Their
    /// Close goes out, behind what was partly sent.
    fn discard_for_the_closing(&self, over: impl Fn() -> usize) {
        if self.hub.borrow().queued_for_closing() == 0 {
            return;
        }
        let mut closing: BinaryHeap<_> = {
            let hub = self.hub.borrow();
            let sealed = hub.waiting().filter(|(_, queue)| queue.is_sealed());
            sealed.map(|(key, queue)| (queue.memory(), key)).collect()
        };
        while over() > 0
            && let Some((_, key)) = closing.pop()
        {
            let dropped = self.in_hub(|hub| hub.with_queue(key, |queue, pool| queue.discard(pool)));
            self.counters.abandoned.add(dropped);
            self.note_memory();
        }
    }

    /// Memory of the messages of all workers of which a part has come, in bytes.
    fn partial_messages(&self) -> usize {
        let sum = self.everybody.iter().map(|of| of.memory_of(Kind::Messages)).sum::<i64>();
        usize::try_from(sum).unwrap_or(0)
    }

    /// Closes the connections with the largest parts of messages until no more than `limit` is held, or no more than
    /// `least` of it for such parts.
    fn close_largest_messages(&self, limit: usize, least: usize) {
        let mut largest: BinaryHeap<(usize, MemberKey)> = {
            let hub = self.hub.borrow();
            let all = hub.keys().filter_map(|key| Some((self.get(key)?.counted.get(), key)));
            all.filter(|(memory, _)| *memory > 0).collect()
        };
        loop {
            let (memory, key) = largest.pop().unwrap_or_default();
            self.counters.largest_message.set(memory as u64);
            let held = self.all_memory();
            if memory == 0 || held <= limit || self.partial_messages() <= least {
                return;
            }
            let others = self.everybody.iter().filter(|of| !Arc::ptr_eq(of, &self.counters));
            let larger = others.max_by_key(|other| other.largest_message.get());
            if let Some(other) = larger.filter(|of| of.largest_message.get() > memory as u64) {
                other.memory_is_short.notify_one();
                if held <= limit.saturating_add(limit / SLACK) {
                    return;
                }
            }
            let Some(connection) = self.get(key) else { continue };
            connection.close(self, CloseReason::MemoryFull);
            connection.forget_message();
            self.count_message(&connection);
        }
    }

    /// Has the owners of the longest queues be slow consumers, until as much is given up as is held too much (`over`).
    /// What of it is shared with others goes only when those have sent it, so no more are evicted at once. Another
    /// worker is left to do it while no more than `slack` is held too much.
    fn shorten_queues(&self, mut over: usize, slack: usize, policy: SlowConsumer) {
        let mine = self.counters.queued.get();
        let is_better = |other: &&Arc<Counters>| {
            !Arc::ptr_eq(other, &self.counters)
                && (other.queued_for_closing.get() > 0 || other.queued.get() > mine)
        };
        let mut may_wait = false;
        for other in self.everybody.iter().filter(is_better) {
            other.memory_is_short.notify_one();
            may_wait = true;
        }
        if may_wait && over <= slack {
            return;
        }
        let mut longest: BinaryHeap<(usize, MemberKey)> = {
            let hub = self.hub.borrow();
            let open = hub.waiting().filter(|(_, queue)| !queue.is_sealed());
            open.map(|(key, queue)| (queue.memory(), key)).collect()
        };
        while over > 0
            && let Some((memory, key)) = longest.pop()
        {
            let half = self.hub.borrow().queue(key).bytes() / 2;
            match self.get(key) {
                Some(connection) => self.too_slow(&connection, policy, half),
                None => self.too_slow_to_open(key, policy, half),
            }
            let hub = self.hub.borrow();
            let queue = hub.queue(key);
            let gone = memory.saturating_sub(queue.memory());
            over = over.saturating_sub(gone);
            if !queue.is_sealed() && gone > 0 {
                longest.push((queue.memory(), key));
            }
        }
    }
}
