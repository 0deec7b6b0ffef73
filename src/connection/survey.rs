//! Looking at many connections or channels, a few a turn: whoever is served meanwhile waits for some ten microseconds
//! at most, however many there are. Who stays all the time is seen once; who comes or goes meanwhile, perhaps.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use tokio::task::yield_now;
use uuid::Uuid;

use super::close::CloseReason;
use super::table::Connections;
use super::{Connection, Peer, View};

/// Connections or channels that are looked at in one turn: some ten microseconds where none is in a cache.
const A_TURN: usize = 64;
/// Names of channels that are copied in one turn.
const NAMES_A_TURN: usize = 1024;
/// Names of channels that are told of one connection, of those that it reads and of those that it may write.
pub const NAMES: usize = 100;

/// Which peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerIs {
    /// Any port of this address.
    At(IpAddr),
    /// This one.
    Address(SocketAddr),
    /// Over a Unix socket.
    Unix,
}

/// Which connections, a page of them, in the order of their ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Whose token has this `sub`.
    pub subject: Option<Box<str>>,
    /// Who read or may write this channel.
    pub channel: Option<Box<str>>,
    /// Who come from there.
    pub peer: Option<PeerIs>,
    /// Behind this id.
    pub after: Option<Uuid>,
    /// The most of them.
    pub limit: usize,
}

/// Which channels, a page of them, in the order of their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelSelection {
    /// Whose names begin so.
    pub prefix: Box<str>,
    /// Behind this name.
    pub after: Option<Box<str>>,
    /// The most of them.
    pub limit: usize,
}

/// What one worker has of a page. Merged with those of the others it is the page.
#[derive(Debug, Clone)]
pub struct Part<T, K> {
    /// In order.
    pub found: Vec<T>,
    /// How many there are on all pages.
    pub total: usize,
    /// Where there are more than stand here: the last that was looked at.
    pub horizon: Option<K>,
}

impl<T, K> Part<T, K> {
    /// The same of something else in the same order.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Part<U, K> {
        let found = self.found.into_iter().map(change).collect();
        Part { found, total: self.total, horizon: self.horizon }
    }
}

/// A channel and how many of one worker's connections read it.
pub type ChannelPart = Part<(Arc<str>, usize), Arc<str>>;

/// The smallest so many of those that are put in.
struct Smallest<K, V> {
    kept: BTreeMap<K, V>,
    limit: usize,
    more: bool,
    total: usize,
}

impl<K: Ord + Clone, V> Smallest<K, V> {
    fn new(limit: usize) -> Self {
        Smallest { kept: BTreeMap::new(), limit, more: false, total: 0 }
    }

    fn put(&mut self, key: K, value: V) {
        if self.kept.len() == self.limit {
            self.more = true;
            if self.kept.last_key_value().is_none_or(|(last, _)| *last < key) {
                return;
            }
        }
        self.kept.insert(key, value);
        if self.kept.len() > self.limit {
            self.kept.pop_last();
        }
    }

    fn horizon(&self) -> Option<K> {
        let (last, _) = self.kept.last_key_value()?;
        self.more.then(|| last.clone())
    }
}

impl PeerIs {
    fn admits(self, peer: Peer) -> bool {
        match (self, peer) {
            (PeerIs::At(ip), peer) => peer.ip() == Some(ip),
            (PeerIs::Address(wanted), Peer::Address(address)) => address == wanted,
            (PeerIs::Unix, Peer::Unix) => true,
            _ => false,
        }
    }
}

impl Connections {
    /// This worker's part of a page.
    pub async fn select(&self, selection: &Selection) -> Part<View, Uuid> {
        let mut smallest = Smallest::new(selection.limit);
        self.each(|all, connection| {
            if !all.is_selected(selection, connection) {
                return;
            }
            smallest.total += 1;
            let id = connection.identity.id;
            if selection.after.is_none_or(|after| id > after) {
                smallest.put(id, Rc::downgrade(connection));
            }
        })
        .await;
        let horizon = smallest.horizon();
        let mut found = Vec::with_capacity(smallest.kept.len());
        let (mut looked_at, mut names) = (0, 0);
        for connection in smallest.kept.into_values() {
            let Some(connection) = connection.upgrade() else { continue };
            if let Some(view) = self.view(&connection) {
                names += view.read.len() + view.write.len();
                found.push(view);
            }
            looked_at += 1;
            if looked_at >= A_TURN || names >= NAMES_A_TURN {
                (looked_at, names) = (0, 0);
                yield_now().await;
            }
        }
        Part { found, total: smallest.total, horizon }
    }

