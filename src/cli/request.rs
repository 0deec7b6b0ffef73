//! Owns [`send`]: one plain request over a socket, and its answer as a whole.

use std::future::Future;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::client::{Server, connect};
use super::control::Told;
use super::failure::Failure;

/// The most bytes of an answer: a list of a million connections.
const LONGEST: usize = 512 << 20;

/// What is asked.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) method: Method,
    pub(super) path: String,
    /// `Authorization`, which `Debug` masks.
    authorization: Option<HeaderValue>,
    /// Its media type, and its bytes.
    body: Option<(&'static str, Bytes)>,
}

impl Question {
    pub(super) fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), authorization: None, body: None }
    }

    /// With a token.
    ///
    /// # Errors
    /// Where it cannot stand in a header.
    pub(super) fn with_token(mut self, token: &str) -> Result<Self, Failure> {
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| Failure::Usage("the token is malformed".into()))?;
        value.set_sensitive(true);
        self.authorization = Some(value);
        Ok(self)
    }

    /// With a body of this media type.
    pub(super) fn with_body(mut self, media_type: &'static str, body: impl Into<Bytes>) -> Self {
        self.body = Some((media_type, body.into()));
        self
    }
}

/// What is answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

/// Asks, and reads the answer to its end.
///
/// # Errors
/// Why there is none, in words.
pub(super) async fn send<S>(socket: S, host: &str, question: &Question) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut request = Request::builder()
        .method(&question.method)
        .uri(&question.path)
        .header(HOST, host)
        .header(USER_AGENT, concat!("philote/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close");
    if let Some(authorization) = &question.authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    if let Some((media_type, _)) = &question.body {
        request = request.header(CONTENT_TYPE, *media_type);
    }
    let body = question.body.as_ref().map(|(_, body)| body.clone()).unwrap_or_default();
    let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.map_err(said)?;
    // It ends with the answer, or with the runtime.
    tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(said)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), LONGEST).collect().await;
    let body = body.map_err(|error| error.to_string())?.to_bytes();
    Ok(Answer { status, body })
}

/// Asks a listener.
///
/// # Errors
/// Where no server answers in time, or it has something against it.
pub(super) async fn at(
    server: &Server,
    question: &Question,
    patience: Duration,
) -> Result<Told, Failure> {
    let unavailable = |why: &str| Failure::Unavailable(format!("{server}: {why}"));
    let asked = async {
        let stream = connect(server).await.map_err(|error| unavailable(&error.to_string()))?;
        let answer = send(stream, server.host(), question).await;
        Told::new(answer.map_err(|why| unavailable(&why))?).or_failure()
    };
    let late = || unavailable(&format!("no answer within {} s", patience.as_secs()));
    timeout(patience, asked).await.unwrap_or_else(|_| Err(late()))
}

/// hyper's own words are for programmers.
fn said(error: hyper::Error) -> String {
    if error.is_incomplete_message() || error.is_canceled() {
        "it hung up before it answered".into()
    } else if error.is_parse() {
        "it does not speak HTTP".into()
    } else {
        error.to_string()
    }
}

/// Runs a future to its end, with a runtime of its own.
///
/// # Errors
/// Where there is no runtime, and those of the future.
pub(super) fn run<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Internal(format!("no runtime: {error}")))?;
    let done = runtime.block_on(future);
    // A look-up of a name that still runs is not waited for.
    runtime.shutdown_background();
    done
}
