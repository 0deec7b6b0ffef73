//! One task a socket: reads, writes, keepalive, closing. The only place that touches a socket after the upgrade.
//!
//! A [`Connection`] is plain state; its task polls `Connection::turn` and nothing else, so that between two
//! turns the struct is the whole truth: socket, id, what is left of a frame or an open message, keepalive,
//! how far it is with closing. What waits for its socket stands in the hub.
//!
//! - [`table`]: the connections of one worker and what they share.
//! - [`inbound`]: bytes into messages. `flush`: queues into sockets. [`keepalive`]: who is still there.
//! - [`handover`]: a connection as plain data and back.
//! - [`close`]: why the server closes a connection, and with which code. [`log_limit`]: how often what clients
//!   cause is logged.

pub mod close;
mod flush;
pub mod handover;
pub mod inbound;
pub mod keepalive;
pub mod log_limit;
pub mod relay;
mod reservation;
pub mod socket;
pub mod table;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Sleep;
use tokio_util::io::poll_read_buf;
use uuid::Uuid;

use crate::hub::MemberKey;
use close::{Attention, CloseReason, answer_frame};
use inbound::{Cut, Event, Inbound, cut};
use keepalive::Keepalive;
pub use reservation::Reservation;
use socket::Socket;
pub use table::Connections;

/// The messages that one connection may take from its socket in any turn: then everybody else has theirs
/// and the queues are flushed, so a publisher at full speed starves nobody and evicts nobody.
const MESSAGES_A_TURN: usize = 32;
/// The messages that are taken in a turn by those who come first, beyond that: about half a millisecond's.
/// A lone publisher with 128 messages under way costs half as much with it as without.
const MESSAGES_OF_A_TURN: usize = 512;
/// The most bytes that one connection takes from its socket in a turn, for the same reason; also the room
/// that it makes at a time for a message of which it has a part.
const BYTES_A_TURN: usize = 64 * 1024;

/// What a server does with its connections' messages.
pub trait Application {
    /// Takes one whole message; text is not yet known to be UTF-8.
    ///
    /// # Errors
    /// Why the connection must be closed for it.
    fn message(
        &self,
        all: &Connections,
        connection: &Connection,
        text: bool,
        payload: &[u8],
    ) -> Result<(), CloseReason>;
}

/// Where a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Over TCP; an IPv4 address is never written as a mapped IPv6 one.
    Address(SocketAddr),
    /// Over a Unix socket.
    Unix,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Address(address) => address.fmt(f),
            Peer::Unix => f.write_str("unix"),
        }
    }
}

/// Who a connection is.
#[derive(Debug)]
pub struct Identity {
    /// Its id, a random UUID: the `issuer` of what it publishes.
    pub id: Uuid,
    /// Where it comes from.
    pub peer: Peer,
    /// The `sub` of its token.
    pub subject: Option<Box<str>>,
    /// Which key its token was signed with, so that it ends with that key. None where no token was asked for.
    pub key: Option<crate::auth::KeyId>,
    /// When its token expires, in seconds since 1970, where that closes the connection.
    pub closes_at: Option<u64>,
    /// Its place among the most connections that there may be.
    pub place: Place,
}

/// One of so many places that all workers' connections share; free again when it is dropped.
#[derive(Debug)]
pub struct Place(Arc<AtomicUsize>);

