//! A connection as plain data and back: what a hand-over to another worker or process carries.
//!
//! [`Connections::freeze`] takes a connection out between two turns, [`Connections::thaw`] goes on with it:
//! in the middle of a frame, of a fragmented message, of a frame partly sent. Its peer notices nothing. What
//! is published in between goes past it, so whoever hands over stops all publishing first: every worker
//! has stopped reading, and has taken its mail. A connection that is closing is not handed over; its
//! end is bounded anyhow. Never writes the data down: that is for whoever moves it.

use std::fmt;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::inbound::{Inbound, OpenMessage, ReadMessage};
use super::keepalive::Keepalive;
use super::socket::{AcceptedSocket, Socket};
use super::table::Connections;
use super::{Connection, Identity, Peer, Place, Reservation};
use crate::auth::KeyId;
use crate::hub::queue::Waiting;

/// An open connection that nobody serves.
pub struct Frozen {
    /// Its socket, with whatever the kernel holds for it.
    pub socket: AcceptedSocket,
    /// Its id.
    pub id: Uuid,
    /// Where it comes from.
    pub peer: Peer,
    /// The `sub` of its token.
    pub subject: Option<Box<str>>,
    /// The key that it rests on.
    pub key: Option<KeyId>,
    /// When its token ends it, in seconds since 1970.
    pub closes_at: Option<u64>,
    /// For how long it has been open.
    pub age: Duration,
    /// Bytes that have come from its peer, and that its socket has taken.
    pub bytes: (u64, u64),
    /// The channels that it reads.
    pub reads: Vec<Box<str>>,
    /// The channels that it may write.
    pub writes: Vec<Box<str>>,
    /// What has come from its peer and has not been taken in.
    inbound: Vec<u8>,
    /// A message of which fragments have come.
    open: Option<Box<OpenMessage>>,
    /// A whole message that was being read; how far, too.
    reading: Option<Box<ReadMessage>>,
    /// What waits for its socket.
    waiting: Vec<Waiting>,
    /// How many bytes of the first of it have been written.
    sent: usize,
    keepalive: Keepalive,
}

impl fmt::Debug for Frozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Lengths alone of what holds payloads.
        f.debug_struct("Frozen")
            .field("id", &self.id)
            .field("peer", &self.peer)
            .field("age", &self.age)
            .field("inbound", &self.inbound.len())
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}

impl Connections {
    /// Takes a connection out as it stands; None where it is closing or has gone. Between two turns only:
    /// what its last turn published has to be on its way.
    ///
    /// # Errors
    /// Where there is no descriptor left: nothing has changed then.
    pub fn freeze(&self, connection: &Rc<Connection>) -> io::Result<Option<Frozen>> {
        if !connection.is_open() || !self.holds(connection) {
            return Ok(None);
        }
        let socket = match connection.socket.borrow().try_clone() {
            // One under TLS stays, and is drained.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(None),
            socket => socket?,
        };
        let mut inbound = connection.inbound.take();
        inbound.forget_taken();
        let (reads, writes) = self.hub.borrow().names_of(connection.key);
        let (waiting, sent) = self
            .in_hub(|hub| hub.with_queue(connection.key, |queue, pool| queue.take_waiting(pool)));
        let identity = &connection.identity;
        let frozen = Frozen {
            socket,
            id: identity.id,
            peer: identity.peer,
            subject: identity.subject.clone(),
            key: identity.key,
            closes_at: identity.closes_at,
            age: connection.since.elapsed(),
            bytes: (connection.bytes_in.get(), connection.bytes_out.get()),
            reads,
            writes,
            inbound: inbound.bytes,
            open: inbound.open,
            reading: inbound.reading,
            waiting,
            sent,
            keepalive: connection.keepalive.get(),
        };
        // At once, so that nothing more is put into a queue that nobody sends.
        self.forget(connection);
        connection.end(super::Ending::HandedOver);
        Ok(Some(frozen))
    }

