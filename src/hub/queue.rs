//! The outbound queue of one connection: whole frames, shared with other queues, in the order of sending.
//!
//! Never touches a socket: [`OutboundQueue::slices`] says what to write next and
//! [`OutboundQueue::advance`] takes how much of it went out. Deliveries are slices of buffers that all
//! subscribers share; control frames stand between them, never inside one.
//!
//! An empty queue owns no heap: one entry stands inline, more in a ring from the [`RingPool`].

use std::collections::VecDeque;
use std::io::IoSlice;

use super::held::{Held, Part};

/// The most pieces that one vectored write takes; the kernel's own bound is 1,024 (`UIO_MAXIOV`), past a few
/// dozen nothing is gained.
pub const MAX_SLICES: usize = 64;

/// The most pongs that wait in a queue. RFC 6455, 5.5.3 asks for the newest only, the conformance suite for
/// ten in a row.
const PONGS: u8 = 16;

/// What an entry of the queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// So many messages.
    Messages(u32),
    /// A pong, of which the newest unsent one is enough (RFC 6455, 5.5.3).
    Pong,
    /// Any other control frame.
    Control,
}

/// 24 bytes: stalled readers of tiny messages hold more in entries than in frames.
#[derive(Debug)]
struct Entry {
    bytes: Part,
    kind: Kind,
}

/// What waited in a queue that has been taken apart.
#[derive(Debug)]
pub struct Waiting(Entry);

/// Frames that wait for their connection's socket.
#[derive(Debug, Default)]
pub struct OutboundQueue {
    first: Option<Entry>,
    rest: VecDeque<Entry>,
    /// How many bytes of `first` have been written.
    sent: usize,
    /// Bytes that wait, over all entries.
    bytes: usize,
    /// How many pongs stand among the entries.
    pongs: u8,
    /// A pong that waits until there are fewer of them.
    pong: Option<Part>,
    /// A Close is in: nothing follows it.
    sealed: bool,
}

impl OutboundQueue {
    /// Bytes that wait for the socket; what of the first entry was written does not count.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Memory that goes when this queue goes, in bytes, as far as nobody shares its frames.
    pub fn memory(&self) -> usize {
        self.bytes + self.rest.capacity() * size_of::<Entry>()
    }

    /// Bytes that wait in front of the last entry. This is what a bound is held against: a queue that holds
    /// less than the bound takes one more frame of any size.
    pub fn backlog(&self) -> usize {
        let last = match self.rest.back() {
            Some(last) => last.bytes.len(),
            None => self.bytes,
        };
        self.bytes - last
    }

