//! `GET /api/connections`, a page of them; `DELETE /api/connections/ID` and `DELETE /api/connections?subject=S`, which
//! close one or all of a subject with 4002.

use std::sync::Arc;

use hyper::body::Body;
use hyper::{Request, StatusCode, Uri};
use serde::{Deserialize, Serialize};
use tokio::task::yield_now;
use uuid::Uuid;

use super::page::merge;
use super::query::{Query, bad_request};
use super::{Caller, content, unanswered};
use crate::connection::survey::{Part, PeerIs, Selection};
use crate::connection::{Peer, View};
use crate::http::Front;
use crate::http::answer::{Answer, JSON, fault, json, respond};
use crate::http::inquiry::Inquiry;

/// Connections that are written out in one turn.
const A_TURN: usize = 64;

/// One open connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionInfo {
    /// Its id.
    pub id: Uuid,
    /// Where it comes from.
    pub peer: String,
    /// The `sub` of its token.
    pub subject: Option<String>,
    /// The worker it is on.
    pub worker: u8,
    /// Seconds since it opened.
    pub age_seconds: u64,
    /// How many channels it reads.
    pub reads: usize,
    /// How many it may write.
    pub writes: usize,
    /// The names of those that it reads, 100 of them at most.
    pub read: Vec<String>,
    /// The names of those that it may write, likewise.
    pub write: Vec<String>,
    /// Bytes that have come from its peer.
    pub bytes_in: u64,
    /// Bytes that its socket has taken.
    pub bytes_out: u64,
    /// Bytes that wait for it.
    pub queued_bytes: usize,
    /// `open` or `closing`.
    pub state: String,
}

/// A page of connections, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ConnectionPage {
    /// Those of this page.
    pub connections: Vec<ConnectionInfo>,
    /// How many there are on all pages.
    pub total: usize,
    /// What `after` has to be for the next page; absent on the last.
    pub next: Option<Uuid>,
}

/// What stands behind the connections of a page.
#[derive(Serialize)]
struct Rest {
    total: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Uuid>,
}

/// A page of connections.
pub(super) async fn list<B>(front: &Front, request: &Request<B>) -> Answer {
    let selection = match selection(request) {
        Ok(selection) => selection,
        Err(answer) => return *answer,
    };
    let limit = selection.limit;
    let selection = Arc::new(selection);
    let ask = |answer| Inquiry::Connections(selection.clone(), answer);
    let Ok(parts) = front.everyone.ask_all(ask).await else { return unanswered() };
    let of = |(worker, part): (usize, Part<View, Uuid>)| part.map(|view| (worker as u8, view));
    let parts = parts.into_iter().enumerate().map(of).collect();
    let page = merge(parts, limit, |(_, view): &(u8, View)| view.id, |_, _| {});
    // In pieces, so that whoever is served meanwhile does not wait for all of it.
    let mut body = br#"{"connections":["#.to_vec();
    for (number, (worker, view)) in page.found.into_iter().enumerate() {
        if number > 0 {
            body.push(b',');
        }
        serde_json::to_writer(&mut body, &info(worker, view)).expect("texts and numbers are JSON");
        if number % A_TURN == A_TURN - 1 {
            yield_now().await;
        }
    }
    let rest = Rest { total: page.total, next: page.next };
    let rest = serde_json::to_string(&rest).expect("numbers are JSON");
    body.extend_from_slice(b"],");
    body.extend_from_slice(&rest.as_bytes()[1..]);
    body.push(b'\n');
    respond(StatusCode::OK, JSON, body.into())
}

