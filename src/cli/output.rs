//! Owns what is written where: data to standard output, everything else to standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use super::failure::Failure;

/// The exit code of wrong usage (sysexits.h, EX_USAGE).
const USAGE: u8 = 64;

/// Writes one line of data, at once.
///
/// # Errors
/// [`Failure::OutputClosed`] where nobody reads it, [`Failure::Internal`] where it cannot be written.
pub(super) fn data(line: impl Display) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::OutputClosed,
        _ => Failure::Internal(format!("cannot write to standard output: {error}")),
    })
}

/// Tells the user something. Where it cannot be told, there is nobody to tell that either.
pub(super) fn tell(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Shows help or version, which were asked for, or what is wrong with the arguments.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    let text = error.render();
    let write = |mut stream: Box<dyn Write>, is_terminal| {
        let _ =
            if is_terminal { write!(stream, "{}", text.ansi()) } else { write!(stream, "{text}") };
    };
    if error.use_stderr() {
        write(Box::new(io::stderr()), io::stderr().is_terminal());
        ExitCode::from(USAGE)
    } else {
        write(Box::new(io::stdout()), io::stdout().is_terminal());
        ExitCode::SUCCESS
    }
}
