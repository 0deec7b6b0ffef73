//! `philote health`: whether a server takes connections. For probes: 0 or 1, and one line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::{Method, StatusCode};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::client::{CA_ALONE, Server, connect, variable};
use super::configuration::Configuration;
use super::control::Control;
use super::escape::escaped;
use super::failure::Failure;
use super::output;
use super::request::{self, Answer, Question};

/// How long a server may take that is well.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(super) struct Health {
    /// http://HOST:PORT, https://HOST or unix:/PATH [default: $PHILOTE_URL, else the configuration's
    /// control socket, else its first listener]
    #[arg(long, value_name = "URL", conflicts_with = "socket")]
    url: Option<String>,
    /// Trust the signers in this file, not the system's
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    ca: Option<PathBuf>,
    #[command(flatten)]
    control: Control,
}

impl Health {
    /// Tells that it is ready, or why not.
    ///
    /// # Errors
    /// [`Failure::No`] for everything but a server that is ready: a probe knows no other codes.
    pub(super) fn run(&self, configuration: &Configuration) -> Result<(), Failure> {
        let asked = request::run(async {
            let late =
                || Failure::Unavailable(format!("no answer within {} s", PATIENCE.as_secs()));
            timeout(PATIENCE, self.ask(configuration)).await.unwrap_or_else(|_| Err(late()))
        });
        match asked {
            Ok(answer) if answer.status == StatusCode::OK => output::data("ready"),
            Ok(answer) => Err(not_ready(&String::from_utf8_lossy(&answer.body))),
            Err(failure) => {
                let said = failure.to_string();
                Err(not_ready(said.strip_prefix("philote: ").unwrap_or(&said)))
            }
        }
    }

    async fn ask(&self, configuration: &Configuration) -> Result<Answer, Failure> {
        let url = match &self.url {
            Some(url) => Some(url.clone()),
            None if self.control.is_named() => None,
            None => variable("PHILOTE_URL")?,
        };
        if let Some(url) = url {
            return ask_listener(&Server::parse(&url)?.trusting(self.ca.as_deref())?).await;
        }
        if self.ca.is_some() {
            return Err(Failure::Usage(CA_ALONE.into()));
        }
        if self.control.is_named() {
            return ask_socket(connect_socket(&self.control.path()).await?).await;
        }
        let loaded = configuration.load();
        let socket = match &loaded {
            Ok(loaded) => loaded.config.control.socket.clone(),
            // It may be readable for nobody but the server.
            Err(_) => Some(self.control.path()),
        };
        if let Some(path) = socket
            // Not everybody may ask there; everybody may ask a listener.
            && let Ok(stream) = UnixStream::connect(path).await
        {
            return ask_socket(stream).await;
        }
        ask_listener(&Server::of(&loaded?.config)?).await
    }
}

/// One line, whatever there is to say.
fn not_ready(why: &str) -> Failure {
    let line = why.lines().next().unwrap_or_default();
    Failure::No(format!("not ready: {}", escaped(line)))
}

async fn ask_listener(server: &Server) -> Result<Answer, Failure> {
    let unavailable = |why: String| Failure::Unavailable(format!("{server}: {why}"));
    let stream = connect(server).await.map_err(|error| unavailable(error.to_string()))?;
    request::send(stream, server.host(), &question()).await.map_err(unavailable)
}

async fn connect_socket(path: &Path) -> Result<UnixStream, Failure> {
    let at = |error: std::io::Error| {
        Failure::Unavailable(format!("{}: {error}", escaped(&path.to_string_lossy())))
    };
    UnixStream::connect(path).await.map_err(at)
}

async fn ask_socket(stream: UnixStream) -> Result<Answer, Failure> {
    request::send(stream, "localhost", &question()).await.map_err(Failure::Unavailable)
}

fn question() -> Question {
    Question::new(Method::GET, "/readyz")
}
