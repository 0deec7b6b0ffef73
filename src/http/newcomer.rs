//! Owns [`Newcomer`]: a socket that was just accepted, until its first request can be read.

use tokio::time::{Instant, timeout_at};

use super::pending::Pending;
use super::{Front, proxy_header};
use crate::config::Preamble;
use crate::connection::Peer;
use crate::connection::socket::{AcceptedSocket, Socket};

// Why a socket was not taken, in log and metrics.
const NOT_TRUSTED: &str = "not_a_trusted_proxy";
const NO_HEADER: &str = "no_proxy_header";
const HEADER_TOO_LATE: &str = "proxy_header_took_too_long";

/// All of them.
#[cfg(test)]
pub(super) const REASONS: [&str; 3] = [NOT_TRUSTED, NO_HEADER, HEADER_TOO_LATE];

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

impl Newcomer {
    /// One that begins with a request.
    pub fn plain(socket: AcceptedSocket, peer: Peer) -> Newcomer {
        Newcomer { socket, peer, preamble: Preamble::default() }
    }

    /// Takes what has to come before the first request; the socket, and who is at its other end as far as that is
    /// told. None where the socket is closed, for what came or because nothing did.
    pub(super) async fn greet(
        self,
        front: &Front,
        pending: &Pending,
        deadline: Instant,
    ) -> Option<(Socket, Peer)> {
        let Newcomer { socket, mut peer, preamble } = self;
        let mut socket = match Socket::from_accepted(socket) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::warn!(event = "accept_failed", %error, "a socket could not be served");
                return None;
            }
        };
        if preamble.proxy {
            if !front.rules().forwarding.trusts(peer) {
                front.note_refused(peer, NOT_TRUSTED);
                return None;
            }
            let header = Box::pin(timeout_at(deadline, proxy_header::take(&mut socket)));
            let refused = tokio::select! {
                header = header => match header {
                    Ok(Ok(client)) => {
                        // A proxy that speaks for itself is its own client.
                        peer = client.map_or(peer, Peer::from);
                        None
                    }
                    Ok(Err(error)) if error.kind() == std::io::ErrorKind::InvalidData => Some(NO_HEADER),
                    // It went by itself: a probe of whether somebody listens.
                    Ok(Err(_)) => return None,
                    Err(_) => Some(HEADER_TOO_LATE),
                },
                () = std::future::poll_fn(|cx| pending.poll_evicted(cx)) => return None,
            };
            if let Some(reason) = refused {
                front.note_refused(peer, reason);
                return None;
            }
        }
        Some((socket, peer))
    }
}
