//! Requests before and beside the WebSocket: the handshake that turns one into a connection, and plain ones.
//!
//! A socket's walk: [`serve`] drives hyper over it until a handshake succeeds (`handshake`), then takes the
//! socket back and attaches it to its reservation; or until it is closed, evicted or out of time. Everything
//! of HTTP is dropped at that moment: a connection costs nothing for having been a request.
//!
//! - `newcomer`: what comes before the first request; `proxy_header`: whom a proxy speaks for.
//! - [`rules`]: what handshakes go by, replaced as a whole. `token`: where a request's token is.
//!   [`forwarding`]: whom it comes from. `origin`: whether it may come from there. `refusal`: every other answer
//!   than 101.
//! - `head`: what every request's head has to satisfy. `request_socket`: a socket as requests are read from it.
//! - [`pending`]: how many sockets may wait here; `eviction`: which of them goes first.
//! - `crowd`: whether a proxy is in front that nobody told us of.
//!
//! Plain requests:
//!
//! - `plain`: the table of what a listener serves, in the form of [`routes`]; the control socket has its own.
//! - [`health`], [`api`]: what is served, on both. `body`: what comes with a request; [`body_room`]: how much may.
//! - `turns`: long work in steps. [`answer`]: how every answer looks. [`inquiry`]: what one request asks of all workers.

pub mod answer;
pub mod api;
mod body;
pub mod body_room;
mod crowd;
mod eviction;
pub mod forwarding;
pub mod front;
mod handshake;
pub mod handshake_rate;
pub mod head;
pub mod health;
pub mod inquiry;
mod newcomer;
mod origin;
pub mod pending;
mod plain;
pub(crate) mod proxy_header;
mod refusal;
mod request_socket;
pub mod routes;
pub mod rules;
mod token;
mod turns;
mod welcome;

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout};

use crate::connection::socket::Socket;
use crate::connection::{Identity, Peer, Reservation};
use crate::counters::memory::Kind;
use answer::Answer;
use eviction::Activity;
pub use front::Front;
pub use newcomer::Newcomer;
use newcomer::{Attempt, Greeted};
use pending::Pending;
use refusal::Refusal;
use request_socket::{Progress, RequestSocket};

/// How long a peer that was answered early may go on sending.
const LINGER: Duration = Duration::from_secs(2);
/// How long a plain request may take that is being answered; whoever answers has shorter bounds of its own.
const ANSWERING: Duration = Duration::from_secs(180);
/// What a socket takes of the heap that is no connection, or not yet, in bytes: the buffer that the HTTP library begins
/// with, and its task.
const MEMORY: usize = 12 << 10;
/// The most header fields of a request; hyper's default, kept since browsers send about 20.
const MAX_HEADERS: usize = 100;

/// What a handshake that succeeded leaves for the socket.
struct Upgrade {
    reservation: Reservation,
    identity: Identity,
}

/// What the requests on one socket share.
struct Visit {
    front: Rc<Front>,
    /// Who is at the other end: a client, or a proxy of clients.
    peer: Peer,
    upgrade: RefCell<Option<Upgrade>>,
    pending: Rc<Pending>,
    /// Whether its next handshake has been counted as an attempt.
    attempt: Cell<Attempt>,
    progress: Rc<Progress>,
}

/// Serves one accepted socket, until it is a WebSocket connection, or closed, or others need its place.
pub async fn serve(front: Rc<Front>, newcomer: Newcomer, pending: Pending) {
    let pending = Rc::new(pending);
    tokio::select! {
        // First, so that one that has to go costs no more.
        biased;
        (peer, activity) = pending.evicted() => front.note_evicted(peer, activity),
        () = attend(front.clone(), newcomer, pending.clone()) => {}
    }
}

