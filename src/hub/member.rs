//! A connection as its hub sees it: what it may read and write, and what waits for it.

use super::channel::ChannelKey;
use super::credit::Unanswered;
use super::queue::OutboundQueue;
use crate::counters::memory::piece;

/// A subscription of a member.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subscription {
    pub(super) channel: ChannelKey,
    /// Where the member stands among the channel's readers.
    pub(super) position: u32,
}

impl Member {
    /// Bytes of the heap that its lists of channels take.
    pub(super) fn lists(&self) -> usize {
        piece(size_of_val(&*self.reads)) + piece(size_of_val(&*self.writes))
    }
}

/// One who reads and writes channels.
#[derive(Debug)]
pub(super) struct Member {
    /// Tells it from others that have had or will have the same key.
    pub(super) serial: u32,
    /// What waits for its socket.
    pub(super) queue: OutboundQueue,
    /// What it reads, sorted by channel.
    pub(super) reads: Box<[Subscription]>,
    /// What it may write, sorted.
    pub(super) writes: Box<[ChannelKey]>,
    /// The channel that it wrote last: most write one.
    pub(super) last_written: Option<ChannelKey>,
    /// Channels whose home has not confirmed its subscription.
    pub(super) opening: u32,
    /// What it published and has no answer to.
    pub(super) unanswered: Unanswered,
    /// Its queue is on the list of those to flush.
    pub(super) dirty: bool,
    /// It has a part in the delivery at hand as a publisher.
    pub(super) is_publisher: bool,
}

impl Member {
    /// Whether it reads a channel: what it reads is sorted.
    pub(super) fn is_reading(&self, channel: ChannelKey) -> bool {
        self.reads.binary_search_by_key(&channel, |read| read.channel).is_ok()
    }
}
