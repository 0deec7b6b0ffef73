//! Owns [`Histogram`]: how long things took, in buckets. One worker observes, anybody reads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Counter;

/// Upper ends of the buckets, in seconds. From what one write costs to what somebody notices: a message to one
/// subscriber takes some 20 microseconds, one to 1,000 some milliseconds.
pub const BOUNDS: [f64; 16] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0,
];

/// How long things took, since the start.
#[derive(Debug, Default)]
pub struct Histogram {
    /// Of each bucket alone; the last is beyond all bounds.
    counts: [Counter; BOUNDS.len() + 1],
    /// Seconds together: the bits of an `f64`.
    seconds: AtomicU64,
}

/// A histogram as it stood, or several together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// Of each bucket alone; the last is beyond all bounds.
    pub counts: [u64; BOUNDS.len() + 1],
    /// Seconds together.
    pub seconds: f64,
}

impl Histogram {
    /// Counts `times` things that took so long each. Only the worker that owns it calls it.
    #[inline]
    pub fn observe(&self, took: Duration, times: u64) {
        let took = took.as_secs_f64();
        self.counts[BOUNDS.partition_point(|bound| *bound < took)].add(times);
        let seconds = f64::from_bits(self.seconds.load(Ordering::Relaxed)) + took * times as f64;
        self.seconds.store(seconds.to_bits(), Ordering::Relaxed);
    }

    /// Adds what has been observed so far to `sum`.
    pub fn add_to(&self, sum: &mut Observed) {
        for (sum, count) in sum.counts.iter_mut().zip(&self.counts) {
            *sum += count.get();
        }
        sum.seconds += f64::from_bits(self.seconds.load(Ordering::Relaxed));
    }
}

impl Observed {
    /// How many things.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_stands_in_the_first_bucket_whose_end_it_does_not_exceed() {
        let histogram = Histogram::default();
        histogram.observe(Duration::from_micros(50), 1);
        histogram.observe(Duration::from_micros(51), 2);
        histogram.observe(Duration::from_secs(5), 3);
        histogram.observe(Duration::from_secs(60), 4);
        let mut sum = Observed::default();
        histogram.add_to(&mut sum);
        histogram.add_to(&mut sum);
        assert_eq!(sum.counts[..3], [2, 4, 0]);
        assert_eq!(sum.counts[BOUNDS.len() - 1..], [6, 8]);
        assert_eq!(sum.count(), 20);
        assert!((sum.seconds - 2.0 * (15.0 + 240.0 + 0.000_152)).abs() < 1e-9, "{}", sum.seconds);
    }

    #[test]
    fn the_buckets_ascend() {
        assert!(BOUNDS.is_sorted_by(|one, other| one < other));
    }
}
