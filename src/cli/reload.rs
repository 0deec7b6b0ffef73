//! `philote reload`: asks the server to read its configuration again, and waits for what comes of it. Also what
//! `philote check --running` tells, which asks the same without consequences.

use rustix::process::{Pid, Signal, kill_process};

use super::configuration::Configuration;
use super::control::Control;
use super::escape::escaped;
use super::failure::Failure;
use super::output;
use crate::daemon::ask::{ReloadOutcome, Reloaded};

#[derive(Debug, clap::Args)]
pub(super) struct Reload {
    #[command(flatten)]
    control: Control,
}

impl Reload {
    /// Returns once the reload is done. Without a control socket it sends SIGHUP to the process that a service
    /// manager names in `$MAINPID`, and cannot tell the outcome.
    ///
    /// # Errors
    /// Every fault of a configuration that is rejected; [`Failure::Draining`]; where no server listens.
    pub(super) fn run(&self, configuration: &Configuration) -> Result<(), Failure> {
        configuration.is_the_servers()?;
        let Some(outcome) = self.control.reload("/reload")? else {
            let Some(process) = main_process()? else { return Err(self.control.no_server()) };
            return signal(process, &self.control);
        };
        let reloaded = accepted(outcome, "reload rejected: the old configuration stays in force")?;
        tell(&reloaded)?;
        output::tell(match is_nothing(&reloaded) {
            true => "reloaded; nothing has changed",
            false => "reloaded",
        });
        Ok(())
    }
}

/// Tells what a reload would do.
///
/// # Errors
/// Like those of [`Reload::run`].
pub(super) fn check(control: &Control, configuration: &Configuration) -> Result<(), Failure> {
    configuration.is_the_servers()?;
    let outcome = control.reload("/check")?.ok_or_else(|| control.no_server())?;
    let reloaded = accepted(outcome, "a reload would be rejected")?;
    tell(&reloaded)?;
    output::tell(match is_nothing(&reloaded) {
        true => "the configuration is good; a reload would change nothing",
        false => "the configuration is good; this is what a reload would change",
    });
    Ok(())
}

fn accepted(outcome: ReloadOutcome, rejected: &str) -> Result<Reloaded, Failure> {
    match outcome {
        ReloadOutcome::Done(reloaded) => Ok(reloaded),
        ReloadOutcome::Rejected(faults) => {
            let mut lines: Vec<_> = faults.iter().map(|fault| escaped(fault)).collect();
            let last = format!("philote: {rejected}");
            lines.push(last.into());
            Err(Failure::Rejected(lines.join("\n")))
        }
        ReloadOutcome::Draining => {
            Err(Failure::Draining("the server is shutting down and reloads no more".into()))
        }
    }
}

fn tell(reloaded: &Reloaded) -> Result<(), Failure> {
    for line in reloaded.changes.iter().chain(&reloaded.restart) {
        output::data(escaped(line))?;
    }
    for warning in &reloaded.warnings {
        output::tell(format_args!("warning: {}", escaped(warning)));
    }
    Ok(())
}

fn is_nothing(reloaded: &Reloaded) -> bool {
    reloaded.changes.is_empty() && reloaded.restart.is_empty()
}

/// The server's process, where a service manager runs us in its name.
fn main_process() -> Result<Option<Pid>, Failure> {
    let Some(text) = std::env::var_os("MAINPID").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    // 1 is never a server's, and what is below means many processes.
    let number = text.to_str().and_then(|text| text.parse::<i32>().ok()).filter(|pid| *pid > 1);
    match number.and_then(Pid::from_raw) {
        Some(process) => Ok(Some(process)),
        None => Err(Failure::Usage("MAINPID is not the id of a process".into())),
    }
}

fn signal(process: Pid, control: &Control) -> Result<(), Failure> {
    let number = process.as_raw_nonzero();
    kill_process(process, Signal::HUP).map_err(|error| match error {
        rustix::io::Errno::PERM => {
            Failure::NotPermitted(format!("process {number} may not be signalled by this user"))
        }
        _ => Failure::Unavailable(format!("process {number}: {error}")),
    })?;
    output::tell(format_args!(
        "no server listens on {}, so process {number} was sent SIGHUP; what came of it stands in its log",
        escaped(&control.path().to_string_lossy())
    ));
    Ok(())
}
