//! `philote connections`: who is connected.

use super::control::Control;
use super::escape::{escaped, escaped_json};
use super::failure::Failure;
use super::figures::{age, size, table};
use super::output;
use crate::daemon::ask::ConnectionInfo;

#[derive(Debug, clap::Args)]
pub(super) struct Connections {
    /// Print them as a JSON array
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    control: Control,
}

const HEADINGS: [&str; 9] =
    ["ID", "PEER", "SUBJECT", "WORKER", "AGE", "READS", "WRITES", "QUEUED", "STATE"];

impl Connections {
    /// # Errors
    /// Where no server listens.
    pub(super) fn run(&self) -> Result<(), Failure> {
        let told = self.control.get("/connections")?;
        if self.json {
            return output::data(escaped_json(&told.text()));
        }
        let connections: Vec<ConnectionInfo> = told.read()?;
        let headings = HEADINGS.map(String::from);
        let rows = std::iter::once(headings).chain(connections.iter().map(row));
        table(rows.collect()).iter().try_for_each(output::data)
    }
}

/// Peer and subject are strangers' words.
fn row(connection: &ConnectionInfo) -> [String; 9] {
    [
        connection.id.to_string(),
        escaped(&connection.peer).into_owned(),
        connection.subject.as_deref().map_or("-".into(), |subject| escaped(subject).into_owned()),
        connection.worker.to_string(),
        age(connection.age_seconds),
        connection.reads.to_string(),
        connection.writes.to_string(),
        size(connection.queued_bytes as u64),
        escaped(&connection.state).into_owned(),
    ]
}