    /// Bytes that [`OutboundQueue::discard`] would drop behind a Close; none before it.
    pub fn discardable(&self) -> usize {
        match &self.first {
            Some(first) if self.sealed && self.sent > 0 && !self.rest.is_empty() => {
                self.backlog() - (first.bytes.len() - self.sent)
            }
            _ if self.sealed => self.backlog(),
            _ => 0,
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.first.is_none() && self.pong.is_none()
    }

    /// Whether a Close has been put in, behind which nothing may go.
    pub fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// Appends whole frames; refused (false) behind a Close.
    #[inline]
    pub fn push(&mut self, frames: Part, messages: u32, pool: &mut RingPool) -> bool {
        if self.sealed {
            return false;
        }
        self.append(Entry { bytes: frames, kind: Kind::Messages(messages) }, pool);
        true
    }

    /// Appends a ping; refused (false) behind a Close.
    pub fn push_ping(&mut self, frame: Part, pool: &mut RingPool) -> bool {
        if self.sealed {
            return false;
        }
        self.append(Entry { bytes: frame, kind: Kind::Control }, pool);
        true
    }

    /// Appends a pong. Where `PONGS` wait already it is the last of them that counts, and each replaces
    /// the one before: so a flood of pings costs no more, whether its peer reads or not.
    pub fn push_pong(&mut self, frame: Part, pool: &mut RingPool) -> bool {
        if self.sealed {
            return false;
        }
        if self.pongs < PONGS {
            self.pongs += 1;
            self.append(Entry { bytes: frame, kind: Kind::Pong }, pool);
            return true;
        }
        self.bytes += frame.len();
        if let Some(old) = self.pong.replace(frame) {
            self.bytes -= old.len();
        }
        true
    }

    /// Appends a Close and seals the queue; refused (false) behind another.
    pub fn push_close(&mut self, frame: Part, pool: &mut RingPool) -> bool {
        if self.sealed {
            return false;
        }
        self.place_pong(pool);
        if let Some(late) = self.pong.take() {
            self.bytes -= late.len();
        }
        self.append(Entry { bytes: frame, kind: Kind::Control }, pool);
        self.sealed = true;
        true
    }

    /// Lets nothing more in, without a Close.
    pub fn seal(&mut self) {
        self.sealed = true;
    }

    #[inline]
    fn append(&mut self, entry: Entry, pool: &mut RingPool) {
        self.bytes += entry.bytes.len();
        if self.first.is_none() {
            self.first = Some(entry);
            return;
        }
        if self.rest.len() == self.rest.capacity() {
            pool.grow(&mut self.rest);
        }
        self.rest.push_back(entry);
    }

    /// Appends the waiting pong, if there is room for it by now.
    fn place_pong(&mut self, pool: &mut RingPool) {
        if self.pongs < PONGS
            && let Some(pong) = self.pong.take()
        {
            self.bytes -= pong.len();
            self.pongs += 1;
            self.append(Entry { bytes: pong, kind: Kind::Pong }, pool);
        }
    }

    /// The next pieces to write, at most as many as `out` holds; how many it is.
    pub fn slices<'a>(&'a mut self, out: &mut [IoSlice<'a>], pool: &mut RingPool) -> usize {
        if self.pong.is_some() {
            self.place_pong(pool);
        }
        let Some(first) = &self.first else { return 0 };
        let mut count = 0;
        let pieces = std::iter::once(&first.bytes[self.sent..])
            .chain(self.rest.iter().map(|entry| &entry.bytes[..]));
        for (slot, piece) in out.iter_mut().zip(pieces) {
            *slot = IoSlice::new(piece);
            count += 1;
        }
        count
    }

    /// The only piece there is to write, where it is only one: what a plain write is enough for.
    #[inline]
    pub fn only_slice(&self) -> Option<&[u8]> {
        match &self.first {
            Some(first) if self.rest.is_empty() && self.pong.is_none() => {
                Some(&first.bytes[self.sent..])
            }
            _ => None,
        }
    }

    /// Takes out what a write took; how many messages went out whole with it.
    ///
    /// # Panics
    /// Where `written` is more than waits.
    #[inline]
    pub fn advance(&mut self, mut written: usize, pool: &mut RingPool) -> u32 {
        self.bytes -= written;
        let mut messages = 0;
        while written > 0 {
            let first = self.first.as_ref().expect("no more is written than waits");
            let left = first.bytes.len() - self.sent;
            if written < left {
                self.sent += written;
                break;
            }
            written -= left;
            messages += self.pop(pool);
        }
        pool.shrink(&mut self.rest);
        messages
    }

    /// Removes the first entry; how many messages it held.
    fn pop(&mut self, pool: &mut RingPool) -> u32 {
        let gone = self.first.take();
        self.first = self.rest.pop_front();
        self.sent = 0;
        if self.rest.is_empty() && self.rest.capacity() > 0 {
            pool.give(std::mem::take(&mut self.rest));
        }
        match gone.map(|entry| entry.kind) {
            Some(Kind::Messages(messages)) => messages,
            Some(Kind::Pong) => {
                self.pongs -= 1;
                0
            }
            _ => 0,
        }
    }

    /// Drops the oldest messages, never one that is partly sent, until no more than `bound` bytes wait in
    /// front of the last; how many messages that was.
    pub fn drop_oldest(&mut self, bound: usize, pool: &mut RingPool) -> u64 {
        let mut dropped = 0;
        let slots = self.rest.capacity();
        let partly_sent = (self.sent > 0).then(|| self.first.take()).flatten();
        let sent = self.sent;
        let mut kept = VecDeque::new();
        if let Some(entry) = self.first.take() {
            self.rest.push_front(entry);
        }
        while self.rest.len() > 1
            && self.bytes - self.rest.back().map_or(0, |last| last.bytes.len()) > bound
        {
            let Some(entry) = self.rest.pop_front() else { break };
            match entry.kind {
                Kind::Messages(messages) => {
                    self.bytes -= entry.bytes.len();
                    dropped += u64::from(messages);
                }
                Kind::Pong | Kind::Control => kept.push_back(entry),
            }
        }
        for entry in kept.into_iter().rev() {
            self.rest.push_front(entry);
        }
        self.first = partly_sent.or_else(|| self.rest.pop_front());
        self.sent = if self.first.is_some() { sent } else { 0 };
        pool.changed(slots, self.rest.capacity());
        if self.rest.is_empty() && self.rest.capacity() > 0 {
            pool.give(std::mem::take(&mut self.rest));
        }
        pool.shrink(&mut self.rest);
        dropped
    }

    /// Drops all that has not begun to go out, but a Close; how many messages that was.
    pub fn discard(&mut self, pool: &mut RingPool) -> u64 {
        if self.sealed && self.rest.is_empty() {
            // The Close, or what was partly sent before nothing more was let in.
            return 0;
        }
        let close = if self.sealed { self.rest.pop_back() } else { None };
        if let Some(pong) = self.pong.take() {
            self.bytes -= pong.len();
        }
        let mut dropped = 0;
        let keep_first = self.sent > 0;
        let first = if keep_first { None } else { self.first.take() };
        for entry in first.into_iter().chain(self.rest.drain(..)) {
            self.bytes -= entry.bytes.len();
            match entry.kind {
                Kind::Messages(messages) => dropped += u64::from(messages),
                Kind::Pong => self.pongs -= 1,
                Kind::Control => {}
            }
        }
        if self.rest.capacity() > 0 {
            pool.give(std::mem::take(&mut self.rest));
        }
        if let Some(close) = close {
            self.bytes -= close.bytes.len();
            self.append(close, pool);
        }
        dropped
    }

    /// Takes everything out: what waited, in order, and how many bytes of the first had been written.
    pub fn take_waiting(&mut self, pool: &mut RingPool) -> (Vec<Waiting>, usize) {
        let late = self.pong.take().map(|pong| Entry { bytes: pong, kind: Kind::Pong });
        let entries = self.first.take().into_iter().chain(self.rest.drain(..)).chain(late);
        let waiting = entries.map(Waiting).collect();
        pool.give(std::mem::take(&mut self.rest));
        (self.bytes, self.pongs) = (0, 0);
        (waiting, std::mem::take(&mut self.sent))
    }

    /// Puts back into an empty queue what was taken out of another.
    pub fn restore(&mut self, waiting: Vec<Waiting>, sent: usize, pool: &mut RingPool) {
        debug_assert!(self.is_empty(), "nothing stands in front");
        for Waiting(entry) in waiting {
            self.pongs += u8::from(entry.kind == Kind::Pong);
            self.append(entry, pool);
        }
        self.bytes -= sent;
        self.sent = sent;
    }

    /// How many messages wait, one partly sent among them.
    pub fn messages(&self) -> u64 {
        let count = |entry: &Entry| match entry.kind {
            Kind::Messages(messages) => u64::from(messages),
            Kind::Pong | Kind::Control => 0,
        };
        self.first.as_ref().map_or(0, count) + self.rest.iter().map(count).sum::<u64>()
    }

    /// Gives the ring back when the queue goes.
    pub fn recycle(mut self, pool: &mut RingPool) {
        pool.give(std::mem::take(&mut self.rest));
    }
}

/// Rings for queues of more than one entry, used again and again: at one message a turn a queue fills
/// and empties each time, which would cost an allocation a delivery. Counts the memory of those in use.
#[derive(Debug, Default)]
pub struct RingPool {
    rings: Vec<VecDeque<Entry>>,
    /// Entries that the rings of all queues have room for.
    slots: usize,
    /// What counts the control frames.
    held: Held,
}

impl RingPool {
    /// How many rings wait for use at most.
    const RINGS: usize = 256;
    /// Entries a new ring has room for.
    const NEW: usize = 8;
    /// A ring that has grown beyond so many entries is given back to the allocator.
    const LARGEST: usize = 256;
    /// A ring of so many entries grows by a quarter: doubling it would hold as much again for nothing.
    const LONG: usize = 1024;

