//! One line in the log for a refused handshake, at most so many a minute and peer.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::connection::Peer;

/// Lines a minute and peer: enough for a filter to notice an offender, too few to fill a disk.
const LINES: u32 = 10;
/// Peers remembered within a minute; beyond them nobody new is logged.
const PEERS: usize = 4096;
const MINUTE: Duration = Duration::from_secs(60);

/// Since when, and how many lines each peer has had.
type Window = (Instant, HashMap<Option<IpAddr>, u32>);

/// Logs refusals, with the peer and a reason from a fixed set: nothing that a client can choose.
#[derive(Debug, Default)]
pub(super) struct RefusalLog {
    seen: RefCell<Option<Window>>,
}

impl RefusalLog {
    /// Notes one refusal.
    pub(super) fn note(&self, peer: Peer, reason: &'static str) {
        if self.may_log(peer, Instant::now()) {
            tracing::info!(event = "handshake_refused", %peer, reason, "handshake refused");
        }
    }

    fn may_log(&self, peer: Peer, now: Instant) -> bool {
        let address = match peer {
            Peer::Address(address) => Some(address.ip()),
            Peer::Unix => None,
        };
        let mut seen = self.seen.borrow_mut();
        let (since, peers) = seen.get_or_insert_with(|| (now, HashMap::new()));
        if now.duration_since(*since) >= MINUTE {
            (*since, *peers) = (now, HashMap::new());
        }
        if peers.len() >= PEERS && !peers.contains_key(&address) {
            return false;
        }
        let lines = peers.entry(address).or_default();
        *lines += 1;
        *lines <= LINES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_peer_has_so_many_lines_a_minute() {
        let log = RefusalLog::default();
        let peer = |last: u8, port| Peer::Address(([127, 0, 0, last], port).into());
        let now = Instant::now();
        let logged = |last, now| (0..50).filter(|port| log.may_log(peer(last, *port), now)).count();
        assert_eq!((logged(1, now), logged(2, now)), (10, 10));
        assert_eq!(logged(1, now + Duration::from_secs(30)), 0);
        assert_eq!(logged(1, now + Duration::from_secs(61)), 10);
    }
}
