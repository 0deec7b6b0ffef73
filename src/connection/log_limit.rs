//! Owns [`LogLimit`] and [`LinesPerSecond`]: how often an event that clients cause may be logged. A client that goes on
//! and on fills no disk and hides nobody else, and neither do many clients together. The lines that are left out are
//! counted, and the count is logged.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Peer;
use super::network::Network;

/// Lines a minute, event and peer: enough for a filter to notice an offender, too few to fill a disk.
const LINES: u32 = 10;
/// Peers and events remembered within a minute, in 200 KiB at most; beyond them nobody new is logged.
const PEERS: usize = 4096;
const MINUTE: Duration = Duration::from_secs(60);
/// Lines a second and event, of all peers and workers together: at 250 bytes a line 25 KB a second, which is 2 GB a day
/// under an attack that never pauses.
const LINES_PER_SECOND: u32 = 100;
const SECOND: Duration = Duration::from_secs(1);

/// One worker's lines of this minute.
#[derive(Debug, Default)]
pub struct LogLimit {
    minute: RefCell<Option<Minute>>,
    per_second: RefCell<Arc<LinesPerSecond>>,
}

#[derive(Debug)]
struct Minute {
    since: Instant,
    lines: HashMap<(&'static str, &'static str, Option<Network>), u32>,
    left_out: BTreeMap<&'static str, u64>,
}

/// The lines of this second, of all workers. Its lock is short, and taken only for a line that its peer may still have.
#[derive(Debug, Default)]
pub struct LinesPerSecond(Mutex<HashMap<&'static str, (Instant, u32)>>);

impl LinesPerSecond {
    /// Whether one more line of this event may be logged in the second of `now`.
    fn admits_at(&self, event: &'static str, now: Instant) -> bool {
        // Nothing under the lock can panic half way.
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, lines) = events.entry(event).or_insert((now, 0));
        if now.saturating_duration_since(*since) >= SECOND {
            (*since, *lines) = (now, 0);
        }
        *lines = lines.saturating_add(1);
        *lines <= LINES_PER_SECOND
    }
}

impl LogLimit {
    /// Shares the lines a second with other workers.
    pub fn share(&self, per_second: Arc<LinesPerSecond>) {
        self.per_second.replace(per_second);
    }

    /// Whether this event, caused by this peer, is to be logged; it is counted if not.
    pub fn admits(&self, event: &'static str, peer: Peer) -> bool {
        self.admits_kind(event, "", peer)
    }

    /// The same for an event of several kinds, where many of one kind leave the lines a peer of the others alone.
    pub fn admits_kind(&self, event: &'static str, kind: &'static str, peer: Peer) -> bool {
        self.admits_at(event, kind, peer, Instant::now())
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

    fn admits_at(&self, event: &'static str, kind: &'static str, peer: Peer, now: Instant) -> bool {
        let minute = &mut *self.minute.borrow_mut();
        let Minute { lines, left_out, .. } = minute.get_or_insert_with(|| Minute {
            since: now,
            lines: HashMap::new(),
            left_out: BTreeMap::new(),
        });
        let key = (event, kind, Network::of(peer));
        let known = lines.len() < PEERS || lines.contains_key(&key);
        let admitted = known
            && {
                let lines = lines.entry(key).or_default();
                *lines = lines.saturating_add(1);
                *lines <= LINES
            }
            && self.per_second.borrow().admits_at(event, now);
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
            (0..50).filter(|port| limit.admits_at(event, "", peer(ip, *port), now)).count()
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
    fn kinds_of_an_event_have_lines_of_their_own() {
        let limit = LogLimit::default();
        let now = Instant::now();
        let logged = |kind| {
            (0..50).filter(|_| limit.admits_at("a", kind, peer("192.0.2.1", 1), now)).count()
        };
        assert_eq!([logged("x"), logged("y"), logged("x")], [10, 10, 0]);
        assert_eq!(limit.turned_at(now + MINUTE).into_iter().collect::<Vec<_>>(), [("a", 130)]);
    }

    fn ip(count: usize) -> String {
        format!("192.0.{}.{}", count / 256, count % 256)
    }

    #[test]
    fn all_peers_and_workers_together_have_so_many_lines_of_an_event_a_second() {
        let per_second = Arc::new(LinesPerSecond::default());
        let workers = [(); 3].map(|()| LogLimit::default());
        workers.iter().for_each(|worker| worker.share(per_second.clone()));
        let now = Instant::now();
        let logged = |event, peers: std::ops::Range<usize>, now| {
            peers
                .filter(|count| workers[count % 3].admits_at(event, "", peer(&ip(*count), 1), now))
                .count()
        };
        assert_eq!(logged("a", 0..3000, now), LINES_PER_SECOND as usize);
        assert_eq!(logged("a", 0..3000, now + SECOND / 2), 0);
        assert_eq!(logged("b", 0..50, now + SECOND / 2), 50, "another event has its own");
        assert_eq!(logged("a", 0..3000, now + SECOND), LINES_PER_SECOND as usize);
        let left_out: Vec<_> =
            workers.iter().map(|worker| worker.turned_at(now + MINUTE)["a"]).collect();
        assert_eq!(left_out.iter().sum::<u64>(), 9000 - 2 * u64::from(LINES_PER_SECOND));
    }

    #[test]
    fn however_many_peers_there_are_memory_has_a_bound() {
        let limit = LogLimit::default();
        let now = Instant::now();
        // Slowly enough for all of them to be logged.
        let at = |count: usize| now + SECOND * (count as u32 / LINES_PER_SECOND);
        let count = (0..PEERS + 100)
            .filter(|count| limit.admits_at("a", "", peer(&ip(*count), 1), at(*count)))
            .count();
        assert_eq!(count, PEERS);
        let later = at(PEERS + 200);
        assert!(limit.admits_at("a", "", peer(&ip(0), 1), later), "who is known still has lines");
        assert_eq!(limit.turned_at(later + MINUTE)["a"], 100);
    }
}
