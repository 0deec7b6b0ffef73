//! Who a connection is, and its place among all of them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use uuid::Uuid;

use super::neighbours::Neighbour;

/// Where a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Over TCP; an IPv4 address is never written as a mapped IPv6 one.
    Address(SocketAddr),
    /// From this address, as a trusted proxy says that tells no port.
    Forwarded(IpAddr),
    /// Over a Unix socket.
    Unix,
}

impl Peer {
    /// Its address, where it has one.
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Peer::Address(address) => Some(address.ip()),
            Peer::Forwarded(address) => Some(address),
            Peer::Unix => None,
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Peer {
        Peer::Address(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Peer {
        Peer::Forwarded(address.to_canonical())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Address(address) => address.fmt(f),
            Peer::Forwarded(address) => address.fmt(f),
            Peer::Unix => f.write_str("unix"),
        }
    }
}

/// Who a connection is.
#[derive(Debug)]
pub struct Identity {
    /// Its id, a random UUID: the `issuer` of what it publishes.
    pub id: Uuid,
    /// Where it comes from.
    pub peer: Peer,
    /// The `sub` of its token.
    pub subject: Option<Box<str>>,
    /// Which key its token was signed with, so that it ends with that key. None where no token was asked for.
    pub key: Option<crate::auth::KeyId>,
    /// When its token expires, in seconds since 1970, where that closes the connection.
    pub closes_at: Option<u64>,
    /// Its place among the most connections that there may be.
    pub place: Place,
}

/// One of so many places that all workers' connections share, and one of those of its network; free again when it
/// is dropped.
#[derive(Debug)]
pub struct Place {
    taken: Arc<AtomicUsize>,
    /// None for a peer without an address.
    neighbour: Option<Neighbour>,
}

impl Place {
    /// Takes a place if fewer than `most` are taken.
    pub fn take(taken: &Arc<AtomicUsize>, most: usize) -> Option<Place> {
        taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < most).then_some(n + 1))
            .ok()?;
        Some(Place { taken: taken.clone(), neighbour: None })
    }

    /// The same, among those of a network.
    pub fn beside(mut self, neighbour: Option<Neighbour>) -> Place {
        self.neighbour = neighbour;
        self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}
