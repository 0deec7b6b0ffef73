//! Owns [`RequestSocket`]: a socket as hyper reads requests from it, and [`Progress`]: how far its requests have come.
//!
//! hyper compares a head with its longest length only between two reads, and one read may bring far more than that.
//! So a read never goes beyond the longest length: hyper then holds exactly so many bytes without the end of the head,
//! and answers 431, however its peer cuts what it sends.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::connection::socket::Socket;

/// What a socket of HTTP waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The head of a request, of which something may have come: it has been waited for since the socket was accepted,
    /// or since its first byte.
    Head,
    /// The answer to a request.
    Answer,
    /// Another request, of which nothing has come.
    Idle,
}

/// How far the requests of a socket have come, and when it is closed unless something happens.
#[derive(Debug)]
pub(super) struct Progress {
    phase: Cell<Phase>,
    until: Cell<Instant>,
    /// How long the head of a request after the first may take to come.
    patience: Duration,
    /// Whether the kernel is asked for bytes that the runtime does not know of yet.
    asks_kernel: Cell<bool>,
}

impl Progress {
    /// Of a socket whose first head has to be there at `until`.
    pub(super) fn new(until: Instant, patience: Duration) -> Progress {
        let (phase, until) = (Cell::new(Phase::Head), Cell::new(until));
        Progress { phase, until, patience, asks_kernel: Cell::new(false) }
    }

    /// When the socket is closed.
    pub(super) fn until(&self) -> Instant {
        self.until.get()
    }

    /// A request has come, and may be answered until then.
    pub(super) fn answer_until(&self, until: Instant) {
        self.phase.set(Phase::Answer);
        self.until.set(until);
    }

    /// A request is answered; another one may begin until then.
    pub(super) fn idle_until(&self, until: Instant) {
        self.phase.set(Phase::Idle);
        self.until.set(until);
        self.asks_kernel.set(false);
    }

    /// Whether the peer has begun a request, or has not made any, and is owed an answer to it.
    pub(super) fn owes_an_answer(&self) -> bool {
        self.phase.get() != Phase::Idle
    }

    /// Whether an idle socket has to be read once more before it is closed, which then looks into the kernel: a busy
    /// worker may not have seen a request that has arrived.
    pub(super) fn looks_once_more(&self) -> bool {
        self.phase.get() == Phase::Idle && !self.asks_kernel.replace(true)
    }

    fn bytes_came(&self) {
        if self.phase.get() == Phase::Idle {
            self.phase.set(Phase::Head);
            self.until.set(Instant::now() + self.patience);
        }
    }
}

/// A socket that requests are read from.
#[derive(Debug)]
pub(super) struct RequestSocket {
    socket: Socket,
    progress: Rc<Progress>,
    /// The most bytes of a head.
    longest: usize,
    /// How many of them have not been read.
    left: usize,
}

impl RequestSocket {
    /// A socket of which nothing has been read; a head has at most so many bytes.
    pub(super) fn new(socket: Socket, progress: Rc<Progress>, longest: usize) -> RequestSocket {
        RequestSocket { socket, progress, longest, left: longest }
    }

    /// The socket itself.
    pub(super) fn into_inner(self) -> Socket {
        self.socket
    }

    /// Whether the kernel has bytes, or the end.
    fn has_bytes(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        rustix::net::recv(&self.socket, &mut [0; 1][..], flags).is_ok()
    }
}

impl AsyncRead for RequestSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            // The head was shorter, or hyper would have ended it: these are bytes of a body, or of a later head.
            self.left = self.longest;
        }
        let before = buffer.filled().len();
        let left = self.left;
        let read = if buffer.remaining() <= left {
            Pin::new(&mut self.socket).poll_read(cx, buffer)
        } else {
            let mut part = ReadBuf::new(buffer.initialize_unfilled_to(left));
            let read = Pin::new(&mut self.socket).poll_read(cx, &mut part);
            let count = part.filled().len();
            buffer.advance(count);
            read
        };
        if read.is_pending() && self.progress.asks_kernel.get() && self.has_bytes() {
            self.progress.bytes_came();
        }
        ready!(read)?;
        let count = buffer.filled().len() - before;
        if count > 0 {
            self.left -= count;
            self.progress.bytes_came();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for RequestSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
