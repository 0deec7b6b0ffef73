//! Owns [`EvictionOrder`]: which pending socket is closed first when there are too many of them.
//!
//! A socket without a request goes before one that has had an answer and is idle, and a socket whose request is being
//! answered goes last. Among sockets of the same kind, one of the network that has most of them goes, and of that
//! network the oldest. Strangers who only connect therefore evict each other.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use crate::connection::network::Network;

/// What a pending socket does, in the order in which sockets are evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activity {
    /// No request has come whole.
    NoRequest,
    /// All of its requests are answered.
    Idle,
    /// A request is being answered.
    Answering,
}

impl Activity {
    const ALL: [Activity; 3] = [Activity::NoRequest, Activity::Idle, Activity::Answering];

    /// A stable name, in log and metrics: one of [`crate::counters::Evictions`].
    pub(super) fn name(self) -> &'static str {
        match self {
            Activity::NoRequest => "no_request",
            Activity::Idle => "idle",
            Activity::Answering => "answering",
        }
    }
}

/// The numbers of all pending sockets; a lower one is older. Each operation takes time logarithmic in their count.
#[derive(Debug, Default)]
pub(super) struct EvictionOrder([Alike; 3]);

impl EvictionOrder {
    /// Adds a socket. One without a network, of a Unix socket or a trusted proxy, is evicted after those that have one.
    pub(super) fn insert(&mut self, activity: Activity, network: Option<Network>, number: u64) {
        self.0[activity as usize].change(network, |numbers| numbers.insert(number));
    }

    /// Removes a socket, which was added with the same words.
    pub(super) fn remove(&mut self, activity: Activity, network: Option<Network>, number: u64) {
        self.0[activity as usize].change(network, |numbers| numbers.remove(&number));
    }

    /// The socket to evict next, which stays.
    pub(super) fn next(&self) -> Option<(Activity, Option<Network>, u64)> {
        Activity::ALL.into_iter().find_map(|activity| {
            let (network, number) = self.0[activity as usize].next()?;
            Some((activity, network, number))
        })
    }
}

/// The sockets of one kind.
#[derive(Debug, Default)]
struct Alike {
    by_network: HashMap<Option<Network>, BTreeSet<u64>>,
    /// The networks by how many sockets each has, then by its oldest socket.
    by_count: BTreeSet<(usize, Reverse<u64>, Option<Network>)>,
}

impl Alike {
    fn change(
        &mut self,
        network: Option<Network>,
        change: impl FnOnce(&mut BTreeSet<u64>) -> bool,
    ) {
        let numbers = self.by_network.entry(network).or_default();
        if let Some(rank) = rank(network, numbers) {
            self.by_count.remove(&rank);
        }
        change(numbers);
        match rank(network, numbers) {
            Some(rank) => drop(self.by_count.insert(rank)),
            None => drop(self.by_network.remove(&network)),
        }
    }

    fn next(&self) -> Option<(Option<Network>, u64)> {
        self.by_count.last().map(|(_, Reverse(oldest), network)| (*network, *oldest))
    }
}

/// The place of a network among the others; None of one without sockets.
fn rank(
    network: Option<Network>,
    numbers: &BTreeSet<u64>,
) -> Option<(usize, Reverse<u64>, Option<Network>)> {
    let count = if network.is_some() { numbers.len() } else { 0 };
    numbers.first().map(|oldest| (count, Reverse(*oldest), network))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers in the order in which they are evicted.
    fn evicted(mut order: EvictionOrder) -> Vec<u64> {
        let next = || {
            let (activity, network, number) = order.next()?;
            order.remove(activity, network, number);
            Some(number)
        };
        let numbers = std::iter::from_fn(next).collect();
        assert!(order.0.iter().all(|alike| alike.by_network.is_empty()));
        numbers
    }

    #[test]
    fn a_socket_without_a_request_goes_first_and_one_that_is_being_answered_last() {
        use Activity::*;
        let mut order = EvictionOrder::default();
        let network = |number| Some(Network::V6(number));
        let sockets = [Answering, Idle, NoRequest, Answering, NoRequest, Idle];
        for (number, activity) in (0..).zip(sockets) {
            order.insert(activity, network(number), number);
        }
        assert_eq!(evicted(order), [2, 4, 1, 5, 0, 3]);
    }

    #[test]
    fn the_network_with_most_sockets_gives_up_its_oldest() {
        let mut order = EvictionOrder::default();
        // Sockets 1 to 5 are of one network, and 0, 6 and 7 have a network each.
        for number in 0..8 {
            let network = if (1..=5).contains(&number) { 1 } else { 10 + number };
            order.insert(Activity::NoRequest, Some(Network::V6(network)), number);
        }
        // Down to one socket each the largest network pays, then age alone decides.
        assert_eq!(evicted(order), [1, 2, 3, 4, 0, 5, 6, 7]);
    }

    #[test]
    fn sockets_without_a_network_go_after_all_others_of_their_kind() {
        let mut order = EvictionOrder::default();
        for number in 0..4 {
            order.insert(Activity::Idle, None, number);
        }
        order.insert(Activity::Idle, Some(Network::V6(1)), 4);
        order.insert(Activity::Answering, Some(Network::V6(1)), 5);
        assert_eq!(evicted(order), [4, 0, 1, 2, 3, 5]);
    }
}
