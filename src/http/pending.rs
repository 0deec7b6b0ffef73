//! Sockets that were accepted and are no connections (yet), over all workers: bounded, the oldest goes first.
//!
//! One that has to go does so when its worker comes to it. Until then it takes memory and a descriptor, so whoever
//! accepts waits where `LEAVING` are on their way out: accepting never outruns going.
//!
//! The one lock here is short, and on nobody's message's way.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;

use super::front::Shared;

/// How many may be on their way out before nobody else is accepted: enough to let the workers go on with what they do,
/// few beside the 1,024 that `limits.max_pending` is by default.
const LEAVING: usize = 64;

/// The sockets that are pending, by the order in which they were accepted.
#[derive(Debug, Default)]
pub struct PendingSockets {
    places: Mutex<Places>,
    /// How many there may be: `limits.max_pending`.
    most: AtomicUsize,
    /// Told of each that had to go and has gone.
    gone: Notify,
}

#[derive(Debug, Default)]
struct Places {
    next: u64,
    /// Who is to be woken when it has to go. One that has been told stands here no more.
    sockets: BTreeMap<u64, Option<Waker>>,
    /// How many have been told, and are still there.
    leaving: usize,
}

impl PendingSockets {
    /// Sets how many there may be.
    pub fn set_most(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// Notes one that has just been accepted; where there are as many as there may be, the oldest are told to go, and
    /// where too many of those are still there, this waits for them.
    pub async fn enter(shared: &Arc<Shared>) -> Pending {
        loop {
            if let Some(pending) = Self::try_enter(shared) {
                return pending;
            }
            // One that has gone since is remembered by this, so that nothing is missed.
            shared.pending.gone.notified().await;
        }
    }

    fn try_enter(shared: &Arc<Shared>) -> Option<Pending> {
        let mut places = shared.pending.places();
        let most = shared.pending.most.load(Ordering::Relaxed).max(1);
        if places.sockets.len() >= most && places.leaving >= LEAVING {
            return None;
        }
        while places.sockets.len() >= most
            && let Some((_, oldest)) = places.sockets.pop_first()
        {
            places.leaving += 1;
            if let Some(waker) = oldest {
                waker.wake();
            }
        }
        let number = places.next;
        places.next += 1;
        places.sockets.insert(number, None);
        drop(places);
        Some(Pending { shared: shared.clone(), number })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.places().sockets.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        // Nothing under the lock can panic half way.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One socket's place among them; given up when it is dropped.
#[derive(Debug)]
pub struct Pending {
    shared: Arc<Shared>,
    number: u64,
}

impl Pending {
    /// Waits until the socket has to go.
    pub(super) async fn evicted(&self) {
        poll_fn(|cx| self.poll_evicted(cx)).await;
    }

    fn poll_evicted(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.shared.pending.places().sockets.get_mut(&self.number) {
            Some(Some(waker)) if waker.will_wake(cx.waker()) => Poll::Pending,
            Some(waker) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut places = self.shared.pending.places();
        // Whoever accepts may wait for either.
        let mut is_awaited = places.leaving >= LEAVING;
        if places.sockets.remove(&self.number).is_none() {
            places.leaving -= 1;
            is_awaited = true;
        }
        drop(places);
        if is_awaited {
            self.shared.pending.gone.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    fn enter(shared: &Arc<Shared>) -> Pending {
        PendingSockets::try_enter(shared).expect("few are leaving")
    }

    #[test]
    fn a_lower_bound_is_kept_from_the_next_socket_on() {
        let shared = Arc::new(Shared::new(1));
        shared.pending.set_most(8);
        let sockets: Vec<Pending> = (0..8).map(|_| enter(&shared)).collect();
        shared.pending.set_most(3);
        let newest = enter(&shared);
        assert_eq!(shared.pending.len(), 3);
        let mut cx = Context::from_waker(Waker::noop());
        let stays: Vec<bool> =
            sockets.iter().map(|socket| socket.poll_evicted(&mut cx).is_pending()).collect();
        assert_eq!(stays, [false, false, false, false, false, false, true, true]);
        drop((sockets, newest));
        assert!(shared.pending.is_empty());
    }

    #[test]
    fn nobody_is_accepted_while_too_many_who_had_to_go_are_still_there() {
        let shared = Arc::new(Shared::new(1));
        shared.pending.set_most(2);
        let mut there: Vec<Pending> = (0..2 + LEAVING).map(|_| enter(&shared)).collect();
        let mut cx = Context::from_waker(Waker::noop());
        for goes in [0, LEAVING] {
            // The first has to go, the last may stay and goes by itself.
            assert!(PendingSockets::try_enter(&shared).is_none());
            let mut waits = pin!(PendingSockets::enter(&shared));
            assert!(waits.as_mut().poll(&mut cx).is_pending());
            drop(there.remove(goes));
            let Poll::Ready(newest) = waits.as_mut().poll(&mut cx) else { panic!("there is room") };
            there.push(newest);
        }
        assert!(PendingSockets::try_enter(&shared).is_none());
        drop(there);
        assert!(shared.pending.is_empty());
        assert_eq!(shared.pending.places().leaving, 0);
    }
}
