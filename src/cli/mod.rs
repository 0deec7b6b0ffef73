//! The command line: arguments -> an exit code. One file a subcommand; `client` is what those share
//! that talk to a server as its clients do, `control` what those share that steer one.
//!
//! Only this module prints. Data goes to standard output, everything else to standard error, and
//! nothing here ends the process: [`run`] returns.

mod api;
mod arguments;
mod channels;
mod check;
mod client;
mod completions;
mod configuration;
mod connections;
mod console;
mod control;
mod disconnect;
mod door;
mod drain;
mod escape;
mod exit_codes;
mod failure;
mod figures;
mod health;
mod lines;
mod output;
mod post;
mod publish;
mod reload;
mod request;
mod serve;
mod service_user;
mod status;
mod subscribe;
mod token;
mod variables;
mod version;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use arguments::{Arguments, Command};
use failure::Failure;

pub use exit_codes::{EXIT_CODES, exit_code_table};
pub use variables::VARIABLES;

/// Does what the arguments ask for; the first of them is the program's name.
///
/// The exit code is one of [`EXIT_CODES`].
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return output::usage(&error),
    };
    let configuration = &arguments.configuration;
    if arguments.version {
        return ended(version::tell(arguments.verbose));
    }
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
        Some(Command::Channels(channels)) => channels.run(),
        Some(Command::Disconnect(disconnect)) => disconnect.run(),
        Some(Command::Drain(drain)) => drain.run(),
        Some(Command::Health(health)) => health.run(configuration),
        Some(Command::Completions(completions)) => completions.run(),
    };
    ended(done)
}

/// The definition of the command line, for manual pages and the like.
pub fn command() -> clap::Command {
    Arguments::command()
}

fn ended(done: Result<(), Failure>) -> ExitCode {
    match done {
        // Whoever read our output has had enough of it.
        Ok(()) | Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Err(failure) => {
            output::tell(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}
