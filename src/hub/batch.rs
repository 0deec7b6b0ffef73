//! The messages that a turn brings on one channel, written one behind the other into one buffer.

use std::time::Instant;

use super::held::{Held, Part};
use super::mail::{Delivery, Owed, Publisher, Segment};
use crate::protocol;

/// A batch larger than this is closed at once and the next one begun, in bytes: a queue then never
/// holds one huge entry that could be neither dropped nor freed in part.
pub(super) const LARGEST: usize = 64 * 1024;

/// What has been published on a channel in this turn.
#[derive(Debug, Default)]
pub(super) struct Batch {
    frames: Vec<u8>,
    messages: u32,
    segments: Vec<Segment>,
    owed: Vec<Owed>,
}

impl Batch {
    /// Appends one message of `publisher`; the length of its frame in bytes.
    pub(super) fn push(
        &mut self,
        publisher: Publisher,
        delivery: &protocol::Delivery<'_>,
    ) -> usize {
        let before = self.frames.len();
        if before == 0 {
            self.frames.reserve_exact(delivery.frame_len());
        }
        protocol::encode_delivery(&mut self.frames, delivery);
        self.account(publisher, 1);
        self.frames.len() - before
    }

    /// Appends whole frames of `publisher` that another worker encoded.
    pub(super) fn extend(&mut self, publisher: Publisher, frames: Vec<u8>, messages: u32) {
        if self.frames.is_empty() {
            self.frames = frames;
        } else {
            self.frames.extend_from_slice(&frames);
        }
        self.account(publisher, messages);
    }

    fn account(&mut self, publisher: Publisher, messages: u32) {
        self.messages += messages;
        let end = self.frames.len() as u32;
        match self.segments.last_mut() {
            Some(last) if last.publisher == publisher => {
                last.end = end;
                last.messages += messages;
            }
            _ => self.segments.push(Segment { publisher, end, messages }),
        }
    }

    /// Notes that somebody wants a receipt for what was appended last.
    pub(super) fn owe(&mut self, owed: Owed) {
        match self.owed.last_mut() {
            Some(last)
                if last.to == owed.to
                    && last.left_out == owed.left_out
                    && last.first + last.messages == owed.first =>
            {
                last.messages += owed.messages;
            }
            _ => self.owed.push(owed),
        }
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Freezes what is in it, which was read at `since` or later, and leaves it empty.
    pub(super) fn close(&mut self, held: &Held, since: Option<Instant>) -> Delivery {
        let batch = std::mem::take(self);
        Delivery {
            frames: held.freeze(batch.frames),
            messages: batch.messages,
            segments: batch.segments.into(),
            owed: (!batch.owed.is_empty()).then(|| batch.owed.into()),
            since,
        }
    }
}

impl Delivery {
    /// The parts of the delivery that `publisher` did not publish itself: slices of its frames, each
    /// with its number of messages.
    pub(super) fn without(&self, publisher: Publisher) -> impl Iterator<Item = (Part, u32)> + '_ {
        let mut segments = self.segments.iter().peekable();
        let mut start = 0;
        std::iter::from_fn(move || {
            loop {
                let segment = segments.next()?;
                let begin = std::mem::replace(&mut start, segment.end);
                if segment.publisher == publisher {
                    continue;
                }
                let mut messages = segment.messages;
                while let Some(more) = segments.next_if(|next| next.publisher != publisher) {
                    messages += more.messages;
                    start = more.end;
                }
                return Some((self.frames.slice(begin..start), messages));
            }
        })
    }
}
