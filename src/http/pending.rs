//! Sockets that were accepted and are no connections (yet), over all workers: bounded, the oldest goes first.
//!
//! The one lock here is short, and on nobody's message's way.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::front::Shared;

/// The sockets that are pending, by the order in which they were accepted.
#[derive(Debug, Default)]
pub struct PendingSockets {
    places: Mutex<Places>,
    /// How many there may be: `limits.max_pending`.
    most: AtomicUsize,
}

#[derive(Debug, Default)]
struct Places {
    next: u64,
    /// Who is to be woken when it has to go. One that has been told stands here no more.
    sockets: BTreeMap<u64, Option<Waker>>,
}

impl PendingSockets {
    /// Sets how many there may be.
    pub fn set_most(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// Notes one that has just been accepted; where there are as many as there may be, the oldest are told
    /// to go.
    pub fn enter(shared: &Arc<Shared>) -> Pending {
        let mut places = shared.pending.places();
        while places.sockets.len() >= shared.pending.most.load(Ordering::Relaxed).max(1)
            && let Some((_, oldest)) = places.sockets.pop_first()
        {
            if let Some(waker) = oldest {
                waker.wake();
            }
        }
        let number = places.next;
        places.next += 1;
        places.sockets.insert(number, None);
        drop(places);
        Pending { shared: shared.clone(), number }
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
    /// Ready once the socket has to go.
    pub(super) fn poll_evicted(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.shared.pending.places().sockets.get_mut(&self.number) {
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
        self.shared.pending.places().sockets.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_bound_is_kept_from_the_next_socket_on() {
        let shared = Arc::new(Shared::new(1));
        shared.pending.set_most(8);
        let sockets: Vec<Pending> = (0..8).map(|_| PendingSockets::enter(&shared)).collect();
        shared.pending.set_most(3);
        let newest = PendingSockets::enter(&shared);
        assert_eq!(shared.pending.len(), 3);
        let mut cx = Context::from_waker(Waker::noop());
        let stays: Vec<bool> =
            sockets.iter().map(|socket| socket.poll_evicted(&mut cx).is_pending()).collect();
        assert_eq!(stays, [false, false, false, false, false, false, true, true]);
        drop((sockets, newest));
        assert!(shared.pending.is_empty());
    }
}
