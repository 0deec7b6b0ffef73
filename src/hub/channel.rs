//! A channel as one worker sees it: its subscribers here, and its order where this worker is its home.

use std::sync::Arc;

use super::batch::Batch;
use super::mail::{WorkerId, WorkerSet};
use super::pace::Pace;
use crate::counters::memory::piece;

/// A channel's key in its hub's table.
pub(super) type ChannelKey = u32;

/// Entries of those that wait which are not worth tidying.
const SOME_WAITING: usize = 64;

/// A subscriber on this worker.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader {
    /// The member.
    pub(super) member: u32,
    /// Which of the member's subscriptions this is, so that leaving costs no search.
    pub(super) slot: u32,
}

/// A channel that a member here may read or write, or that has its home here.
#[derive(Debug)]
pub(super) struct Channel {
    /// Its name, shared with the mail about it.
    pub(super) name: Arc<str>,
    /// Its name as a JSON string literal.
    pub(super) encoded: Box<str>,
    /// Who gives its messages their order.
    pub(super) home: WorkerId,
    /// Its subscribers here, in no order.
    pub(super) readers: Vec<Reader>,
    /// How many members here may write it.
    pub(super) writers: u32,
    /// Subscriptions that its home has not answered yet.
    pub(super) unanswered: u32,
    /// Members whose opening waits for that answer, with their serial numbers: those that have left meanwhile stay here
    /// for a while.
    pub(super) waiting: Vec<(u32, u32)>,
    /// At its home: the other workers that have subscribers of it.
    pub(super) interested: WorkerSet,
    /// At its home: what this turn brought.
    pub(super) batch: Batch,
    /// At its home: how much it brings.
    pub(super) pace: Pace,
    /// Its key is on the hub's list of batches, though its batch may have been closed early: the turn's end
    /// will look for it there.
    pub(super) listed: bool,
}

impl Channel {
    pub(super) fn new(name: Arc<str>, encoded: Box<str>, home: WorkerId) -> Self {
        Channel {
            name,
            encoded,
            home,
            readers: Vec::new(),
            writers: 0,
            unanswered: 0,
            waiting: Vec::new(),
            interested: WorkerSet::default(),
            batch: Batch::default(),
            pace: Pace::default(),
            listed: false,
        }
    }

    /// Notes that the opening of a member waits. Those that have left, of which `is_there` says no, are taken out when they
    /// may be most: a search at each leave would make a storm of handshakes on one channel quadratic.
    pub(super) fn wait(&mut self, member: u32, serial: u32, is_there: impl Fn(u32, u32) -> bool) {
        if self.waiting.len() >= 2 * self.readers.len() + SOME_WAITING {
            self.waiting.retain(|(member, serial)| is_there(*member, *serial));
        }
        self.waiting.push((member, serial));
    }

    /// At its home: whether it has subscribers anywhere.
    pub(super) fn is_heard(&self) -> bool {
        !self.readers.is_empty() || !self.interested.is_empty()
    }

    /// Bytes of the heap that it takes, its subscribers here aside: itself and its name, twice.
    pub(super) fn memory(&self) -> usize {
        const COUNTS: usize = 2 * size_of::<usize>();
        piece(size_of::<Channel>()) + piece(COUNTS + self.name.len()) + piece(self.encoded.len())
    }

    /// Bytes of the heap that the list of its subscribers takes.
    pub(super) fn readers_memory(&self) -> usize {
        piece(size_of::<Reader>() * self.readers.capacity())
    }

    /// Whether nobody needs the channel any more.
    pub(super) fn is_idle(&self) -> bool {
        self.readers.is_empty()
            && self.writers == 0
            && self.unanswered == 0
            && self.interested.is_empty()
            && !self.listed
    }
}
