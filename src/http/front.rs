//! One worker's side of the listeners: the rules in force, and the sockets that are no connections yet.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::time::Instant;

use super::crowd::Crowd;
use super::inquiry::Everyone;
use super::pending::PendingSockets;
use super::rules::Rules;
use crate::connection::close::CloseReason;
use crate::connection::{Connection, Connections, Peer};
use crate::counters::Counters;

/// What all workers share.
#[derive(Debug)]
pub struct Shared {
    /// Connections and handshakes that have a place among `limits.max_connections`.
    pub taken: Arc<AtomicUsize>,
    /// Sockets that were accepted and are no connections.
    pub pending: PendingSockets,
    /// It has been said that there seems to be a proxy which nobody trusts.
    pub told_of_proxy: AtomicBool,
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
            pending: PendingSockets::default(),
            told_of_proxy: AtomicBool::new(false),
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
    /// The lines to all workers, this one's among them.
    pub everyone: Everyone,
    rules: RefCell<Arc<Rules>>,
    crowd: Crowd,
}

impl Front {
    /// With nothing pending.
    pub fn new(
        connections: Rc<Connections>,
        shared: Arc<Shared>,
        everyone: Everyone,
        rules: Arc<Rules>,
    ) -> Rc<Front> {
        Rc::new(Front {
            connections,
            shared,
            everyone,
            rules: RefCell::new(rules),
            crowd: Crowd::default(),
        })
    }

    /// The rules in force.
    pub fn rules(&self) -> Arc<Rules> {
        self.rules.borrow().clone()
    }

    /// Whether the rules in force accept the key that a connection rests on.
    pub fn accepts_key_of(&self, connection: &Connection) -> bool {
        self.rules.borrow().accept_key_of(connection)
    }

    /// Closes a new connection whose key was withdrawn while its handshake was under way.
    pub(super) fn look_again_at(&self, connection: &Connection) {
        if self.rules().withdraws && !self.accepts_key_of(connection) {
            self.connections.close(connection, CloseReason::KeyWithdrawn);
        }
    }

    /// Puts other rules in force for handshakes to come.
    pub fn configure(&self, rules: Arc<Rules>) {
        *self.rules.borrow_mut() = rules;
    }

    /// Counts and logs a refusal. `reason` is one of a fixed set: nothing that a client chose.
    pub(super) fn note_refused(&self, peer: Peer, reason: &'static str) {
        self.connections.counters.refused.add(1);
        self.connections.counters.refusals.count(reason);
        if self.connections.log_limit.admits("handshake_refused", peer) {
            // In its words too: what filters read of the journal is the message alone.
            tracing::info!(
                event = "handshake_refused",
                %peer,
                reason,
                "handshake refused: {reason} from {peer}"
            );
        }
    }

    /// Notes one that is let in; says once where nearly all come from what must be a proxy.
    pub(super) fn note_admitted(&self, peer: Peer) {
        if self.crowd.enters(peer)
            && self.rules.borrow().forwarding.trusts_nobody()
            && !self.shared.told_of_proxy.swap(true, Ordering::Relaxed)
        {
            let host = peer.ip().map_or_else(|| "unix".to_owned(), |address| address.to_string());
            tracing::warn!(
                event = "proxy_not_trusted",
                "nearly all connections come from {host}: if that is a proxy, set proxy.trusted = [\"{host}\"], \
                 so that logs and limits see its clients"
            );
        }
    }
}
