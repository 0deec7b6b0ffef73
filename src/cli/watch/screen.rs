//! Owns [`Screen`]: the terminal while it is ours. It is left as it was on every way out: an end, an error, a panic,
//! a signal.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::view::Line;
use crate::cli::failure::Failure;

/// Another screen than the one with the shell's lines, without a cursor (ECMA-48, and xterm's modes 1049 and 25).
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// How long a key is waited for: so soon a window's other size shows, or a signal is heeded.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// What a terminal has that does not say how large it is.
const USUAL: (usize, usize) = (80, 24);

/// The terminal.
pub(super) struct Screen {
    before: Termios,
    /// Somebody asks us to end.
    signalled: Arc<AtomicBool>,
    size: (usize, usize),
}

/// What is pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// `q`, Ctrl-C, Ctrl-D; or a signal that says the same.
    Quit,
    /// Anything else.
    Other,
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// Where standard input or output is none.
    pub(super) fn open() -> Result<Screen, Failure> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            let what = "--watch needs a terminal; with --json it prints a line each second";
            return Err(Failure::Usage(what.into()));
        }
        let signalled = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, signalled.clone()).map_err(failed)?;
        }
        let before = tcgetattr(io::stdin()).map_err(|error| failed(error.into()))?;
        let mut raw = before.clone();
        raw.make_raw();
        let screen = Screen { before, signalled, size: USUAL };
        tcsetattr(io::stdin(), OptionalActions::Flush, &raw)
            .map_err(|error| failed(error.into()))?;
        write(ENTER)?;
        Ok(screen)
    }

    /// Whether its size is another one than at the last look.
    pub(super) fn has_another_size(&mut self) -> bool {
        let size = tcgetwinsize(io::stdout())
            .ok()
            .filter(|size| size.ws_col > 0 && size.ws_row > 0)
            .map_or(USUAL, |size| (size.ws_col.into(), size.ws_row.into()));
        std::mem::replace(&mut self.size, size) != size
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> (usize, usize) {
        self.size
    }

    /// Shows these lines, each no wider than the screen.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub(super) fn show(&self, lines: &[Line]) -> Result<(), Failure> {
        let mut text = String::from("\x1b[H");
        for (number, line) in lines.iter().enumerate() {
            if number > 0 {
                text.push_str("\r\n");
            }
            text.push_str(line.style.code());
            text.push_str(&line.text);
            // The rest of the line is cleared.
            text.push_str("\x1b[0m\x1b[K");
        }
        text.push_str("\x1b[J");
        write(&text)
    }

    /// What is pressed within a moment.
    ///
    /// # Errors
    /// Where the terminal cannot be read.
    pub(super) fn key(&self) -> Result<Option<Key>, Failure> {
        let stdin = io::stdin();
        let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
        let ready = match poll(&mut fds, Some(&PATIENCE)) {
            Ok(ready) => ready > 0,
            Err(rustix::io::Errno::INTR) => false,
            Err(error) => return Err(failed(error.into())),
        };
        if self.signalled.load(Ordering::Relaxed) {
            return Ok(Some(Key::Quit));
        }
        if !ready {
            return Ok(None);
        }
        let mut bytes = [0; 64];
        let count = rustix::io::read(&stdin, &mut bytes).map_err(|error| failed(error.into()))?;
        // Nothing more to come: the terminal is gone.
        let quits = |byte: &u8| matches!(byte, b'q' | b'Q' | 3 | 4);
        let key =
            if count == 0 || bytes[..count].iter().any(quits) { Key::Quit } else { Key::Other };
        Ok(Some(key))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Where it cannot be had back nobody can be told either.
        let _ = write(LEAVE);
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.before);
    }
}

fn write(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(failed)
}

fn failed(error: io::Error) -> Failure {
    Failure::Internal(format!("the terminal: {error}"))
}
