//! `philote serve`: hands over to the daemon.

use std::process::ExitCode;

use super::configuration::Configuration;
use crate::daemon;

pub(super) fn run(configuration: &Configuration) -> ExitCode {
    daemon::run(&daemon::Options { load: configuration.options() })
}
