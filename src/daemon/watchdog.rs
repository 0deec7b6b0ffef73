//! Whether every worker turns: only then is the service manager's watchdog fed.
//!
//! A worker that is stuck is told apart from one that the machine does not let turn. On a busy machine it may
//! get no processor for a long time: it waits for one then, and has had next to none since it last turned.

use std::time::{Duration, Instant};

use crate::http::front::Shared;
use crate::worker::workers::BEAT;

/// How long after the last beat the next one is late, at the least.
const LATE: Duration = BEAT.saturating_add(Duration::from_millis(250));

/// Looks at the workers' heartbeats.
#[derive(Debug)]
pub(super) struct Watchdog {
    /// How often it looks: a quarter of what the service manager waits, so that one look that comes late is
    /// no alarm.
    pub(super) every: Duration,
    /// How old the last beat may be.
    late: Duration,
    last: Vec<Beat>,
}

/// The last beat of a worker that was seen.
#[derive(Debug, Clone, Copy)]
struct Beat {
    number: u64,
    /// When it was seen.
    at: Instant,
    /// How long its thread had run by then.
    run: Duration,
}

/// A worker's thread, as the kernel has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Thread {
    /// Whether it runs or waits for a processor.
    is_runnable: bool,
    /// How long it has run since it began.
    run: Duration,
}

impl Watchdog {
    /// With the interval that the service manager asks for; None where it does not.
    pub(super) fn new(shared: &Shared) -> Option<Watchdog> {
        let limit = sd_notify::watchdog_enabled()?;
        let beat = Beat { number: 0, at: Instant::now(), run: Duration::ZERO };
        let every = (limit / 4).max(Duration::from_millis(1));
        Some(Watchdog { every, late: LATE.max(every), last: vec![beat; shared.counters.len()] })
    }

    /// Whether every worker has turned lately, or would have if the machine had let it.
    pub(super) fn all_turn(&mut self, shared: &Shared) -> bool {
        let mut all = true;
        for (worker, (counters, last)) in shared.counters.iter().zip(&mut self.last).enumerate() {
            let number = counters.beats.get();
            if number != last.number {
                let run = thread(worker).map_or(Duration::ZERO, |thread| thread.run);
                *last = Beat { number, at: Instant::now(), run };
            } else if last.at.elapsed() > self.late
                && !thread(worker).is_some_and(|thread| starves(thread, last.run))
            {
                tracing::error!(event = "worker_stuck", worker, "a worker does not turn");
                all = false;
            }
        }
        all
    }
}

/// Whether a thread that had run so long at its last beat is kept from the next one by the machine. Had it run for
/// another [`BEAT`], far longer than any turn takes, it would be its own fault.
fn starves(thread: Thread, run_at_last_beat: Duration) -> bool {
    thread.is_runnable && thread.run.saturating_sub(run_at_last_beat) < BEAT
}

/// The thread of this worker.
#[cfg(target_os = "linux")]
fn thread(worker: usize) -> Option<Thread> {
    let name = format!("worker-{worker}\n");
    std::fs::read_dir("/proc/self/task")
        .ok()?
        .flatten()
        .map(|thread| thread.path())
        .find(|thread| std::fs::read_to_string(thread.join("comm")).is_ok_and(|comm| comm == name))
        .and_then(|thread| read(&std::fs::read_to_string(thread.join("stat")).ok()?))
}

#[cfg(not(target_os = "linux"))]
fn thread(_worker: usize) -> Option<Thread> {
    None
}

/// Takes a line of `/proc/PID/task/TID/stat` apart (proc_pid_stat(5)).
#[cfg(any(target_os = "linux", test))]
fn read(stat: &str) -> Option<Thread> {
    // The name stands in parentheses and may hold any character. What follows begins with the third field.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let run = ticks(14)? + ticks(15)?;
    let a_second = rustix::param::clock_ticks_per_second().max(1);
    Some(Thread {
        is_runnable: *fields.first()? == "R",
        run: Duration::from_millis(run.saturating_mul(1000) / a_second),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_thread_that_waits_for_a_processor_starves() {
        for (is_runnable, run, starved) in [
            (true, 10 * SECOND, true),
            (true, 10 * SECOND + SECOND / 3, true),
            // It has had its second, and turned in circles.
            (true, 11 * SECOND, false),
            (true, 25 * SECOND, false),
            // It waits for something else: a lock, a disk, a debugger.
            (false, 10 * SECOND, false),
        ] {
            let thread = Thread { is_runnable, run };
            assert_eq!(starves(thread, 10 * SECOND), starved, "{thread:?}");
        }
    }

    #[test]
    fn the_kernels_line_is_read_whatever_the_thread_is_called() {
        let ticks = rustix::param::clock_ticks_per_second();
        let (user, system) = (2 * ticks, ticks / 2);
        for name in ["worker-0", "a) R (b", ""] {
            let stat =
                format!("42 ({name}) S 1 2 3 4 5 6 7 8 9 10 {user} {system} 0 0 20 0 3 0 99");
            let expected = Thread { is_runnable: false, run: Duration::from_millis(2500) };
            assert_eq!(read(&stat), Some(expected), "{stat}");
        }
        assert!(
            read("42 (w) R 1 2 3 4 5 6 7 8 9 10 0 0 0").is_some_and(|thread| thread.is_runnable)
        );
        assert_eq!(read("42 (w) R 1"), None);
        assert_eq!(read(""), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_workers_thread_is_found_by_its_name() {
        let spinning = std::thread::Builder::new()
            .name("worker-977".to_owned())
            .spawn(|| {
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_secs(20) {
                    if thread(977).is_some_and(|me| me.run >= Duration::from_millis(50)) {
                        return thread(977);
                    }
                }
                None
            })
            .expect("a thread");
        let seen = spinning.join().expect("it ends").expect("it has seen itself");
        assert!(seen.is_runnable);
        assert_eq!(thread(978), None);
    }
}
