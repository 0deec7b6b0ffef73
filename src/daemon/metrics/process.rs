//! What the kernel says of this process (proc(5)), with the names that Prometheus's own libraries give it. What it
//! does not tell is left out.

use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// The process as the kernel has it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Process {
    /// Seconds of CPU, user and system, of all threads.
    pub(super) cpu: f64,
    /// Bytes of memory in use.
    pub(super) resident: Option<u64>,
    /// Bytes of address space.
    pub(super) virtual_size: Option<u64>,
    pub(super) open_files: Option<u64>,
    /// None where there is no limit.
    pub(super) most_files: Option<u64>,
    pub(super) threads: Option<u64>,
}

impl Process {
    /// As it is now.
    pub(super) fn now() -> Process {
        let [virtual_size, resident] = memory().map_or([None; 2], |sizes| sizes.map(Some));
        Process {
            cpu: processor_time().as_secs_f64(),
            resident,
            virtual_size,
            open_files: open_files(),
            most_files: getrlimit(Resource::Nofile).current,
            threads: threads(),
        }
    }
}

/// What all threads have used together, user and system.
pub(in crate::daemon) fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// Address space and memory in use, in bytes.
fn memory() -> Option<[u64; 2]> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = pages.split(' ').map(|count| count.parse::<u64>().ok());
    let page = rustix::param::page_size() as u64;
    Some([pages.next()?? * page, pages.next()?? * page])
}

/// Since Linux 6.2 the directory's size says it; before, its entries do.
fn open_files() -> Option<u64> {
    let path = "/proc/self/fd";
    let told = std::fs::metadata(path).ok()?.len();
    // One of them is the directory that is read.
    if told > 0 { Some(told) } else { Some(entries(path)?.saturating_sub(1)) }
}

#[cfg(target_os = "linux")]
fn threads() -> Option<u64> {
    entries("/proc/self/task")
}

#[cfg(not(target_os = "linux"))]
fn threads() -> Option<u64> {
    None
}

fn entries(path: &str) -> Option<u64> {
    Some(std::fs::read_dir(path).ok()?.count() as u64)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn linux_tells_everything() {
        let process = Process::now();
        assert!(process.cpu > 0.0);
        assert!(process.resident.is_some_and(|bytes| bytes > 100_000));
        assert!(process.virtual_size > process.resident);
        assert!(process.threads.is_some_and(|threads| threads > 0));
        let before = process.open_files.expect("told");
        let file = std::fs::File::open("/proc/self/stat").expect("a file");
        // Other tests of this process open and close files too.
        assert!(before > 2 && open_files().is_some());
        drop(file);
    }
}
