//! Owns [`Network`]: whom an address belongs to, as far as that can be told from outside.

use std::net::{IpAddr, Ipv4Addr};

use super::Peer;

/// One customer's network: an IPv4 address, or the upper half of an IPv6 one, since a /64 is the least that anybody
/// is given (RFC 6177).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Network {
    /// One address.
    V4(Ipv4Addr),
    /// The /64 with these upper bits.
    V6(u64),
}

impl Network {
    /// The network of a peer; None of one that has no address.
    pub fn of(peer: Peer) -> Option<Network> {
        peer.ip().map(|address| match address {
            IpAddr::V4(address) => Network::V4(address),
            IpAddr::V6(address) => Network::V6((address.to_bits() >> 64) as u64),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_64_of_ipv6_is_one_network_and_each_address_of_ipv4_is() {
        let of = |text: &str| Network::of(Peer::Address(text.parse().expect("an address")));
        assert_eq!(of("[2001:db8::1]:1"), of("[2001:db8::ffff:ffff:ffff:ffff]:2"));
        assert_ne!(of("[2001:db8::1]:1"), of("[2001:db8:0:1::1]:1"));
        assert_eq!(of("192.0.2.1:1"), of("192.0.2.1:2"));
        assert_ne!(of("192.0.2.1:1"), of("192.0.2.2:1"));
        assert_eq!(Network::of(Peer::Unix), None);
    }
}
