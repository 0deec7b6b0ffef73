//! Owns [`Output`]: where the log goes, and the choice of it.

use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::file::File;
use super::journal::{self, Journal};
use super::record::Record;
use super::{json, text};
use crate::config::{self, LogFormat, LogOutput, remedy};

/// Why there can be no log as it is configured.
#[derive(Debug, thiserror::Error)]
pub(in crate::daemon) enum LogError {
    /// Its file cannot be opened.
    #[error(
        "log.output: {} cannot be opened for appending: {error}; {remedy}", path.display()
    )]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
        /// How to mend it.
        remedy: &'static str,
    },
    /// The thread that would write it cannot be started.
    #[error(
        "log: its thread cannot be started: {0}; raise the limit on processes (TasksMax, ulimit -u)"
    )]
    Thread(io::Error),
}

impl LogError {
    fn of_file(path: &Path, error: io::Error) -> LogError {
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => "create its directory, or choose another path",
            io::ErrorKind::PermissionDenied => "let the user that philote runs as write there",
            _ if Errno::from_io_error(&error) == Some(Errno::NXIO) => {
                "it is a socket, or a pipe that nothing reads; start what reads the pipe, or write a path of a file, \
                 \"stderr\" or \"journald\""
            }
            _ => remedy::of_path(&error).unwrap_or("choose another path"),
        };
        LogError::File { path: path.to_owned(), error, remedy }
    }

    /// Whether its directory is not there, which the service manager may be told to make (LogsDirectory=).
    pub(in crate::daemon) fn may_be_made(&self) -> bool {
        matches!(self, LogError::File { error, .. } if error.kind() == io::ErrorKind::NotFound)
    }

    /// 77 where it is not permitted, 69 where it may heal, 78 where the configuration is wrong.
    pub(in crate::daemon) fn exit_code(&self) -> u8 {
        use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        match self {
            LogError::Thread(_) => 69,
            LogError::File { error, .. } => match error.kind() {
                PermissionDenied | ReadOnlyFilesystem => 77,
                StorageFull | QuotaExceeded => 69,
                _ => 78,
            },
        }
    }
}

/// Where the log goes.
pub(super) enum Output {
    /// To the journal, with its fields.
    Journal(Box<Journal>),
    /// As lines.
    Lines(Lines),
}

/// A log of lines.
pub(super) struct Lines {
    sink: Sink,
    format: LogFormat,
    /// Whether the one who reads them is the journal, which takes the priority from `<N>` in front.
    prefixed: bool,
    coloured: bool,
    buffer: Vec<u8>,
}

enum Sink {
    Stderr,
    File(File),
}

/// A descriptor that whoever started the process gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inherited {
    Stdout,
    Stderr,
}

impl Inherited {
    /// Which one a path names. Such a path is not opened: a socket, which the journal gives to units, cannot be, and
    /// what another user opened may not be; the descriptor itself can be written to in any case.
    fn of(path: &Path) -> Option<Inherited> {
        match path.to_str()? {
            "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1" => Some(Inherited::Stdout),
            "/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2" => Some(Inherited::Stderr),
            _ => None,
        }
    }
}

impl Output {
    /// Whether what is configured could be opened, as far as that shows without doing it.
    ///
    /// # Errors
    /// Why it could not.
    pub(super) fn look(config: &config::Log) -> Result<(), LogError> {
        let LogOutput::File(path) = &config.output else { return Ok(()) };
        if Inherited::of(path).is_some() {
            return Ok(());
        }
        // In the system's words, as opening it would be told.
        let fault = |errno: Errno| Err(LogError::of_file(path, errno.into()));
        let parent = path.parent().unwrap_or(path);
        match (std::fs::metadata(path), std::fs::metadata(parent)) {
            (Ok(found), _) if found.is_dir() => fault(Errno::ISDIR),
            (Ok(found), _) if found.file_type().is_socket() => fault(Errno::NXIO),
            (_, Ok(parent)) if !parent.is_dir() => fault(Errno::NOTDIR),
            // What this user may not see is not known to be missing.
            (_, Err(error)) => match error.kind() {
                io::ErrorKind::NotFound => fault(Errno::NOENT),
                io::ErrorKind::PermissionDenied => Ok(()),
                _ => Err(LogError::of_file(path, error)),
            },
            (Err(error), _) if Errno::from_io_error(&error) == Some(Errno::LOOP) => {
                Err(LogError::of_file(path, error))
            }
            _ => Ok(()),
        }
    }

