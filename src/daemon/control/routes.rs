//! Owns which request asks the daemon what, and that whoever changes something stands in the log.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper::{Method, StatusCode};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::answer::{self, Answer};
use crate::daemon::ask::Ask;
use crate::http::front::Shared;

/// Who asks, and who answers.
pub(super) struct Caller {
    uid: u32,
    /// Unknown where it is of another PID namespace, or the system does not tell.
    pid: Option<i32>,
    pub(super) asks: mpsc::Sender<Ask>,
    shared: Arc<Shared>,
}

/// The daemon has gone down before it answered.
struct Gone;

/// What is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route<'a> {
    Reload,
    Check,
    Drain,
    Status,
    Connections,
    Connection(&'a str),
    Health,
    Readiness,
}

impl<'a> Route<'a> {
    fn of(path: &'a str) -> Option<Route<'a>> {
        Some(match path {
            "/reload" => Route::Reload,
            "/check" => Route::Check,
            "/drain" => Route::Drain,
            "/status" => Route::Status,
            "/connections" => Route::Connections,
            "/healthz" => Route::Health,
            "/readyz" => Route::Readiness,
            _ => match path.strip_prefix("/connections/") {
                Some(id) if !id.is_empty() && !id.contains('/') => Route::Connection(id),
                _ => return None,
            },
        })
    }

    /// The methods that it takes, as `Allow` lists them.
    fn allow(self) -> &'static str {
        match self {
            Route::Reload | Route::Check | Route::Drain => "POST",
            Route::Connection(_) => "DELETE",
            Route::Status | Route::Connections | Route::Health | Route::Readiness => "GET, HEAD",
        }
    }
}

impl Caller {
    /// The other end of a connection that was accepted.
    ///
    /// # Errors
    /// Where the system does not say who it is.
    pub(super) fn of(
        stream: &UnixStream,
        asks: &mpsc::Sender<Ask>,
        shared: &Arc<Shared>,
    ) -> io::Result<Caller> {
        let credentials = stream.peer_cred()?;
        Ok(Caller {
            uid: credentials.uid(),
            pid: credentials.pid(),
            asks: asks.clone(),
            shared: shared.clone(),
        })
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, Gone> {
        let (sender, answer) = oneshot::channel();
        self.asks.send(ask(sender)).await.map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }
}

/// Answers a request.
pub(super) async fn answer(caller: &Caller, method: &Method, path: &str) -> Answer {
    let Some(route) = Route::of(path) else {
        let reason = "nothing is served under this path";
        return answer::fault(StatusCode::NOT_FOUND, "not_found", reason);
    };
    if !route.allow().split(", ").any(|allowed| allowed == method.as_str()) {
        return answer::wrong_method(route.allow());
    }
    carry_out(caller, route).await.unwrap_or_else(|Gone| {
        let reason = "the server went down before it could answer";
        answer::fault(StatusCode::SERVICE_UNAVAILABLE, "stopped", reason)
    })
}

async fn carry_out(caller: &Caller, route: Route<'_>) -> Result<Answer, Gone> {
    let (uid, pid) = (caller.uid, caller.pid);
    Ok(match route {
        Route::Reload => {
            tracing::info!(event = "control_reload", uid, pid, "asked to reload");
            answer::reloaded(&caller.ask(Ask::Reload).await?)
        }
        Route::Check => answer::reloaded(&caller.ask(Ask::Check).await?),
        Route::Drain => {
            tracing::info!(event = "control_drain", uid, pid, "asked to drain");
            caller.ask(Ask::Drain).await?;
            answer::json(&serde_json::json!({ "draining": true }))
        }
        Route::Status => answer::json(&caller.ask(Ask::Status).await?),
        Route::Connections => answer::json(&caller.ask(Ask::Connections).await?),
        Route::Connection(id) => disconnect(caller, id).await?,
        Route::Health => answer::text(StatusCode::OK, "ok"),
        Route::Readiness if caller.shared.draining.load(Ordering::Relaxed) => {
            answer::text(StatusCode::SERVICE_UNAVAILABLE, "draining")
        }
        Route::Readiness => answer::text(StatusCode::OK, "ready"),
    })
}

async fn disconnect(caller: &Caller, id: &str) -> Result<Answer, Gone> {
    let Ok(id) = Uuid::try_parse(id) else {
        let reason = "an id of a connection is a UUID, as GET /connections lists them";
        return Ok(answer::fault(StatusCode::BAD_REQUEST, "bad_request", reason));
    };
    tracing::info!(
        event = "control_disconnect",
        uid = caller.uid,
        pid = caller.pid,
        connection = %id,
        "asked to disconnect"
    );
    if caller.ask(|answer| Ask::Disconnect(id, answer)).await? {
        Ok(answer::json(&serde_json::json!({ "disconnected": id })))
    } else {
        Ok(answer::fault(StatusCode::NOT_FOUND, "not_found", "there is no connection of this id"))
    }
}
