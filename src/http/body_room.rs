//! Owns [`BodyRoom`]: what the bodies of all requests together may hold, over all workers. Each is bounded by
//! `http.max_body`, and their number by `limits.max_pending`, which together would be far more than there is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::counters::memory::{Holding, Kind, Memory};

/// How many of the largest there is room for.
const LARGEST: usize = 16;
/// The least room, in bytes, however small the largest is.
const LEAST: usize = 16 << 20;

/// The room for bodies.
#[derive(Debug, Default)]
pub struct BodyRoom {
    /// Bytes that are taken.
    taken: AtomicUsize,
}

/// What one body takes of it; given back when it is dropped.
#[derive(Debug)]
pub(super) struct BodyPlace<'a> {
    room: &'a BodyRoom,
    bytes: usize,
    /// The same among the memory of the worker that reads the body.
    counted: Option<Holding>,
}

impl BodyRoom {
    /// A place for a body of which nothing has come yet.
    pub(super) fn place(&self) -> BodyPlace<'_> {
        BodyPlace { room: self, bytes: 0, counted: None }
    }
}

impl BodyPlace<'_> {
    /// The same, which counts as memory of a worker too.
    pub(super) fn counted(self, memory: &Arc<Memory>) -> Self {
        let mut place = self;
        place.counted = Some(memory.hold(Kind::Requests, 0));
        place
    }

    /// Takes room for so many bytes more, if a body may have `most`. If there is none, the place gives back all that it
    /// has in the same step, so that no other body is refused for what this one has held.
    pub(super) fn grow(&mut self, bytes: usize, most: usize) -> bool {
        let room = most.saturating_mul(LARGEST).max(LEAST);
        let fits = |taken: usize| taken.saturating_add(bytes) <= room;
        let held = self.bytes;
        let change = |taken| Some(if fits(taken) { taken + bytes } else { taken - held });
        let before = self.room.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
        let is_taken = before.is_ok_and(fits);
        self.bytes = if is_taken { held + bytes } else { 0 };
        if let Some(counted) = &mut self.counted {
            counted.set(self.bytes);
        }
        is_taken
    }
}

impl Drop for BodyPlace<'_> {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_sixteen_of_the_largest_and_what_goes_makes_room() {
        let (room, most) = (BodyRoom::default(), 2 << 20);
        let mut places: Vec<_> = (0..LARGEST).map(|_| room.place()).collect();
        assert!(places.iter_mut().all(|place| place.grow(most, most)));
        let mut another = room.place();
        assert!(!another.grow(1, most));
        drop(another);
        places.pop();
        let mut another = room.place();
        assert!(another.grow(most / 2, most) && another.grow(most / 2, most));
        assert!(!another.grow(1, most));
        drop((places, another));
        assert_eq!(room.taken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn one_that_is_refused_gives_back_what_it_has_at_once() {
        let (room, most) = (BodyRoom::default(), 2 << 20);
        let mut places: Vec<_> = (0..LARGEST).map(|_| room.place()).collect();
        assert!(places.iter_mut().all(|place| place.grow(most - 1, most)));
        let mut refused = room.place();
        assert!(refused.grow(LARGEST, most) && !refused.grow(most, most));
        assert!(places.iter_mut().all(|place| place.grow(1, most)), "all others have room");
        drop((places, refused));
        assert_eq!(room.taken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn many_small_ones_have_room_where_the_largest_is_small() {
        let (room, most) = (BodyRoom::default(), 1024);
        let mut places: Vec<_> = (0..LEAST / most).map(|_| room.place()).collect();
        assert!(places.iter_mut().all(|place| place.grow(most, most)));
        assert!(!room.place().grow(1, most));
    }
}
