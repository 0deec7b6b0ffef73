//! A place in the hub for a connection whose handshake has not been answered yet.

use std::rc::Rc;

use super::handshake_budget::Share;
use super::socket::Socket;
use super::table::Connections;
use super::{Connection, Identity};
use crate::hub::MemberKey;
use crate::hub::queue::Waiting;

/// Channels that cost less than waiting for a turn.
const FEW: usize = 64;

/// A member without a connection: subscribed, with deliveries waiting in its queue. Dropped before it is
/// attached, it leaves again: every way out of a handshake undoes it.
pub struct Reservation {
    all: Rc<Connections>,
    key: MemberKey,
    attached: bool,
}

impl Reservation {
    /// Makes a member that reads and writes these channels.
    pub fn new(all: &Rc<Connections>, reads: &[Box<str>], writes: &[Box<str>]) -> Reservation {
        let key = all.change_hub(|hub| hub.open(reads, writes));
        // At once: others may want memory before this turn ends.
        all.note_memory();
        Reservation { all: all.clone(), key, attached: false }
    }

    /// The same in its turn: of those that have many channels few are made in one.
    pub async fn in_turn(
        all: &Rc<Connections>,
        reads: &[Box<str>],
        writes: &[Box<str>],
    ) -> Reservation {
        let channels = reads.len() + writes.len();
        if channels <= FEW {
            return Reservation::new(all, reads, writes);
        }
        let share = Share::Channels(channels);
        all.handshakes.run(share, || Reservation::new(all, reads, writes)).await
    }

    /// The member's key.
    #[cfg(test)]
    pub(super) fn key(&self) -> MemberKey {
        self.key
    }

    /// Waits until whatever is published, by anybody on any worker, reaches this member: only then may
    /// its handshake be answered.
    pub async fn opened(&self) {
        std::future::poll_fn(|cx| self.all.poll_open(self.key, cx)).await;
    }

    /// Makes it a connection over `socket`, from which `early` has been read already.
    pub fn attach(self, identity: Identity, socket: Socket, early: &[u8]) -> Rc<Connection> {
        self.resume(|key| Connection::new(key, identity, socket, early))
    }

    /// Makes it the connection of its key that `connection` says.
    pub(super) fn resume(
        mut self,
        connection: impl FnOnce(MemberKey) -> Connection,
    ) -> Rc<Connection> {
        self.attached = true;
        self.all.start(connection(self.key))
    }

    /// Puts what waited for a connection in front of all that will wait for this member.
    pub(super) fn restore(&self, waiting: Vec<Waiting>, sent: usize) {
        self.all.in_hub(|hub| {
            hub.with_queue(self.key, |queue, pool| queue.restore(waiting, sent, pool));
        });
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.attached {
            self.all.abandon(self.key);
        }
    }
}
