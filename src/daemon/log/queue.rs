//! Owns [`Queue`]: the records that wait to be written, and the count of those that never were.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::record::Record;

/// The most records that wait. Of half a kilobyte each: 4 MiB, at the very worst, where the output stands
/// still; and the lines of 8,000 connections that come or go in one moment.
pub(super) const MOST: usize = 8192;

/// Records on their way to the thread that writes them. Nobody who puts one in waits for room.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// There is something to do for the thread.
    filled: Condvar,
    /// Everything has been written.
    emptied: Condvar,
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    records: Vec<Record>,
    reopen: bool,
    /// The thread is writing what it has taken.
    writing: bool,
}

impl Waiting {
    fn is_idle(&self) -> bool {
        self.records.is_empty() && !self.reopen
    }
}

impl Queue {
    /// Adds a record; where too many wait it is lost.
    pub(super) fn push(&self, record: Record) {
        let mut waiting = self.lock();
        if waiting.records.len() >= MOST {
            drop(waiting);
            self.lose();
            return;
        }
        let idle = waiting.is_idle();
        waiting.records.push(record);
        drop(waiting);
        if idle {
            self.filled.notify_one();
        }
    }

    /// Has the thread open its file anew before it writes on.
    pub(super) fn ask_to_reopen(&self) {
        self.lock().reopen = true;
        self.filled.notify_one();
    }

    /// Waits for something to do and moves all records that wait into `records`, which is empty. Whether
    /// the file is to be opened anew first.
    pub(super) fn take(&self, records: &mut Vec<Record>) -> bool {
        let mut waiting = self.lock();
        waiting.writing = false;
        self.emptied.notify_all();
        let waiting = self.filled.wait_while(waiting, |waiting| waiting.is_idle());
        let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        waiting.writing = true;
        std::mem::swap(&mut waiting.records, records);
        std::mem::take(&mut waiting.reopen)
    }

    /// Waits until everything is written, at most so long.
    pub(super) fn flush(&self, limit: Duration) {
        let unwritten = |waiting: &mut Waiting| waiting.writing || !waiting.is_idle();
        // Out of time, or a panic in the thread: either way nothing more can be done.
        drop(self.emptied.wait_timeout_while(self.lock(), limit, unwritten));
    }

    /// Counts a line that was not written.
    pub(super) fn lose(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Lines that were not written, so far.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing that can panic happens under the lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
