//! What those commands share that steer a running server: its control socket, found without reading a configuration
//! that may be the very thing that is broken.

mod place;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::escape::escaped;
use super::failure::Failure;
use super::request::{self, Answer, Question};
use crate::daemon::ask::{ReloadOutcome, Reloaded};
use crate::paths;

/// How long an answer may take that the server only has to look up.
pub(super) const SOON: Duration = Duration::from_secs(10);
/// How long a reload may take: it waits for every worker, and for the reload before it.
const RELOAD: Duration = Duration::from_secs(60);

/// Which server.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Control {
    // Where it is by default is chosen when philote is built.
    #[arg(
        long = "control",
        value_name = "PATH",
        value_hint = clap::ValueHint::FilePath,
        help = format!(
            "Control socket of the server [default: $PHILOTE_CONTROL, else control.sock in \
             $RUNTIME_DIRECTORY, else {}]",
            paths::control_socket().display()
        )
    )]
    socket: Option<PathBuf>,
}

/// What a server's control socket answered.
#[derive(Debug)]
pub(super) struct Told(Answer);

/// An error as the server tells it.
#[derive(Deserialize)]
struct Fault {
    reason: String,
    #[serde(default)]
    faults: Vec<String>,
}

impl Control {
    /// Whether the arguments say where it is.
    pub(super) fn is_chosen(&self) -> bool {
        self.socket.is_some()
    }

    /// Whether the user has said where it is.
    pub(super) fn is_named(&self) -> bool {
        self.socket.is_some() || place::variable("PHILOTE_CONTROL").is_some()
    }

    /// Where it is.
    pub(super) fn path(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(place::default)
    }

    /// `GET` of what the server only has to look up.
    ///
    /// # Errors
    /// Where no server answers, or it has something against it.
    pub(super) fn get(&self, path: &str) -> Result<Told, Failure> {
        self.send(Method::GET, path)
    }

    /// Another method, answered as fast.
    ///
    /// # Errors
    /// Like [`Control::get`].
    pub(super) fn send(&self, method: Method, path: &str) -> Result<Told, Failure> {
        request::run(self.ask(&Question::new(method, path), SOON))
    }

    /// Asks anything.
    ///
    /// # Errors
    /// Like [`Control::get`].
    pub(super) async fn ask(
        &self,
        question: &Question,
        patience: Duration,
    ) -> Result<Told, Failure> {
        self.try_ask(question, patience).await?.ok_or_else(|| self.no_server())?.or_failure()
    }

    /// `POST /reload` or `/check`; `None` where no server listens.
    ///
    /// # Errors
    /// Where one listens and does not answer as it should, or we may not ask.
    pub(super) fn reload(&self, path: &str) -> Result<Option<ReloadOutcome>, Failure> {
        let question = Question::new(Method::POST, path);
        let Some(told) = request::run(self.try_ask(&question, RELOAD))? else { return Ok(None) };
        let outcome = match told.0.status {
            StatusCode::UNPROCESSABLE_ENTITY => {
                ReloadOutcome::Rejected(told.read::<Fault>()?.faults)
            }
            StatusCode::CONFLICT => ReloadOutcome::Draining,
            _ => ReloadOutcome::Done(told.or_failure()?.read::<Reloaded>()?),
        };
        Ok(Some(outcome))
    }

    async fn try_ask(
        &self,
        question: &Question,
        patience: Duration,
    ) -> Result<Option<Told>, Failure> {
        let socket = self.path();
        let at = |why: &str| format!("{}: {why}", escaped(&socket.to_string_lossy()));
        let asked = async {
            let stream = match UnixStream::connect(&socket).await {
                Ok(stream) => stream,
                Err(error) => return self.unreachable(&error).map_or(Ok(None), Err),
            };
            let answer = request::send(stream, "localhost", question).await;
            answer.map(|answer| Some(Told(answer))).map_err(|why| Failure::Unavailable(at(&why)))
        };
        timeout(patience, asked).await.unwrap_or_else(|_| {
            let why = format!("no answer within {} s", patience.as_secs());
            Err(Failure::Unavailable(at(&why)))
        })
    }

    /// Nothing, where that only means that nobody listens.
    fn unreachable(&self, error: &io::Error) -> Option<Failure> {
        let path = self.path();
        let path = path.to_string_lossy();
        let path = escaped(&path);
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => None,
            io::ErrorKind::PermissionDenied => Some(Failure::NotPermitted(format!(
                "{path}: not permitted; run this as root or as the server's user, or see control.group"
            ))),
            _ => Some(Failure::Unavailable(format!("{path}: {error}"))),
        }
    }

    /// Nobody listens there.
    pub(super) fn no_server(&self) -> Failure {
        let path = self.path();
        Failure::Unavailable(format!(
            "no server listens on {}; is one running, and is that its control.socket? --control or \
             PHILOTE_CONTROL names another",
            escaped(&path.to_string_lossy())
        ))
    }
}

impl Told {
    pub(super) fn new(answer: Answer) -> Self {
        Self(answer)
    }

    /// The answer's JSON.
    ///
    /// # Errors
    /// Where it is none, or that of another version.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.0.body).map_err(|error| {
            Failure::Internal(format!("the server's answer is not understood: {error}"))
        })
    }

    /// The answer as it came.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.body).trim_end().to_owned()
    }

    /// Itself, where it is not an error.
    ///
    /// # Errors
    /// What the server has against it.
    pub(super) fn or_failure(self) -> Result<Told, Failure> {
        if self.0.status.is_success() {
            return Ok(self);
        }
        let status = self.0.status;
        let reason = match serde_json::from_slice::<Fault>(&self.0.body) {
            Ok(fault) => escaped(&fault.reason).into_owned(),
            // Asked without TLS where there is TLS, most likely: the answer says so.
            Err(_) if status == StatusCode::BAD_REQUEST => {
                let text = self.text();
                let line = escaped(text.lines().next().unwrap_or_default());
                return Err(Failure::Unavailable(format!("it answers 400: {line}")));
            }
            Err(_) => format!("it answers {status}"),
        };
        Err(match status {
            StatusCode::BAD_REQUEST => Failure::Usage(reason),
            StatusCode::NOT_FOUND => Failure::No(reason),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Failure::NotPermitted(format!("the server refuses: {reason}"))
            }
            StatusCode::CONFLICT => Failure::Draining(reason),
            StatusCode::SERVICE_UNAVAILABLE => Failure::Unavailable(reason),
            _ => Failure::Internal(format!("the server refuses: {reason}")),
        })
    }
}