    /// Counts the control frames that it makes in `held`.
    pub(super) fn counting(held: Held) -> RingPool {
        RingPool { held, ..RingPool::default() }
    }

    /// Bytes of the heap that the entries of all queues take. The rings that wait for use, 1.5 MiB at most, are not in
    /// it: nothing waits in them.
    pub fn bytes(&self) -> usize {
        self.slots * size_of::<Entry>()
    }

    /// A frame for a single queue.
    pub fn frame(&self, frame: Vec<u8>) -> Part {
        self.held.freeze(frame).whole()
    }

    /// Makes room in a ring that is full.
    #[cold]
    fn grow(&mut self, ring: &mut VecDeque<Entry>) {
        let before = ring.capacity();
        if before == 0
            && let Some(used) = self.rings.pop()
        {
            *ring = used;
            self.changed(0, ring.capacity());
            return;
        }
        ring.reserve_exact(if before < Self::LONG { before.max(Self::NEW) } else { before / 4 });
        self.changed(before, ring.capacity());
    }

    /// Gives back most of what a ring has room for and does not need.
    #[inline]
    fn shrink(&mut self, ring: &mut VecDeque<Entry>) {
        let before = ring.capacity();
        if before > Self::LARGEST && ring.len() < before / 4 {
            ring.shrink_to(ring.len() * 2);
            self.changed(before, ring.capacity());
        }
    }

