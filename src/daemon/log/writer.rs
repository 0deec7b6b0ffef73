//! The thread that writes the log. It alone touches the output, and it alone may wait for it.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::output::{LogError, Output};
use super::queue::Queue;
use super::record::Record;

/// How often at most stderr is told that a log file cannot be written.
const COMPLAINT: Duration = Duration::from_secs(60);

/// Starts it. It ends with the process.
///
/// # Errors
/// Where the thread cannot be had.
pub(super) fn start(output: Output, queue: Arc<Queue>) -> Result<(), LogError> {
    let writer = Writer { output, queue, told: 0, complained: None };
    let thread = std::thread::Builder::new().name("log".into());
    thread.spawn(move || writer.run()).map_err(LogError::Thread)?;
    Ok(())
}

struct Writer {
    output: Output,
    queue: Arc<Queue>,
    /// How many of the lines that were lost the log has told of.
    told: u64,
    /// When stderr was last told that the file cannot be written.
    complained: Option<Instant>,
}

impl Writer {
    fn run(mut self) {
        let mut records = Vec::new();
        loop {
            if self.queue.take(&mut records) {
                self.output.reopen();
            }
            for record in records.drain(..) {
                self.write(&record);
            }
        }
    }

    fn write(&mut self, record: &Record) {
        match self.output.write(record) {
            Ok(()) => self.tell_lost(),
            Err(error) => {
                self.queue.lose();
                self.complain(&error);
            }
        }
    }

    /// Says in the log what is missing from it, now that it can be written again.
    fn tell_lost(&mut self) {
        let lost = self.queue.lost();
        if lost > self.told {
            let lines = lost - self.told;
            self.told = lost;
            tracing::warn!(
                event = "log_lines_lost",
                lines,
                "lines are missing from the log: it could not be written fast enough, or at all"
            );
        }
    }

    /// Says on stderr, where that is not what fails, that lines are being lost.
    fn complain(&mut self, error: &io::Error) {
        let Some(path) = self.output.path() else { return };
        if self.complained.is_some_and(|at| at.elapsed() < COMPLAINT) {
            return;
        }
        self.complained = Some(Instant::now());
        let path = path.display();
        // Nobody is left to tell where this fails.
        let _ = writeln!(
            io::stderr(),
            "philote: log.output: {path} cannot be written: {error}; lines are being lost until it can"
        );
    }
}
