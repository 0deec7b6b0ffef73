//! `philote subscribe`: one line of standard output a message.

use std::num::NonZeroU64;
use std::ops::ControlFlow;

use super::client::{self, Client, Delivery, Needs};
use super::configuration::Configuration;
use super::escape::escaped;
use super::failure::Failure;
use super::output;

#[derive(Debug, clap::Args)]
pub(super) struct Subscribe {
    /// Channels to subscribe to
    #[arg(required = true, value_name = "CHANNEL")]
    channels: Vec<String>,
    /// Print each message as a JSON object: issuer, channel, data
    #[arg(long)]
    json: bool,
    /// End after so many messages
    #[arg(long, value_name = "N")]
    count: Option<NonZeroU64>,
    #[command(flatten)]
    client: Client,
}

impl Subscribe {
    /// Returns after `--count` messages, or when nobody reads the output any more.
    ///
    /// # Errors
    /// Also where the server ends the connection.
    pub(super) fn run(self, configuration: &Configuration) -> Result<(), Failure> {
        let needs = Needs { read: &self.channels, write: &[], api: false };
        self.client.run(configuration, needs, |sending, mut receiving| async {
            let mut left = self.count.map(NonZeroU64::get);
            let ended = receiving
                .each(|text| {
                    let Some(delivery) = Delivery::parse(text) else {
                        output::tell("philote: left out a message that is no delivery");
                        return Ok(ControlFlow::Continue(()));
                    };
                    if !self.channels.iter().any(|channel| **channel == delivery.channel()) {
                        return Ok(ControlFlow::Continue(()));
                    }
                    output::data(self.line(&delivery))?;
                    left = left.map(|left| left - 1);
                    Ok(if left == Some(0) {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    })
                })
                .await;
            ended?;
            client::close(sending, receiving).await
        })
    }

    /// Data alone where there is one channel, behind its channel and a tab where there are several.
    fn line(&self, delivery: &Delivery<'_>) -> String {
        if self.json {
            return delivery.json();
        }
        match self.channels[..] {
            [_] => escaped(&delivery.data()).into_owned(),
            _ => format!("{}\t{}", escaped(&delivery.channel()), escaped(&delivery.data())),
        }
    }
}
