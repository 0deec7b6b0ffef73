//! Who is still there: pings, and what counts as life.
//!
//! Any inbound byte is life, and so is a socket that takes bytes again after it took none. A pong is
//! demanded only of a peer that has answered a ping before, and only where nothing of ours waits and it is
//! read from; two pings in a row must go unanswered. Peers that are gone altogether are found by the transport
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
        // Where an answer has longer than the next ping takes, more pings are out when it is looked for; one
        // that is due in the tick of a ping is looked for before that goes out.
        let unanswered = UNANSWERED + (wait - 1) / interval;
        Rounds { tick, interval, wait: wait % interval, unanswered }
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
        let hub = self.hub.borrow();
        let waits = !hub.queue(connection.key).is_empty();
        // While it is not read from, whatever it answers is not heard.
        let is_read = hub.has_credit(connection.key) && !connection.is_held_up();
        drop(hub);
        if known.answers && known.unanswered >= rounds.unanswered && !waits && is_read {
            self.counters.vanished.add(1);
            connection.end(Ending::Vanished);
        }
    }

    fn ping(&self, connection: &Connection) {
        // What waits is a better question than a ping behind it.
        if !self.hub.borrow().queue(connection.key).is_empty() {
            return;
        }
        self.in_hub(|hub| {
            hub.with_queue(connection.key, |queue, pool| {
                queue.push_ping(pool.frame(PING.to_vec()), pool)
            });
            hub.touch(connection.key);
        });
        connection.keepalive.set(connection.keepalive.get().pinged());
    }
}

#[cfg(test)]
mod tests {
    use super::super::pace::Pace;
    use super::super::tests::{Alone, run_local, sockets};
    use super::*;
    use crate::config::Config;
    use crate::protocol::Publish;

    #[test]
    fn the_defaults_tick_once_a_second() {
        let rounds = Rounds::new(Duration::from_secs(25), Duration::from_secs(20));
        assert_eq!(rounds.tick, Duration::from_secs(1));
        assert_eq!((rounds.interval, rounds.wait, rounds.unanswered), (25, 20, 2));
    }

    /// When a peer that is gone since the tick of its birth is given up, in ticks.
    fn given_up(rounds: &Rounds) -> u32 {
        let mut sent = 0;
        (1..)
            .find(|age| {
                let phase = age % rounds.interval;
                let over = phase == rounds.wait && sent >= rounds.unanswered;
                sent += u32::from(phase == 0);
                over
            })
            .expect("some day")
    }

    #[test]
    fn a_peer_that_is_gone_is_given_up_two_intervals_and_a_timeout_later() {
        let mut cases = 0;
        for interval in [5, 20, 25] {
            for timeout in [1, 4, 5, 19, 20, 25, 40, 41, 50, 75] {
                let rounds =
                    Rounds::new(Duration::from_secs(interval), Duration::from_secs(timeout));
                let ticks =
                    |seconds: u64| Duration::from_secs(seconds).div_duration_f64(rounds.tick);
                let late = f64::from(given_up(&rounds)) - ticks(2 * interval + timeout);
                assert!((0.0..=3.0).contains(&late), "{interval} {timeout}: {late}");
                cases += 1;
            }
        }
        assert_eq!(cases, 30);
    }

    #[test]
    fn a_peer_that_is_not_read_from_is_not_given_up() {
        run_local(async {
            // Of the channels some have their home on the other worker, which answers nothing.
            let alone = Alone::of(2, &Config::default());
            let publisher = alone.reserve(&[], &["a", "b", "c", "d", "e", "f", "g", "h"]);
            let key = publisher.key();
            let (socket, _peer) = sockets();
            publisher.attach(alone.identity(), socket, &[]);
            let connection = alone.all.get(key).expect("open");
            for channel in ["a", "b", "c", "d", "e", "f", "g", "h"].repeat(64) {
                let message = Publish { channel: channel.into(), data: b"\"\"" };
                alone.all.publish(&connection, &message).expect("granted");
            }
            assert!(!alone.all.has_credit(key));
            let rounds = Rounds::new(Duration::from_secs(25), Duration::from_secs(20));
            connection.keepalive.set(Keepalive { unanswered: 9, answers: true });
            alone.all.look_for_life(&rounds, &connection);
            assert!(connection.is_open());
        });
    }

    #[test]
    fn a_peer_that_is_held_up_for_sending_too_fast_is_not_given_up() {
        run_local(async {
            let alone = Alone::new(&Config::default());
            let (socket, _peer) = sockets();
            let connection = alone.reserve(&[], &["a"]).attach(alone.identity(), socket, &[]);
            let rounds = Rounds::new(Duration::from_secs(25), Duration::from_secs(20));
            connection.keepalive.set(Keepalive { unanswered: 9, answers: true });
            *connection.pace.borrow_mut() = Some(Box::new(Pace::held_up_now()));
            alone.all.look_for_life(&rounds, &connection);
            assert!(connection.is_open());
            *connection.pace.borrow_mut() = None;
            alone.all.look_for_life(&rounds, &connection);
            assert!(!connection.is_open());
        });
    }

    #[test]
    fn an_answer_may_take_longer_than_an_interval() {
        let rounds = Rounds::new(Duration::from_millis(200), Duration::from_millis(500));
        assert_eq!(rounds.tick, Duration::from_millis(25));
        assert_eq!((rounds.interval, rounds.wait, rounds.unanswered), (8, 4, 4));
    }
}
