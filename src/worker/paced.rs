//! Closes many connections a few at a time, so that their clients do not all come back in the same instant.
//!
//! [`Schedule`] says which of them is due when, and knows neither a runtime nor a clock. Nothing here keeps a
//! connection: one that has gone meanwhile has given back its socket and its place, and is passed over.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use crate::connection::close::CloseReason;
use crate::connection::{Connection, Connections};

/// The shortest rest between two closes; those that are due meanwhile go together.
const REST: Duration = Duration::from_millis(5);
/// The most connections that are closed in one turn: others are served in between.
const A_TURN: usize = 64;

/// Which items are due when. Each belongs to a group, and each group has one clock, which starts when the group
/// is first scheduled and which later calls do not set back.
#[derive(Debug)]
pub(super) struct Schedule<K, T> {
    clocks: Vec<Clock<K>>,
    /// In the order in which they are due, the first of them at the end.
    waiting: Vec<(Instant, K, T)>,
}

/// The time over which the items of one group are spread.
#[derive(Debug)]
struct Clock<K> {
    group: K,
    start: Instant,
    over: Duration,
    end: Instant,
}

impl<K: Copy + Eq, T> Schedule<K, T> {
    /// One without items.
    pub(super) fn new() -> Self {
        Schedule { clocks: Vec::new(), waiting: Vec::new() }
    }

    /// Spreads the items of new groups evenly over this time from `now` on, the first at once. Items of groups
    /// whose clock runs already are ignored, since they have their times. If `over` is another time than it was for
    /// such a group, what is left of that group moves: nearer, so that it ends no later than `over` from now, or
    /// further away, as if `over` had been the time from the group's start on.
    pub(super) fn add(
        &mut self,
        now: Instant,
        over: Duration,
        items: impl IntoIterator<Item = (K, T)>,
    ) {
        self.stretch(now, over);
        let known = self.clocks.len();
        let mut new = Vec::new();
        for (group, item) in items {
            match self.clocks.iter().position(|clock| clock.group == group) {
                Some(place) if place < known => {}
                Some(_) => new.push((group, item)),
                None => {
                    self.clocks.push(Clock { group, start: now, over, end: now + over });
                    new.push((group, item));
                }
            }
        }
        let count = u32::try_from(new.len()).unwrap_or(u32::MAX);
        let due = |number: usize| now + over.mul_f64(number as f64 / f64::from(count));
        // Backwards, so that of those that are due together the first is taken first.
        let new = new.into_iter().enumerate().rev();
        self.waiting.extend(new.map(|(number, (group, item))| (due(number), group, item)));
        self.sort();
    }

    fn stretch(&mut self, now: Instant, over: Duration) {
        let Schedule { clocks, waiting } = self;
        for clock in clocks.iter_mut().filter(|clock| clock.over != over && clock.end > now) {
            let end =
                if over < clock.over { clock.end.min(now + over) } else { clock.start + over };
            let factor = (end - now).div_duration_f64(clock.end - now);
            for (due, ..) in waiting.iter_mut().filter(|(_, group, _)| *group == clock.group) {
                *due = now + due.saturating_duration_since(now).mul_f64(factor);
            }
            (clock.over, clock.end) = (over, end);
        }
    }

    fn sort(&mut self) {
        self.waiting.sort_by_key(|(due, ..)| std::cmp::Reverse(*due));
    }

    /// Calls off whatever is left of these groups. Their clocks start anew if they are added again.
    pub(super) fn call_off(&mut self, is_over: impl Fn(K) -> bool) {
        self.clocks.retain(|clock| !is_over(clock.group));
        self.waiting.retain(|(_, group, _)| !is_over(*group));
    }

    /// When the next item is due.
    fn next(&self) -> Option<Instant> {
        self.waiting.last().map(|(due, ..)| *due)
    }

    /// Takes out the next item that is due by `now`.
    fn take_due(&mut self, now: Instant) -> Option<T> {
        let (.., item) = self.waiting.pop_if(|(due, ..)| *due <= now)?;
        Some(item)
    }
}

/// Closes the connections of a schedule for `reason` when they are due, until none is left.
pub(super) async fn close<K: Copy + Eq>(
    all: Rc<Connections>,
    schedule: Rc<RefCell<Schedule<K, Weak<Connection>>>>,
    reason: CloseReason,
) {
    loop {
        let Some(next) = schedule.borrow().next() else { return };
        if next > Instant::now() + REST {
            sleep_until(next).await;
        }
        let now = Instant::now() + REST;
        for _ in 0..A_TURN {
            let Some(connection) = schedule.borrow_mut().take_due(now) else { break };
            if let Some(connection) = connection.upgrade() {
                all.close(&connection, reason);
            }
        }
        yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How many items are taken when that many seconds have passed.
    fn taken(schedule: &mut Schedule<char, u32>, start: Instant, seconds: u32) -> usize {
        std::iter::from_fn(|| schedule.take_due(start + SECOND * seconds)).count()
    }

    fn items(group: char) -> impl Iterator<Item = (char, u32)> {
        (0..600).map(move |number| (group, number))
    }

    #[test]
    fn items_are_spread_evenly_and_the_first_is_due_at_once() {
        let (mut schedule, start) = (Schedule::new(), Instant::now());
        schedule.add(start, SECOND * 60, items('a'));
        let a_second: Vec<_> = (0..60).map(|at| taken(&mut schedule, start, at)).collect();
        assert_eq!(a_second[0], 1);
        assert!(a_second[1..].iter().all(|count| (9..=11).contains(count)), "{a_second:?}");
        taken(&mut schedule, start, 60);
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn the_clock_of_a_group_goes_on_however_often_it_is_added_again() {
        let (mut schedule, start) = (Schedule::new(), Instant::now());
        let mut left = 600;
        for second in 0..=60 {
            // What is still there is what a reload of that second finds.
            schedule.add(start + SECOND * second, SECOND * 60, items('a').take(left));
            left -= taken(&mut schedule, start, second);
        }
        assert_eq!(left, 0);
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn a_group_that_is_called_off_and_added_again_starts_anew_and_others_keep_their_clock() {
        let (mut schedule, start) = (Schedule::new(), Instant::now());
        schedule.add(start, SECOND * 60, items('a').chain(items('b')));
        assert_eq!(taken(&mut schedule, start, 30), 601);
        schedule.call_off(|group| group == 'a');
        schedule.add(start + SECOND * 30, SECOND * 60, items('a').chain(items('b').take(1)));
        taken(&mut schedule, start, 60);
        let mut groups: Vec<_> = schedule.waiting.iter().map(|(_, group, _)| *group).collect();
        groups.dedup();
        assert_eq!((groups, schedule.waiting.len()), (vec!['a'], 299));
    }

    #[test]
    fn another_spread_moves_what_is_left() {
        for (over, end) in [(6, 36), (50, 60), (90, 90)] {
            let (mut schedule, start) = (Schedule::new(), Instant::now());
            schedule.add(start, SECOND * 60, items('a'));
            taken(&mut schedule, start, 30);
            schedule.add(start + SECOND * 30, SECOND * over, items('a'));
            assert_eq!(taken(&mut schedule, start, 30), 0, "none is made due by it");
            let half = 30 + (end - 30) / 2;
            let by_half = taken(&mut schedule, start, half);
            assert!((148..=151).contains(&by_half), "over {over}: {by_half} by half of the time");
            taken(&mut schedule, start, end);
            assert_eq!(schedule.next(), None, "over {over}");
        }
    }
}
