//! One worker's side of the listeners: the rules in force, and the sockets that are no connections yet.

use std::cell::RefCell;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::body_room::BodyRoom;
use super::crowd::Crowd;
use super::eviction::Activity;
use super::handshake_rate::HandshakeRate;
use super::inquiry::Everyone;
use super::pending::PendingSockets;
use super::refusal::Refusal;
use super::rules::Rules;
use crate::connection::close::CloseReason;
use crate::connection::log_limit::LinesPerSecond;
use crate::connection::neighbours::{Neighbour, Neighbours};
use crate::connection::network::Network;
use crate::connection::{Connection, Connections, Peer};
use crate::counters::Counters;

/// What all workers share.
#[derive(Debug)]
pub struct Shared {
    /// Connections and handshakes that have a place among `limits.max_connections`.
    pub taken: Arc<AtomicUsize>,
    /// How many connections each network has.
    pub neighbours: Arc<Neighbours>,
    /// How many handshakes each network has asked for lately.
    pub handshake_rate: HandshakeRate,
    /// Sockets that were accepted and are no connections.
    pub pending: PendingSockets,
    /// What bodies of requests may hold.
    pub bodies: BodyRoom,
    /// Lines of the log that clients cause in this second.
    pub lines_per_second: Arc<LinesPerSecond>,
    /// Plain requests that are being answered.
    pub requests: AtomicUsize,
    /// It has been said that there seems to be a proxy which nobody trusts.
    pub told_of_proxy: AtomicBool,
    /// Newcomers are turned away: the server is going down.
    pub draining: AtomicBool,
    /// The port of the first TCP listener as it was bound; 0 without one.
    pub tcp_port: AtomicU16,
    /// Until when the certificate is good, in seconds since 1970; 0 without one.
    pub certificate_expires: AtomicU64,
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
            neighbours: Arc::default(),
            handshake_rate: HandshakeRate::default(),
            pending: PendingSockets::default(),
            bodies: BodyRoom::default(),
            lines_per_second: Arc::default(),
            requests: AtomicUsize::new(0),
            told_of_proxy: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            tcp_port: AtomicU16::new(0),
            certificate_expires: AtomicU64::new(0),
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
    /// Held by whoever looks at all of this worker's connections, one at a time.
    pub(super) survey: tokio::sync::Mutex<()>,
    /// Held while a token of an address that has no attempt left is judged, one at a time.
    pub(super) without_attempts: tokio::sync::Mutex<()>,
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
            survey: Default::default(),
            without_attempts: Default::default(),
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

    /// Counts a handshake, or another attempt with a bad token, of whoever makes it.
    ///
    /// # Errors
    /// Where they have made more than `limits.handshakes_per_second_per_ip` allows.
    pub(super) fn count_attempt(&self, client: Peer) -> Result<(), Refusal> {
        self.judge_attempts(client, HandshakeRate::admit)
    }

    /// Whether an attempt is left, which is not counted.
    ///
    /// # Errors
    /// Where none is.
    pub(super) fn has_attempt(&self, client: Peer) -> Result<(), Refusal> {
        self.judge_attempts(client, HandshakeRate::judge)
    }

    fn judge_attempts(
        &self,
        client: Peer,
        judge: fn(&HandshakeRate, Network, NonZeroU32, Instant) -> Result<(), Duration>,
    ) -> Result<(), Refusal> {
        let rules = self.rules.borrow();
        let Some(rate) = rules.handshakes_per_second_per_ip else { return Ok(()) };
        let Some(network) = rules.network_of(client) else { return Ok(()) };
        judge(&self.shared.handshake_rate, network, rate, Instant::now())
            .map_err(|_| Refusal::TooManyHandshakes)
    }

    /// Counts a connection among those of its network; None where that has none.
    ///
    /// # Errors
    /// Where it has as many as `limits.max_connections_per_ip` allows.
    pub(super) fn enter_beside(&self, client: Peer) -> Result<Option<Neighbour>, Refusal> {
        let rules = self.rules.borrow();
        let Some(network) = Network::of(client) else { return Ok(None) };
        let limited = rules.network_of(client).and(rules.max_connections_per_ip);
        let most = limited.unwrap_or(usize::MAX);
        let neighbour = self.shared.neighbours.enter(network, most);
        neighbour.map(Some).ok_or(Refusal::TooManyConnections)
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

    /// Counts and logs a pending socket that was closed to make room.
    pub(super) fn note_evicted(&self, peer: Peer, activity: Activity) {
        let kind = activity.name();
        self.connections.counters.evictions.count(kind);
        if self.connections.log_limit.admits_kind("pending_evicted", kind, peer) {
            tracing::info!(
                event = "pending_evicted",
                %peer,
                kind,
                "a socket was closed to make room, as limits.max_pending has it: {kind} from {peer}"
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
