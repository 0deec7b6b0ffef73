//! Which worker is a channel's home: the one that gives its messages their order.

use std::hash::BuildHasher;

use super::mail::WorkerId;

/// Spreads channels over workers by a hash of their names. Clones agree with each other; another
/// process spreads them otherwise, so that nobody can choose names to meet on one worker.
#[derive(Debug, Clone)]
pub struct Placement {
    workers: u64,
    hasher: foldhash::fast::RandomState,
}

impl Placement {
    /// For so many workers, 1 to [`super::mail::MAX_WORKERS`].
    pub fn new(workers: usize) -> Self {
        Placement { workers: workers.max(1) as u64, hasher: foldhash::fast::RandomState::default() }
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.workers as usize
    }

    /// The home of the channel of this name.
    pub fn home(&self, name: &str) -> WorkerId {
        if self.workers == 1 {
            return WorkerId(0);
        }
        // The upper half of the hash: tables made with the same hasher use the lower bits.
        WorkerId(((self.hasher.hash_one(name) >> 32) % self.workers) as u8)
    }

    /// The hasher, for tables keyed by channel names.
    pub fn hasher(&self) -> foldhash::fast::RandomState {
        self.hasher.clone()
    }
}
