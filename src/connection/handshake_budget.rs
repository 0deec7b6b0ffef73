//! Owns [`HandshakeBudget`]: how much of a worker's turn handshakes may take, all of them together.
//!
//! A handshake costs more than anything else that a stranger can ask for: a signature takes 0.1 ms with a key of P-256 and
//! some milliseconds with one of RSA-4096, a token may name thousands of channels. Hundreds may come at once. So each such
//! step takes its share of the turn, in the order in which they were ready, and holds it until all else that is
//! ready has had its turn and the sockets have been looked at.

use tokio::sync::Semaphore;
use tokio::task::yield_now;

/// What there is in a turn. A unit is some 0.1 ms.
const UNITS: u32 = 16;

/// What a step of a handshake takes of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// All of it: a step of TLS, since with some keys one takes longer than a turn should.
    Tls,
    /// One unit: the signature of a token.
    Token,
    /// As many units as it takes to make a member of so many channels.
    Channels(usize),
}

/// Channels that a member is given in the time of a unit.
const CHANNELS_A_UNIT: usize = 512;

impl Share {
    fn units(self) -> u32 {
        match self {
            Share::Tls => UNITS,
            Share::Token => 1,
            Share::Channels(count) => {
                u32::try_from(1 + count / CHANNELS_A_UNIT).unwrap_or(UNITS).min(UNITS)
            }
        }
    }
}

/// What the handshakes of one worker may do in a turn.
#[derive(Debug)]
pub struct HandshakeBudget {
    units: Semaphore,
    #[cfg(test)]
    pub(crate) spent: std::cell::Cell<u32>,
}

impl Default for HandshakeBudget {
    fn default() -> Self {
        HandshakeBudget {
            units: Semaphore::new(UNITS as usize),
            #[cfg(test)]
            spent: std::cell::Cell::new(0),
        }
    }
}

impl HandshakeBudget {
    /// Does one step when it is its turn. First come, first served.
    pub async fn run<T>(&self, share: Share, step: impl FnOnce() -> T) -> T {
        // It is never closed, which is the only error.
        let held = self.units.acquire_many(share.units()).await;
        #[cfg(test)]
        self.spent.set(self.spent.get() + share.units());
        let done = step();
        yield_now().await;
        drop(held);
        done
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// What is spent in each turn by so many steps that are all ready, and in what order they are done.
    fn turns(share: Share, count: usize) -> (Vec<u32>, Vec<usize>) {
        let budget = HandshakeBudget::default();
        let order = RefCell::new(Vec::new());
        let done = &order;
        let step = |number| budget.run(share, move || done.borrow_mut().push(number));
        let mut steps: Vec<_> = (0..count).map(|number| Box::pin(step(number))).collect();
        let mut cx = Context::from_waker(Waker::noop());
        let mut turns = Vec::new();
        while !steps.is_empty() {
            let before = budget.spent.get();
            steps.retain_mut(|step| step.as_mut().poll(&mut cx).is_pending());
            turns.push(budget.spent.get() - before);
        }
        drop(steps);
        (turns, order.into_inner())
    }

    #[test]
    fn steps_that_are_all_ready_take_no_more_of_a_turn_than_there_is_in_their_order() {
        for (share, at_once) in [
            (Share::Tls, 1),
            (Share::Token, 16),
            (Share::Channels(1), 16),
            (Share::Channels(8192), 1),
            (Share::Channels(usize::MAX), 1),
        ] {
            let (turns, order) = turns(share, 100);
            assert!(turns.iter().all(|spent| *spent <= UNITS), "{share:?}: {turns:?}");
            assert!(turns.len() >= 100 / at_once, "{share:?}: {} turns", turns.len());
            assert_eq!(order, (0..100).collect::<Vec<_>>(), "{share:?}");
        }
    }

    #[tokio::test]
    async fn a_step_that_is_given_up_gives_back_its_share() {
        let budget = HandshakeBudget::default();
        let mut first = Box::pin(budget.run(Share::Tls, || ()));
        let mut second = Box::pin(budget.run(Share::Tls, || ()));
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(first.as_mut().poll(&mut cx), Poll::Pending);
        assert_eq!(second.as_mut().poll(&mut cx), Poll::Pending);
        drop((first, second));
        for _ in 0..3 {
            budget.run(Share::Tls, || ()).await;
        }
        assert_eq!(budget.units.available_permits(), UNITS as usize);
    }
}
