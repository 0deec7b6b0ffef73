//! Owns the definition of the command line. Help, and what else is made from it, comes from here.

use super::channels::Channels;
use super::check::Check;
use super::completions::Completions;
use super::configuration::Configuration;
use super::connections::Connections;
use super::console::Console;
use super::disconnect::Disconnect;
use super::drain::Drain;
use super::health::Health;
use super::publish::Publish;
use super::reload::Reload;
use super::status::Status;
use super::subscribe::Subscribe;
use super::token::Token;

/// Where help lists what is asked for least.
const LAST: usize = 1000;

const EXAMPLES: &str = "\
Examples:
  philote                        serve with the defaults, on port 6380
  philote check --print          what holds, and where it was set
  philote token --read news      a token that opens a channel for an hour
  philote subscribe news         print what is published on a channel
  philote publish news 'Hello'   publish a message; from a pipe, one a line";

/// A WebSocket publish/subscribe server, and its tools.
#[derive(Debug, clap::Parser)]
#[command(
    name = "philote",
    after_help = EXAMPLES,
    disable_help_subcommand = true,
    max_term_width = 80
)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) configuration: Configuration,
    /// Print the version; with --verbose built-in paths too
    #[arg(short = 'V', long, display_order = LAST)]
    pub(super) version: bool,
    #[arg(short, long, hide = true, requires = "version")]
    pub(super) verbose: bool,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Serve (the default)
    Serve,
    /// Test the configuration, and tell every fault of it
    Check(Check),
    /// Have the server read its configuration again
    Reload(Reload),
    /// Print how the server is
    Status(Status),
    /// List the connections
    Connections(Connections),
    /// List the channels that have subscribers
    Channels(Channels),
    /// Close a connection, or all of a subject
    Disconnect(Disconnect),
    /// Have the server close all connections, and end
    Drain(Drain),
    /// Tell whether the server is ready, for probes
    Health(Health),
    /// Print a token, signed with the configuration's secret
    Token(Token),
    /// Publish a message, or one for each line of standard input
    Publish(Publish),
    /// Print what is published on channels
    Subscribe(Subscribe),
    /// Talk on a channel: what is typed is published
    Console(Console),
    /// Print a script that completes what is typed in a shell
    Completions(Completions),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_holds_together() {
        Arguments::command().debug_assert();
    }

    /// Lines of a terminal of the usual size; the whole program gets a little more, since what scrolls
    /// away then is only its title.
    const SCREEN: usize = 24;
    const LARGER_SCREEN: usize = 32;

    #[test]
    fn help_fits_a_screen() {
        let help = Arguments::command().term_width(80).render_help().to_string();
        assert!(help.lines().count() <= LARGER_SCREEN, "{help}");
        assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
        assert!(help.contains("Examples:"));
        for command in Arguments::command().get_subcommands_mut() {
            let help = command.clone().term_width(80).render_help().to_string();
            assert!(help.lines().count() <= SCREEN, "{help}");
        }
    }
}
