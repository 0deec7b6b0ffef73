//! Owns [`Exposition`]: the listeners of `metrics.listen` serve it, on the daemon's own thread, so that it answers
//! where workers are stuck. `/metrics`, `/healthz` and `/readyz`, and nothing else.
//!
//! Bounded: readers at once, bytes of a request's head, seconds until it has come and the answer has been taken.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Metrics;
use crate::connection::socket::{AcceptedSocket, Socket};
use crate::http::answer::Answer;
use crate::http::routes::{self, Route};
use crate::http::{head, health};

/// Readers at once; more wait to be accepted. A handful is much: two servers that scrape, and a curl.
const READERS: usize = 32;
/// Bytes of a request's head: several times what scrapers send.
const HEAD: usize = 16 << 10;
/// From being accepted to having taken the answer; Prometheus itself waits for 10 s.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is served.
#[derive(Debug, Clone, Copy)]
enum Action {
    Metrics,
    Health,
    Readiness,
}

const ROUTES: &[Route<Action>] = &[
    Route::get("/metrics", Action::Metrics),
    Route::get("/healthz", Action::Health),
    Route::get("/readyz", Action::Readiness),
];

/// Serves metrics on sockets that listeners accept.
#[derive(Debug)]
pub(in crate::daemon) struct Exposition {
    metrics: Arc<Metrics>,
    places: Arc<Semaphore>,
}

impl Exposition {
    /// Of these.
    pub(in crate::daemon) fn new(metrics: Arc<Metrics>) -> Exposition {
        Exposition { metrics, places: Arc::new(Semaphore::new(READERS)) }
    }

    /// Serves one request on this socket, as soon as there is a place.
    pub(in crate::daemon) async fn accept(&self, socket: AcceptedSocket) {
        let Ok(place) = self.places.clone().acquire_owned().await else { return };
        let Ok(socket) = Socket::from_accepted(socket) else { return };
        let metrics = self.metrics.clone();
        tokio::spawn(async move {
            talk(socket, metrics).await;
            drop(place);
        });
    }
}

async fn talk(socket: Socket, metrics: Arc<Metrics>) {
    let service = service_fn(|mut request: Request<Incoming>| {
        let answer = match head::judge(&mut request, HEAD) {
            Ok(()) => answer(&metrics, &request),
            Err(fault) => fault.answer(),
        };
        async { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(HEAD)
        .timer(TokioTimer::new())
        .half_close(true)
        .serve_connection(TokioIo::new(socket), service);
    // Its faults are the reader's, who sees them.
    let _ = timeout(PATIENCE, connection).await;
}

fn answer<B>(metrics: &Metrics, request: &Request<B>) -> Answer {
    match routes::find(ROUTES, request.method(), request.uri().path()) {
        Ok((Action::Metrics, _)) => metrics.answer(request.headers()),
        Ok((Action::Health, _)) => health::health(),
        Ok((Action::Readiness, _)) => health::readiness(&metrics.sources().shared),
        Err(miss) => miss.answer(),
    }
}
