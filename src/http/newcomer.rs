//! Owns [`Newcomer`]: a socket that was just accepted, until its first request can be read. The header of the PROXY
//! protocol comes first, then TLS's handshake, each where the listener wants it, all within the time of a handshake.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout, timeout_at};

use super::{Front, proxy_header};
use crate::config::Preamble;
use crate::connection::Peer;
use crate::connection::socket::{AcceptedSocket, Socket};
use crate::connection::tls::TlsSocket;

/// What every handshake of TLS begins with (RFC 8446, 5.1).
const HANDSHAKE_RECORD: u8 = 22;
/// What somebody is told who asks without TLS where there is TLS.
const PLAIN_REQUEST: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\n\
    connection: close\r\ncontent-length: 64\r\n\r\n\
    a plain request on a port of TLS: write https:// or wss:// here\n";
/// How long whoever is told something at the end may take to take it.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How much is read of what nobody looks at, so that the answer is not lost with it.
const UNREAD: usize = 64 * 1024;

// Why a socket was not taken, in log and metrics.
const NOT_TRUSTED: &str = "not_a_trusted_proxy";
const NO_HEADER: &str = "no_proxy_header";
const HEADER_TOO_LATE: &str = "proxy_header_took_too_long";
const NO_TLS: &str = "no_tls";
const BAD_TLS: &str = "tls_handshake";
const TLS_TOO_LATE: &str = "tls_handshake_took_too_long";
const NO_CERTIFICATE: &str = "no_certificate";

/// All of them.
#[cfg(test)]
pub(super) const REASONS: [&str; 7] =
    [NOT_TRUSTED, NO_HEADER, HEADER_TOO_LATE, NO_TLS, BAD_TLS, TLS_TOO_LATE, NO_CERTIFICATE];

/// A socket that was just accepted.
#[derive(Debug)]
pub struct Newcomer {
    /// The socket.
    pub socket: AcceptedSocket,
    /// Who is at its other end.
    pub peer: Peer,
    /// What has to come on it before the first request.
    pub preamble: Preamble,
}

/// One from which the first request can be read.
pub(super) struct Greeted {
    pub(super) socket: Socket,
    /// Who is at its other end, as far as that was told.
    pub(super) peer: Peer,
    pub(super) attempt: Attempt,
}

/// Whether a handshake is to be counted as an attempt of its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// It is.
    New,
    /// It is part of one: of TLS's handshake before it.
    Counted,
}

/// Why a newcomer is not served.
enum Refused {
    /// For what it did, which is told in the log by this word.
    For(&'static str),
    /// It has gone.
    Gone,
}

/// How long a newcomer may take.
struct Patience {
    deadline: Instant,
}

impl Newcomer {
    /// One that begins with a request.
    pub fn plain(socket: AcceptedSocket, peer: Peer) -> Newcomer {
        Newcomer { socket, peer, preamble: Preamble::default() }
    }

    /// Takes what has to come before the first request. None where the socket is closed, for what came or because
    /// nothing did.
    pub(super) async fn greet(self, front: &Front, deadline: Instant) -> Option<Greeted> {
        let Newcomer { socket, mut peer, preamble } = self;
        let mut socket = match Socket::from_accepted(socket) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::warn!(event = "accept_failed", %error, "a socket could not be served");
                return None;
            }
        };
        if preamble == Preamble::default() {
            return Some(Greeted { socket, peer, attempt: Attempt::New });
        }
        let patience = Patience { deadline };
        let mut attempt = Attempt::New;
        // In a box, so that those who need none of it have no room for it.
        let greeted = Box::pin(async {
            if preamble.proxy {
                peer = patience.introduced(front, &mut socket, peer).await?;
            }
            match front.rules().tls.clone().filter(|_| preamble.tls) {
                Some(config) => {
                    // A handshake of TLS is what costs most, so it is not begun with one who asks too often.
                    let counted = front.count_attempt(peer);
                    counted.map_err(|refusal| Refused::For(refusal.name()))?;
                    // A trusted proxy's is nobody's: those count whom it names in what comes next.
                    if front.rules().network_of(peer).is_some() {
                        attempt = Attempt::Counted;
                    }
                    patience.secured(front, socket, config).await
                }
                // The daemon sees to it that there is a certificate where it is wanted.
                None if preamble.tls => Err(Refused::For(NO_CERTIFICATE)),
                None => Ok(socket),
            }
        })
        .await;
        match greeted {
            Ok(socket) => Some(Greeted { socket, peer, attempt }),
            Err(Refused::For(reason)) => {
                front.note_refused(peer, reason);
                None
            }
            Err(Refused::Gone) => None,
        }
    }
}

