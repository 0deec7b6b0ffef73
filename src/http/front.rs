//! One worker's side of the listeners: the rules in force, and the sockets that are no connections yet.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::refusal_log::RefusalLog;
use super::rules::Rules;
use crate::connection::{Connections, Peer};
use crate::counters::Counters;

/// What all workers share.
#[derive(Debug)]
pub struct Shared {
    /// Connections and handshakes that have a place among `limits.max_connections`.
    pub taken: Arc<AtomicUsize>,
    /// Sockets that were accepted and are no connections.
    pub pending: AtomicUsize,
    /// Newcomers are turned away: the server is going down.
    pub draining: AtomicBool,
    /// The port of the first TCP listener as it was bound; 0 without one.
    pub tcp_port: AtomicU16,
    /// Since when the server runs.
    pub started: Instant,
    /// The figures of each worker.
    pub counters: Arc<[Arc<Counters>]>,
}

impl Shared {
    /// For so many workers.
    pub fn new(workers: usize) -> Shared {
        Shared {
            taken: Arc::default(),
            pending: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            tcp_port: AtomicU16::new(0),
            started: Instant::now(),
            counters: (0..workers).map(|_| Arc::default()).collect(),
        }
    }

    /// One figure, summed over the workers.
    pub fn sum(&self, figure: impl Fn(&Counters) -> u64) -> u64 {
        self.counters.iter().map(|counters| figure(counters)).sum()
    }
}

/// One worker's side of the listeners.
pub struct Front {
    /// The worker's connections.
    pub connections: Rc<Connections>,
    /// What all workers share.
    pub shared: Arc<Shared>,
    rules: RefCell<Arc<Rules>>,
    refusals: RefusalLog,
    next: Cell<u64>,
    pending: RefCell<BTreeMap<u64, Eviction>>,
}

/// Whether a pending socket has to go, and who waits to hear it.
#[derive(Default)]
struct Eviction {
    asked: bool,
    waker: Option<Waker>,
}

impl Front {
    /// With nothing pending.
    pub fn new(connections: Rc<Connections>, shared: Arc<Shared>, rules: Arc<Rules>) -> Rc<Front> {
        Rc::new(Front {
            connections,
            shared,
            rules: RefCell::new(rules),
            refusals: RefusalLog::default(),
            next: Cell::new(0),
            pending: RefCell::default(),
        })
    }

    /// The rules in force.
    pub fn rules(&self) -> Arc<Rules> {
        self.rules.borrow().clone()
    }

    /// Puts other rules in force for handshakes to come.
    pub fn configure(&self, rules: Arc<Rules>) {
        *self.rules.borrow_mut() = rules;
    }

    /// Counts and logs a refusal. `reason` is one of a fixed set: nothing that a client chose.
    pub(super) fn note_refused(&self, peer: Peer, reason: &'static str) {
        self.connections.counters.refused.add(1);
        self.refusals.note(peer, reason);
    }

    /// Notes an accepted socket; over `limits.max_pending` the oldest that is pending here goes.
    pub(super) fn pend(self: &Rc<Self>) -> Pending {
        let number = self.next.get();
        self.next.set(number + 1);
        let mut pending = self.pending.borrow_mut();
        let before = self.shared.pending.fetch_add(1, Ordering::Relaxed);
        if before >= self.rules.borrow().max_pending
            && let Some(oldest) = pending.values_mut().find(|eviction| !eviction.asked)
        {
            oldest.asked = true;
            if let Some(waker) = oldest.waker.take() {
                waker.wake();
            }
        }
        pending.insert(number, Eviction::default());
        Pending { front: self.clone(), number }
    }
}

/// An accepted socket's place among those that are pending.
pub(super) struct Pending {
    front: Rc<Front>,
    number: u64,
}

impl Pending {
    /// Ready once the socket has to go.
    pub(super) fn poll_evicted(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.front.pending.borrow_mut().get_mut(&self.number) {
            Some(eviction) if !eviction.asked => {
                eviction.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.front.pending.borrow_mut().remove(&self.number);
        self.front.shared.pending.fetch_sub(1, Ordering::Relaxed);
    }
}