impl Place {
    /// Takes a place if fewer than `most` are taken.
    pub fn take(taken: &Arc<AtomicUsize>, most: usize) -> Option<Place> {
        taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < most).then_some(n + 1))
            .ok()?;
        Some(Place(taken.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How far a connection is with its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Both sides speak.
    Open,
    /// We have sent a Close; what comes until the peer's is still taken in.
    Closing,
    /// We have sent a Close for what the peer said or did; of what comes only its Close still counts.
    Ignoring,
    /// We have sent a Close for what is no WebSocket; what comes is thrown away until the stream ends.
    Deaf,
    /// Both have sent a Close: what waits has to go out, then it is over.
    Ending,
    /// It is over.
    Over,
}

/// An open WebSocket connection.
pub struct Connection {
    /// Who it is.
    pub identity: Identity,
    /// Its key in the hub and in the table.
    pub key: MemberKey,
    /// Since when it is open.
    pub since: Instant,
    socket: RefCell<Socket>,
    inbound: RefCell<Inbound>,
    phase: Cell<Phase>,
    /// The socket took no more at the last flush.
    blocked: Cell<bool>,
    /// Our side of the stream is shut down.
    shut: Cell<bool>,
    /// The peer's side of the stream is.
    heard_out: Cell<bool>,
    /// Since when its queue has been over its bound at every look.
    over_since: Cell<Option<Instant>>,
    keepalive: Cell<Keepalive>,
    /// When closing has taken long enough.
    deadline: RefCell<Option<Pin<Box<Sleep>>>>,
    waker: RefCell<Option<Waker>>,
    /// Why it ended, as far as that is known.
    ending: Cell<Ending>,
}

impl From<Attention> for Phase {
    fn from(attention: Attention) -> Phase {
        match attention {
            Attention::Messages => Phase::Closing,
            Attention::Close => Phase::Ignoring,
            Attention::Nothing => Phase::Deaf,
        }
    }
}

/// How a connection came to its end, for log and counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nobody has said anything yet: the peer went without a Close.
    Lost,
    /// The peer closed it, with this code.
    Peer(Option<u16>),
    /// We closed it.
    Ours(CloseReason),
    /// The peer answered no pings.
    Vanished,
    /// Somebody else goes on with it.
    HandedOver,
}

/// What a connection may still take from its socket in this turn.
struct Bite {
    messages: usize,
    bytes: usize,
}

impl Bite {
    fn is_spent(&self) -> bool {
        self.messages == 0 || self.bytes == 0
    }
}

/// What stopped a look at a connection's bytes.
enum Stop {
    /// So many more bytes are needed.
    Missing(usize),
    /// Others have their turn now.
    Spent,
    /// It has published as much as it may for now.
    NoCredit,
    /// The peer has closed: what follows does not count.
    Closed,
}

impl Connection {
    fn new(key: MemberKey, identity: Identity, socket: Socket, early: &[u8]) -> Connection {
        let mut inbound = Inbound::default();
        inbound.keep(early);
        Connection {
            identity,
            key,
            since: Instant::now(),
            socket: RefCell::new(socket),
            inbound: RefCell::new(inbound),
            phase: Cell::new(Phase::Open),
            blocked: Cell::new(false),
            shut: Cell::new(false),
            heard_out: Cell::new(false),
            over_since: Cell::new(None),
            keepalive: Cell::default(),
            deadline: RefCell::new(None),
            waker: RefCell::new(None),
            ending: Cell::new(Ending::Lost),
        }
    }

