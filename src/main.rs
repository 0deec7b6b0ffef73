//! Arguments in, an exit code out.

use std::process::ExitCode;

/// The exit code of a fault of ours (sysexits.h, EX_SOFTWARE).
const INTERNAL: u8 = 70;

fn main() -> ExitCode {
    // A panic has told its place already.
    std::panic::catch_unwind(|| philote::cli::run(std::env::args_os()))
        .unwrap_or(ExitCode::from(INTERNAL))
}
