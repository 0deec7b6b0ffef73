//! The control socket, server side: HTTP/1.1 over a Unix socket (RFC 9112), for whoever the file's permissions let
//! connect. There is no other authority: no token, and no WebSocket.
//!
//! A request's walk: [`serve`] accepts, notes who calls, and drives hyper over one request; `routes` turns it into
//! an [`Ask`], which the daemon's loop answers, or has a worker serve it as it serves a listener's. Nothing here changes
//! the daemon by itself.
//!
//! Bounded: callers at once, bytes of a request's head, seconds until it has come, seconds until the answer has been
//! taken. How long an answer takes is the daemon's affair; one that has gone down answers 503.

mod answer;
mod bind;
mod routes;

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::UnixStream;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::ask::Ask;
use super::metrics::Metrics;
use crate::http::inquiry::Everyone;
pub use bind::{BindError, ControlSocket, bind, look};
use routes::Caller;

/// Bytes of a request's head: twice the least that hyper allows, many times what the tools send.
const HEAD: usize = 16 << 10;
/// What is asked when the daemon goes down has this long to be answered.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long accepting rests where descriptors have run out.
const REST: Duration = Duration::from_millis(500);
/// How long nothing more is said of that.
const QUIET: Duration = Duration::from_secs(60);

/// What callers may take.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// So many at once; more wait to be accepted.
    callers: usize,
    /// From connecting to the end of the request's head, and again for taking the answer.
    patience: Duration,
}

/// Tools ask one thing each, so a handful of callers is a busy day; and no person types the requests.
const BOUNDS: Bounds = Bounds { callers: 64, patience: Duration::from_secs(10) };

/// Serves the control socket until the other end of `asks` is dropped: then the socket is removed, and whoever has
/// asked gets an answer, within 1 s. Dropped before, it removes the socket and hangs up on everybody.
///
/// To be driven on tokio's runtime, with its timers. It ends with the daemon's loop, so that loop should outlive the
/// answers it gives: drop the receiver, then wait for this.
pub fn serve(
    socket: ControlSocket,
    asks: mpsc::Sender<Ask>,
    metrics: Arc<Metrics>,
    everyone: Everyone,
) -> impl Future<Output = ()> + Send + 'static {
    serve_within(BOUNDS, socket, asks, metrics, everyone)
}

async fn serve_within(
    bounds: Bounds,
    socket: ControlSocket,
    asks: mpsc::Sender<Ask>,
    metrics: Arc<Metrics>,
    everyone: Everyone,
) {
    let mut talks = JoinSet::new();
    let mut warned: Option<Instant> = None;
    loop {
        tokio::select! {
            () = asks.closed() => break,
            // One that has panicked has told so.
            Some(_) = talks.join_next() => {}
            accepted = socket.accept(), if talks.len() < bounds.callers => match accepted {
                Ok(stream) => {
                    // Who cannot be named in the log is not let in.
                    if let Ok(caller) = Caller::of(&stream, &asks, &metrics, &everyone) {
                        talks.spawn(talk(stream, caller, bounds.patience));
                    }
                }
                Err(error) => {
                    if warned.is_none_or(|at| at.elapsed() >= QUIET) {
                        warned = Some(Instant::now());
                        tracing::warn!(event = "control_accept_failed", %error, "cannot accept on the control socket");
                    }
                    sleep(REST).await;
                }
            }
        }
    }
    drop(socket);
    let answered = async { while talks.join_next().await.is_some() {} };
    // Who takes longer is hung up on.
    let _ = timeout(LAST_WORDS, answered).await;
}

/// One caller, one request.
async fn talk(stream: UnixStream, caller: Caller, patience: Duration) {
    let (asked, answered) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let stopping = caller.asks.clone();
    let caller = Arc::new(caller);
    let service = service_fn(|request: Request<Incoming>| {
        let (asked, answered, caller) = (asked.clone(), answered.clone(), caller.clone());
        async move {
            asked.notify_one();
            let answer = routes::answer(&caller, request).await;
            answered.notify_one();
            Ok::<_, Infallible>(answer)
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .keep_alive(false)
            .max_buf_size(HEAD)
            .timer(TokioTimer::new())
            .header_read_timeout(patience)
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service)
    );
    // Its faults are the caller's, who sees them.
    tokio::select! {
        biased;
        _ = &mut connection => return,
        () = asked.notified() => {}
        // Nothing has been asked, so nobody waits for an answer.
        () = stopping.closed() => return,
    }
    tokio::select! {
        _ = &mut connection => return,
        () = answered.notified() => {}
    }
    let _ = timeout(patience, connection).await;
}

#[cfg(test)]
mod tests;
