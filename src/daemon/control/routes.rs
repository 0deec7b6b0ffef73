//! Owns which request asks the daemon what, and that whoever changes something stands in the log.

use std::io;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::answer;
use crate::daemon::ask::Ask;
use crate::daemon::metrics::Metrics;
use crate::http::answer::{Answer, fault, json};
use crate::http::inquiry::{Errand, Everyone};
use crate::http::routes::{self, Route};
use crate::http::{api, head, health};

/// Who asks, and who answers.
pub(super) struct Caller {
    uid: u32,
    /// Unknown where it is of another PID namespace, or the system does not tell.
    pid: Option<i32>,
    pub(super) asks: mpsc::Sender<Ask>,
    metrics: Arc<Metrics>,
    everyone: Everyone,
}

/// The daemon has gone down before it answered.
struct Gone;

/// What is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Reload,
    Check,
    Drain,
    Status,
    Health,
    Readiness,
    Metrics,
    /// As on a listener, by a worker.
    Api(api::Action),
}

/// Beside the API.
const ROUTES: &[Route<Action>] = &[
    Route::post("/reload", Action::Reload),
    Route::post("/check", Action::Check),
    Route::post("/drain", Action::Drain),
    Route::get("/status", Action::Status),
    Route::get("/connections", Action::Api(api::Action::Connections)),
    Route::delete("/connections", Action::Api(api::Action::DisconnectSubject)),
    Route::delete("/connections/*", Action::Api(api::Action::Disconnect)),
    Route::get("/healthz", Action::Health),
    Route::get("/readyz", Action::Readiness),
    Route::get("/metrics", Action::Metrics),
];

impl Caller {
    /// The other end of a connection that was accepted.
    ///
    /// # Errors
    /// Where the system does not say who it is.
    pub(super) fn of(
        stream: &UnixStream,
        asks: &mpsc::Sender<Ask>,
        metrics: &Arc<Metrics>,
        everyone: &Everyone,
    ) -> io::Result<Caller> {
        let credentials = stream.peer_cred()?;
        Ok(Caller {
            uid: credentials.uid(),
            pid: credentials.pid(),
            asks: asks.clone(),
            metrics: metrics.clone(),
            everyone: everyone.clone(),
        })
    }

    /// Says in the log who closes what.
    fn log(&self, action: api::Action, segment: &str, request: &Request<Incoming>) {
        let (uid, pid) = (self.uid, self.pid);
        match action {
            api::Action::Disconnect => {
                // What is no id is refused.
                if let Ok(id) = Uuid::try_parse(segment) {
                    tracing::info!(
                        event = "control_disconnect",
                        uid,
                        pid,
                        connection = %id,
                        "asked to disconnect"
                    );
                }
            }
            api::Action::DisconnectSubject => {
                if let Some(subject) = api::connections::subject_of(request.uri()) {
                    tracing::info!(
                        event = "control_disconnect",
                        uid,
                        pid,
                        subject,
                        "asked to disconnect"
                    );
                }
            }
            _ => {}
        }
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, Gone> {
        let (sender, answer) = oneshot::channel();
        self.asks.send(ask(sender)).await.map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }
}

/// Answers a request.
pub(super) async fn answer(caller: &Caller, mut request: Request<Incoming>) -> Answer {
    if let Err(fault) = head::judge(&mut request, super::HEAD) {
        return fault.answer();
    }
    let path = request.uri().path().to_owned();
    match routes::find_in_both(ROUTES, (api::ROUTES, Action::Api), request.method(), &path) {
        Ok((action, segment)) => {
            carry_out(caller, action, segment, request).await.unwrap_or_else(|Gone| {
                let reason = "the server went down before it could answer";
                fault(StatusCode::SERVICE_UNAVAILABLE, "stopped", reason)
            })
        }
        Err(miss) => miss.answer(),
    }
}

async fn carry_out(
    caller: &Caller,
    action: Action,
    segment: &str,
    request: Request<Incoming>,
) -> Result<Answer, Gone> {
    let (uid, pid) = (caller.uid, caller.pid);
    Ok(match action {
        Action::Reload => {
            tracing::info!(event = "control_reload", uid, pid, "asked to reload");
            answer::reloaded(&caller.ask(Ask::Reload).await?)
        }
        Action::Check => answer::reloaded(&caller.ask(Ask::Check).await?),
        Action::Drain => {
            tracing::info!(event = "control_drain", uid, pid, "asked to drain");
            caller.ask(Ask::Drain).await?;
            json(&serde_json::json!({ "draining": true }))
        }
        Action::Status => json(&caller.ask(Ask::Status).await?),
        Action::Health => health::health(),
        Action::Readiness => health::readiness(&caller.metrics.sources().shared),
        Action::Metrics => caller.metrics.answer(request.headers()),
        Action::Api(action) => {
            caller.log(action, segment, &request);
            let errand = Errand { action, segment: segment.to_owned(), request };
            caller.everyone.serve(errand).await.ok_or(Gone)?
        }
    })
}
