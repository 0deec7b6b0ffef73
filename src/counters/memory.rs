//! Owns [`Memory`]: what a worker holds of everything that peers can make grow, by kind.
//!
//! A worker writes its own figures, once a turn or a change of size, and anybody reads them: no lock, and no atomic
//! read-modify-write on a message's way. What is taken on one worker and given back on another (mail) is added by the
//! one and subtracted by the other, so a single worker's figure may be negative; only the sum over all of them counts.

use std::sync::Arc;

use super::Counter;

/// Declares the kinds: a variant, the value of the label `kind` of the metric, and what it is.
macro_rules! kinds {
    ($($kind:ident = $name:literal, $doc:literal;)+) => {
        /// What memory is held for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind {
            $(#[doc = $doc] $kind,)+
        }

        impl Kind {
            /// All of them.
            pub const ALL: [Kind; [$(Kind::$kind),+].len()] = [$(Kind::$kind),+];

            /// A stable name, for metrics.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Kind::$kind => $name,)+
                }
            }
        }
    };
}

// A new kind is one line here, and its figure set by the worker.
kinds! {
    Frames = "frames", "Frames that wait for subscribers: a frame that many queues share counts once.";
    Queues = "queues", "The entries of the outbound queues, which refer to those frames.";
    Messages = "messages", "Messages from clients of which a part has come.";
    Channels = "channels", "Channels, their names and their tables, and which connection reads and writes which.";
    Connections = "connections", "Connections themselves, the state of TLS with them.";
    Requests = "requests", "Sockets that are no connections, or not yet, and the bodies of requests.";
    Mail = "mail", "Messages on their way from one worker to another.";
}

/// What one worker holds, in bytes of the heap, by kind.
#[derive(Debug, Default)]
pub struct Memory([Counter; Kind::ALL.len()]);

impl Memory {
    /// Replaces a figure. Only the worker that owns it calls it.
    #[inline]
    pub fn set(&self, kind: Kind, bytes: usize) {
        self.0[kind as usize].set(bytes as u64);
    }

    /// Replaces a figure that is below zero on a worker which gives back more than it takes.
    #[inline]
    pub fn set_signed(&self, kind: Kind, bytes: i64) {
        self.0[kind as usize].set(bytes.cast_unsigned());
    }

    /// Changes a figure by so many bytes. Only the worker that owns it calls it.
    #[inline]
    pub fn change(&self, kind: Kind, bytes: i64) {
        self.0[kind as usize].add(bytes.cast_unsigned());
    }

    /// Counts a piece for as long as it is there. Only the worker that owns the figures makes it and drops it.
    pub fn hold(self: &Arc<Self>, kind: Kind, bytes: usize) -> Holding {
        self.change(kind, bytes as i64);
        Holding { memory: self.clone(), kind, bytes }
    }

    /// All figures together.
    #[inline]
    pub fn sum(&self) -> i64 {
        self.0.iter().map(|figure| figure.get().cast_signed()).sum()
    }

    /// A figure as this worker sees it: below zero if more was given back here than was taken.
    #[inline]
    pub fn get(&self, kind: Kind) -> i64 {
        self.0[kind as usize].get().cast_signed()
    }
}

/// Memory that counts until this is dropped.
#[derive(Debug)]
pub struct Holding {
    memory: Arc<Memory>,
    kind: Kind,
    bytes: usize,
}

impl Holding {
    /// Counts so many bytes from now on.
    pub fn set(&mut self, bytes: usize) {
        self.memory.change(self.kind, bytes as i64 - self.bytes as i64);
        self.bytes = bytes;
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.memory.change(self.kind, -(self.bytes as i64));
    }
}

/// What the allocator takes for a piece of so many bytes: the C library of GNU puts a header of 8 bytes in front,
/// rounds up to 16, and has no piece of less than 32. Others differ by a few bytes.
#[inline]
pub const fn piece(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        1..=24 => 32,
        _ => (bytes + 8).next_multiple_of(16),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_names_of_their_own_and_figures_of_their_own() {
        let memory = Memory::default();
        for (number, kind) in Kind::ALL.into_iter().enumerate() {
            memory.set(kind, number + 1);
        }
        for (number, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(memory.get(kind), number as i64 + 1, "{kind:?}");
            let alike = Kind::ALL.iter().filter(|other| other.name() == kind.name());
            assert_eq!(alike.count(), 1, "{kind:?}");
        }
    }

    #[test]
    fn what_is_held_counts_until_it_is_dropped() {
        let memory = Arc::new(Memory::default());
        memory.change(Kind::Mail, -7);
        let mut held = memory.hold(Kind::Requests, 100);
        held.set(120);
        assert_eq!((memory.get(Kind::Requests), memory.sum()), (120, 113));
        held.set(50);
        assert_eq!(memory.get(Kind::Requests), 50);
        drop(held);
        assert_eq!((memory.get(Kind::Requests), memory.sum()), (0, -7));
    }

    #[test]
    fn a_piece_has_a_header_and_a_least_size() {
        let sizes = [(0, 0), (1, 32), (24, 32), (25, 48), (40, 48), (41, 64), (1000, 1008)];
        for (bytes, taken) in sizes {
            assert_eq!(piece(bytes), taken, "{bytes}");
        }
    }
}