    /// Opens what is configured; and why it is stderr where it should have been the journal.
    ///
    /// # Errors
    /// Where the file cannot be opened.
    pub(super) fn open(config: &config::Log) -> Result<(Output, Option<io::Error>), LogError> {
        let read_by_journal = journal::reads_stderr();
        let stderr = || {
            Output::Lines(Lines {
                sink: Sink::Stderr,
                format: config.format,
                prefixed: read_by_journal,
                coloured: is_colourful(),
                buffer: Vec::new(),
            })
        };
        match &config.output {
            LogOutput::File(path) if Inherited::of(path) == Some(Inherited::Stderr) => {
                Ok((stderr(), None))
            }
            LogOutput::File(path) => {
                let file = if Inherited::of(path) == Some(Inherited::Stdout) {
                    File::stdout(path)
                } else {
                    File::open(path)
                };
                let file = file.map_err(|error| LogError::of_file(path, error))?;
                let lines = Lines {
                    sink: Sink::File(file),
                    format: config.format,
                    prefixed: false,
                    coloured: false,
                    buffer: Vec::new(),
                };
                Ok((Output::Lines(lines), None))
            }
            LogOutput::Auto if !read_by_journal => Ok((stderr(), None)),
            LogOutput::Stderr => Ok((stderr(), None)),
            LogOutput::Auto | LogOutput::Journald => match Journal::connect() {
                Ok(journal) => Ok((Output::Journal(Box::new(journal)), None)),
                Err(error) => Ok((stderr(), Some(error))),
            },
        }
    }

    /// Writes one record.
    ///
    /// # Errors
    /// Where it could not be written whole.
    pub(super) fn write(&mut self, record: &Record) -> io::Result<()> {
        match self {
            Output::Journal(journal) => journal.write(record),
            Output::Lines(lines) => lines.write(record),
        }
    }

    /// Opens the file anew, under its old name; logs how that went. Others have nothing to open.
    pub(super) fn reopen(&mut self) {
        if let Output::Lines(Lines { sink: Sink::File(file), .. }) = self {
            let reopened = file.reopen();
            let path = file.path().display();
            match reopened {
                Ok(()) => {
                    tracing::info!(event = "log_reopened", %path, "the log file is open anew")
                }
                Err(error) => tracing::error!(
                    event = "log_reopen_failed",
                    %path,
                    %error,
                    "the log file cannot be opened anew; the old one is written on"
                ),
            }
        }
    }

    /// Whether it is the journal itself.
    pub(super) fn is_journal(&self) -> bool {
        matches!(self, Output::Journal(_))
    }

    /// The file, where it is one.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Output::Lines(Lines { sink: Sink::File(file), .. }) => Some(file.path()),
            _ => None,
        }
    }
}

impl Lines {
    fn write(&mut self, record: &Record) -> io::Result<()> {
        let buffer = &mut self.buffer;
        buffer.clear();
        if self.prefixed {
            buffer.extend_from_slice(journal::prefix(record.level()));
        }
        match self.format {
            LogFormat::Text => text::render(record, self.coloured, buffer),
            LogFormat::Json => json::render(record, buffer),
        }
        buffer.push(b'\n');
        match &mut self.sink {
            Sink::Stderr => io::stderr().write_all(buffer),
            Sink::File(file) => file.write_line(buffer),
        }
    }
}

/// Tells an error on stderr where there is no log; the journal, where it reads that, gets it as an error.
pub(in crate::daemon) fn tell_without_log(text: &str) {
    let prefix = if journal::reads_stderr() { journal::prefix(tracing::Level::ERROR) } else { &[] };
    let mut said = Vec::with_capacity(text.len() + 16);
    for line in text.lines() {
        said.extend_from_slice(prefix);
        said.extend_from_slice(line.as_bytes());
        said.push(b'\n');
    }
    // Nobody is left to tell where this fails.
    let _ = io::stderr().write_all(&said);
}

/// Whether stderr is a terminal whose user wants colours (no-color.org).
fn is_colourful() -> bool {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    io::stderr().is_terminal()
        && set("NO_COLOR").is_none()
        && set("TERM").is_none_or(|term| term != "dumb")
}
