//! Owns [`LogLimit`]: how often what clients cause may be logged. A client that goes on and on fills no
//! disk and hides nobody else, and what is left out is told as a number.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::Peer;
use super::network::Network;

/// Lines a minute, event and peer: enough for a filter to notice an offender, too few to fill a disk.
const LINES: u32 = 10;
/// Peers and events remembered within a minute, in 200 KiB at most; beyond them nobody new is logged.
const PEERS: usize = 4096;
const MINUTE: Duration = Duration::from_secs(60);

/// One worker's lines of this minute.
#[derive(Debug, Default)]
pub struct LogLimit {
    minute: RefCell<Option<Minute>>,
}

#[derive(Debug)]
struct Minute {
    since: Instant,
    lines: HashMap<(&'static str, Option<Network>), u32>,
    left_out: BTreeMap<&'static str, u64>,
}

impl LogLimit {
    /// Whether this event, caused by this peer, is to be logged; it is counted where not.
    pub fn admits(&self, event: &'static str, peer: Peer) -> bool {
        self.admits_at(event, peer, Instant::now())
    }

    /// Ends the minute that is over, and says what was left out in it. Called once a second.
    pub fn turn(&self) {
        for (of, lines) in self.turned_at(Instant::now()) {
            tracing::info!(
                event = "lines_left_out",
                of,
                lines,
                "more happened in the last minute than was logged"
            );
        }
    }

    fn admits_at(&self, event: &'static str, peer: Peer, now: Instant) -> bool {
        let minute = &mut *self.minute.borrow_mut();
        let Minute { lines, left_out, .. } = minute.get_or_insert_with(|| Minute {
            since: now,
            lines: HashMap::new(),
            left_out: BTreeMap::new(),
        });
        let key = (event, Network::of(peer));
        let known = lines.len() < PEERS || lines.contains_key(&key);
        let admitted = known && {
            let lines = lines.entry(key).or_default();
            *lines = lines.saturating_add(1);
            *lines <= LINES
        };
        if !admitted {
            *left_out.entry(event).or_default() += 1;
        }
        admitted
    }

    fn turned_at(&self, now: Instant) -> BTreeMap<&'static str, u64> {
        let minute = &mut *self.minute.borrow_mut();
        let over = minute.take_if(|minute| now.duration_since(minute.since) >= MINUTE);
        over.map(|minute| minute.left_out).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn peer(ip: &str, port: u16) -> Peer {
        Peer::Address((ip.parse::<IpAddr>().unwrap(), port).into())
    }

    #[test]
    fn each_peer_has_so_many_lines_of_an_event_a_minute() {
        let limit = LogLimit::default();
        let now = Instant::now();
        let logged = |event, ip: &str, now| {
            (0..50).filter(|port| limit.admits_at(event, peer(ip, *port), now)).count()
        };
        assert_eq!(logged("a", "192.0.2.1", now), 10);
        assert_eq!(logged("a", "192.0.2.2", now), 10);
        assert_eq!(logged("b", "192.0.2.1", now), 10);
        assert_eq!(logged("a", "2001:db8::1", now), 10);
        assert_eq!(logged("a", "2001:db8::2", now), 0, "the same /64");
        assert_eq!(logged("a", "2001:db8:0:1::1", now), 10);

        assert!(limit.turned_at(now + Duration::from_secs(59)).is_empty());
        assert_eq!(logged("a", "192.0.2.1", now + Duration::from_secs(59)), 0);
        let later = now + MINUTE;
        let left_out = limit.turned_at(later);
        assert_eq!(left_out.into_iter().collect::<Vec<_>>(), [("a", 260), ("b", 40)]);
        assert!(limit.turned_at(later + MINUTE).is_empty(), "told once");
        assert_eq!(logged("a", "192.0.2.1", later), 10);
    }

    #[test]
    fn however_many_peers_there_are_memory_has_a_bound() {
        let limit = LogLimit::default();
        let now = Instant::now();
        let ip = |count: usize| format!("192.0.{}.{}", count / 256, count % 256);
        let count =
            (0..PEERS + 100).filter(|i| limit.admits_at("a", peer(&ip(*i), 1), now)).count();
        assert_eq!(count, PEERS);
        assert!(limit.admits_at("a", peer(&ip(0), 1), now), "who is known still has lines");
        assert_eq!(limit.turned_at(now + MINUTE)["a"], 100);
    }
}
