//! Arguments in, an exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    philote::cli::run(std::env::args_os())
}