    /// Goes on with a connection, as one of this worker's, when all of its channels' homes know of it.
    ///
    /// # Errors
    /// Where the runtime cannot register its socket.
    pub async fn thaw(self: &Rc<Self>, frozen: Frozen, place: Place) -> io::Result<()> {
        let socket = Socket::from_accepted(frozen.socket)?;
        let reservation = Reservation::new(self, &frozen.reads, &frozen.writes);
        // Before anything else can be put there.
        reservation.restore(frozen.waiting, frozen.sent);
        reservation.opened().await;
        let identity = Identity {
            id: frozen.id,
            peer: frozen.peer,
            subject: frozen.subject,
            key: frozen.key,
            closes_at: frozen.closes_at,
            place,
        };
        let Frozen { inbound: bytes, open, reading, .. } = frozen;
        let inbound = Inbound { bytes, open, reading, ..Inbound::default() };
        // A clock that has run for less than the connection is old knows no earlier instant.
        let since = Instant::now().checked_sub(frozen.age).unwrap_or_else(Instant::now);
        reservation.resume(|key| Connection {
            since,
            bytes_in: frozen.bytes.0.into(),
            bytes_out: frozen.bytes.1.into(),
            inbound: inbound.into(),
            keepalive: frozen.keepalive.into(),
            ..Connection::new(key, identity, socket, &[])
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::close::CloseReason;
    use super::super::tests::{Alone, reads, run_local, sockets, tcp_sockets, turns};
    use super::*;
    use crate::config::Config;

    /// A frame of a client, masked.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [7, 0, 255, 80];
        let mut frame = vec![first, 0x80 | payload.len() as u8];
        frame.extend_from_slice(&mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        frame
    }

    fn only(alone: &Alone) -> Rc<Connection> {
        let mut all = Vec::new();
        alone.all.for_each(|connection| all.push(connection.clone()));
        assert_eq!(all.len(), 1, "one connection");
        all.remove(0)
    }

    /// The frames that a server sent, none of more than 64 KiB.
    fn frames(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        while let [_, length, ..] = *bytes {
            let length = match length {
                126 if bytes.len() < 4 => break,
                126 => 4 + usize::from(u16::from_be_bytes([bytes[2], bytes[3]])),
                short => 2 + usize::from(short),
            };
            let Some((frame, rest)) = bytes.split_at_checked(length) else { break };
            frames.push(frame.to_vec());
            bytes = rest;
        }
        frames
    }

    /// Freezes the only connection of one worker and thaws it on the other; how many bytes of the frame that
    /// waited first had been sent.
    async fn hand_over(from: &Alone, to: &Alone) -> usize {
        let connection = only(from);
        let frozen = from.all.freeze(&connection).expect("a descriptor").expect("open");
        assert!(from.all.freeze(&connection).expect("nothing to do").is_none());
        assert!(from.all.is_empty());
        assert_eq!(from.all.hub.borrow().members(), 1, "none but the listener");
        let sent = frozen.sent;
        to.all.thaw(frozen, to.place()).await.expect("thawed");
        tokio::task::yield_now().await;
        assert_eq!(Rc::strong_count(&connection), 1, "its old task has ended");
        assert_eq!((from.all.len(), to.all.len()), (0, 1));
        sent
    }

    /// Wherever what the peer sends is cut by a hand-over, and whatever waits for it meanwhile.
    #[test]
    fn a_connection_that_is_handed_over_in_mid_frame_and_mid_fragment_misses_nothing() {
        let said = [
            frame(0x01, br#"{"channel":"answer","#),
            frame(0x89, b"still there?"),
            frame(0x00, br#""data":"in "#),
            frame(0x80, br#"pieces"}"#),
            frame(0x81, br#"{"channel":"answer","data":"whole"}"#),
        ]
        .concat();
        let config = Config::default();
        // In mid frame, in mid message, and with the first that waits partly sent.
        let mut partly = [0; 3];
        for cut in 0..=said.len() {
            run_local(async {
                let (old, new) = (Alone::new(&config), Alone::new(&config));
                let listeners = [&old, &new].map(|alone| alone.reserve(&["answer"], &[]));
                let (socket, peer) = tcp_sockets();
                let reservation = old.reserve(&["c"], &["answer"]);
                let identity = old.identity();
                let id = identity.id;
                reservation.attach(identity, socket, &[]);
                // More than its socket takes: the first frame that waits is partly sent.
                let publisher = old.reserve(&[], &["c"]);
                let big = "x".repeat(60_000);
                for number in 0..10 {
                    old.publish(&publisher, "c", &format!("{number}{big}"));
                }
                (&peer).write_all(&said[..cut]).expect("taken");
                turns(&old).await;
                drop(publisher);
                let connection = only(&old);
                let waits = old.all.hub.borrow().queue(connection.key).bytes();
                assert!(waits > 100_000, "{waits} bytes wait");
                partly[0] += usize::from(connection.inbound.borrow().has_waiting());
                partly[1] += usize::from(connection.inbound.borrow().open.is_some());
                drop(connection);

                partly[2] += usize::from(hand_over(&old, &new).await > 0);
                assert_eq!(only(&new).identity.id, id);
                (&peer).write_all(&said[cut..]).expect("taken");
                let publisher = new.reserve(&[], &["c"]);
                new.publish(&publisher, "c", "afterwards");
                let heard = reads(&new, &peer, |heard| frames(heard).len() == 12).await;
                let (pongs, messages): (Vec<_>, Vec<_>) =
                    frames(&heard).into_iter().partition(|frame| frame[0] == 0x8a);
                assert_eq!(pongs, [[&[0x8a, 12], &b"still there?"[..]].concat()], "cut at {cut}");
                assert_eq!(messages.len(), 11, "cut at {cut}");
                for (number, message) in messages[..10].iter().enumerate() {
                    let data = format!("\"{number}{big}\"}}");
                    assert!(message.ends_with(data.as_bytes()), "cut at {cut}: message {number}");
                }
                assert!(messages[10].ends_with(b"\"afterwards\"}"), "cut at {cut}");
                let answers = [&old, &new].into_iter().zip(&listeners).map(|(alone, listener)| {
                    alone.all.hub.borrow().queue(listener.key()).messages()
                });
                assert_eq!(answers.sum::<u64>(), 2, "cut at {cut}");
            });
        }
        assert!(partly.iter().all(|count| *count > 30), "{partly:?}");
    }

    #[test]
    fn a_connection_that_is_closing_is_not_handed_over() {
        run_local(async {
            let alone = Alone::new(&Config::default());
            let (socket, peer) = sockets();
            alone.reserve(&["c"], &[]).attach(alone.identity(), socket, &[]);
            let connection = only(&alone);
            alone.all.close(&connection, CloseReason::Administrator);
            assert!(alone.all.freeze(&connection).expect("nothing to do").is_none());
            let close = CloseReason::Administrator.frame();
            reads(&alone, &peer, |heard| heard == close).await;
        });
    }
}
