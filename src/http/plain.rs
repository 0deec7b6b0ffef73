//! Requests on a listener that are no handshake: what is served there, and what goes on while it stops.

use std::sync::atomic::Ordering;

use hyper::body::Incoming;
use hyper::{HeaderMap, Request};

use super::answer::Answer;
use super::api::{self, Caller};
use super::forwarding::Source;
use super::refusal::Refusal;
use super::routes::{self, Route};
use super::{Front, health, origin, welcome};

/// What a listener serves.
#[derive(Debug, Clone, Copy)]
enum Action {
    Root,
    Health,
    Readiness,
    Api(api::Action),
}

/// Beside the API.
const ROUTES: &[Route<Action>] = &[
    Route::get("/", Action::Root),
    Route::get("/healthz", Action::Health),
    Route::get("/readyz", Action::Readiness),
];

/// Answers a request that asks for no WebSocket.
pub(super) async fn answer(front: &Front, source: Source, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    let (action, segment) =
        match routes::find_in_both(ROUTES, (api::ROUTES, Action::Api), request.method(), &path) {
            Ok(found) => found,
            Err(miss) => return miss.answer(),
        };
    match action {
        Action::Health => health::health(),
        Action::Readiness => health::readiness(&front.shared),
        _ if front.shared.draining.load(Ordering::Relaxed) => Refusal::Draining.fault(),
        Action::Root => root(front, source, request.headers()),
        Action::Api(action) => {
            api::answer(front, Caller::Peer(source), action, segment, request).await
        }
    }
}

/// Where WebSockets are, and for people a page where the rules have it.
fn root(front: &Front, source: Source, headers: &HeaderMap) -> Answer {
    let rules = front.rules();
    if !rules.welcome || !welcome::is_wanted(headers) {
        return Refusal::NotAnUpgrade.answer();
    }
    match origin::judge(&rules, source.sender, headers) {
        Ok(()) => welcome::answer(),
        Err(refusal) => {
            front.note_refused(source.client, refusal.name());
            refusal.answer()
        }
    }
}
