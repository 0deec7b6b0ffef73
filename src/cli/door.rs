//! Owns [`Door`]: by which of its doors a server is asked.

use std::time::Duration;

use super::client::{Server, Token};
use super::control::{Control, Told};
use super::failure::Failure;
use super::request::{self, Question};

/// Where a server is asked, as often as there is something to ask.
pub(super) enum Door<'a> {
    /// At the control socket.
    Control(&'a Control),
    /// At a listener, with a token.
    Listener(Server, Token),
}

impl Door<'_> {
    /// Asks one question.
    ///
    /// # Errors
    /// Where no server answers in time, or it has something against it.
    pub(super) async fn ask(
        &self,
        question: Question,
        patience: Duration,
    ) -> Result<Told, Failure> {
        match self {
            Self::Control(control) => control.ask(&question, patience).await,
            Self::Listener(server, token) => {
                let question = question.with_token(token.as_str())?;
                request::at(server, &question, patience).await
            }
        }
    }
}
