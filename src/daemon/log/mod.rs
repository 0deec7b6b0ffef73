//! The log: one line an event, to the journal with its fields, to stderr, or to a file.
//!
//! What is logged is taken down where it happens and written by a thread of the log's own, so that nothing
//! in the server ever waits for a disk, a terminal or a journal that stands still. What cannot be written
//! is counted, and said once lines get through again.
//!
//! The level is for philote's own events. The libraries stay at warn whatever it says, and `RUST_LOG` is
//! not read: below warn they print requests and payloads.
//!
//! - [`record`]: an event, taken down. [`queue`]: those that wait for the thread. [`writer`]: the thread.
//! - [`output`]: where to. [`mod@file`]: a file that can be rotated. [`journal`]: the journal.
//! - [`text`], [`json`]: how a line looks. [`events`]: every event that philote logs.

pub mod events;
mod file;
mod journal;
mod json;
mod output;
mod queue;
mod record;
mod text;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config;
use crate::config::LogLevel;
pub(super) use output::LogError;
use output::Output;
pub(super) use output::tell_without_log;
use queue::Queue;
use record::Recorder;

/// How long the end of the process waits for the last lines to be written, and as long for the journal to take
/// them: far longer than a disk takes, short enough for an output that takes nothing any more.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The log of the process. What has been logged is written before it is dropped.
#[derive(Debug)]
pub(super) struct Log {
    queue: Arc<Queue>,
    /// Whether the journal gets it.
    journal: bool,
    level: reload::Handle<Targets, Registry>,
}

/// Whether the configured log could be installed, as far as that shows without doing it.
///
/// # Errors
/// Why it could not.
pub(super) fn look(config: &config::Log) -> Result<(), LogError> {
    Output::look(config)
}

/// Installs the log of the process.
///
/// # Errors
/// Where the configured file cannot be opened, or the log's thread not be started.
pub(super) fn install(config: &config::Log) -> Result<Log, LogError> {
    let (output, absent) = Output::open(config)?;
    let (mut log, subscriber) = Log::new(config.level);
    log.journal = output.is_journal();
    // One that is installed already is a test's.
    let _ = subscriber.try_init();
    writer::start(output, log.queue.clone())?;
    if let Some(error) = absent {
        tracing::warn!(
            event = "journal_absent",
            %error,
            "the journal cannot be reached; the log goes to stderr"
        );
    }
    Ok(log)
}

impl Log {
    fn new(level: LogLevel) -> (Log, impl Subscriber + Send + Sync) {
        let queue = Arc::new(Queue::default());
        let (filter, level) = reload::Layer::new(filter(level));
        let recorder = Recorder::new(queue.clone());
        (
            Log { queue, journal: false, level },
            tracing_subscriber::registry().with(filter).with(recorder),
        )
    }

    /// Logs at this level from now on.
    pub(super) fn set_level(&self, level: LogLevel) {
        // It fails only where the log of the process is not this one, but a test's.
        let _ = self.level.reload(filter(level));
    }

    /// Opens the file anew, under its old name, before anything else is written: what is logged from now
    /// on stands in the new file. Nothing happens where the log goes elsewhere.
    pub(super) fn reopen(&self) {
        self.queue.ask_to_reopen();
    }

    /// Lines lost so far: they could not be written, or came faster than they could be.
    pub(super) fn dropped(&self) -> u64 {
        self.queue.lost()
    }

    /// The same, to be asked again and again.
    pub(super) fn dropping(&self) -> impl Fn() -> u64 + Send + Sync + 'static {
        let queue = self.queue.clone();
        move || queue.lost()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.queue.flush(LAST_LINES);
        if self.journal {
            journal::settle(LAST_LINES);
        }
    }
}

fn filter(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new().with_target(record::OURS, level).with_default(LevelFilter::WARN)
}

/// Logs where a panic was, never what it said: that can hold what a client sent.
pub(super) fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        tracing::error!(
            event = "panic",
            place,
            thread = thread.name().unwrap_or("unnamed"),
            "a fault in the server"
        );
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is logged meanwhile, by the names of the events.
    fn logged(log: &Log) -> Vec<String> {
        let others = || {
            tracing::warn!(target: "library", event = "panic", "a library's");
            tracing::info!(target: "library", event = "panic", "a library's");
        };
        others();
        tracing::error!(event = "worker_failed", "ours");
        tracing::info!(event = "ready", "ours");
        tracing::debug!(event = "connection_opened", "ours");
        let mut records = Vec::new();
        log.queue.take(&mut records);
        records.iter().filter_map(|record| record.event().map(ToOwned::to_owned)).collect()
    }

    #[test]
    fn the_level_changes_at_run_time_for_our_own_events_alone() {
        let (log, subscriber) = Log::new(LogLevel::Info);
        tracing::subscriber::with_default(subscriber, || {
            assert_eq!(logged(&log), ["panic", "worker_failed", "ready"]);
            // What is below it costs one comparison.
            assert_eq!(LevelFilter::current(), LevelFilter::INFO);
            log.set_level(LogLevel::Trace);
            assert_eq!(logged(&log), ["panic", "worker_failed", "ready", "connection_opened"]);
            log.set_level(LogLevel::Error);
            assert_eq!(logged(&log), ["panic", "worker_failed"]);
        });
        // No thread writes here, so the end of the log has nothing to wait for.
        std::mem::forget(log);
    }

    #[test]
    fn what_comes_faster_than_it_is_written_is_counted() {
        let (log, subscriber) = Log::new(LogLevel::Info);
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..queue::MOST + 5 {
                tracing::info!(event = "ready", "ours");
            }
        });
        assert_eq!(log.dropped(), 5);
        let mut records = Vec::new();
        log.queue.take(&mut records);
        assert_eq!(records.len(), queue::MOST);
        std::mem::forget(log);
    }

    #[test]
    fn a_terminal_gets_colours_and_nobody_else_does() {
        let (log, subscriber) = Log::new(LogLevel::Info);
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(event = "accept_failed", error = "a b", "in \u{1b}words");
            tracing::warn!(target: "library", count = 1, "words");
        });
        let mut records = Vec::new();
        log.queue.take(&mut records);
        let line = |number: usize, coloured| {
            let mut line = Vec::new();
            text::render(&records[number], coloured, &mut line);
            String::from_utf8(line).unwrap().split_off(if coloured { 35 } else { 27 })
        };
        assert_eq!(line(0, false), " WARN  in \\u{1b}words event=accept_failed error=\"a b\"");
        assert_eq!(line(1, false), " WARN  library: words count=1");
        assert_eq!(
            line(0, true),
            " \u{1b}[33mWARN \u{1b}[0m in \\u{1b}words \u{1b}[2mevent=\u{1b}[0maccept_failed \
             \u{1b}[2merror=\u{1b}[0m\"a b\""
        );
        std::mem::forget(log);
    }
}
