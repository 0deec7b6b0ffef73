//! Which of one publisher's messages one receiver has got, and whether each
//! came in order, late, or twice. Knows nothing of connections or channels.

/// What one receiver has got from one publisher.
#[derive(Clone, Default)]
pub struct Track {
    /// All messages before this one have arrived.
    pub next: u32,
    /// Bits for the messages from 0 on; kept only from the first gap on.
    seen: Vec<u64>,
    /// The highest number that has arrived, plus one.
    high: u32,
}

/// How a message came, seen from those before it.
pub enum Arrival {
    /// The next one, or one after a gap.
    InOrder,
    /// New, but a later message had arrived before it.
    Late,
    Duplicate,
}

impl Track {
    pub fn has(&self, seq: u32) -> bool {
        let word = self.seen.get(seq as usize / 64).copied().unwrap_or(0);
        seq < self.next || word >> (seq % 64) & 1 == 1
    }

    #[inline]
    pub fn arrive(&mut self, seq: u32) -> Arrival {
        if seq == self.next && self.seen.is_empty() {
            self.next += 1;
            self.high = self.next;
            return Arrival::InOrder;
        }
        self.arrive_around_gap(seq)
    }

    #[cold]
    fn arrive_around_gap(&mut self, seq: u32) -> Arrival {
        let (word, bit) = (seq as usize / 64, 1u64 << (seq % 64));
        if seq < self.next || self.seen.get(word).is_some_and(|w| w & bit != 0) {
            return Arrival::Duplicate;
        }
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        self.seen[word] |= bit;
        let late = seq < self.high;
        self.high = self.high.max(seq + 1);
        let seen =
            |n: u32| self.seen.get(n as usize / 64).is_some_and(|w| w & (1 << (n % 64)) != 0);
        let mut next = self.next;
        while seen(next) {
            next += 1;
        }
        self.next = next;
        if self.next == self.high {
            self.seen = Vec::new();
        }
        if late { Arrival::Late } else { Arrival::InOrder }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(seqs: &[u32]) -> (u64, u64, u64) {
        let (mut track, mut new, mut late, mut twice) = (Track::default(), 0, 0, 0);
        for seq in seqs {
            match track.arrive(*seq) {
                Arrival::InOrder => new += 1,
                Arrival::Late => (new, late) = (new + 1, late + 1),
                Arrival::Duplicate => twice += 1,
            }
        }
        (new, late, twice)
    }

    #[test]
    fn tracks_order_gaps_and_repeats() {
        assert_eq!(arrivals(&[0, 1, 2, 3]), (4, 0, 0));
        assert_eq!(arrivals(&[0, 2, 1, 3]), (4, 1, 0), "one overtaken");
        assert_eq!(arrivals(&[0, 2, 3]), (3, 0, 0), "a gap is no disorder");
        assert_eq!(arrivals(&[0, 0, 1, 1]), (2, 0, 2));
        assert_eq!(arrivals(&[0, 2, 2, 1, 1, 2, 0]), (3, 1, 4));
        assert_eq!(arrivals(&[3, 2, 1, 0, 4]), (5, 3, 0));
        assert_eq!(arrivals(&[0, 200, 1, 65, 65, 64]), (5, 3, 1));
    }

    #[test]
    fn the_tail_is_forgotten_once_gaps_close() {
        let mut track = Track::default();
        for seq in [0, 2, 3, 1] {
            track.arrive(seq);
        }
        assert!(track.seen.is_empty());
        assert_eq!((track.next, track.high), (4, 4));
    }
}
