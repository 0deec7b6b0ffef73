//! Mail between workers: one bounded mailbox a worker, an envelope a pair of workers and turn.
//!
//! A mailbox keeps each sender's order. One that is full takes nothing more for now: the mail stays with its
//! sender and goes with the next envelope. So nobody ever waits to post, and taking never waits at all.

use std::rc::Rc;

use tokio::sync::mpsc;
use tokio::task::yield_now;

use crate::connection::Connections;
use crate::hub::mail::{Mail, WorkerId};

/// Envelopes that fit into a mailbox.
const ENVELOPES: usize = 256;
/// Pieces of mail that are taken in one turn: one member of thousands of channels is as many pieces. Some 0.2 ms.
const MAIL_A_TURN: usize = 1024;

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
        let mut left = MAIL_A_TURN;
        while let Some(Envelope { from, mail }) = self.0.recv().await {
            let mut mail = mail.into_iter();
            while mail.len() > 0 {
                let before = mail.len();
                connections.take_mail(from, mail.by_ref().take(left));
                left -= before - mail.len();
                if left == 0 {
                    left = MAIL_A_TURN;
                    yield_now().await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Waker};

    use super::*;
    use crate::config::Config;
    use crate::connection::Settings;
    use crate::connection::relay::Relay;
    use crate::counters::Counters;
    use crate::hub::Hub;
    use crate::hub::placement::Placement;

    #[test]
    fn so_many_pieces_of_mail_are_taken_in_a_turn_however_they_come() {
        let counters: Arc<[Arc<Counters>]> = (0..2).map(|_| Arc::default()).collect();
        let hub = Hub::new(WorkerId(0), Placement::new(2));
        let settings = Settings::from(&Config::default());
        let all = Connections::new(hub, WorkerId(0), counters, settings, Box::<Relay>::default());
        let (slots, mut boxes) = mailboxes(1);
        // One large envelope, then many small ones.
        for (envelope, pieces) in [5_000].into_iter().chain([100; 50]).enumerate() {
            let subscribe = |number| Mail::Subscribe(format!("{envelope} {number}").into());
            let mail = (0..pieces).map(subscribe).collect();
            slots[0].try_send(Envelope { from: WorkerId(1), mail }).expect("room");
        }
        let mut taking = pin!(boxes.remove(0).take_all(all.clone()));
        let mut cx = Context::from_waker(Waker::noop());
        let (mut taken, mut turns) = (0, 0);
        while taken < 10_000 {
            assert!(taking.as_mut().poll(&mut cx).is_pending());
            // Each is answered.
            let answers = all.outbox(WorkerId(1)).len();
            assert!(answers <= MAIL_A_TURN, "{answers} in a turn");
            taken += answers;
            turns += 1;
            assert!(turns < 1_000, "{taken} pieces were taken");
        }
        assert_eq!(taken, 10_000);
    }
}
