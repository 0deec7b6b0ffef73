//! `/api`: what programs ask beside their connections. The listeners and the control socket serve the same
//! [`Action`]s; they differ in who may: on a listener a token says so, on the control socket the permissions of
//! its file have said so already.
//!
//! - `rights`: who may what. `query`, `content`, `items`: what a request says. `page`: one list of what workers have.
//! - `info`, `publish`, [`connections`], [`channels`]: one file a thing that is asked.

pub mod channels;
pub mod connections;
mod content;
mod info;
pub(crate) mod items;
mod page;
mod publish;
mod query;
mod rights;

use hyper::body::Incoming;
use hyper::{Request, StatusCode};

use super::Front;
use super::answer::{Answer, fault};
use super::forwarding::Source;
use super::refusal::Refusal;
use super::routes::Route;
use rights::Rights;

/// Who makes a plain request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Somebody at a listener, who needs a token.
    Peer(Source),
    /// Somebody at the control socket, who may do everything.
    Control,
}

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `GET /api/info`: what the server says of itself. Wants `api`.
    Info,
    /// `POST /api/publish`: messages without a connection. Wants `api`, and the channels in `write`.
    Publish,
    /// `GET /api/channels`: what is listened to. Wants `manage`, as all that follow.
    Channels,
    /// `GET /api/connections`: who is connected.
    Connections,
    /// `DELETE /api/connections/ID`: closes one.
    Disconnect,
    /// `DELETE /api/connections?subject=S`: closes all of a subject.
    DisconnectSubject,
}

/// Where each is served.
pub const ROUTES: &[Route<Action>] = &[
    Route::get("/api/info", Action::Info),
    Route::post("/api/publish", Action::Publish),
    Route::get("/api/channels", Action::Channels),
    Route::get("/api/connections", Action::Connections),
    Route::delete("/api/connections", Action::DisconnectSubject),
    Route::delete("/api/connections/*", Action::Disconnect),
];

/// Answers a request. `segment` is what stands for the `*` of its route.
pub async fn answer(
    front: &Front,
    caller: Caller,
    action: Action,
    segment: &str,
    request: Request<Incoming>,
) -> Answer {
    let answered = match action {
        Action::Info => info::answer(front, caller, &request).await,
        Action::Publish => publish::answer(front, caller, request).await,
        _ => manage(front, caller, action, segment, &request).await,
    };
    answered.unwrap_or_else(|refusal| {
        if let Caller::Peer(source) = caller {
            front.note_refused(source.client, refusal.name());
        }
        refusal.fault()
    })
}

async fn manage(
    front: &Front,
    caller: Caller,
    action: Action,
    segment: &str,
    request: &Request<Incoming>,
) -> Result<Answer, Refusal> {
    Rights::of_header(front, caller, request.headers()).await?.need_manage()?;
    Ok(match action {
        Action::Channels => channels::list(front, request).await,
        Action::Disconnect => connections::close(front, caller, segment, request).await,
        Action::DisconnectSubject => connections::close_subject(front, caller, request).await,
        _ => connections::list(front, request).await,
    })
}

/// A worker that is stuck, or has gone, has not said its part.
fn unanswered() -> Answer {
    let reason = "a worker did not answer in time";
    fault(StatusCode::SERVICE_UNAVAILABLE, "unavailable", reason)
}
