//! `/api`: what programs ask beside their connections. The listeners and the control socket serve the same
//! [`Action`]s; they differ in who may: on a listener a token says so, on the control socket the permissions of
//! its file have said so already.
//!
//! - `rights`: who may what. `info`: `GET /api/info`.

mod info;
mod rights;

use hyper::Request;
use hyper::body::Incoming;

use super::Front;
use super::answer::Answer;
use super::forwarding::Source;

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
    /// `GET /api/info`: what the server says of itself.
    Info,
}

/// Answers a request. `segment` is what stands for the `*` of its route.
pub async fn answer(
    front: &Front,
    caller: Caller,
    action: Action,
    _segment: &str,
    request: Request<Incoming>,
) -> Answer {
    let answered = match action {
        Action::Info => info::answer(front, caller, &request),
    };
    answered.unwrap_or_else(|refusal| {
        if let Caller::Peer(source) = caller {
            front.note_refused(source.client, refusal.name());
        }
        refusal.fault()
    })
}
