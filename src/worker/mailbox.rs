//! Mail between workers: one bounded mailbox a worker, an envelope a pair of workers and turn.
//!
//! A mailbox keeps each sender's order. One that is full takes nothing more for now: the mail stays with its
//! sender and goes with the next envelope. So nobody ever waits to post, and taking never waits at all.

use std::rc::Rc;

use tokio::sync::mpsc;

use crate::connection::Connections;
use crate::hub::mail::{Mail, WorkerId};

/// Envelopes that fit into a mailbox.
const ENVELOPES: usize = 256;

/// What one worker has to say to another at the end of a turn.
#[derive(Debug)]
pub(super) struct Envelope {
    pub(super) from: WorkerId,
    pub(super) mail: Vec<Mail>,
}

/// Where a worker's mail arrives.
pub(super) struct Mailbox(mpsc::Receiver<Envelope>);

/// A mailbox for each of so many workers, and the slots to put mail into them.
pub(super) fn mailboxes(workers: usize) -> (Vec<mpsc::Sender<Envelope>>, Vec<Mailbox>) {
    (0..workers)
        .map(|_| {
            let (slot, mailbox) = mpsc::channel(ENVELOPES);
            (slot, Mailbox(mailbox))
        })
        .unzip()
}

impl Mailbox {
    /// Takes mail as it comes.
    pub(super) async fn take_all(mut self, connections: Rc<Connections>) {
        while let Some(Envelope { from, mail }) = self.0.recv().await {
            connections.take_mail(from, mail);
        }
    }
}
