//! Who is still there: pings, and what counts as life.
//!
//! Any inbound byte is life, and so is a socket that takes bytes again after it took none. A pong is
//! demanded only of a peer that has answered a ping before, and only where nothing of ours waits; two pings
//! in a row must go unanswered. Peers that are gone altogether are found by the transport
//! (`TCP_USER_TIMEOUT`), to which the pings give something to miss.

use std::time::Duration;

use super::table::Connections;
use super::{Connection, Ending};

/// An empty ping (RFC 6455, 5.5.2).
const PING: &[u8] = &[0x89, 0];
/// How many pings in a row must go unanswered.
const UNANSWERED: u32 = 2;

/// What is known of a peer's life.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Keepalive {
    /// Pings sent since it last showed life.
    unanswered: u32,
    /// It has answered a ping once.
    answers: bool,
}

impl Keepalive {
    pub(super) fn heard(self) -> Self {
        Keepalive { unanswered: 0, ..self }
    }

    pub(super) fn answered(self) -> Self {
        Keepalive { unanswered: 0, answers: true }
    }

    fn pinged(self) -> Self {
        Keepalive { unanswered: self.unanswered.saturating_add(1), ..self }
    }
}

/// The clock that a worker's pings go by: one for all connections, each of which has its slot by its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rounds {
    /// Time between two ticks.
    pub tick: Duration,
    /// Ticks between two pings of a connection.
    slots: usize,
    /// Ticks between a ping and the look for its answer.
    wait: usize,
    /// How many pings may have gone out since the last sign of life when that look is made.
    unanswered: u32,
}

impl Rounds {
    /// The coarsest step of the clock.
    pub const COARSEST: Duration = Duration::from_secs(1);
    /// The finest.
    pub const FINEST: Duration = Duration::from_millis(10);

    /// For pings every `interval` that are to be answered within `timeout`.
    pub fn new(interval: Duration, timeout: Duration) -> Rounds {
        let tick = (interval.min(timeout) / 8).clamp(Self::FINEST, Self::COARSEST);
        let ticks =
            |time: Duration| (time.as_millis().div_ceil(tick.as_millis().max(1)) as usize).max(1);
        let (slots, wait) = (ticks(interval), ticks(timeout));
        // Where an answer has longer than the next ping takes, more pings are out when it is looked for.
        Rounds { tick, slots, wait: wait % slots, unanswered: UNANSWERED + (wait / slots) as u32 }
    }
}

impl Connections {
    /// One tick: pings those whose slot it is, and ends those that have not answered.
    pub fn tick(&self, rounds: &Rounds, now: usize) {
        let pinged = now % rounds.slots;
        let looked_at = (now + rounds.slots - rounds.wait) % rounds.slots;
        // Looked for first: where both fall on one tick, the ping of this tick is not yet overdue.
        self.for_slot(looked_at, rounds.slots, |connection| self.look_for_life(rounds, connection));
        self.for_slot(pinged, rounds.slots, |connection| self.ping(connection));
        self.nudge();
    }

    fn for_slot(&self, slot: usize, slots: usize, mut act: impl FnMut(&Connection)) {
        let mut key = slot;
        while let Some(place) = self.place(key) {
            if let Some(connection) = place
                && connection.is_open()
            {
                act(&connection);
            }
            key += slots;
        }
    }

    fn look_for_life(&self, rounds: &Rounds, connection: &Connection) {
        let known = connection.keepalive.get();
        let waits = !self.hub.borrow().queue(connection.key).is_empty();
        if known.answers && known.unanswered >= rounds.unanswered && !waits {
            self.counters.vanished.add(1);
            connection.end(Ending::Vanished);
        }
    }

    fn ping(&self, connection: &Connection) {
        let mut hub = self.hub.borrow_mut();
        // What waits is a better question than a ping behind it.
        if !hub.queue(connection.key).is_empty() {
            return;
        }
        let ping = bytes::Bytes::from_static(PING);
        hub.with_queue(connection.key, |queue, pool| queue.push_ping(ping, pool));
        hub.touch(connection.key);
        connection.keepalive.set(connection.keepalive.get().pinged());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_tick_once_a_second() {
        let rounds = Rounds::new(Duration::from_secs(25), Duration::from_secs(20));
        assert_eq!(rounds.tick, Duration::from_secs(1));
        assert_eq!((rounds.slots, rounds.wait, rounds.unanswered), (25, 20, 2));
    }

    #[test]
    fn an_answer_may_take_longer_than_an_interval() {
        let rounds = Rounds::new(Duration::from_millis(200), Duration::from_millis(500));
        assert_eq!(rounds.tick, Duration::from_millis(25));
        assert_eq!((rounds.slots, rounds.wait, rounds.unanswered), (8, 4, 4));
    }
}