impl Patience {
    /// Whom a proxy speaks for.
    async fn introduced(
        &self,
        front: &Front,
        socket: &mut Socket,
        peer: Peer,
    ) -> Result<Peer, Refused> {
        if !front.rules().forwarding.trusts(peer) {
            return Err(Refused::For(NOT_TRUSTED));
        }
        let header = self.with(HEADER_TOO_LATE, proxy_header::take(socket)).await?;
        match header {
            // A proxy that speaks for itself is its own client.
            Ok(client) => Ok(client.map_or(peer, Peer::from)),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(Refused::For(NO_HEADER))
            }
            // It went by itself: a probe of whether somebody listens.
            Err(_) => Err(Refused::Gone),
        }
    }

    /// The same socket under TLS.
    async fn secured(
        &self,
        front: &Front,
        mut socket: Socket,
        config: Arc<ServerConfig>,
    ) -> Result<Socket, Refused> {
        let mut first = [0];
        let begins = socket.peek_until(&mut first, |bytes| bytes.first().map(|byte| Ok(*byte)));
        match self.with(TLS_TOO_LATE, begins).await?.map_err(|_| Refused::Gone)? {
            HANDSHAKE_RECORD => {}
            byte if byte.is_ascii_uppercase() => {
                say(&mut socket, PLAIN_REQUEST).await;
                return Err(Refused::For(NO_TLS));
            }
            _ => return Err(Refused::For(NO_TLS)),
        }
        let accepted = TlsSocket::accept(socket, config, &front.connections.handshakes);
        match self.with(TLS_TOO_LATE, accepted).await? {
            Ok(socket) => Ok(socket),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(Refused::For(BAD_TLS)),
            Err(_) => Err(Refused::Gone),
        }
    }

    /// What comes of it, unless it takes too long.
    async fn with<T>(
        &self,
        late: &'static str,
        what: impl Future<Output = T>,
    ) -> Result<T, Refused> {
        timeout_at(self.deadline, what).await.map_err(|_| Refused::For(late))
    }
}

/// Sends an answer, with the time of day, as the last one on a socket whose peer may have sent much that nobody has
/// read.
pub(super) async fn say(socket: &mut Socket, answer: &[u8]) {
    // Bytes that are unread when a socket is closed make the kernel take back what was written.
    let mut left = UNREAD;
    let mut bytes = [0; 1024];
    while left > 0
        && let Ok(count @ 1..) = socket.try_read(&mut bytes)
    {
        left = left.saturating_sub(count);
    }
    let said = async {
        socket.write_all(&dated(answer)).await?;
        socket.shutdown().await
    };
    // Whoever does not take it has had the chance.
    let _ = timeout(LAST_WORDS, said).await;
}

/// The same answer with the header `Date` (RFC 9110, 6.6.1) behind its status line.
fn dated(answer: &[u8]) -> Vec<u8> {
    let end = answer.windows(2).position(|two| two == b"\r\n").map_or(0, |at| at + 2);
    let date = format!("date: {}\r\n", httpdate::fmt_http_date(SystemTime::now()));
    [&answer[..end], date.as_bytes(), &answer[end..]].concat()
}
