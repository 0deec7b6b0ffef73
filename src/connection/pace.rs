//! How fast a connection is read from: `limits.messages_per_second` and `limits.bytes_per_second`.
//!
//! Who sends faster is read from no faster, so that what it sends waits on its own side (TCP's backpressure). One
//! that has been held up like that for ten seconds in any thirty is closed with 4001. Nothing of this exists for
//! a connection while both limits are off.

use std::fmt;
use std::future::Future;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::task::Context;
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use super::close::CloseReason;
use super::reading::Bite;
use super::table::Connections;
use super::{Connection, Phase};
use crate::config::Limits;

/// What may be sent at once after a silence: as much as in so long a time.
const BURST: Duration = Duration::from_secs(1);
/// How long a connection may have been held up, in any [`WINDOW`], before it is closed.
const MOST_HELD_UP: Duration = Duration::from_secs(10);
/// The seconds in which that is counted.
const WINDOW: usize = 30;
/// Bytes are taken in pieces of what comes in so long a time, rather than one by one.
const PIECE: Duration = Duration::from_millis(100);

/// How fast connections are read from; one of both limits is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Messages, pings and pongs a second. Every sixteen frames of a message that has more count as one.
    pub messages: Option<NonZeroU64>,
    /// Bytes a second, as they come from the socket.
    pub bytes: Option<NonZeroU64>,
}

impl Rates {
    /// What the configuration says; None where both limits are off.
    pub fn of(limits: &Limits) -> Option<Rates> {
        let rate = |limit: Option<usize>| limit.and_then(|limit| NonZeroU64::new(limit as u64));
        let rates = Rates {
            messages: rate(limits.messages_per_second),
            bytes: rate(limits.bytes_per_second),
        };
        (rates.messages.is_some() || rates.bytes.is_some()).then_some(rates)
    }
}

/// How fast one connection has been sending.
pub(super) struct Pace {
    /// When all messages so far would have come, had they come at the rate.
    messages: Instant,
    /// The same of bytes.
    bytes: Instant,
    /// Since when something has been waiting that is not read.
    held_up: Option<Instant>,
    /// How long something has, in each of the last seconds.
    history: History,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    fn new(now: Instant) -> Pace {
        Pace { messages: now, bytes: now, held_up: None, history: History::new(now), timer: None }
    }

    /// One that is held up.
    #[cfg(test)]
    pub(super) fn held_up_now() -> Pace {
        let now = Instant::now();
        Pace { held_up: Some(now), ..Pace::new(now) }
    }

    /// How many messages and how many bytes may be taken now.
    fn allowance(&self, rates: Rates, now: Instant) -> (usize, usize) {
        let all =
            |rate: Option<NonZeroU64>, due| rate.map_or(usize::MAX, |rate| spare(due, rate, now));
        let bytes = all(rates.bytes, self.bytes);
        (
            all(rates.messages, self.messages),
            if rates.bytes.is_some_and(|rate| bytes < piece(rate)) { 0 } else { bytes },
        )
    }

    fn take(&mut self, rates: Rates, messages: usize, bytes: usize, now: Instant) {
        let add = |due: &mut Instant, rate: Option<NonZeroU64>, count| {
            if let Some(rate) = rate {
                *due = (*due).max(now) + time_of(count, rate);
            }
        };
        add(&mut self.messages, rates.messages, messages);
        add(&mut self.bytes, rates.bytes, bytes);
    }

    /// When there is an allowance of both again.
    fn opens(&self, rates: Rates) -> Instant {
        let opens = |due: Instant, rate: Option<NonZeroU64>, count: fn(NonZeroU64) -> usize| {
            rate.map(|rate| (due + time_of(count(rate), rate)).checked_sub(BURST).unwrap_or(due))
        };
        let messages = opens(self.messages, rates.messages, |_| 1);
        messages.max(opens(self.bytes, rates.bytes, piece)).unwrap_or(self.messages)
    }
}

/// Of how many things the time at the rate has come, up to a burst of them.
fn spare(due: Instant, rate: NonZeroU64, now: Instant) -> usize {
    let ahead = due.saturating_duration_since(now);
    let spare = BURST.saturating_sub(ahead).as_nanos() * u128::from(rate.get());
    usize::try_from(spare / 1_000_000_000).unwrap_or(usize::MAX)
}

