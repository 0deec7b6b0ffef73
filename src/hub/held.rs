//! Whole frames that wait for sockets, and the memory they hold: each counts once, however many queues share it.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::counters::memory::piece;

/// Counts the memory of the frames that one worker made and that have not been sent to, or given up for,
/// everybody yet. They may be let go on any worker.
#[derive(Debug, Clone, Default)]
pub struct Held(Arc<AtomicUsize>);

impl Held {
    /// Bytes of the heap held now: the frames and what says how many share them.
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Freezes frames; they count until the last queue has let them go.
    pub(super) fn freeze(&self, frames: Vec<u8>) -> Frames {
        let frames = Buffer { bytes: frames.into(), held: self.clone() };
        self.0.fetch_add(frames.cost(), Ordering::Relaxed);
        Frames(Arc::new(frames))
    }
}

/// Whole frames, one behind the other, shared by all queues in which they wait. One pointer in size, since queues
/// hold many.
#[derive(Clone)]
pub struct Frames(Arc<Buffer>);

struct Buffer {
    bytes: Box<[u8]>,
    held: Held,
}

impl Buffer {
    /// Bytes of the heap: the frames themselves, and this with the two counts in front of it.
    fn cost(&self) -> usize {
        const COUNTS: usize = 2 * size_of::<usize>();
        piece(self.bytes.len()) + piece(COUNTS + size_of::<Buffer>())
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.held.0.fetch_sub(self.cost(), Ordering::Relaxed);
    }
}

impl Frames {
    /// A part of them.
    ///
    /// # Panics
    /// If the part does not lie within them.
    pub fn slice(&self, part: Range<u32>) -> Part {
        assert!(part.start <= part.end && part.end as usize <= self.len(), "within the frames");
        Part { frames: self.clone(), start: part.start, end: part.end }
    }

    /// All of them.
    #[inline]
    pub fn whole(&self) -> Part {
        Part { frames: self.clone(), start: 0, end: self.len() as u32 }
    }
}

impl Deref for Frames {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.0.bytes
    }
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

/// A part of frames that are shared. A batch has less than 4 GiB, since no message has more than 1 GiB.
#[derive(Debug, Clone)]
pub struct Part {
    frames: Frames,
    start: u32,
    end: u32,
}

impl Part {
    /// Its length in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

impl Deref for Part {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.frames[self.start as usize..self.end as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_count_once_until_the_last_who_shares_them_lets_go() {
        let held = Held::default();
        let frames = held.freeze(vec![7; 1000]);
        let (part, whole) = (frames.slice(10..20), frames.whole());
        drop(frames);
        assert_eq!(held.bytes(), 1008 + 48);
        drop(whole);
        assert_eq!((held.bytes(), &part[..]), (1008 + 48, &[7; 10][..]));
        drop(part);
        assert_eq!(held.bytes(), 0);
    }

    #[test]
    fn what_a_buffer_has_room_for_beyond_its_frames_is_given_back() {
        let held = Held::default();
        let mut frames = Vec::with_capacity(100_000);
        frames.extend_from_slice(b"short");
        let frames = held.freeze(frames);
        assert_eq!((held.bytes(), &frames[..]), (32 + 48, &b"short"[..]));
    }
}
