//! From the socket to the application: what comes is cut into messages, a bite a turn.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BufMut;
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::poll_read_buf;

use super::close::{CloseReason, answer_frame};
use super::inbound::{Cut, Event, Inbound, OpenMessage, ReadMessage, cut};
use super::table::Connections;
use super::{BYTES_A_TURN, Connection, Ending, Phase, Progress, Work};
use crate::protocol::Parser;

/// What a connection may still take from its socket in this turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bite {
    /// Frames.
    pub(super) messages: usize,
    pub(super) bytes: usize,
    /// Steps of reading messages.
    pub(super) steps: usize,
    /// Messages and control frames that its rate leaves.
    pub(super) rated_messages: usize,
    /// Bytes that its rate leaves.
    pub(super) rated_bytes: usize,
    /// Its rate was in the way of more.
    pub(super) held_up: bool,
}

impl Bite {
    /// One that no rate limits.
    pub(super) fn new(messages: usize, bytes: usize, steps: usize) -> Bite {
        let (rated_messages, rated_bytes) = (usize::MAX, usize::MAX);
        Bite { messages, bytes, steps, rated_messages, rated_bytes, held_up: false }
    }

    fn is_held_up(&self) -> bool {
        self.rated_messages == 0 || self.rated_bytes == 0
    }

    pub(super) fn is_spent(&self) -> bool {
        self.messages == 0 || self.bytes == 0 || self.steps == 0
    }

    /// The most bytes of a read.
    fn room(&self) -> usize {
        self.bytes.min(self.rated_bytes)
    }
}

/// What stopped a look at a connection's bytes.
pub(super) enum Stop {
    /// So many more bytes are needed.
    Missing(usize),
    /// Others have their turn now.
    Spent,
    /// It has published as much as it may for now.
    NoCredit,
    /// It sends faster than it may, and more has come.
    HeldUp,
    /// The peer has closed: what follows does not count.
    Closed,
}

