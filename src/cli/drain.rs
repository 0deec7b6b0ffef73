//! `philote drain`: asks the server to stop, politely.

use hyper::Method;

use super::control::Control;
use super::failure::Failure;
use super::output;

#[derive(Debug, clap::Args)]
pub(super) struct Drain {
    #[command(flatten)]
    control: Control,
}

impl Drain {
    /// Returns once the drain has begun; the server ends when its connections are closed.
    ///
    /// # Errors
    /// Where no server listens.
    pub(super) fn run(&self) -> Result<(), Failure> {
        self.control.send(Method::POST, "/drain")?;
        output::tell("draining: the server closes its connections, and ends");
        Ok(())
    }
}