async fn attend(front: Rc<Front>, newcomer: Newcomer, pending: Rc<Pending>) {
    let _memory = front.connections.counters.memory.hold(Kind::Requests, MEMORY);
    let rules = front.rules();
    let deadline = Instant::now() + rules.handshake_timeout;
    let Some(greeted) = newcomer.greet(&front, deadline).await else { return };
    let Greeted { socket, peer, attempt } = greeted;
    socket.prepare(rules.user_timeout);
    pending.identify(peer, rules.network_of(peer));
    let progress = Rc::new(Progress::new(deadline, rules.handshake_timeout));
    let visit = Rc::new(Visit {
        peer,
        pending,
        upgrade: RefCell::new(None),
        attempt: Cell::new(attempt),
        progress: progress.clone(),
        front,
    });
    let service = {
        let visit = visit.clone();
        service_fn(move |request: Request<Incoming>| {
            let visit = visit.clone();
            Box::pin(async move { Ok::<_, Infallible>(answer(&visit, request).await) })
        })
    };
    let mut connection = http1::Builder::new()
        .max_buf_size(rules.max_head_size)
        .max_headers(MAX_HEADERS)
        // Who has sent all of its request may end its side of the stream, and reads the answer.
        .half_close(true)
        .serve_connection(
            TokioIo::new(RequestSocket::new(socket, progress.clone(), rules.max_head_size)),
            service,
        );
    let mut timer = Box::pin(tokio::time::sleep_until(progress.until()));
    let ended = poll_fn(|cx| {
        loop {
            if let Poll::Ready(done) = connection.poll_without_shutdown(cx) {
                return Poll::Ready(match done {
                    Ok(()) => End::Done,
                    Err(error) if error.is_parse() => End::Unreadable,
                    Err(_) => End::Failed,
                });
            }
            // What it waits for now may have less time than what it waited for before.
            if progress.until() < timer.deadline() {
                timer.as_mut().reset(progress.until());
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if progress.until() <= Instant::now() {
                if !progress.looks_once_more() {
                    return Poll::Ready(End::TimedOut);
                }
            } else {
                timer.as_mut().reset(progress.until());
            }
        }
    })
    .await;
    let upgrade = visit.upgrade.borrow_mut().take();
    match ended {
        End::Failed => {}
        // hyper has answered it already.
        End::Unreadable => {
            visit.front.note_refused(peer, refusal::MALFORMED_NAME);
            linger(connection.into_parts().io.into_inner().into_inner()).await;
        }
        End::Done => {
            let parts = connection.into_parts();
            let socket = parts.io.into_inner().into_inner();
            if let Some(Upgrade { reservation, identity }) = upgrade {
                let connection = reservation.attach(identity, socket, &parts.read_buf);
                visit.front.look_again_at(&connection);
            } else {
                linger(socket).await;
            }
        }
        End::TimedOut => {
            let mut socket = connection.into_parts().io.into_inner().into_inner();
            if progress.owes_an_answer() {
                newcomer::say(&mut socket, refusal::TIMED_OUT).await;
                visit.front.note_refused(peer, refusal::TIMED_OUT_NAME);
            } else {
                // A request that crosses our end on its way is not answered with a reset.
                linger(socket).await;
            }
        }
    }
}

/// Counts a plain request for as long as it is being answered: a stop waits for it.
struct UnderWay<'a>(&'a Front);

impl<'a> UnderWay<'a> {
    fn new(front: &'a Front) -> UnderWay<'a> {
        front.shared.requests.fetch_add(1, Ordering::Relaxed);
        UnderWay(front)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.shared.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Lets a peer read its last answer: who is answered before all of its body was read is still sending, and a socket
/// that is closed with bytes unread takes back what it has sent.
async fn linger(mut socket: Socket) {
    let over = async {
        socket.shutdown().await?;
        tokio::io::copy(&mut socket, &mut tokio::io::sink()).await
    };
    let _ = timeout(LINGER, over).await;
}

/// How the HTTP part of a socket's life ended.
enum End {
    Done,
    Failed,
    /// The head of a request is none, or too long.
    Unreadable,
    TimedOut,
}

async fn answer(visit: &Visit, mut request: Request<Incoming>) -> Answer {
    visit.pending.set_activity(Activity::Answering);
    let rules = visit.front.rules();
    let source = rules.forwarding.source(visit.peer, request.headers());
    let is_handshake = handshake::wants_upgrade(&request);
    let has_body = !request.body().is_end_stream();
    let takes_body = request.method() == Method::POST;
    let judged = head::judge(&mut request, rules.max_head_size);
    let mut answer = if let Err(fault) = judged {
        let refusal = Refusal::of_head(fault, is_handshake);
        visit.front.note_refused(source.client, refusal.name());
        if is_handshake { refusal.answer() } else { refusal.fault() }
    } else if is_handshake {
        let attempt = visit.attempt.replace(Attempt::New);
        match handshake::admit(&visit.front, source, &request, attempt).await {
            Ok((answer, upgrade)) => {
                *visit.upgrade.borrow_mut() = Some(upgrade);
                answer
            }
            Err(refusal) => {
                visit.front.note_refused(source.client, refusal.name());
                refusal.answer()
            }
        }
    } else {
        visit.progress.answer_until(Instant::now() + ANSWERING);
        let _under_way = UnderWay::new(&visit.front);
        plain::answer(&visit.front, source, request).await
    };
    // Only a publish that succeeded has surely read its body. If some of another body has yet to come, hyper ends the
    // connection behind the answer, so the answer announces that: a client would send its next request in vain.
    let is_unread = has_body && !(takes_body && answer.status().is_success());
    // Read anew: a reload holds for each socket from its next answer on.
    let keep_alive = visit.front.rules().keep_alive;
    let ends = keep_alive.is_none() || is_unread;
    if ends && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        // What a 426 offers goes with the header `Upgrade` (RFC 9110, 7.8).
        let is_offer = answer.status() == StatusCode::UPGRADE_REQUIRED;
        let ends = HeaderValue::from_static(if is_offer { "Upgrade, close" } else { "close" });
        answer.headers_mut().insert(CONNECTION, ends);
    }
    visit.progress.idle_until(Instant::now() + keep_alive.unwrap_or(LINGER));
    // An answer that is still being written counts as idle, too: the peer may take as long as it likes to read it.
    visit.pending.set_activity(Activity::Idle);
    answer
}
