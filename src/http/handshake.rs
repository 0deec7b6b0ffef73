//! The handshake that turns a request into a connection (RFC 6455, section 4.2).
//!
//! Order: the request's form, the server's state, how often its address has asked, its origin, its token, room for
//! one more; then its place
//! in the hub, and the answer only when whatever is published from then on reaches it.

use hyper::body::Body;
use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Method, Request, Response, StatusCode, Version};
use std::sync::atomic::Ordering;
use std::time::SystemTime;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use uuid::Uuid;

use super::answer::Answer;
use super::forwarding::Source;
use super::head::Fault;
use super::newcomer::Attempt;
use super::refusal::Refusal;
use super::rules::Admission;
use super::{Front, Upgrade, origin, token};
use crate::auth;
use crate::connection::handshake_budget::Share;
use crate::connection::{Identity, Place, Reservation};

/// Whether a request asks for a WebSocket, well or badly.
pub(super) fn wants_upgrade<B>(request: &Request<B>) -> bool {
    names(request.headers(), UPGRADE, "websocket")
        || request.headers().contains_key(SEC_WEBSOCKET_KEY)
}

/// Admits a handshake: the 101, and what its socket becomes.
///
/// # Errors
/// Why not.
pub(super) async fn admit<B: Body>(
    front: &Front,
    source: Source,
    request: &Request<B>,
    attempt: Attempt,
) -> Result<(Answer, Upgrade), Refusal> {
    let accept = accept_key(request)?;
    if front.shared.draining.load(Ordering::Relaxed) {
        return Err(Refusal::Draining);
    }
    let peer = source.client;
    match attempt {
        Attempt::New => front.count_attempt(peer)?,
        Attempt::Counted => {}
    }
    let rules = front.rules();
    origin::judge(&rules, source.sender, request.headers())?;
    let grants = match rules.admission {
        Admission::Token => {
            let verified =
                front.connections.handshakes.run(Share::Token, || grants(front, request));
            Some(verified.await?)
        }
        Admission::Anybody => None,
    };
    let (read, write) =
        grants.as_ref().map_or((&[][..], &[][..]), |grants| (&grants.read[..], &grants.write[..]));
    if !front.connections.has_memory_for(read, write) {
        return Err(Refusal::MemoryFull);
    }
    let neighbour = front.enter_beside(peer)?;
    let place = Place::take(&front.shared.taken, rules.max_connections).ok_or(Refusal::Full)?;
    let place = place.beside(neighbour);
    let reservation = Reservation::in_turn(&front.connections, read, write).await;
    // Others that passed the same look have taken theirs since.
    if !front.connections.has_memory_for(&[], &[]) {
        return Err(Refusal::MemoryFull);
    }
    // The names are the hub's from here on: many that wait for other workers would hold them twice.
    let grants =
        grants.map(|grants| auth::Grants { read: Vec::new(), write: Vec::new(), ..grants });
    reservation.opened().await;
    front.note_admitted(peer);
    let identity = Identity {
        id: Uuid::new_v4(),
        peer,
        key: grants.as_ref().map(|grants| grants.key),
        closes_at: grants
            .as_ref()
            .and_then(|grants| grants.expires)
            .filter(|_| rules.close_at_expiry),
        subject: grants.and_then(|grants| grants.subject),
        place,
    };
    tracing::debug!(
        event = "connection_opened",
        connection = %identity.id,
        %peer,
        "connection opened"
    );
    Ok((switching(accept), Upgrade { reservation, identity }))
}

/// What the token of a request grants.
///
/// # Errors
/// Where it has none, or one that does not admit.
pub(super) fn grants<B>(front: &Front, request: &Request<B>) -> Result<auth::Grants, Refusal> {
    let token = token::find(request).map_err(|what| Refusal::Head(Fault::Malformed(what)))?;
    granted(front, &token.ok_or(Refusal::NoToken)?)
}

/// What a token grants.
///
/// # Errors
/// Where it does not admit.
pub(super) fn granted(front: &Front, token: &str) -> Result<auth::Grants, Refusal> {
    let now =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let rules = front.rules();
    auth::verify(token, &rules.keys, &rules.policy, now).map_err(Refusal::Token)
}

/// Judges the request's form; the value of `Sec-WebSocket-Accept`.
fn accept_key<B: Body>(request: &Request<B>) -> Result<HeaderValue, Refusal> {
    let headers = request.headers();
    let malformed = |what| Err(Refusal::Malformed(what));
    if request.method() != Method::GET {
        return malformed("the method is not GET");
    }
    if request.version() != Version::HTTP_11 {
        return malformed("the version is not HTTP/1.1");
    }
    // Bytes behind the head are WebSocket frames only if none of them are a body.
    if !request.body().is_end_stream() {
        return malformed("it has a body");
    }
    if !names(headers, UPGRADE, "websocket") {
        return malformed("the header Upgrade does not say websocket");
    }
    if !names(headers, CONNECTION, "upgrade") {
        return malformed("the header Connection does not say Upgrade");
    }
    match headers.get(SEC_WEBSOCKET_VERSION) {
        Some(version) if version.as_bytes() == b"13" => {}
        Some(_) => return Err(Refusal::WrongVersion),
        None => return Err(Refusal::NotAnUpgrade),
    }
    match headers.get(SEC_WEBSOCKET_KEY) {
        Some(key) if is_nonce(key.as_bytes()) => {
            HeaderValue::try_from(derive_accept_key(key.as_bytes()))
                .or(malformed("the header Sec-WebSocket-Key is not usable"))
        }
        Some(_) => malformed("the header Sec-WebSocket-Key is not 16 bytes in base64"),
        None => malformed("the header Sec-WebSocket-Key is missing"),
    }
}

/// Whether a key is 16 bytes in base64: 22 digits and two signs of equality.
fn is_nonce(key: &[u8]) -> bool {
    let digit = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    key.len() == 24 && key.ends_with(b"==") && key[..22].iter().all(digit)
}

/// Whether a header that is a comma-separated list names `word`, in any case.
fn names(headers: &HeaderMap, header: HeaderName, word: &str) -> bool {
    headers
        .get_all(header)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|item| item.trim().eq_ignore_ascii_case(word))
}

fn switching(accept: HeaderValue) -> Answer {
    let mut answer = Response::new(Default::default());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    answer
}