impl Connection {
    /// Reads once and takes in what there is. `None` where the end of the stream has come.
    pub(super) fn read(
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
        if matches!(self.phase.get(), Phase::Discarding | Phase::Ending) {
            return self.discard(all, cx, bite);
        }
        let inbound = &mut *self.inbound.borrow_mut();
        if let Some(mut message) = inbound.reading.take() {
            let ReadMessage { text, payload, parser } = &mut *message;
            match self.take_message(all, *text, payload, parser, bite)? {
                Progress::Taken => {}
                Progress::Unfinished => {
                    inbound.reading = Some(message);
                    return Poll::Ready(Ok(Some(Stop::Spent)));
                }
            }
        }
        if inbound.has_waiting() && inbound.missing == 0 {
            let Inbound { bytes, taken, open, missing, reading, .. } = inbound;
            let (used, stop) = self.take_in(all, &mut bytes[*taken..], open, reading, bite);
            *taken += used;
            *missing = missing_of(&stop);
            if !inbound.has_waiting() {
                inbound.forget_taken();
            }
            return Poll::Ready(stop.map(Some));
        }
        let mut socket = self.socket.borrow_mut();
        if bite.is_held_up() {
            // Held up is only who has sent something more.
            return socket.poll_read_ready(cx).map(|_| Ok(Some(Stop::HeldUp)));
        }
        let socket = Pin::new(&mut *socket);
        if inbound.has_waiting() {
            inbound.forget_taken();
            inbound.make_room(BYTES_A_TURN);
            // Not all that the buffer has room for, which may have held the longest message there is.
            let mut room = (&mut inbound.bytes).limit(bite.room());
            return match poll_read_buf(socket, cx, &mut room) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(read)) if read > 0 => {
                    self.heard(all, read, bite);
                    inbound.missing = inbound.missing.saturating_sub(read);
                    Poll::Ready(Ok(Some(Stop::Missing(inbound.missing))))
                }
                Poll::Ready(end) => {
                    self.stream_ended(all, end.err());
                    Poll::Ready(Ok(None))
                }
            };
        }
        let mut buffer = all.read_buffer.borrow_mut();
        let most = buffer.len().min(bite.room());
        let mut buffer = ReadBuf::new(&mut buffer[..most]);
        match socket.poll_read(cx, &mut buffer) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
            Poll::Ready(end) => {
                self.stream_ended(all, end.err());
                return Poll::Ready(Ok(None));
            }
        }
        let bytes = buffer.filled_mut();
        self.heard(all, bytes.len(), bite);
        let (used, stop) = self.take_in(all, bytes, &mut inbound.open, &mut inbound.reading, bite);
        // Behind a fault too: where the frames begin is known, and the peer's Close is among them.
        if used < bytes.len() {
            inbound.keep(&bytes[used..]);
        }
        inbound.missing = missing_of(&stop);
        Poll::Ready(stop.map(Some))
    }

    /// The peer sends nothing more. That is the end, unless it is owed a Close that has yet to go out: its
    /// other half may be open.
    pub(super) fn stream_ended(&self, all: &Connections, error: Option<io::Error>) {
        if let Some(error) = error {
            self.stream_failed(all, &error);
        } else if !self.is_open() && !all.hub.borrow().queue(self.key).is_empty() {
            self.heard_out.set(true);
            self.phase.set(Phase::Ending);
        } else {
            self.phase.set(Phase::Over);
        }
    }

    pub(super) fn heard(&self, all: &Connections, bytes: usize, bite: &mut Bite) {
        bite.bytes = bite.bytes.saturating_sub(bytes);
        bite.rated_bytes = bite.rated_bytes.saturating_sub(bytes);
        all.counters.bytes_in.add(bytes as u64);
        self.bytes_in.set(self.bytes_in.get() + bytes as u64);
        self.keepalive.set(self.keepalive.get().heard());
    }

    /// Takes in the whole frames at the front of `bytes`; how many bytes that were, and what stopped it.
    pub(super) fn take_in(
        &self,
        all: &Connections,
        bytes: &mut [u8],
        open: &mut Option<Box<OpenMessage>>,
        reading: &mut Option<Box<ReadMessage>>,
        bite: &mut Bite,
    ) -> (usize, Result<Stop, CloseReason>) {
        let largest = all.settings.borrow().max_message_size;
        let mut at = 0;
        loop {
            match self.phase.get() {
                Phase::Open | Phase::Closing => {}
                // Where the next frame begins has to stay known.
                Phase::Discarding => return (at, Ok(Stop::Closed)),
                // Nothing that comes now counts.
                Phase::Ending | Phase::Over => return (bytes.len(), Ok(Stop::Closed)),
            }
            if at == bytes.len() {
                return (at, Ok(Stop::Missing(0)));
            }
            if bite.messages == 0 || bite.steps == 0 {
                return (at, Ok(Stop::Spent));
            }
            if bite.rated_messages == 0 {
                return (at, Ok(Stop::HeldUp));
            }
            if !all.has_credit(self.key) {
                return (at, Ok(Stop::NoCredit));
            }
            match cut(&mut bytes[at..], open, largest) {
                Ok(Cut::Missing(missing)) => return (at, Ok(Stop::Missing(missing))),
                Ok(Cut::Whole(length, event)) => {
                    at += length;
                    bite.messages -= 1;
                    let rated = !matches!(event, Event::Fragment { rated: false });
                    bite.rated_messages -= usize::from(rated);
                    all.messages_left.set(all.messages_left.get().saturating_sub(1));
                    match self.take_event(all, event, bite) {
                        Ok(None) => {}
                        Ok(unfinished) => {
                            *reading = unfinished;
                            return (at, Ok(Stop::Spent));
                        }
                        Err(reason) => return (at, Err(reason)),
                    }
                }
                Err(reason) => return (at, Err(reason)),
            }
        }
    }

    /// Has the application read a message, as far as the steps of this turn go. Nothing of it counts any more if the
    /// connection has been closed for what its peer did.
    fn take_message(
        &self,
        all: &Connections,
        text: bool,
        payload: &[u8],
        parser: &mut Parser,
        bite: &mut Bite,
    ) -> Result<Progress, CloseReason> {
        match self.phase.get() {
            Phase::Open | Phase::Closing => {
                let work = Work { steps: &mut bite.steps, parser };
                all.application.message(all, self, text, payload, work)
            }
            Phase::Discarding | Phase::Ending | Phase::Over => Ok(Progress::Taken),
        }
    }

    /// Takes what a frame means. A message that the steps of this turn do not suffice for is returned.
    fn take_event(
        &self,
        all: &Connections,
        event: Event<'_>,
        bite: &mut Bite,
    ) -> Result<Option<Box<ReadMessage>>, CloseReason> {
        match event {
            Event::Message { text, payload } => {
                all.counters.messages_in.add(1);
                let mut parser = Parser::default();
                let progress = self.take_message(all, text, &payload, &mut parser, bite)?;
                if progress == Progress::Unfinished {
                    let payload = payload.into_owned();
                    return Ok(Some(Box::new(ReadMessage { text, payload, parser })));
                }
            }
            Event::Fragment { .. } => {}
            Event::Ping(payload) => {
                let mut pong = Vec::with_capacity(2 + payload.len());
                pong.extend_from_slice(&[0x8a, payload.len() as u8]);
                pong.extend_from_slice(payload);
                all.change_queue(self.key, |queue, pool| queue.push_pong(pool.frame(pong), pool));
            }
            Event::Pong => {
                self.keepalive.set(self.keepalive.get().answered());
            }
            Event::Close(Err(reason)) => {
                self.close(all, reason);
                // Its Close is its last word, however bad.
                self.phase.set(Phase::Ending);
            }
            Event::Close(Ok(code)) => {
                if self.phase.get() == Phase::Open {
                    self.ending.set(Ending::Peer(code));
                    let answer = answer_frame(code);
                    all.change_queue(self.key, |queue, pool| {
                        queue.push_close(pool.frame(answer), pool)
                    });
                    self.limit_closing(all);
                }
                self.phase.set(Phase::Ending);
            }
        }
        Ok(None)
    }
}

fn missing_of(stop: &Result<Stop, CloseReason>) -> usize {
    match stop {
        Ok(Stop::Missing(missing)) => *missing,
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
