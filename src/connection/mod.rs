//! One task a socket: reads, writes, keepalive, closing. The only place that touches a socket after the upgrade.
//!
//! A [`Connection`] is plain state; its task polls `Connection::turn` and nothing else, so that between two
//! turns the struct is the whole truth: socket, id, what is left of a frame or an open message, keepalive,
//! how far it is with closing. What waits for its socket stands in the hub.
//!
//! - [`table`]: the connections of one worker and what they share.
//! - [`pace`]: how fast one is read from. [`network`], [`neighbours`]: whose it is, and how many more they have.
//! - `discarding`: what comes after a Close of ours that the peer's words do not count behind.
//! - [`inbound`]: bytes into messages. `flush`: queues into sockets. [`keepalive`]: who is still there.
//! - [`socket`]: the kinds of sockets; [`tls`]: one of them.
//! - [`survey`]: looking at many of them without holding anybody up. [`outsider`]: publishing without one.
//! - `pressure`: what happens at the bounds on memory.
//! - [`load`]: whom a worker has most to do with.
//! - [`handshake_budget`]: how much of a turn handshakes take.
//! - [`handover`]: a connection as plain data and back.
//! - [`close`]: why the server closes a connection, and with which code. [`log_limit`]: how often what clients
//!   cause is logged.

#[cfg(any(test, fuzzing))]
pub(crate) mod client_frame;
pub mod close;
mod closing;
mod discarding;
mod flush;
pub mod handover;
pub mod handshake_budget;
mod identity;
pub mod inbound;
pub mod keepalive;
pub mod load;
pub mod log_limit;
pub mod neighbours;
pub mod network;
pub mod outsider;
pub mod pace;
mod pressure;
mod reading;
pub mod relay;
mod reservation;
mod settings;
pub mod socket;
pub mod survey;
pub mod table;
#[cfg(test)]
mod tests;
pub mod tls;
mod view;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use tokio::time::Sleep;

use crate::counters::memory::piece;
use crate::hub::MemberKey;
use crate::protocol::Parser;
use close::{AfterClose, CloseReason};
pub use identity::{Identity, Peer, Place};
use inbound::Inbound;
use keepalive::Keepalive;
use pace::Pace;
use reading::{Bite, Stop};
pub use reservation::Reservation;
pub use settings::Settings;
use socket::Socket;
pub use table::Connections;
pub use view::View;

/// The messages that one connection may take from its socket in any turn: then everybody else has theirs
/// and the queues are flushed, so a publisher at full speed starves nobody and evicts nobody.
const MESSAGES_A_TURN: usize = 32;
/// The messages that are taken in a turn by those who come first, beyond that: about half a millisecond's.
/// A lone publisher with 128 messages under way costs half as much with it as without.
const MESSAGES_OF_A_TURN: usize = 512;
/// The most bytes that one connection takes from its socket in a turn, for the same reason; also the room
/// that it makes at a time for a message of which it has a part.
const BYTES_A_TURN: usize = 64 * 1024;
/// The steps that reading one connection's messages may take in any turn, for the same reason, however they are written:
/// some 20 µs, so that a hundred who send what is slow to read hold up nobody for long.
const STEPS_A_TURN: usize = 4 * 1024;
/// The steps in a turn for those who come first, beyond that: some 0.3 ms. A message of as many bytes as a turn takes from
/// a socket needs fewer, unless it is made to be slow.
const STEPS_OF_A_TURN: usize = 64 * 1024;

/// What a connection takes of the heap while nothing is under way, its channels and TLS aside, in bytes: itself, its task
/// and its places in tables. `tests/bill.rs` measures 940.
const MEMORY: usize = 1024;

/// What a server does with its connections' messages.
pub trait Application {
    /// Takes one whole message; text is not yet known to be UTF-8. Called again in the next turn, with the same message
    /// and what was left in `work`, if it has used up the steps of this one.
    ///
    /// # Errors
    /// Why the connection must be closed for it.
    fn message(
        &self,
        all: &Connections,
        connection: &Connection,
        text: bool,
        payload: &[u8],
        work: Work<'_>,
    ) -> Result<Progress, CloseReason>;
}

/// What an application may do in one turn for one message.
#[derive(Debug)]
pub struct Work<'a> {
    /// Steps that are left of the turn: see [`Parser`]. One that takes no time worth counting leaves them.
    pub steps: &'a mut usize,
    /// How far it has read the message.
    pub parser: &'a mut Parser,
}

