//! Threads of a server that stand still or turn in circles, as a fault would have them: by
//! ptrace(2), so that nothing in the product is there for it. That takes root: the server's memory
//! is closed even to its own user.

use std::fs;
use std::marker::PhantomData;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::server::Server;
use super::tools::skip;
use super::until;

/// Threads that are held still. They go on when this is dropped, which must be on the thread that
/// made it: ptrace knows no other.
pub(crate) struct Held {
    threads: Vec<Pid>,
    _here: PhantomData<*const ()>,
}

/// Whether this machine lets us; told and counted where it does not.
pub(crate) fn can_hold() -> bool {
    let can = rustix::process::getuid().is_root();
    if !can {
        skip("holding another process's threads needs root");
    }
    can
}

/// The thread of one worker.
pub(crate) fn worker(server: &Server, number: usize) -> Pid {
    let name = format!("worker-{number}\n");
    let tasks = format!("/proc/{}/task", server.pid());
    let is_it = |path: &Path| fs::read_to_string(path).is_ok_and(|comm| comm == name);
    let mut found = None;
    // It gives itself its name when it begins to run.
    until("a worker's thread has its name", || {
        let tasks = fs::read_dir(&tasks).expect("the server's threads").flatten();
        found = tasks
            .filter(|task| is_it(&task.path().join("comm")))
            .find_map(|task| task.file_name().to_str()?.parse().ok());
        found.is_some()
    });
    Pid::from_raw(found.expect("a thread"))
}

impl Held {
    /// Holds these workers of a server.
    pub(crate) fn workers(server: &Server, numbers: &[usize]) -> Held {
        let threads: Vec<_> = numbers.iter().map(|number| worker(server, *number)).collect();
        for thread in &threads {
            hold(*thread);
        }
        Held { threads, _here: PhantomData }
    }

    /// Holds these workers where they wait for events, as they do unless there is something to do.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn idle_workers(server: &Server, numbers: &[usize]) -> Held {
        let waits = |thread: &Pid| {
            let registers = ptrace::getregs(*thread).expect("its registers");
            registers.orig_rax == libc::SYS_epoll_wait as u64
        };
        let mut held = None;
        until("the workers wait for events", || {
            let now = Self::workers(server, numbers);
            // Those that do something else are let go.
            held = now.threads.iter().all(waits).then_some(now);
            held.is_some()
        });
        held.expect("they are held")
    }

    /// Waits until the process of these threads has been ended around them. Until they are looked
    /// after here it is not seen to end.
    pub(crate) fn until_killed(mut self) {
        for thread in &self.threads {
            let thread = *thread;
            until("a thread that is held ends with its process", || {
                let state = waitpid(thread, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG));
                matches!(
                    state,
                    Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) | Err(Errno::ECHILD)
                )
            });
        }
        self.threads.clear();
    }

    /// Has them turn in circles instead, for good.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn spin(self, server: &Server) {
        // A jump to itself, in the place of the program's first instruction, which has been done.
        let entry = entry_point(server);
        for thread in &self.threads {
            ptrace::write(*thread, entry as ptrace::AddressType, 0xfeeb)
                .expect("a jump is written");
            let mut registers = ptrace::getregs(*thread).expect("its registers");
            registers.rip = entry;
            // No system call is under way any more that would be begun anew.
            registers.orig_rax = u64::MAX;
            ptrace::setregs(*thread, registers).expect("its registers are set");
        }
    }

    /// Has the wait for events of [idle workers](Held::idle_workers) end with an error that it never has: a bad descriptor.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn fail(self) {
        const EBADF: i64 = 9;
        for thread in &self.threads {
            let mut registers = ptrace::getregs(*thread).expect("its registers");
            registers.rax = (-EBADF) as u64;
            // It is not begun anew.
            registers.orig_rax = u64::MAX;
            ptrace::setregs(*thread, registers).expect("its registers are set");
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        for thread in &self.threads {
            // It may have ended with its process.
            let _ = ptrace::detach(*thread, None);
        }
    }
}

fn hold(thread: Pid) {
    ptrace::seize(thread, ptrace::Options::empty()).expect("a thread is seized");
    ptrace::interrupt(thread).expect("a thread is interrupted");
    loop {
        match waitpid(thread, Some(WaitPidFlag::__WALL)).expect("a thread is waited for") {
            WaitStatus::PtraceEvent(..) => return,
            // A signal came before; it is passed on.
            WaitStatus::Stopped(_, signal) => {
                let signal = (signal != Signal::SIGTRAP).then_some(signal);
                ptrace::cont(thread, signal).expect("a thread goes on");
            }
            other => panic!("not held: {other:?}"),
        }
    }
}

/// Where the program begins, from its auxiliary vector.
#[cfg(target_arch = "x86_64")]
fn entry_point(server: &Server) -> u64 {
    const AT_ENTRY: u64 = 9;
    let vector = fs::read(format!("/proc/{}/auxv", server.pid())).expect("the auxiliary vector");
    let words: Vec<u64> = vector
        .chunks_exact(8)
        .map(|word| u64::from_ne_bytes(word.try_into().expect("eight bytes")))
        .collect();
    words.chunks_exact(2).find(|pair| pair[0] == AT_ENTRY).expect("AT_ENTRY")[1]
}
