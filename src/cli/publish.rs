//! `philote publish`: one message from the arguments, or one a line from standard input; as a client does, or by HTTP
//! where it is to be known how many have heard it.

use std::ops::ControlFlow;

use uuid::Uuid;

use super::client::{self, Client, Needs};
use super::configuration::Configuration;
use super::control::Control;
use super::door::Door;
use super::failure::Failure;
use super::lines::Lines;
use super::output;
use super::post::post;
use super::request;

#[derive(Debug, clap::Args)]
pub(super) struct Publish {
    /// Channel to publish to
    channel: String,
    /// What to publish; - or nothing: each line of standard input
    data: Option<String>,
    /// Publish by HTTP, and print how many have heard it
    #[arg(long)]
    count: bool,
    /// Id of a connection that shall not hear it; with --count or --control
    #[arg(long, value_name = "ID")]
    exclude: Option<Uuid>,
    #[command(flatten)]
    client: Client,
    #[command(flatten)]
    control: Control,
}

impl Publish {
    /// Returns when the server has taken everything.
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
        if self.count || self.control.is_chosen() {
            return self.by_http(configuration, data);
        }
        if self.exclude.is_some() {
            let what = "a connection can be left out by HTTP only; add --count";
            return Err(Failure::Usage(what.into()));
        }
        self.as_a_client(configuration, data)
    }

    /// Over a WebSocket connection: done when the server has answered our close, so that it has read everything.
    fn as_a_client(
        &self,
        configuration: &Configuration,
        data: Option<&str>,
    ) -> Result<(), Failure> {
        let channel = &self.channel;
        let needs = Needs { read: &[], write: std::slice::from_ref(channel), api: false };
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
            self.client.explain(told(count));
            input
        })
    }

    /// By HTTP: at the control socket that was named, else at a listener.
    fn by_http(&self, configuration: &Configuration, data: Option<&str>) -> Result<(), Failure> {
        let channel = &self.channel;
        let needs = Needs { read: &[], write: std::slice::from_ref(channel), api: true };
        let door = if self.control.is_chosen() {
            Door::Control(&self.control)
        } else {
            let (server, token) = self.client.resolve(configuration, needs)?;
            Door::Listener(server, token)
        };
        request::run(async {
            let mut count = 0_u64;
            let mut publish = async |lines: Vec<String>| {
                count += lines.len() as u64;
                for subscribers in post(&door, channel, self.exclude, &lines).await? {
                    if self.count {
                        output::data(subscribers)?;
                    }
                }
                Ok::<(), Failure>(())
            };
            let mut input = Ok(());
            match data {
                Some(data) => publish(vec![data.to_owned()]).await?,
                None => {
                    let mut lines = Lines::of_stdin();
                    loop {
                        let (some, end) = lines.some().await;
                        if !some.is_empty() {
                            publish(some).await?;
                        }
                        if let Some(end) = end {
                            input = end;
                            break;
                        }
                    }
                }
            }
            self.client.explain(told(count));
            input
        })
    }
}

fn told(count: u64) -> String {
    format!("published {count} message{}", if count == 1 { "" } else { "s" })
}
