//! What happens at the bounds on memory: whose queues go, in which order, and which worker sees to it.
//!
//! Each worker looks at the end of a turn in which what it holds has grown. What waits for connections that are
//! closing goes first, on every worker: their peers are not served any more, and only their Close has to go out. If that
//! is not enough, the owners of the longest queues are slow consumers, on the worker that has most in its queues. A
//! worker that cannot act itself wakes the one that can, and acts after all if the bound is exceeded by an eighth: the
//! other may be stuck.

use std::cell::Cell;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::table::Connections;
use crate::config::SlowConsumer;
use crate::counters::Counters;
use crate::counters::memory::Kind;
use crate::hub::MemberKey;

/// What a worker may take before it looks at the bounds again, in bytes, if they are not much smaller than is usual:
/// little beside the 64 KiB that one connection brings in a turn.
const STEP: usize = 64 * 1024;
/// The part of a bound by which it may be exceeded while another worker is asked to see to it.
const SLACK: usize = 8;

/// When a worker looks at the bounds next.
#[derive(Debug, Default)]
pub(super) struct LastLook {
    /// What it held when it last looked, or less since.
    held: Cell<usize>,
    /// It was over a bound then, or another worker asks: it looks whatever it holds.
    again: Cell<bool>,
}

impl Connections {
    /// Another worker has found a bound exceeded, and this one is to look as well.
    pub fn look_at_memory(&self) {
        self.last_look.again.set(true);
        self.nudge();
    }

    /// Says what this worker's queues hold, and sees to the bound on all of them where that has grown.
    pub(super) fn bound_all_queues(&self) {
        let entries = self.hub.borrow().entries();
        self.counters.memory.set(Kind::Queues, entries);
        let (bound, policy) = {
            let settings = self.settings.borrow();
            (settings.total_queue, settings.slow_consumer)
        };
        let mine = entries + self.counters.held.bytes();
        let last = &self.last_look;
        if mine < last.held.get() {
            last.held.set(mine);
        }
        if !last.again.get() && mine - last.held.get() < STEP.min(bound / 64) {
            return;
        }
        last.held.set(mine);
        let is_over = self.queue_memory() > bound;
        last.again.set(is_over);
        if is_over {
            self.discard_for_the_closing(bound);
            self.shorten_queues(bound, policy);
            self.note_queues();
        }
    }

    /// Memory of all queues of all workers, in bytes; a frame shared by many counts once.
    fn queue_memory(&self) -> usize {
        self.everybody.iter().map(|counters| counters.queue_memory()).sum()
    }

    /// Says what waits in the queues of this worker.
    pub(super) fn note_queues(&self) {
        let hub = self.hub.borrow();
        self.counters.queued.set(hub.queued() as u64);
        self.counters.queued_for_closing.set(hub.queued_for_closing() as u64);
        self.counters.memory.set(Kind::Queues, hub.entries());
    }

    /// Discards what waits for connections that are closing, the longest queue first, until no more is held than may
    /// be. Their Close goes out, behind what was partly sent.
    fn discard_for_the_closing(&self, bound: usize) {
        if self.hub.borrow().queued_for_closing() == 0 {
            return;
        }
        let mut closing: BinaryHeap<_> = {
            let hub = self.hub.borrow();
            let all = hub.waiting().map(|(key, queue)| (queue.memory(), key));
            all.filter(|(_, key)| hub.queue(*key).is_sealed()).collect()
        };
        while self.queue_memory() > bound
            && let Some((_, key)) = closing.pop()
        {
            let dropped = self.in_hub(|hub| hub.with_queue(key, |queue, pool| queue.discard(pool)));
            self.counters.abandoned.add(dropped);
            self.note_queues();
        }
    }

    /// Has the owners of the longest queues be slow consumers, until as much is given up as is held too much. What of it
    /// is shared with others goes only when those have sent it, so no more are evicted at once.
    fn shorten_queues(&self, bound: usize, policy: SlowConsumer) {
        let held = self.queue_memory();
        let Some(mut over) = held.checked_sub(bound).filter(|over| *over > 0) else { return };
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
        if may_wait && held <= bound.saturating_add(bound / SLACK) {
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
