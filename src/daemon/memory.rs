//! Owns giving memory back: the C library's allocator keeps what is freed between blocks that are in use, for ever.
//!
//! After 500 readers had each had half a mebibyte waiting for them, and all of it was delivered, a process that needs
//! 7 MiB went on holding 27; it holds 7 again when the allocator is asked to let go.

use std::time::{Duration, Instant};

use super::metrics::process::processor_time;

/// How often the allocator may be asked.
const EVERY: Duration = Duration::from_secs(15);
/// With less processor time than this since it last was, there cannot be much to give back.
const WORK: Duration = Duration::from_millis(20);

/// When the allocator was asked last.
#[derive(Debug)]
pub(super) struct GivingBack {
    at: Instant,
    /// The processor time that the process had used by then.
    used: Duration,
}

impl GivingBack {
    /// Nothing to give back yet.
    pub(super) fn new() -> GivingBack {
        GivingBack { at: Instant::now(), used: processor_time() }
    }

    /// Gives back what is free, if it is time and something has happened.
    pub(super) fn look(&mut self) {
        if self.at.elapsed() < EVERY {
            return;
        }
        let used = processor_time();
        let worked = used.saturating_sub(self.used);
        self.at = Instant::now();
        if worked >= WORK {
            self.used = used;
            trim();
        }
    }
}

/// Returns free pages to the system. Takes milliseconds at most, in which other threads wait that allocate.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "nothing safe reaches the allocator")]
fn trim() {
    // SAFETY: it takes a number, touches nothing but pages in which no block is in use, and locks each of the allocator's
    // arenas for that, so it may be called at any time and from any thread (malloc_trim(3): MT-Safe). Blocks in use stay
    // where they are.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Other allocators give back by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}
