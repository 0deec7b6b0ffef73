//! What workers say to each other: the one kind of mail, in one first-in-first-out line a pair of workers.
//!
//! Mail is plain data. Taking it never waits; what bounds it is the credit of those who publish
//! (see [`super::credit`]). Between hubs of one process it is moved by the worker, in the simulation by the
//! test's random scheduler.

use std::sync::Arc;
use std::time::Instant;

use super::held::Frames;

/// A worker's number, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u8);

impl WorkerId {
    /// As an index into a table of workers.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The most workers that one process has: a set of them is the bits of a `u64`.
pub const MAX_WORKERS: usize = 64;

/// A set of workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WorkerSet(u64);

impl WorkerSet {
    /// Puts `worker` in.
    pub fn insert(&mut self, worker: WorkerId) {
        self.0 |= 1 << worker.0;
    }

    /// Takes `worker` out.
    pub fn remove(&mut self, worker: WorkerId) {
        self.0 &= !(1 << worker.0);
    }

    /// Whether `worker` is in it.
    pub fn contains(self, worker: WorkerId) -> bool {
        self.0 & 1 << worker.0 != 0
    }

    /// Whether nobody is in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many are in it.
    pub fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether some worker is in both.
    pub fn intersects(self, other: WorkerSet) -> bool {
        self.0 & other.0 != 0
    }

    /// The workers in it, in order.
    pub fn iter(self) -> impl Iterator<Item = WorkerId> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            (rest != 0).then(|| {
                let next = rest.trailing_zeros() as u8;
                rest &= rest - 1;
                WorkerId(next)
            })
        })
    }
}

/// Who published: a member of a hub, told from a later one in the same place by its serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Publisher {
    /// Its worker.
    pub worker: WorkerId,
    /// Its key in that worker's hub.
    pub member: u32,
    /// Its serial number there.
    pub serial: u32,
}

/// Frames of one publisher that stand together in a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Whose they are.
    pub publisher: Publisher,
    /// Where they end in the delivery, in bytes; they start where the segment before ends.
    pub end: u32,
    /// How many messages they are.
    pub messages: u32,
}

/// What a turn brought on one channel: whole frames, encoded once, shared by all who receive them.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The frames, one after the other.
    pub frames: Frames,
    /// How many they are.
    pub messages: u32,
    /// Whose they are, so that a publisher does not receive its own.
    pub segments: Arc<[Segment]>,
    /// Who is to be told how many subscribers they reach; None where nobody is.
    pub owed: Option<Arc<[Owed]>>,
    /// When the first of them was read, or something else of the same turn, where that is known.
    pub since: Option<Instant>,
}

/// Messages of an outsider in a delivery, that it wants receipts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owed {
    /// Who is told.
    pub to: Publisher,
    /// Who does not receive them.
    pub left_out: Publisher,
    /// The number of the first.
    pub first: u32,
    /// How many they are, one number after the other.
    pub messages: u32,
}

/// What an outsider says with messages that go to their channel's home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Who does not receive them.
    pub left_out: Publisher,
    /// The number of the first.
    pub first: u32,
}

/// How many subscribers of one worker some messages of an outsider have reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Who is told.
    pub to: Publisher,
    /// The number of the first.
    pub first: u32,
    /// How many they are.
    pub messages: u32,
    /// How many subscribers each of them has reached.
    pub subscribers: u32,
    /// From the home: how many other workers will say the same.
    pub others: Option<u32>,
}

/// A publisher's messages and bytes that have been taken in and no longer count against its credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Who published them.
    pub publisher: Publisher,
    /// How many.
    pub messages: u32,
    /// How many bytes of frames.
    pub bytes: u32,
}

/// One piece of mail.
#[derive(Debug, Clone)]
pub enum Mail {
    /// To a channel's home: the sender has subscribers of it now. Answered with `Subscribed`.
    Subscribe(Arc<str>),
    /// From the home: whatever takes its place in the channel's order from now on is sent here.
    Subscribed(Arc<str>),
    /// To a channel's home: the sender has no subscribers of it any more.
    Leave(Arc<str>),
    /// To a channel's home: messages that want their place in its order. Answered with `Answer`.
    Publish {
        /// The channel.
        channel: Arc<str>,
        /// Who published them.
        publisher: Publisher,
        /// What else an outsider has to say.
        wanted: Option<Box<Wanted>>,
        /// Whole frames, in the order in which they were published.
        frames: Vec<u8>,
        /// How many they are.
        messages: u32,
        /// When the first of them was read, or something else of the same turn, where that is known.
        since: Option<Instant>,
    },
    /// From the home: what every subscriber there receives. Answered with `Taken`.
    Deliver {
        /// The channel.
        channel: Arc<str>,
        /// The frames.
        delivery: Delivery,
    },
    /// To the home: so many bytes of deliveries have reached the subscribers' queues.
    Taken(usize),
    /// To a publisher's worker: its credit back.
    Answer(Answer),
    /// To an outsider's worker.
    Receipt(Receipt),
}
