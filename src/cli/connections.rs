//! `philote connections`: who is connected.

use super::api::Api;
use super::escape::{escaped, escaped_json};
use super::failure::Failure;
use super::figures::{age, size, table};
use super::output;
use crate::http::api::connections::{ConnectionInfo, ConnectionPage};

#[derive(Debug, clap::Args)]
pub(super) struct Connections {
    /// Only those of this subject, the claim sub of their token
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// Only those that read or may write this channel
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<String>,
    /// Only those from this address, with or without its port; or unix
    #[arg(long, value_name = "ADDRESS")]
    peer: Option<String>,
    /// Print them as a JSON array
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    api: Api,
}

const HEADINGS: [&str; 11] =
    ["ID", "PEER", "SUBJECT", "WORKER", "AGE", "READS", "WRITES", "IN", "OUT", "QUEUED", "STATE"];

impl Connections {
    /// # Errors
    /// Where no server listens, or the token does not let us ask.
    pub(super) fn run(&self) -> Result<(), Failure> {
        let parameters = [
            ("subject", self.subject.as_deref()),
            ("channel", self.channel.as_deref()),
            ("peer", self.peer.as_deref()),
        ];
        let mut connections: Vec<ConnectionInfo> = Vec::new();
        let next = |page: &ConnectionPage| page.next.map(|id| id.to_string());
        self.api.pages("/api/connections", &parameters, next, |page: ConnectionPage| {
            connections.extend(page.connections);
            Ok(())
        })?;
        if self.json {
            let text = serde_json::to_string(&connections)
                .map_err(|error| Failure::Internal(error.to_string()))?;
            return output::data(escaped_json(&text));
        }
        let headings = HEADINGS.map(String::from);
        let rows = std::iter::once(headings).chain(connections.iter().map(row));
        table(rows.collect()).iter().try_for_each(output::data)
    }
}

/// Peer and subject are strangers' words.
fn row(connection: &ConnectionInfo) -> [String; 11] {
    [
        connection.id.to_string(),
        escaped(&connection.peer).into_owned(),
        connection.subject.as_deref().map_or("-".into(), |subject| escaped(subject).into_owned()),
        connection.worker.to_string(),
        age(connection.age_seconds),
        connection.reads.to_string(),
        connection.writes.to_string(),
        size(connection.bytes_in),
        size(connection.bytes_out),
        size(connection.queued_bytes as u64),
        escaped(&connection.state).into_owned(),
    ]
}