/// How far an application is with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It is done with it.
    Taken,
    /// The turn has no more steps: it goes on in the next.
    Unfinished,
}

/// How far a connection is with its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Both sides speak.
    Open,
    /// We have sent a Close; what comes until the peer's is still taken in.
    Closing,
    /// We have sent a Close for what the peer said or did, or for a fault of ours; what comes is thrown away until
    /// the peer's Close.
    Discarding,
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
    /// Bytes that have come from its peer.
    bytes_in: Cell<u64>,
    /// Bytes that its socket has taken.
    bytes_out: Cell<u64>,
    socket: RefCell<Socket>,
    inbound: RefCell<Inbound>,
    /// What of that counts as memory.
    counted: Cell<usize>,
    /// What the connection itself counts as, in bytes.
    memory: usize,
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
    /// How fast its peer sends, where that is limited.
    pace: RefCell<Option<Box<Pace>>>,
    /// When closing has taken long enough.
    deadline: RefCell<Option<Pin<Box<Sleep>>>>,
    waker: RefCell<Option<Waker>>,
    /// Why it ended, as far as that is known.
    ending: Cell<Ending>,
}

impl From<AfterClose> for Phase {
    fn from(after: AfterClose) -> Phase {
        match after {
            AfterClose::Messages => Phase::Closing,
            AfterClose::Nothing => Phase::Discarding,
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
    /// The peer's TCP took nothing for too long while something waited for it.
    Stalled,
    /// The peer answered no pings.
    Vanished,
    /// Somebody else goes on with it.
    HandedOver,
}

impl Ending {
    /// A stable name for logs and metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Ending::Lost => "lost",
            Ending::Peer(_) => "closed_by_peer",
            Ending::Ours(reason) => reason.name(),
            Ending::Stalled => CloseReason::SlowConsumer.name(),
            Ending::Vanished => "vanished",
            Ending::HandedOver => "handed_over",
        }
    }
}

impl Connection {
    fn new(key: MemberKey, identity: Identity, socket: Socket, early: &[u8]) -> Connection {
        let mut inbound = Inbound::default();
        inbound.keep(early);
        let subject = identity.subject.as_ref().map_or(0, |subject| piece(subject.len()));
        Connection {
            identity,
            key,
            since: Instant::now(),
            bytes_in: Cell::new(early.len() as u64),
            bytes_out: Cell::default(),
            memory: MEMORY + subject + socket.memory(),
            counted: Cell::new(0),
            socket: RefCell::new(socket),
            inbound: RefCell::new(inbound),
            phase: Cell::new(Phase::Open),
            blocked: Cell::new(false),
            shut: Cell::new(false),
            heard_out: Cell::new(false),
            over_since: Cell::new(None),
            keepalive: Cell::default(),
            pace: RefCell::new(None),
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
        let rates = all.settings.borrow().rates;
        let steps = STEPS_A_TURN.max(all.steps_left.get());
        let mut bite = Bite::new(granted, BYTES_A_TURN, steps);
        self.allow(all, rates, &mut bite);
        let before = bite;
        let over = self.take_a_bite(all, cx, &mut bite);
        all.count_message(self);
        all.take_steps(before.steps - bite.steps);
        if let Some(rates) = rates {
            self.settle_pace(rates, &before, &bite, cx);
        }
        over
    }

    /// Reads and takes in until the bite is spent or there is no more; ready when the connection is over.
    fn take_a_bite(&self, all: &Connections, cx: &mut Context<'_>, bite: &mut Bite) -> Poll<()> {
        loop {
            self.finish_if_flushed(all);
            match self.phase.get() {
                Phase::Over => return Poll::Ready(()),
                // More is left to read than a turn may; woken for it.
                Phase::Ending if self.shut.get() => return Poll::Pending,
                _ => {}
            }
            match self.read(all, cx, bite) {
                Poll::Ready(Ok(None)) => {}
                Poll::Ready(Ok(Some(Stop::Missing(_)))) => {}
                Poll::Ready(Ok(Some(Stop::Closed))) => {}
                // Woken at once, but behind all that is ready, the flush of what it published first.
                Poll::Ready(Ok(Some(Stop::Spent))) => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(Ok(Some(Stop::HeldUp))) => {
                    bite.held_up = true;
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
    connection.let_go(&all);
}
