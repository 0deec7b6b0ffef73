//! The command line: arguments -> an exit code. One file a subcommand; `client` is what those share
//! that talk to a server as its clients do, `control` what those share that steer one.
//!
//! Only this module prints. Data goes to standard output, everything else to standard error, and
//! nothing here ends the process: [`run`] returns.

mod arguments;
mod check;
mod client;
mod configuration;
mod connections;
mod console;
mod control;
mod disconnect;
mod drain;
mod escape;
mod failure;
mod figures;
mod health;
mod lines;
mod output;
mod publish;
mod reload;
mod request;
mod serve;
mod status;
mod subscribe;
mod token;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

use arguments::{Arguments, Command};
use failure::Failure;

/// Does what the arguments ask for; the first of them is the program's name.
///
/// The exit code is 0; 1 where the answer is no (not ready, no such connection); or one of
/// sysexits.h: 64 wrong usage, 69 no server, or an address that is in use or not there yet, 70 a
/// fault of ours, 75 a server that is shutting down, 77 not permitted (a file that cannot be read, a
/// token that the server refuses), 78 a wrong configuration.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return output::usage(&error),
    };
    let configuration = &arguments.configuration;
    let done = match arguments.command {
        None | Some(Command::Serve) => return serve::run(configuration),
        Some(Command::Check(check)) => check.run(configuration),
        Some(Command::Token(token)) => token.run(configuration),
        Some(Command::Publish(publish)) => publish.run(configuration),
        Some(Command::Subscribe(subscribe)) => subscribe.run(configuration),
        Some(Command::Console(console)) => console.run(configuration),
        Some(Command::Reload(reload)) => reload.run(configuration),
        Some(Command::Status(status)) => status.run(),
        Some(Command::Connections(connections)) => connections.run(),
        Some(Command::Disconnect(disconnect)) => disconnect.run(),
        Some(Command::Drain(drain)) => drain.run(),
        Some(Command::Health(health)) => health.run(configuration),
    };
    match done {
        // Whoever read our output has had enough of it.
        Ok(()) | Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Err(failure) => {
            output::tell(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}
