//! `philote console`: a chat in the terminal.

use std::ops::ControlFlow;

use super::client::{self, Client, Delivery, Needs};
use super::configuration::Configuration;
use super::escape::escaped;
use super::failure::Failure;
use super::lines::Lines;
use super::output;

/// How much of an issuer tells people apart: the first group of a UUID.
const ISSUER: usize = 8;

#[derive(Debug, clap::Args)]
pub(super) struct Console {
    /// Channel to talk on
    channel: String,
    #[command(flatten)]
    client: Client,
}

impl Console {
    /// Returns at the end of standard input.
    ///
    /// # Errors
    /// Also where the server ends the connection.
    pub(super) fn run(self, configuration: &Configuration) -> Result<(), Failure> {
        if self.client.takes_stdin() {
            return Err(Failure::Usage(
                "standard input cannot be both the token and what is said; use PHILOTE_TOKEN"
                    .into(),
            ));
        }
        let channel = &self.channel;
        let channels = std::slice::from_ref(channel);
        let needs = Needs { read: channels, write: channels, api: false };
        self.client.run(configuration, needs, |mut sending, mut receiving| async move {
            output::tell(format_args!(
                "talking on \"{}\": what you type is published; Ctrl-D ends",
                escaped(channel)
            ));
            let mut input = Ok(());
            let talking = async {
                let mut lines = Lines::of_stdin();
                loop {
                    match lines.next().await {
                        Ok(Some(line)) if line.is_empty() => {}
                        Ok(Some(line)) => sending.publish(channel, &line).await?,
                        Ok(None) => return Ok(()),
                        Err(failure) => {
                            input = Err(failure);
                            return Ok(());
                        }
                    }
                }
            };
            tokio::select! {
                heard = receiving.each(|text| hear(channel, text)) => { heard?; }
                talked = talking => if let Err(ended) = talked {
                    return Err(receiving.explain(ended).await);
                },
            }
            client::close(sending, receiving).await?;
            input
        })
    }
}

fn hear(channel: &str, text: &str) -> Result<ControlFlow<()>, Failure> {
    if let Some(delivery) = Delivery::parse(text)
        && delivery.channel() == channel
    {
        let issuer: String = delivery.issuer().chars().take(ISSUER).collect();
        output::data(format_args!("<{}> {}", escaped(&issuer), escaped(&delivery.data())))?;
    }
    Ok(ControlFlow::Continue(()))
}