    /// This worker's part of a page of channels that have subscribers.
    pub async fn select_channels(&self, selection: &ChannelSelection) -> ChannelPart {
        let mut smallest = Smallest::new(selection.limit);
        let mut next = 0;
        while self.look_at_channels(selection, next, &mut smallest) {
            next += A_TURN;
            yield_now().await;
        }
        let horizon = smallest.horizon();
        Part { found: smallest.kept.into_iter().collect(), total: smallest.total, horizon }
    }

    /// Looks at the channels of so many slots from this one on; whether there are more.
    fn look_at_channels(
        &self,
        selection: &ChannelSelection,
        from: usize,
        smallest: &mut Smallest<Arc<str>, usize>,
    ) -> bool {
        let hub = self.hub.borrow();
        let slots = hub.channel_slots();
        for slot in from..slots.min(from + A_TURN) {
            let Some((name, subscribers)) = hub.subscribed(slot) else { continue };
            if !name.starts_with(&*selection.prefix) {
                continue;
            }
            smallest.total += 1;
            if selection.after.as_ref().is_none_or(|after| **name > **after) {
                smallest.put(name.clone(), subscribers);
            }
        }
        from + A_TURN < slots
    }

    /// Closes the connections whose token has this `sub` with 4002, however many they are; how many that was.
    pub async fn close_subject(&self, subject: &str) -> usize {
        let mut closed = 0;
        self.each(|all, connection| {
            if connection.identity.subject.as_deref() == Some(subject) && connection.is_open() {
                all.close(connection, CloseReason::Administrator);
                closed += 1;
            }
        })
        .await;
        closed
    }

    pub(super) async fn each(&self, mut look: impl FnMut(&Connections, &Rc<Connection>)) {
        let mut next = 0;
        loop {
            let (some, end) = self.slice(next, A_TURN);
            // None is held over the yield: one that goes meanwhile would keep its socket and its place until then.
            for connection in some {
                look(self, &connection);
            }
            next += A_TURN;
            if next >= end {
                return;
            }
            yield_now().await;
        }
    }

    fn is_selected(&self, selection: &Selection, connection: &Connection) -> bool {
        let Selection { subject, channel, peer, .. } = selection;
        let identity = &connection.identity;
        subject.as_ref().is_none_or(|subject| identity.subject.as_ref() == Some(subject))
            && peer.is_none_or(|peer| peer.admits(identity.peer))
            && channel
                .as_ref()
                .is_none_or(|channel| self.hub.borrow().is_granted(connection.key, channel))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_are_kept_and_whether_there_were_more() {
        let kept = |limit, numbers: &[u32]| {
            let mut smallest = Smallest::new(limit);
            numbers.iter().for_each(|number| smallest.put(*number, ()));
            (smallest.kept.keys().copied().collect::<Vec<_>>(), smallest.horizon())
        };
        assert_eq!(kept(3, &[5, 1, 4]), (vec![1, 4, 5], None));
        assert_eq!(kept(3, &[5, 1, 4, 2, 9]), (vec![1, 2, 4], Some(4)));
        assert_eq!(kept(3, &[]), (vec![], None));
        assert_eq!(kept(1, &[1, 2]), (vec![1], Some(1)));
    }

    #[test]
    fn a_peer_is_meant_by_its_address_with_or_without_its_port() {
        let peer = Peer::Address("192.0.2.1:7".parse().expect("an address"));
        let cases = [
            (PeerIs::At("192.0.2.1".parse().expect("an address")), true),
            (PeerIs::At("192.0.2.2".parse().expect("an address")), false),
            (PeerIs::Address("192.0.2.1:7".parse().expect("an address")), true),
            (PeerIs::Address("192.0.2.1:8".parse().expect("an address")), false),
            (PeerIs::Unix, false),
        ];
        for (wanted, admitted) in cases {
            assert_eq!(wanted.admits(peer), admitted, "{wanted:?}");
        }
        assert!(PeerIs::Unix.admits(Peer::Unix));
        let behind_a_proxy = Peer::from("192.0.2.1".parse::<IpAddr>().expect("an address"));
        assert!(cases[0].0.admits(behind_a_proxy) && !cases[2].0.admits(behind_a_proxy));
    }
}
