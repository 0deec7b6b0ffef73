//! Sockets that were accepted and are no connections (yet), over all workers: bounded, and one is evicted for each that
//! comes beyond the bound, in the order of `eviction`.
//!
//! One that has to go does so when its worker comes to it. Until then it takes memory and a descriptor, so whoever
//! accepts waits where `LEAVING` are on their way out: accepting never outruns going.
//!
//! The one lock here is short, and on nobody's message's way.

use std::cell::Cell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;

use super::eviction::{Activity, EvictionOrder};
use super::front::Shared;
use crate::connection::Peer;
use crate::connection::network::Network;

/// How many may be on their way out before nobody else is accepted: enough to let the workers go on with what they do,
/// few beside the 1,024 that `limits.max_pending` is by default.
const LEAVING: usize = 64;

/// The sockets that are pending.
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
    /// The number of the next socket: an older socket has a lower one.
    next: u64,
    /// By their numbers. One that was evicted stands here no more.
    sockets: HashMap<u64, Place>,
    /// The same sockets.
    order: EvictionOrder,
    /// How many were evicted, and are still there.
    leaving: usize,
}

#[derive(Debug)]
struct Place {
    activity: Activity,
    network: Option<Network>,
    /// Wakes the task that serves the socket when it is evicted.
    waker: Option<Waker>,
}

impl Places {
    /// Changes what is known of a socket; nothing of one that was evicted.
    fn change(&mut self, number: u64, change: impl FnOnce(&mut Place)) {
        let Places { sockets, order, .. } = self;
        if let Some(place) = sockets.get_mut(&number) {
            order.remove(place.activity, place.network, number);
            change(place);
            order.insert(place.activity, place.network, number);
        }
    }

    /// Takes a socket out; None of one that was evicted.
    fn remove(&mut self, number: u64) -> Option<Place> {
        let place = self.sockets.remove(&number)?;
        self.order.remove(place.activity, place.network, number);
        Some(place)
    }
}

impl PendingSockets {
    /// Sets how many there may be.
    pub fn set_most(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// Notes a socket that has just been accepted. If there are as many as there may be, others are evicted; if too many
    /// of those are still there, this waits for them.
    pub async fn enter(shared: &Arc<Shared>, peer: Peer) -> Pending {
        loop {
            if let Some(pending) = Self::try_enter(shared, peer) {
                return pending;
            }
            // One that has gone since is remembered by this, so that nothing is missed.
            shared.pending.gone.notified().await;
        }
    }

    fn try_enter(shared: &Arc<Shared>, peer: Peer) -> Option<Pending> {
        let mut places = shared.pending.places();
        let most = shared.pending.most.load(Ordering::Relaxed).max(1);
        if places.sockets.len() >= most && places.leaving >= LEAVING {
            return None;
        }
        while places.sockets.len() >= most
            && let Some((_, _, number)) = places.order.next()
        {
            let evicted = places.remove(number);
            places.leaving += 1;
            if let Some(waker) = evicted.and_then(|place| place.waker) {
                waker.wake();
            }
        }
        let number = places.next;
        places.next += 1;
        let (activity, network) = (Activity::NoRequest, Network::of(peer));
        places.sockets.insert(number, Place { activity, network, waker: None });
        places.order.insert(activity, network, number);
        drop(places);
        Some(Pending {
            shared: shared.clone(),
            number,
            peer: Cell::new(peer),
            activity: Cell::new(activity),
        })
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
    peer: Cell<Peer>,
    activity: Cell<Activity>,
}

impl Pending {
    /// Notes the peer at the other end, as far as it is known by now, and the network that the socket counts for; None
    /// for one that shall be evicted late.
    pub(super) fn identify(&self, peer: Peer, network: Option<Network>) {
        self.peer.set(peer);
        self.shared.pending.places().change(self.number, |place| place.network = network);
    }

    /// Notes what the socket does from now on.
    pub(super) fn set_activity(&self, activity: Activity) {
        if self.activity.get() != activity {
            // Of one that was evicted it stays what it was then.
            self.shared.pending.places().change(self.number, |place| {
                place.activity = activity;
                self.activity.set(activity);
            });
        }
    }

    /// Waits until the socket is evicted: its peer, and what it was doing.
    pub(super) async fn evicted(&self) -> (Peer, Activity) {
        poll_fn(|cx| self.poll_evicted(cx)).await;
        (self.peer.get(), self.activity.get())
    }

    fn poll_evicted(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.shared.pending.places().sockets.get_mut(&self.number) {
            Some(Place { waker: Some(waker), .. }) if waker.will_wake(cx.waker()) => Poll::Pending,
            Some(place) => {
                place.waker = Some(cx.waker().clone());
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
        if places.remove(self.number).is_none() {
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
        PendingSockets::try_enter(shared, Peer::Unix).expect("few are leaving")
    }

    #[test]
    fn a_socket_is_evicted_for_what_it_does_and_not_for_its_age() {
        let shared = Arc::new(Shared::new(1));
        shared.pending.set_most(3);
        let address = |last: u8| Peer::from(std::net::SocketAddr::from(([192, 0, 2, last], 1)));
        let enter = |peer| PendingSockets::try_enter(&shared, peer).expect("few are leaving");
        let answered = enter(address(1));
        answered.set_activity(Activity::Answering);
        let idle = enter(address(1));
        idle.set_activity(Activity::Answering);
        idle.set_activity(Activity::Idle);
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..20 {
            let stranger = enter(address(2));
            assert!(enter(address(2)).poll_evicted(&mut cx).is_pending());
            assert!(stranger.poll_evicted(&mut cx).is_ready(), "the older stranger goes");
        }
        assert!(
            answered.poll_evicted(&mut cx).is_pending() && idle.poll_evicted(&mut cx).is_pending()
        );
        // Without strangers the idle one goes, then the one that is being answered.
        shared.pending.set_most(1);
        let last = enter(address(3));
        assert!(answered.poll_evicted(&mut cx).is_ready() && idle.poll_evicted(&mut cx).is_ready());
        // What it begins afterwards changes nothing.
        idle.set_activity(Activity::Answering);
        assert_eq!(idle.activity.get(), Activity::Idle);
        drop((answered, idle, last));
        assert!(shared.pending.is_empty() && shared.pending.places().order.next().is_none());
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
            assert!(PendingSockets::try_enter(&shared, Peer::Unix).is_none());
            let mut waits = pin!(PendingSockets::enter(&shared, Peer::Unix));
            assert!(waits.as_mut().poll(&mut cx).is_pending());
            drop(there.remove(goes));
            let Poll::Ready(newest) = waits.as_mut().poll(&mut cx) else { panic!("there is room") };
            there.push(newest);
        }
        assert!(PendingSockets::try_enter(&shared, Peer::Unix).is_none());
        drop(there);
        assert!(shared.pending.is_empty());
        assert_eq!(shared.pending.places().leaving, 0);
    }
}
