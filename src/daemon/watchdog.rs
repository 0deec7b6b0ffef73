//! Whether every worker turns: only then is the service manager's watchdog fed.
//!
//! A worker that is told apart from a stuck one: on a busy machine it may get no processor for a long time.
//! It is runnable then, which the kernel says.

use std::time::Duration;

use crate::http::front::Shared;
use crate::worker::workers::BEAT;

/// Looks at the workers' heartbeats.
#[derive(Debug)]
pub(super) struct Watchdog {
    /// How often it looks.
    pub(super) every: Duration,
    seen: Vec<u64>,
}

impl Watchdog {
    /// With the interval that the service manager asks for; None where it does not.
    pub(super) fn new(shared: &Shared) -> Option<Watchdog> {
        let limit = sd_notify::watchdog_enabled()?;
        // A quarter, so that one beat that comes late is no alarm; yet no faster than there are beats.
        let every = (limit / 4).max(BEAT + BEAT / 4).min(limit / 2);
        Some(Watchdog { every, seen: vec![0; shared.counters.len()] })
    }

    /// Whether every worker has turned since the last look, or would have if the machine had let it.
    pub(super) fn all_turn(&mut self, shared: &Shared) -> bool {
        let mut all = true;
        for (number, (counters, seen)) in shared.counters.iter().zip(&mut self.seen).enumerate() {
            let beats = counters.beats.get();
            if beats == *seen && !is_runnable(number) {
                tracing::error!(event = "worker_stuck", worker = number, "a worker does not turn");
                all = false;
            }
            *seen = beats;
        }
        all
    }
}

/// Whether the thread of this worker waits for a processor.
#[cfg(target_os = "linux")]
fn is_runnable(worker: usize) -> bool {
    let name = format!("worker-{worker}\n");
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return false };
    threads.flatten().map(|thread| thread.path()).any(|thread| {
        std::fs::read_to_string(thread.join("comm")).is_ok_and(|comm| comm == name)
            && std::fs::read_to_string(thread.join("stat")).is_ok_and(|stat| {
                stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('R'))
            })
    })
}

#[cfg(not(target_os = "linux"))]
fn is_runnable(_worker: usize) -> bool {
    false
}