/// How long so many things take at the rate; rounded up, so that it is never a little too short for them.
fn time_of(count: usize, rate: NonZeroU64) -> Duration {
    let nanos = (count as u128 * 1_000_000_000).div_ceil(u128::from(rate.get()));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// The bytes that are waited for before any is read.
fn piece(rate: NonZeroU64) -> usize {
    let piece = u128::from(rate.get()) * PIECE.as_nanos() / 1_000_000_000;
    usize::try_from(piece).unwrap_or(usize::MAX).clamp(1, super::BYTES_A_TURN)
}

/// How long something was going on, in each of the last [`WINDOW`] seconds.
struct History {
    begun: Instant,
    /// The second that was last added to, from `begun` on.
    last: u64,
    /// Milliseconds; a second's place is its number modulo the window.
    seconds: [u16; WINDOW],
}

impl History {
    fn new(begun: Instant) -> History {
        History { begun, last: 0, seconds: [0; WINDOW] }
    }

    /// Notes that it went on from `from` to `until`; how long it did in the window that ends then.
    fn add(&mut self, from: Instant, until: Instant) -> Duration {
        let at =
            |instant: Instant| instant.saturating_duration_since(self.begun).as_millis() as u64;
        let (mut from, until) = (at(from), at(until));
        self.advance(until / 1000);
        // What is further back than the window counts no more.
        from = from.max(until.saturating_sub(1000 * (WINDOW as u64 - 1)) / 1000 * 1000);
        while from < until {
            let end = until.min((from / 1000 + 1) * 1000);
            self.seconds[(from / 1000) as usize % WINDOW] += (end - from) as u16;
            from = end;
        }
        Duration::from_millis(self.seconds.iter().map(|millis| u64::from(*millis)).sum())
    }

    fn advance(&mut self, second: u64) {
        for passed in (self.last + 1..=second).rev().take(WINDOW) {
            self.seconds[passed as usize % WINDOW] = 0;
        }
        self.last = self.last.max(second);
    }
}

/// Nothing of it is worth a line.
impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pace").field("held_up", &self.held_up.is_some()).finish_non_exhaustive()
    }
}

impl Connection {
    /// What the rates let this connection take in a turn; called before each. One that has been held up for too
    /// long is closed, and then taken from like any other, so that its Close is found.
    pub(super) fn allow(&self, all: &Connections, rates: Option<Rates>, bite: &mut Bite) {
        let Some(rates) = rates.filter(|_| self.phase.get() == Phase::Open) else {
            if self.pace.borrow().is_some() {
                *self.pace.borrow_mut() = None;
            }
            return;
        };
        let now = Instant::now();
        let pace = &mut *self.pace.borrow_mut();
        let pace = pace.get_or_insert_with(|| Box::new(Pace::new(now)));
        if let Some(since) = pace.held_up.take()
            && pace.history.add(since, now) >= MOST_HELD_UP
        {
            self.close(all, CloseReason::TooFast);
            return;
        }
        (bite.rated_messages, bite.rated_bytes) = pace.allowance(rates, now);
    }

