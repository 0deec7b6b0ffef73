//! `philote status`: how the server is.

use super::control::Control;
use super::escape::{escaped, escaped_json};
use super::failure::Failure;
use super::figures::{age, size, table};
use super::output;
use super::token::now;
use super::watch;
use crate::daemon::ask::{LastReload, Status as Told};

#[derive(Debug, clap::Args)]
pub(super) struct Status {
    /// Print it as a JSON object; with --watch one each second
    #[arg(long)]
    json: bool,
    /// Show it each second, with what is busiest, until q or Ctrl-C
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    control: Control,
}

impl Status {
    /// # Errors
    /// Where no server listens.
    pub(super) fn run(self) -> Result<(), Failure> {
        match (self.watch, self.json) {
            (true, true) => return watch::print_each_second(&self.control),
            (true, false) => return watch::show(self.control),
            (false, _) => {}
        }
        let told = self.control.get("/status")?;
        if self.json {
            return output::data(escaped_json(&told.text()));
        }
        table(rows(&told.read()?, now())).iter().try_for_each(output::data)
    }
}

/// `now` in seconds since 1970.
fn rows(status: &Told, now: u64) -> Vec<[String; 2]> {
    let reload = status.last_reload.as_ref().map_or("none".into(), |last| reload(last, now));
    let none = "none; defaults and environment";
    let certificate = match status.certificate_expires {
        Some(expires) if expires <= now => "expired".into(),
        Some(expires) => format!("good for {}", age(expires - now)),
        None => "none".into(),
    };
    [
        ("server", format!("philote {}, process {}", status.version, status.pid)),
        ("state", format!("{}, up for {}", status.state, age(status.uptime_seconds))),
        ("configuration", status.configuration.as_deref().unwrap_or(none).into()),
        ("listening on", status.listening.join(", ")),
        (
            "metrics on",
            if status.metrics.is_empty() {
                "the control socket".into()
            } else {
                status.metrics.join(", ")
            },
        ),
        ("workers", status.workers.to_string()),
        ("connections", format!("{} of {}", status.connections, status.max_connections)),
        ("pending sockets", status.pending.to_string()),
        ("channels", status.channels.to_string()),
        ("queued", size(status.queued_bytes)),
        ("messages in", status.messages_in.to_string()),
        ("messages out", status.messages_out.to_string()),
        ("handshakes refused", status.handshakes_refused.to_string()),
        ("publishes refused", status.publishes_refused.to_string()),
        ("messages dropped", status.messages_dropped.to_string()),
        ("slow consumers", status.slow_consumers.to_string()),
        ("certificate", certificate),
        ("last reload", reload),
    ]
    .map(|(name, value)| [name.to_owned(), escaped(&value).into_owned()])
    .into()
}

/// How a reload went, so long before `now`.
pub(super) fn reload(last: &LastReload, now: u64) -> String {
    let ago = age(now.saturating_sub(last.at));
    match &last.fault {
        _ if last.done => format!("{ago} ago, done"),
        Some(fault) => format!("{ago} ago, rejected: {fault}"),
        None => format!("{ago} ago, rejected"),
    }
}