    fn changed(&mut self, before: usize, now: usize) {
        self.slots = self.slots + now - before;
    }

    fn give(&mut self, mut ring: VecDeque<Entry>) {
        self.changed(ring.capacity(), 0);
        if (1..=Self::LARGEST).contains(&ring.capacity()) && self.rings.len() < Self::RINGS {
            ring.clear();
            self.rings.push(ring);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the peer would read if the socket took `step` bytes a write.
    fn drain(queue: &mut OutboundQueue, pool: &mut RingPool, step: usize) -> Vec<u8> {
        let mut out = Vec::new();
        loop {
            let mut slices = [IoSlice::new(&[]); 3];
            let count = queue.slices(&mut slices, pool);
            let mut taken: Vec<u8> = slices[..count].iter().flat_map(|s| s.to_vec()).collect();
            taken.truncate(step);
            if taken.is_empty() {
                assert!(queue.is_empty() && queue.bytes() == 0);
                return out;
            }
            queue.advance(taken.len(), pool);
            out.extend(taken);
        }
    }

    fn frames(text: &str) -> Part {
        Held::default().freeze(text.into()).whole()
    }

    #[test]
    fn frames_leave_in_the_order_in_which_they_came_whatever_a_write_takes() {
        for step in 1..12 {
            let (mut queue, mut pool) = (OutboundQueue::default(), RingPool::default());
            for piece in ["abc", "d", "efghij", "kl"] {
                assert!(queue.push(frames(piece), 1, &mut pool));
            }
            assert_eq!((queue.bytes(), queue.messages()), (12, 4));
            assert_eq!(drain(&mut queue, &mut pool, step), b"abcdefghijkl");
            assert_eq!(pool.rings.len(), 1, "the ring went back");
        }
    }

    #[test]
    fn pongs_beyond_the_most_replace_each_other_and_never_split_a_frame() {
        let (mut queue, mut pool) = (OutboundQueue::default(), RingPool::default());
        queue.push(frames("abcdef"), 1, &mut pool);
        queue.advance(2, &mut pool);
        for n in 0..40_u8 {
            queue.push_pong(pool.frame(vec![b'A' + n]), &mut pool);
        }
        queue.push(frames("ghi"), 1, &mut pool);
        assert_eq!(queue.bytes(), 4 + 16 + 1 + 3);
        assert_eq!(drain(&mut queue, &mut pool, 3), b"cdefABCDEFGHIJKLMNOPghih");
        queue.push_pong(frames("z"), &mut pool);
        assert_eq!(drain(&mut queue, &mut pool, 3), b"z", "there is room again");
    }

    #[test]
    fn nothing_follows_a_close() {
        let (mut queue, mut pool) = (OutboundQueue::default(), RingPool::default());
        queue.push(frames("a"), 1, &mut pool);
        queue.push_pong(frames("p"), &mut pool);
        assert!(queue.push_close(frames("C"), &mut pool));
        assert!(!queue.push(frames("b"), 1, &mut pool));
        assert!(!queue.push_pong(frames("p"), &mut pool));
        assert!(!queue.push_ping(frames("?"), &mut pool));
        assert!(!queue.push_close(frames("D"), &mut pool));
        assert_eq!(drain(&mut queue, &mut pool, 1), b"apC");
    }

    #[test]
    fn the_oldest_go_first_but_never_one_partly_sent_nor_a_control_frame() {
        for partly in [0, 2] {
            let (mut queue, mut pool) = (OutboundQueue::default(), RingPool::default());
            queue.push(frames("aaaa"), 2, &mut pool);
            queue.push_ping(frames("?"), &mut pool);
            queue.push(frames("bbbb"), 3, &mut pool);
            queue.push(frames("cccc"), 4, &mut pool);
            queue.advance(partly, &mut pool);
            assert_eq!(queue.backlog(), 9 - partly);
            let dropped = queue.drop_oldest(3, &mut pool);
            if partly > 0 {
                assert_eq!((dropped, queue.backlog()), (3, 3));
                assert_eq!(drain(&mut queue, &mut pool, 9), b"aa?cccc");
            } else {
                assert_eq!((dropped, queue.backlog()), (5, 1));
                assert_eq!(drain(&mut queue, &mut pool, 9), b"?cccc");
            }
        }
    }

    #[test]
    fn discarding_keeps_only_the_rest_of_a_frame_partly_sent() {
        for (partly, left) in [(0, &b"C"[..]), (1, b"bcC")] {
            let (mut queue, mut pool) = (OutboundQueue::default(), RingPool::default());
            queue.push(frames("abc"), 1, &mut pool);
            queue.push(frames("def"), 1, &mut pool);
            queue.push_pong(frames("p"), &mut pool);
            queue.advance(partly, &mut pool);
            queue.discard(&mut pool);
            queue.push_close(frames("C"), &mut pool);
            assert_eq!(drain(&mut queue, &mut pool, 9), left);
        }
    }

    #[test]
    fn behind_a_close_everything_is_discarded_but_the_close_and_what_was_partly_sent() {
        for (partly, left) in [(0, &b"C"[..]), (1, b"bcC")] {
            let (mut queue, mut pool) = (OutboundQueue::default(), RingPool::default());
            for text in ["abc", "def", "ghi"] {
                queue.push(frames(text), 1, &mut pool);
            }
            queue.push_pong(frames("p"), &mut pool);
            queue.advance(partly, &mut pool);
            assert_eq!(queue.discardable(), 0, "nothing is, before a Close");
            queue.push_close(frames("C"), &mut pool);
            assert_eq!(queue.discardable(), 11 - partly - left.len());
            let messages = if partly > 0 { 2 } else { 3 };
            assert_eq!(queue.discard(&mut pool), messages);
            assert_eq!((queue.discardable(), queue.discard(&mut pool)), (0, 0));
            assert!(queue.is_sealed());
            assert_eq!(drain(&mut queue, &mut pool, 9), left);
        }
    }

    #[test]
    fn the_pool_counts_the_entries_of_all_queues_and_gives_back_what_they_do_not_need() {
        let (mut queue, mut pool) = (OutboundQueue::default(), RingPool::default());
        let frame = frames("x");
        for number in 0..100_000 {
            queue.push(frame.clone(), 1, &mut pool);
            let entries = pool.bytes() / size_of::<Entry>();
            assert!(entries >= number && entries <= number * 2 + RingPool::NEW, "at {number}");
        }
        let full = pool.bytes();
        assert!(full <= 100_000 * size_of::<Entry>() * 5 / 4, "{full} bytes for 100,000 entries");
        assert_eq!(queue.memory(), 100_000 + full);
        // One that never quite empties its queue.
        while queue.bytes() > 1 {
            queue.advance(1, &mut pool);
            let entries = pool.bytes() / size_of::<Entry>();
            assert!(entries <= (queue.bytes() * 4).max(RingPool::LARGEST), "{entries} entries");
        }
        queue.advance(1, &mut pool);
        assert_eq!(pool.bytes(), 0);
        let waits = pool.rings[0].capacity();
        let other = (0..300).map(|_| OutboundQueue::default()).map(|mut queue| {
            queue.push(frame.clone(), 1, &mut pool);
            queue.push(frame.clone(), 1, &mut pool);
            queue
        });
        let other: Vec<_> = other.collect();
        let slots = 299 * RingPool::NEW + waits;
        assert_eq!(pool.bytes(), slots * size_of::<Entry>(), "the one that waited is used again");
        other.into_iter().for_each(|queue| queue.recycle(&mut pool));
        assert_eq!(pool.rings.len(), RingPool::RINGS);
        assert_eq!(pool.bytes(), 0, "none is in use");
    }

    #[test]
    fn an_entry_has_24_bytes() {
        assert_eq!(size_of::<Entry>(), 24);
    }
}