    /// Everything that the connection can do now; ready when it is over.
    fn turn(&self, all: &Connections, cx: &mut Context<'_>) -> Poll<()> {
        self.remember(cx.waker());
        if let Some(deadline) = &mut *self.deadline.borrow_mut()
            && deadline.as_mut().poll(cx).is_ready()
        {
            if self.phase.get() != Phase::Over {
                all.counters.cut.add(1);
            }
            self.phase.set(Phase::Over);
        }
        if self.blocked.get() && self.phase.get() != Phase::Over {
            match self.socket.borrow().poll_write_ready(cx) {
                Poll::Ready(Ok(())) => self.blocked.set(false),
                Poll::Ready(Err(_)) => self.phase.set(Phase::Over),
                Poll::Pending => {}
            }
            // A peer whose socket takes bytes again is alive, whether it says anything or not.
            if !self.blocked.get() && all.flush_one(self) > 0 {
                self.keepalive.set(self.keepalive.get().heard());
            }
        }
        let granted = MESSAGES_A_TURN.max(all.messages_left.get());
        let mut bite = Bite { messages: granted, bytes: BYTES_A_TURN };
        loop {
            self.finish_if_flushed(all);
            if self.phase.get() == Phase::Over {
                return Poll::Ready(());
            }
            match self.read(all, cx, &mut bite) {
                Poll::Ready(Ok(None)) => {}
                Poll::Ready(Ok(Some(Stop::Missing(_)))) => {}
                Poll::Ready(Ok(Some(Stop::Closed))) => {}
                // Woken at once, but behind all that is ready, the flush of what it published first.
                Poll::Ready(Ok(Some(Stop::Spent))) => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(Ok(Some(Stop::NoCredit))) | Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(reason)) => self.close(all, reason),
            }
        }
    }

    fn remember(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }

    /// Has the connection's task look again.
    pub(crate) fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Reads once and takes in what there is. `None` where the end of the stream has come.
    fn read(
        &self,
        all: &Connections,
        cx: &mut Context<'_>,
        bite: &mut Bite,
    ) -> Poll<Result<Option<Stop>, CloseReason>> {
        if self.heard_out.get() {
            return Poll::Pending;
        }
        if bite.is_spent() {
            return Poll::Ready(Ok(Some(Stop::Spent)));
        }
        let inbound = &mut *self.inbound.borrow_mut();
        if inbound.has_waiting() && inbound.missing == 0 {
            let Inbound { bytes, taken, open, missing } = inbound;
            let (used, stop) = self.take_in(all, &mut bytes[*taken..], open, bite);
            *taken += used;
            *missing = missing_of(&stop);
            if !inbound.has_waiting() {
                inbound.forget_taken();
            }
            return Poll::Ready(stop.map(Some));
        }
        let mut socket = self.socket.borrow_mut();
        let socket = Pin::new(&mut *socket);
        if inbound.has_waiting() {
            inbound.forget_taken();
            inbound.bytes.reserve(inbound.missing.clamp(64, BYTES_A_TURN));
            return match poll_read_buf(socket, cx, &mut inbound.bytes) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(read)) if read > 0 => {
                    self.heard(all, read, bite);
                    inbound.missing = inbound.missing.saturating_sub(read);
                    Poll::Ready(Ok(Some(Stop::Missing(inbound.missing))))
                }
                Poll::Ready(end) => {
                    self.stream_ended(all, end.is_ok());
                    Poll::Ready(Ok(None))
                }
            };
        }
        let mut buffer = all.read_buffer.borrow_mut();
        let mut buffer = ReadBuf::new(&mut buffer[..]);
        match socket.poll_read(cx, &mut buffer) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
            Poll::Ready(end) => {
                self.stream_ended(all, end.is_ok());
                return Poll::Ready(Ok(None));
            }
        }
        let bytes = buffer.filled_mut();
        self.heard(all, bytes.len(), bite);
        let (used, stop) = self.take_in(all, bytes, &mut inbound.open, bite);
        // Behind a fault too: where the frames begin is known, and the peer's Close is among them.
        if used < bytes.len() {
            inbound.keep(&bytes[used..]);
        }
        inbound.missing = missing_of(&stop);
        Poll::Ready(stop.map(Some))
    }

    /// The peer sends nothing more. That is the end, unless it is owed a Close that has yet to go out: its
    /// other half may be open.
    fn stream_ended(&self, all: &Connections, in_order: bool) {
        if in_order && !self.is_open() && !all.hub.borrow().queue(self.key).is_empty() {
            self.heard_out.set(true);
            self.phase.set(Phase::Ending);
        } else {
            self.phase.set(Phase::Over);
        }
    }

    fn heard(&self, all: &Connections, bytes: usize, bite: &mut Bite) {
        bite.bytes = bite.bytes.saturating_sub(bytes);
        all.counters.bytes_in.add(bytes as u64);
        self.keepalive.set(self.keepalive.get().heard());
    }

    /// Takes in the whole frames at the front of `bytes`; how many bytes that were, and what stopped it.
    fn take_in(
        &self,
        all: &Connections,
        bytes: &mut [u8],
        open: &mut Option<Box<inbound::OpenMessage>>,
        bite: &mut Bite,
    ) -> (usize, Result<Stop, CloseReason>) {
        let largest = all.settings.borrow().max_message_size;
        let mut at = 0;
        loop {
            match self.phase.get() {
                Phase::Open | Phase::Closing | Phase::Ignoring => {}
                // Nothing that comes now counts.
                Phase::Deaf | Phase::Ending | Phase::Over => {
                    return (bytes.len(), Ok(Stop::Closed));
                }
            }
            if at == bytes.len() {
                return (at, Ok(Stop::Missing(0)));
            }
            if bite.messages == 0 {
                return (at, Ok(Stop::Spent));
            }
            if !all.has_credit(self.key) {
                return (at, Ok(Stop::NoCredit));
            }
            match cut(&mut bytes[at..], open, largest) {
                Ok(Cut::Missing(missing)) => return (at, Ok(Stop::Missing(missing))),
                Ok(Cut::Whole(length, event)) => {
                    at += length;
                    bite.messages -= 1;
                    all.messages_left.set(all.messages_left.get().saturating_sub(1));
                    if let Err(reason) = self.take_event(all, event) {
                        return (at, Err(reason));
                    }
                }
                Err(reason) => return (at, Err(reason)),
            }
        }
    }

    fn take_event(&self, all: &Connections, event: Event<'_>) -> Result<(), CloseReason> {
        match event {
            Event::Message { .. } if self.phase.get() == Phase::Ignoring => Ok(()),
            Event::Message { text, payload } => {
                all.counters.messages_in.add(1);
                all.application.message(all, self, text, &payload)
            }
            Event::Fragment => Ok(()),
            Event::Ping(payload) => {
                let mut pong = Vec::with_capacity(2 + payload.len());
                pong.extend_from_slice(&[0x8a, payload.len() as u8]);
                pong.extend_from_slice(payload);
                all.change_queue(self.key, |queue, pool| queue.push_pong(pong.into(), pool));
                Ok(())
            }
            Event::Pong => {
                self.keepalive.set(self.keepalive.get().answered());
                Ok(())
            }
            Event::Close(Err(reason)) => {
                self.close(all, reason);
                // Its Close is its last word, however bad.
                self.phase.set(Phase::Ending);
                Ok(())
            }
            Event::Close(Ok(code)) => {
                if self.phase.get() == Phase::Open {
                    self.ending.set(Ending::Peer(code));
                    let answer = Bytes::from(answer_frame(code));
                    all.change_queue(self.key, |queue, pool| queue.push_close(answer, pool));
                    self.limit_closing(all);
                }
                self.phase.set(Phase::Ending);
                Ok(())
            }
        }
    }

    /// Closes the connection for a reason of the server's. What waits for it goes out first, unless it is
    /// closed for not taking it.
    pub(crate) fn close(&self, all: &Connections, reason: CloseReason) {
        let next = reason.attention().into();
        match self.phase.get() {
            Phase::Open => {}
            // A second fault while it is closing: its words count for less.
            Phase::Closing | Phase::Ignoring => {
                if next != Phase::Closing {
                    self.phase.set(next);
                }
                return;
            }
            _ => return,
        }
        self.ending.set(Ending::Ours(reason));
        let frame = Bytes::from(reason.frame());
        let dropped = all.change_queue(self.key, |queue, pool| {
            let slow = reason == CloseReason::SlowConsumer;
            let dropped = if slow { queue.discard(pool) } else { 0 };
            queue.push_close(frame, pool);
            dropped
        });
        all.counters.dropped.add(dropped);
        self.phase.set(next);
        self.limit_closing(all);
    }

    /// Goes on from a Close that was put into its queue before it was a connection.
    fn is_closed_already(&self, all: &Connections, reason: CloseReason) {
        self.ending.set(Ending::Ours(reason));
        self.phase.set(reason.attention().into());
        self.limit_closing(all);
    }

    fn limit_closing(&self, all: &Connections) {
        let timeout = all.settings.borrow().close_timeout;
        *self.deadline.borrow_mut() = Some(Box::pin(tokio::time::sleep(timeout)));
        // The task has to look at it once for it to count.
        self.wake();
    }

    /// Ends the connection without another word.
    pub(crate) fn end(&self, ending: Ending) {
        if self.phase.get() == Phase::Open {
            self.ending.set(ending);
        }
        self.phase.set(Phase::Over);
        self.wake();
    }

    /// Ends the stream once everything is out: the server closes first, so that TIME_WAIT is on its side
    /// (RFC 6455, 7.1.1). After both have sent a Close that is all. A peer that was not understood may
    /// still be sending, and a socket that is closed with bytes unread takes back what it has sent: so
    /// only our side is shut down, and the peer has until the deadline to read our Close.
    fn finish_if_flushed(&self, all: &Connections) {
        let phase = self.phase.get();
        if !matches!(phase, Phase::Deaf | Phase::Ending)
            || self.shut.get()
            || !all.hub.borrow().queue(self.key).is_empty()
        {
            return;
        }
        self.shut.set(true);
        self.socket.borrow().shutdown_write();
        if phase == Phase::Ending {
            self.phase.set(Phase::Over);
        }
    }

    /// Whether both sides still speak.
    pub(crate) fn is_open(&self) -> bool {
        self.phase.get() == Phase::Open
    }

    /// Gives up what the peer has said so far, after a fault of ours in reading it.
    fn forget_inbound(&self) {
        if let Ok(mut inbound) = self.inbound.try_borrow_mut() {
            inbound.clear();
        }
    }
}

