//! Owns [`send`]: one plain request over a socket, and its answer as a whole.

use std::future::Future;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::failure::Failure;

/// The most bytes of an answer: a list of a million connections.
const LONGEST: usize = 512 << 20;

/// What is asked.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) method: Method,
    pub(super) path: String,
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
    let request = Request::builder()
        .method(&question.method)
        .uri(&question.path)
        .header(HOST, host)
        .header(USER_AGENT, concat!("philote/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
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
