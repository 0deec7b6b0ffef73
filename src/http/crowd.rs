//! Owns [`Crowd`]: notices that nearly everybody comes from one private address, which is then most likely a proxy
//! that the configuration does not know of.

use std::cell::Cell;
use std::net::IpAddr;

use crate::connection::Peer;

/// How many newcomers are looked at together.
const LOOK: u32 = 100;
/// How many of them are nearly all.
const NEARLY_ALL: u32 = 95;

/// The newcomers of one worker.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    /// The first of those that are looked at now: its address, None over a Unix socket.
    first: Cell<Option<IpAddr>>,
    seen: Cell<u32>,
    alike: Cell<u32>,
}

impl Crowd {
    /// Counts one; whether nearly all of the last ones came from where a proxy is, which is told of each so many once.
    pub(super) fn enters(&self, peer: Peer) -> bool {
        let seen = self.seen.get() + 1;
        if seen == 1 {
            self.first.set(peer.ip());
            self.alike.set(0);
        }
        let alike = self.alike.get() + u32::from(peer.ip() == self.first.get());
        self.alike.set(alike);
        self.seen.set(seen % LOOK);
        seen == LOOK && alike >= NEARLY_ALL && is_private(self.first.get())
    }
}

/// Whether an address is of a kind that clients on the internet do not have.
fn is_private(address: Option<IpAddr>) -> bool {
    match address {
        None => true,
        Some(IpAddr::V4(address)) => {
            // RFC 6598: the shared addresses that providers use within.
            let is_shared = address.octets()[0] == 100 && address.octets()[1] & 0xc0 == 64;
            address.is_private() || address.is_loopback() || address.is_link_local() || is_shared
        }
        Some(IpAddr::V6(address)) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Peer {
        text.parse::<IpAddr>().map_or(Peer::Unix, Peer::from)
    }

    /// How often it is noticed, where so many come from there and the rest from elsewhere.
    fn noticed(from: &str, count: u32) -> usize {
        let crowd = Crowd::default();
        let others = (0..300).map(|number| (number * 7) % 100 >= count);
        others
            .enumerate()
            .filter(|(number, other)| {
                let elsewhere = format!("198.51.100.{}", number % 256);
                crowd.enters(peer(if *other { &elsewhere } else { from }))
            })
            .count()
    }

    #[test]
    fn one_private_address_that_nearly_all_share_is_noticed() {
        for from in [
            "10.0.0.1",
            "127.0.0.1",
            "172.31.0.1",
            "192.168.0.1",
            "100.64.0.1",
            "::1",
            "fd00::1",
            "",
        ] {
            assert_eq!(noticed(from, 100), 3, "{from}");
            assert_eq!(noticed(from, 95), 3, "{from}");
            assert_eq!(noticed(from, 94), 0, "{from}");
        }
    }

    #[test]
    fn a_public_address_is_nobodys_proxy() {
        for from in ["192.0.2.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2001:db8::1"] {
            assert_eq!(noticed(from, 100), 0, "{from}");
        }
    }

    #[test]
    fn less_than_a_hundred_are_no_crowd() {
        let crowd = Crowd::default();
        assert!((1..100).all(|_| !crowd.enters(peer("10.0.0.1"))));
        assert!(crowd.enters(peer("10.0.0.1")));
    }
}
