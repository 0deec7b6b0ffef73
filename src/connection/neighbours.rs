//! Owns [`Neighbours`]: how many connections each network has, over all workers, whether that is limited or not, so
//! that a limit which is set by a reload counts those that are open.
//!
//! It has an entry for each network with a connection, so `limits.max_connections` bounds it. The one lock here is
//! short, taken when a connection comes or goes, and on nobody's message's way.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::network::Network;

/// An empty table keeps room for so many, and a larger one gives back what it needs no more.
const ROOM: usize = 64;

/// How many connections each network has.
#[derive(Debug, Default)]
pub struct Neighbours(Mutex<HashMap<Network, u32>>);

impl Neighbours {
    /// Counts one more of a network that has fewer than `most`; it is one less again when that is dropped.
    pub fn enter(self: &Arc<Self>, network: Network, most: usize) -> Option<Neighbour> {
        let mut counts = self.counts();
        match counts.entry(network) {
            Entry::Occupied(mut count) if (*count.get() as usize) < most => *count.get_mut() += 1,
            Entry::Vacant(none) if most > 0 => drop(none.insert(1)),
            _ => return None,
        }
        Some(Neighbour { all: self.clone(), network })
    }

    fn leave(&self, network: Network) {
        let mut counts = self.counts();
        if let Entry::Occupied(mut count) = counts.entry(network) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        if counts.capacity() > ROOM.max(counts.len() * 8) {
            let room = ROOM.max(counts.len() * 2);
            counts.shrink_to(room);
        }
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<Network, u32>> {
        // Nothing under the lock can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection of a network.
#[derive(Debug)]
pub struct Neighbour {
    all: Arc<Neighbours>,
    network: Network,
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.all.leave(self.network);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_so_many_places_and_another_has_its_own() {
        let all = Arc::new(Neighbours::default());
        let (one, two) = (Network::V6(1), Network::V6(2));
        let mut held: Vec<_> = (0..3).filter_map(|_| all.enter(one, 3)).collect();
        assert_eq!(held.len(), 3);
        assert!(all.enter(one, 3).is_none() && all.enter(two, 1).is_some());
        held.pop();
        assert!(all.enter(one, 3).is_some());
        // A limit that was lowered throws nobody out, and lets nobody in.
        assert!(all.enter(one, 1).is_none());
        drop(held);
        assert!(all.counts().is_empty());
    }

    #[test]
    fn what_a_crowd_took_is_given_back() {
        let all = Arc::new(Neighbours::default());
        let held: Vec<_> =
            (0..100_000).filter_map(|number| all.enter(Network::V6(number), 1)).collect();
        assert_eq!(held.len(), 100_000);
        drop(held);
        assert!(all.counts().capacity() <= 8 * ROOM, "{}", all.counts().capacity());
    }
}