fn info(worker: u8, view: View) -> ConnectionInfo {
    let names = |names: Vec<Arc<str>>| names.iter().map(|name| String::from(&**name)).collect();
    ConnectionInfo {
        id: view.id,
        peer: view.peer.to_string(),
        subject: view.subject.map(String::from),
        worker,
        age_seconds: view.since.elapsed().as_secs(),
        reads: view.reads,
        writes: view.writes,
        read: names(view.read),
        write: names(view.write),
        bytes_in: view.bytes_in,
        bytes_out: view.bytes_out,
        queued_bytes: view.queued,
        state: if view.open { "open" } else { "closing" }.to_owned(),
    }
}

fn selection<B>(request: &Request<B>) -> Result<Selection, Box<Answer>> {
    let known = ["subject", "channel", "peer", "after", "limit"];
    let query = Query::of(request.uri(), &known)?;
    let boxed = |name: &str| query.get(name).map(Box::from);
    Ok(Selection {
        subject: boxed("subject"),
        channel: boxed("channel"),
        peer: query.parse("peer", "an address, with or without its port, or unix", peer)?,
        after: query.parse("after", "the id of a connection", |text| text.parse().ok())?,
        limit: query.limit()?,
    })
}

/// `192.0.2.1`, `192.0.2.1:5`, `2001:db8::1`, `[2001:db8::1]:5`, `unix`.
fn peer(text: &str) -> Option<PeerIs> {
    if text == "unix" {
        return Some(PeerIs::Unix);
    }
    if let Ok(ip) = text.parse() {
        return Some(PeerIs::At(ip));
    }
    text.parse().ok().map(PeerIs::Address)
}

/// Closes the connection of this id.
pub(super) async fn close<B: Body>(
    front: &Front,
    caller: Caller,
    id: &str,
    request: &Request<B>,
) -> Answer {
    let Ok(id) = Uuid::try_parse(id) else {
        let reason = "an id of a connection is a UUID, as GET /api/connections lists them";
        return *bad_request(reason);
    };
    if let Err(answer) =
        Query::of(request.uri(), &[]).map(drop).and_then(|()| content::none(request))
    {
        return *answer;
    }
    if let Some(peer) = told_of(front, caller) {
        tracing::info!(event = "api_disconnect", %peer, connection = %id, "asked to disconnect");
    }
    let Ok(found) = front.everyone.ask_all(|answer| Inquiry::Close(id, answer)).await else {
        return unanswered();
    };
    if found.contains(&true) {
        json(&serde_json::json!({ "disconnected": id }))
    } else {
        fault(StatusCode::NOT_FOUND, "not_found", "there is no connection of this id")
    }
}

/// The subject whose connections a request would have closed.
pub fn subject_of(uri: &Uri) -> Option<String> {
    Query::of(uri, &["subject"]).ok()?.get("subject").map(String::from)
}

/// Whose disconnecting the log is told of here; the control socket tells of its own callers.
fn told_of(front: &Front, caller: Caller) -> Option<Peer> {
    match caller {
        Caller::Peer(source) => {
            let peer = source.client;
            front.connections.log_limit.admits("api_disconnect", peer).then_some(peer)
        }
        Caller::Control => None,
    }
}

/// Closes all connections of a subject.
pub(super) async fn close_subject<B: Body>(
    front: &Front,
    caller: Caller,
    request: &Request<B>,
) -> Answer {
    let query = match Query::of(request.uri(), &["subject"])
        .and_then(|query| content::none(request).map(|()| query))
    {
        Ok(query) => query,
        Err(answer) => return *answer,
    };
    let Some(subject) = query.get("subject") else {
        return *bad_request("whose? Say subject=NAME, or DELETE /api/connections/ID");
    };
    if let Some(peer) = told_of(front, caller) {
        tracing::info!(event = "api_disconnect", %peer, subject, "asked to disconnect");
    }
    let subject: Arc<str> = subject.into();
    let ask = |answer| Inquiry::CloseSubject(subject.clone(), answer);
    match front.everyone.ask_all(ask).await {
        Ok(closed) => json(&serde_json::json!({ "disconnected": closed.iter().sum::<usize>() })),
        Err(_) => unanswered(),
    }
}
