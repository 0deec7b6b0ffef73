//! `philote disconnect`: closes one connection.

use hyper::Method;
use uuid::Uuid;

use super::control::Control;
use super::failure::Failure;

#[derive(Debug, clap::Args)]
pub(super) struct Disconnect {
    /// Id of the connection, as `philote connections` lists it
    #[arg(value_parser = parse_id)]
    id: Uuid,
    #[command(flatten)]
    control: Control,
}

impl Disconnect {
    /// Returns once the connection has been told to close, with 4002.
    ///
    /// # Errors
    /// [`Failure::No`] where there is no such connection.
    pub(super) fn run(&self) -> Result<(), Failure> {
        self.control.send(Method::DELETE, &format!("/connections/{}", self.id))?;
        Ok(())
    }
}

fn parse_id(text: &str) -> Result<Uuid, &'static str> {
    text.parse().map_err(|_| "an id is a UUID, as `philote connections` lists it")
}