fn missing_of(stop: &Result<Stop, CloseReason>) -> usize {
    match stop {
        Ok(Stop::Missing(missing)) => *missing,
        _ => 0,
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.identity.id)
            .field("peer", &self.identity.peer)
            .field("phase", &self.phase.get())
            .field("held", &self.inbound.try_borrow().map(|inbound| inbound.held()).ok())
            .finish_non_exhaustive()
    }
}

/// The task of a connection, from its first byte to its last; it leaves no trace on any way out.
async fn run(all: Rc<Connections>, connection: Rc<Connection>) {
    let mut failed = false;
    loop {
        let turns = std::future::poll_fn(|cx| connection.turn(&all, cx));
        // After a second fault nobody is told any more, and a broken worker is about to end.
        if all.guard(turns).await.is_ok() || failed || all.is_broken() {
            break;
        }
        failed = true;
        // A fault of ours: the queue stands outside of what broke, so the peer can be told.
        all.counters.faults.add(1);
        connection.forget_inbound();
        connection.close(&all, CloseReason::Fault);
    }
}

impl Connection {
    /// One line when it is over, at debug: connections come and go by the will of clients.
    fn log_end(&self) {
        let ending = self.ending.get();
        let (name, code) = match ending {
            Ending::Lost => ("lost", None),
            Ending::Peer(code) => ("closed_by_peer", code),
            Ending::Ours(reason) => (reason.name(), Some(reason.code())),
            Ending::Vanished => ("vanished", None),
            Ending::HandedOver => ("handed_over", None),
        };
        tracing::debug!(
            event = "connection_closed",
            connection = %self.identity.id,
            peer = %self.identity.peer,
            reason = name,
            code,
            seconds = self.since.elapsed().as_secs(),
            "connection closed"
        );
    }

    fn log_dropped(&self, dropped: u64) {
        tracing::debug!(
            event = "messages_dropped",
            connection = %self.identity.id,
            peer = %self.identity.peer,
            dropped,
            "a slow consumer lost its oldest messages"
        );
    }
}
