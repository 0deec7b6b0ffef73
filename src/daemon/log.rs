//! The log: text or JSON on stderr, at the level that the configuration says.
//!
//! The level is for philote's own events. The libraries stay at warn whatever it says, and `RUST_LOG` is
//! not read: below warn they print requests and payloads.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::config::{LogFormat, LogLevel};
pub(super) struct Log;
#[derive(Debug, thiserror::Error)]
#[error("log")]
pub(super) struct LogError;
impl LogError {
    pub(super) fn exit_code(&self) -> u8 {
        77
    }
}
impl Log {
    pub(super) fn set_level(&self, _: LogLevel) {}
    pub(super) fn reopen(&self) {}
}

/// Installs the log of the process.
pub(super) fn install(log: &crate::config::Log) -> Result<Log, LogError> {
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match log.format {
        LogFormat::Json => Box::new(
            fmt::layer()
                .json()
                .flatten_event(true)
                .with_target(false)
                .with_writer(std::io::stderr)
                .with_filter(filter(log.level)),
        ),
        LogFormat::Text => Box::new(
            fmt::layer()
                .with_target(false)
                .with_ansi(std::io::stderr().is_terminal())
                .with_writer(std::io::stderr)
                .with_filter(filter(log.level)),
        ),
    };
    // One that is installed already is a test's.
    let _ = tracing_subscriber::registry().with(layer).try_init();
    Ok(Log)
}

fn filter(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new().with_target("philote", level).with_default(LevelFilter::WARN)
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
