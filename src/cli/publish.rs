//! `philote publish`: one message from the arguments, or one a line from standard input.

use std::ops::ControlFlow;

use super::client::{self, Client, Needs};
use super::configuration::Configuration;
use super::failure::Failure;
use super::lines::Lines;

#[derive(Debug, clap::Args)]
pub(super) struct Publish {
    /// Channel to publish to
    channel: String,
    /// What to publish; - or nothing: each line of standard input
    data: Option<String>,
    #[command(flatten)]
    client: Client,
}

impl Publish {
    /// Returns when the server has answered our close, so that it has read everything.
    ///
    /// # Errors
    /// Also where the server ends the connection before, or a line is no text; what stood before it
    /// is published.
    pub(super) fn run(self, configuration: &Configuration) -> Result<(), Failure> {
        let data = self.data.as_deref().filter(|data| *data != "-");
        if data.is_none() && self.client.takes_stdin() {
            return Err(Failure::Usage(
                "standard input cannot be both the token and the messages; use PHILOTE_TOKEN"
                    .into(),
            ));
        }
        let channel = &self.channel;
        let needs = Needs { read: &[], write: std::slice::from_ref(channel) };
        self.client.run(configuration, needs, |mut sending, mut receiving| async {
            let mut count = 0_u64;
            let mut input = Ok(());
            let publishing = async {
                if let Some(data) = data {
                    count += 1;
                    return sending.publish(channel, data).await;
                }
                let mut lines = Lines::of_stdin();
                loop {
                    match lines.next().await {
                        Ok(Some(line)) => sending.publish(channel, &line).await?,
                        Ok(None) => return Ok(()),
                        Err(failure) => {
                            input = Err(failure);
                            return Ok(());
                        }
                    }
                    count += 1;
                }
            };
            tokio::select! {
                heard = receiving.each(|_| Ok(ControlFlow::Continue(()))) => { heard?; }
                published = publishing => if let Err(ended) = published {
                    return Err(receiving.explain(ended).await);
                },
            }
            client::close(sending, receiving).await?;
            self.client.explain(format_args!(
                "published {count} message{}",
                if count == 1 { "" } else { "s" }
            ));
            input
        })
    }
}
