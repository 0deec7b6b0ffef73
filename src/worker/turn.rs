//! The end of a turn: batches are closed, mail is posted, dirty queues are flushed with one write each.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

use super::mailbox::Envelope;
use crate::connection::Connections;
use crate::hub::mail::WorkerId;

/// Ends turns for ever. Returns only where a panic has left the hub half changed, so that this worker can
/// no longer be trusted.
pub(super) async fn end_turns(
    connections: Rc<Connections>,
    me: WorkerId,
    mailboxes: Vec<mpsc::Sender<Envelope>>,
) {
    let mut slots: Vec<PollSender<Envelope>> = mailboxes.into_iter().map(PollSender::new).collect();
    let mut dirty = Vec::new();
    poll_fn(|cx| {
        if connections.is_broken() {
            return Poll::Ready(());
        }
        // First, so that whatever the following stirs up wakes this task again.
        connections.wait_for_restlessness(cx.waker());
        connections.settle();
        for (number, slot) in slots.iter_mut().enumerate() {
            let worker = WorkerId(number as u8);
            if worker == me || !connections.has_mail_for(worker) {
                continue;
            }
            // Pending: the mailbox is full, and this task is woken when it is not.
            if let Poll::Ready(Ok(())) = slot.poll_reserve(cx) {
                let envelope = Envelope { from: me, mail: connections.outbox(worker) };
                // The slot is reserved; a worker that is gone needs no mail.
                let _ = slot.send_item(envelope);
            }
        }
        connections.flush(&mut dirty);
        Poll::Pending
    })
    .await;
}
