//! What those commands share that ask a server's API: over its control socket, or at a listener with a token.

use std::path::PathBuf;

use hyper::Method;
use serde::de::DeserializeOwned;

use super::client::{Server, given_token};
use super::control::{Control, SOON, Told};
use super::door::Door;
use super::failure::Failure;
use super::request::{self, Question};

/// Which server, and by which of its doors.
#[derive(Debug, clap::Args)]
pub(super) struct Api {
    /// Ask at a listener, http://HOST:PORT, https://HOST or unix:/PATH, with a token
    #[arg(long, value_name = "URL", conflicts_with = "socket")]
    url: Option<String>,
    /// Trust the signers in this file, not the system's
    #[arg(long, value_name = "PATH", requires = "url", value_hint = clap::ValueHint::FilePath)]
    ca: Option<PathBuf>,
    /// File with the token, or - [default: $PHILOTE_TOKEN]
    #[arg(long, value_name = "PATH", requires = "url")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    control: Control,
}

impl Api {
    /// Asks one question.
    ///
    /// # Errors
    /// Where no server answers, or it has something against it.
    pub(super) fn ask(&self, question: Question) -> Result<Told, Failure> {
        let door = self.door()?;
        request::run(door.ask(question, SOON))
    }

    /// Which server, with the token for it. Both are read here and once, since standard input cannot be read again.
    fn door(&self) -> Result<Door<'_>, Failure> {
        let Some(url) = &self.url else { return Ok(Door::Control(&self.control)) };
        let server = Server::parse(url)?.trusting(self.ca.as_deref())?;
        let token = given_token(self.token_file.as_deref())?.ok_or_else(|| {
            let what = "a listener wants a token; use --token-file or PHILOTE_TOKEN";
            Failure::Usage(what.into())
        })?;
        Ok(Door::Listener(server, token))
    }

    /// Reads every page of a list and hands it on. `next` says what the next one begins behind.
    ///
    /// # Errors
    /// Those of asking, and of `each`.
    pub(super) fn pages<P: DeserializeOwned>(
        &self,
        path: &str,
        parameters: &[(&str, Option<&str>)],
        next: impl Fn(&P) -> Option<String>,
        mut each: impl FnMut(P) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let door = self.door()?;
        let mut after = None;
        loop {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.append_pair("limit", "1000");
            let behind = ("after", after.as_deref());
            for (name, value) in parameters.iter().chain([&behind]) {
                query.extend_pairs(value.map(|value| (name, value)));
            }
            let question = Question::new(Method::GET, format!("{path}?{}", query.finish()));
            let page: P = request::run(door.ask(question, SOON))?.read()?;
            after = next(&page);
            each(page)?;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}
