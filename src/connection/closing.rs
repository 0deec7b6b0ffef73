//! The end of a connection: who says what to whom, how long it may take, and what is logged of it.

use std::io;

use super::close::CloseReason;
use super::table::Connections;
use super::{Connection, Ending, Phase};

impl Connection {
    /// Closes the connection for a reason of the server's. What waits for it goes out first, unless it is
    /// closed for not taking it.
    pub(crate) fn close(&self, all: &Connections, reason: CloseReason) {
        let next = reason.after_close().into();
        match self.phase.get() {
            Phase::Open => {}
            // A fault while it is closing: its words count no more.
            Phase::Closing => {
                self.phase.set(next);
                return;
            }
            _ => return,
        }
        self.ending.set(Ending::Ours(reason));
        let frame = reason.frame();
        let dropped = all.change_queue(self.key, |queue, pool| {
            let slow = reason == CloseReason::SlowConsumer;
            let dropped = if slow { queue.discard(pool) } else { 0 };
            queue.push_close(pool.frame(frame), pool);
            dropped
        });
        all.counters.dropped.add(dropped);
        self.phase.set(next);
        self.limit_closing(all);
    }

    /// Goes on from a Close that was put into its queue before it was a connection.
    pub(super) fn is_closed_already(&self, all: &Connections, reason: CloseReason) {
        self.ending.set(Ending::Ours(reason));
        self.phase.set(reason.after_close().into());
        self.limit_closing(all);
    }

    pub(super) fn limit_closing(&self, all: &Connections) {
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

    /// Ends the stream once both sides have sent a Close and everything is out: the server closes first, so that
    /// TIME_WAIT is on its side (RFC 6455, 7.1.1).
    pub(super) fn finish_if_flushed(&self, all: &Connections) {
        if self.phase.get() != Phase::Ending || !all.hub.borrow().queue(self.key).is_empty() {
            return;
        }
        if !self.shut.get() {
            let finished = self.socket.borrow_mut().finish();
            if finished.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                // Once more when the socket takes bytes.
                self.blocked.set(true);
                self.wake();
                return;
            }
            self.shut.set(true);
        }
        if self.let_go(all) {
            self.phase.set(Phase::Over);
        } else {
            self.wake();
        }
    }
}

impl Connection {
    /// The stream has failed. Where TCP has given up a peer that took nothing for too long (`TCP_USER_TIMEOUT`)
    /// while something waited for it, it was a slow consumer, whatever the policy.
    pub(super) fn stream_failed(&self, all: &Connections, error: &io::Error) {
        let stalled = self.is_open()
            && error.kind() == io::ErrorKind::TimedOut
            && !all.hub.borrow().queue(self.key).is_empty();
        all.counters.slow_consumers.add(u64::from(stalled));
        self.end(if stalled { Ending::Stalled } else { Ending::Lost });
    }

    /// Counts why it is over, with one line at debug: connections come and go by the will of clients.
    pub(super) fn note_end(&self, all: &Connections) {
        let ending = self.ending.get();
        let name = ending.name();
        if ending != Ending::HandedOver {
            all.counters.closed.count(name);
        }
        let code = match ending {
            Ending::Peer(code) => code,
            Ending::Ours(reason) => Some(reason.code()),
            Ending::Lost | Ending::Stalled | Ending::Vanished | Ending::HandedOver => None,
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

    pub(super) fn log_dropped(&self, dropped: u64) {
        tracing::debug!(
            event = "messages_dropped",
            connection = %self.identity.id,
            peer = %self.identity.peer,
            dropped,
            "a slow consumer lost its oldest messages"
        );
    }
}
