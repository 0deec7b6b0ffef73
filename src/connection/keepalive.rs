//! Who is still there: pings, and what counts as life.
//!
//! Any inbound byte is life, and so is a socket that takes bytes again after it took none. A pong is
//! demanded only of a peer that has answered a ping before, and only where nothing of ours waits; two pings
//! in a row must go unanswered. Peers that are gone altogether are found by the transport
//! (`TCP_USER_TIMEOUT`), to which the pings give something to miss.

use std::time::Duration;

use super::table::Connections;
use super::{Connection, Ending};
use crate::hub::MemberKey;

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

/// The clock that a worker's pings go by: one for all connections, each of which counts its ticks from when
/// it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rounds {
    /// Time between two ticks.
    pub tick: Duration,
    /// Ticks between two pings of a connection.
    interval: u32,
    /// Ticks between a ping and the look for its answer.
    wait: u32,
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
        let ticks = |time: Duration| {
            let ticks = time.as_millis().div_ceil(tick.as_millis());
            u32::try_from(ticks).unwrap_or(u32::MAX).max(1)
        };
        let (interval, wait) = (ticks(interval), ticks(timeout));
        // Where an answer has longer than the next ping takes, more pings are out when it is looked for.
        Rounds { tick, interval, wait: wait % interval, unanswered: UNANSWERED + wait / interval }
    }
}

impl Connections {
    /// One tick: pings those whose turn it is, and ends those that have not answered.
    pub fn tick(&self, rounds: &Rounds) {
        let now = self.ticks.get().wrapping_add(1);
        self.ticks.set(now);
        // By key, since what follows may change the table. The births stand side by side, so that a tick
        // touches only the connections whose turn it is.
        for key in 0..self.births.borrow().len() {
            let age = now.wrapping_sub(self.births.borrow()[key]);
            let phase = age % rounds.interval;
            if phase != 0 && phase != rounds.wait {
                continue;
            }
            let Some(connection) = self.get(key as MemberKey).filter(|c| c.is_open()) else {
                continue;
            };
            // Looked for first: where both fall on one tick, this tick's ping is not yet overdue.
            if phase == rounds.wait {
                self.look_for_life(rounds, &connection);
            }
            if phase == 0 && age > 0 {
                self.ping(&connection);
            }
        }
        self.nudge();
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
        // What waits is a better question than a ping behind it.
        if !self.hub.borrow().queue(connection.key).is_empty() {
            return;
        }
        let ping = bytes::Bytes::from_static(PING);
        self.in_hub(|hub| {
            hub.with_queue(connection.key, |queue, pool| queue.push_ping(ping, pool));
            hub.touch(connection.key);
        });
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
        assert_eq!((rounds.interval, rounds.wait, rounds.unanswered), (25, 20, 2));
    }

    #[test]
    fn an_answer_may_take_longer_than_an_interval() {
        let rounds = Rounds::new(Duration::from_millis(200), Duration::from_millis(500));
        assert_eq!(rounds.tick, Duration::from_millis(25));
        assert_eq!((rounds.interval, rounds.wait, rounds.unanswered), (8, 4, 4));
    }
}
