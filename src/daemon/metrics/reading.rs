//! Owns [`Reading`]: one look at everything that metrics are made of.

use std::cell::OnceCell;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::Sources;
use super::process::Process;
use crate::counters::Counters;
use crate::counters::histogram::{Histogram, Observed};
use crate::counters::memory::Kind;
use crate::counters::tally::{Names, Tally};
use crate::worker::workers::BEAT;

/// One look at everything.
pub(super) struct Reading<'a> {
    pub(super) sources: &'a Sources,
    process: OnceCell<Process>,
    /// Since the server started.
    at: Duration,
}

impl<'a> Reading<'a> {
    pub(super) fn new(sources: &'a Sources) -> Reading<'a> {
        let at = sources.shared.started.elapsed();
        Reading { sources, process: OnceCell::new(), at }
    }

    /// The process as the kernel has it, asked once.
    pub(super) fn process(&self) -> &Process {
        self.process.get_or_init(Process::now)
    }

    /// One figure, summed over the workers.
    pub(super) fn sum(&self, figure: impl Fn(&Counters) -> u64) -> u64 {
        self.sources.shared.sum(figure)
    }

    /// Counts by name, summed over the workers.
    pub(super) fn tally<T: Names + 'static>(
        &self,
        tally: impl Fn(&Counters) -> &Tally<T>,
    ) -> Vec<(&'static str, u64)> {
        let mut all: Vec<(&'static str, u64)> = Vec::new();
        for counters in &*self.sources.shared.counters {
            for (index, (name, count)) in tally(counters).iter().enumerate() {
                match all.get_mut(index) {
                    Some((_, sum)) => *sum += count,
                    None => all.push((name, count)),
                }
            }
        }
        all
    }

    /// Memory by kind, in bytes.
    pub(super) fn memory(&self) -> Vec<(String, f64)> {
        let counters = &self.sources.shared.counters;
        let sum = |kind| counters.iter().map(|of| of.memory_of(kind)).sum::<i64>();
        // Figures that change while they are read may be a little below zero together.
        let figure = |kind: Kind| (kind.name().to_owned(), sum(kind).max(0) as f64);
        Kind::ALL.into_iter().map(figure).collect()
    }

    /// A histogram, summed over the workers.
    pub(super) fn observed(&self, histogram: impl Fn(&Counters) -> &Histogram) -> Observed {
        let mut sum = Observed::default();
        self.sources.shared.counters.iter().for_each(|of| histogram(of).add_to(&mut sum));
        sum
    }

    /// A figure of each worker, by its number.
    pub(super) fn by_worker(&self, figure: impl Fn(&Counters) -> f64) -> Vec<(String, f64)> {
        let counters = self.sources.shared.counters.iter().enumerate();
        counters.map(|(worker, counters)| (worker.to_string(), figure(counters))).collect()
    }

    /// How late a worker's last beat was, or how long its next one is overdue, in seconds.
    pub(super) fn lag(&self, counters: &Counters) -> f64 {
        let due = Duration::from_nanos(counters.beat_at.get()) + BEAT;
        let late = Duration::from_nanos(counters.beat_late.get());
        self.at.saturating_sub(due).max(late).as_secs_f64()
    }

    pub(super) fn is_draining(&self) -> bool {
        self.sources.shared.draining.load(Relaxed)
    }
}
