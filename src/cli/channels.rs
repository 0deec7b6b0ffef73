//! `philote channels`: what is listened to, and by how many.

use super::api::Api;
use super::escape::{escaped, escaped_json};
use super::failure::Failure;
use super::figures::table;
use super::output;
use crate::http::api::channels::{ChannelInfo, ChannelPage};

#[derive(Debug, clap::Args)]
pub(super) struct Channels {
    /// Only those whose names begin so
    #[arg(long)]
    prefix: Option<String>,
    /// Print them as a JSON array
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    api: Api,
}

impl Channels {
    /// # Errors
    /// Where no server listens, or the token does not let us ask.
    pub(super) fn run(&self) -> Result<(), Failure> {
        let parameters = [("prefix", self.prefix.as_deref())];
        let mut channels: Vec<ChannelInfo> = Vec::new();
        let next = |page: &ChannelPage| page.next.clone();
        self.api.pages("/api/channels", &parameters, next, |page: ChannelPage| {
            channels.extend(page.channels);
            Ok(())
        })?;
        if self.json {
            let text = serde_json::to_string(&channels)
                .map_err(|error| Failure::Internal(error.to_string()))?;
            return output::data(escaped_json(&text));
        }
        let headings = ["SUBSCRIBERS", "CHANNEL"].map(String::from);
        // Names are strangers' words.
        let row = |channel: &ChannelInfo| {
            [channel.subscribers.to_string(), escaped(&channel.channel).into_owned()]
        };
        let rows = std::iter::once(headings).chain(channels.iter().map(row));
        table(rows.collect()).iter().try_for_each(output::data)
    }
}
