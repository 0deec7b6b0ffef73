//! `philote disconnect`: closes one connection, or all of a subject.

use hyper::Method;
use serde::Deserialize;
use uuid::Uuid;

use super::api::Api;
use super::failure::Failure;
use super::output;
use super::request::Question;

#[derive(Debug, clap::Args)]
pub(super) struct Disconnect {
    /// Id of the connection, as `philote connections` lists it
    #[arg(value_parser = parse_id, required_unless_present = "subject", conflicts_with = "subject")]
    id: Option<Uuid>,
    /// Close all connections of this subject, and print how many
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    #[command(flatten)]
    api: Api,
}

/// How many were closed.
#[derive(Deserialize)]
struct Disconnected {
    disconnected: usize,
}

impl Disconnect {
    /// Returns once they have been told to close, with 4002.
    ///
    /// # Errors
    /// [`Failure::No`] where there is no such connection; of a subject there may be none.
    pub(super) fn run(&self) -> Result<(), Failure> {
        if let Some(id) = self.id {
            let path = format!("/api/connections/{id}");
            return self.api.ask(Question::new(Method::DELETE, path)).map(drop);
        }
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.subject.as_ref().map(|subject| ("subject", subject)));
        let path = format!("/api/connections?{}", query.finish());
        let told: Disconnected = self.api.ask(Question::new(Method::DELETE, path))?.read()?;
        output::data(told.disconnected)
    }
}

fn parse_id(text: &str) -> Result<Uuid, &'static str> {
    text.parse().map_err(|_| "an id is a UUID, as `philote connections` lists it")
}