    /// Notes what was taken in a turn. Where the rates were in the way of more, the task is woken when they are not.
    pub(super) fn settle_pace(
        &self,
        rates: Rates,
        before: &Bite,
        after: &Bite,
        cx: &mut Context<'_>,
    ) {
        let pace = &mut *self.pace.borrow_mut();
        let Some(pace) = pace else { return };
        let now = Instant::now();
        let messages = before.rated_messages - after.rated_messages;
        let bytes = before.rated_bytes - after.rated_bytes;
        pace.take(rates, messages, bytes, now);
        if !after.held_up {
            return;
        }
        pace.held_up = Some(now);
        let opens = tokio::time::Instant::from_std(pace.opens(rates));
        let timer = match &mut pace.timer {
            Some(timer) => {
                timer.as_mut().reset(opens);
                timer
            }
            none => none.insert(Box::pin(tokio::time::sleep_until(opens))),
        };
        if timer.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    /// Whether something of the peer's waits that is not read, since it sends too fast.
    pub(super) fn is_held_up(&self) -> bool {
        self.pace.borrow().as_ref().is_some_and(|pace| pace.held_up.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(messages: u64, bytes: u64) -> Rates {
        Rates { messages: NonZeroU64::new(messages), bytes: NonZeroU64::new(bytes) }
    }

    #[test]
    fn a_burst_is_as_much_as_comes_in_a_second_and_then_it_is_the_rate() {
        let start = Instant::now();
        for rate in [1, 3, 10, 1_000, 7_777_777, 1 << 30] {
            let rates = rates(rate, 0);
            let mut pace = Pace::new(start);
            let (allowed, _) = pace.allowance(rates, start);
            assert_eq!(allowed as u64, rate);
            pace.take(rates, allowed, 0, start);
            assert_eq!(pace.allowance(rates, start).0, 0);
            let opens = pace.opens(rates);
            assert!(opens > start && opens <= start + BURST, "{rate}");
            assert!(pace.allowance(rates, opens).0 >= 1, "{rate}");
            // Ten seconds later there is one second's worth, not ten.
            let later = start + Duration::from_secs(10);
            assert_eq!(pace.allowance(rates, later).0 as u64, rate);
        }
    }

    #[test]
    fn over_a_minute_not_more_than_the_rate_and_one_burst_is_taken() {
        let start = Instant::now();
        for (messages, bytes) in [(7, 0), (0, 5_000), (7, 500)] {
            let rates = rates(messages, bytes);
            let mut pace = Pace::new(start);
            let (mut now, mut taken) = (start, (0, 0));
            while now < start + Duration::from_secs(60) {
                let allowed = pace.allowance(rates, now);
                // A message of 100 bytes is taken where both limits let it.
                let count = allowed.0.min(allowed.1 / 100);
                if count > 0 {
                    pace.take(rates, count, count * 100, now);
                    taken = (taken.0 + count as u64, taken.1 + count as u64 * 100);
                }
                now = pace.opens(rates).max(now + Duration::from_millis(10));
            }
            if messages > 0 {
                assert!(taken.0 <= 61 * messages, "{taken:?}");
            }
            if bytes > 0 {
                assert!(taken.1 <= 61 * bytes, "{taken:?}");
            }
            let reached = (messages == 0 || taken.0 >= 58 * messages)
                || (bytes == 0 || taken.1 >= 58 * bytes);
            assert!(reached, "{messages} {bytes}: {taken:?}");
        }
    }

    #[test]
    fn bytes_are_waited_for_in_pieces_of_a_tenth_of_a_second() {
        let start = Instant::now();
        let rates = rates(0, 1_000);
        let mut pace = Pace::new(start);
        pace.take(rates, 0, 1_000, start);
        let at = |millis| pace.allowance(rates, start + Duration::from_millis(millis)).1;
        assert_eq!((at(0), at(99), at(100), at(250)), (0, 0, 100, 250));
        assert_eq!(pace.opens(rates), start + Duration::from_millis(100));
    }

    #[test]
    fn a_time_is_counted_in_the_last_thirty_seconds_alone() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut history = History::new(start);
        assert_eq!(history.add(at(0), at(2_500)), Duration::from_millis(2_500));
        assert_eq!(history.add(at(2_500), at(3_000)), Duration::from_secs(3));
        assert_eq!(history.add(at(10_000), at(16_000)), Duration::from_secs(9));
        // The first seconds are out of the window one by one.
        assert_eq!(history.add(at(30_000), at(30_500)), Duration::from_millis(8_500));
        assert_eq!(history.add(at(32_000), at(32_100)), Duration::from_millis(6_600));
        assert_eq!(history.add(at(50_000), at(50_001)), Duration::from_millis(601));
        // However long, it is no longer than the window.
        assert_eq!(history.add(at(60_000), at(600_500)), Duration::from_millis(29_500));
        assert_eq!(history.add(at(9_000_000), at(9_000_001)), Duration::from_millis(1));
    }

    #[test]
    fn without_a_limit_there_are_no_rates() {
        let mut limits = Limits::default();
        assert_eq!(Rates::of(&limits), None);
        limits.bytes_per_second = Some(5);
        assert_eq!(Rates::of(&limits), Some(rates(0, 5)));
    }
}
