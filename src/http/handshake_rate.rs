//! Owns [`HandshakeRate`]: how many handshakes a network may ask for in a second, over all workers
//! (`limits.handshakes_per_second_per_ip`).
//!
//! What is known of a network is forgotten a second or two after its last handshake, and no more than
//! `MOST` networks a second are remembered: somebody with more than those is held up by no limit that goes by
//! address. The one lock here is short, and on nobody's message's way.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::connection::network::Network;

/// What may come at once after a silence: as many as in so long a time.
const BURST: Duration = Duration::from_secs(1);
/// Networks that are remembered of each second: 5 MiB in all. A /48 of IPv6, which anybody can have, is as many.
const MOST: usize = 1 << 16;

/// How many handshakes the networks have asked for lately.
#[derive(Debug, Default)]
pub struct HandshakeRate(Mutex<Option<Lately>>);

/// When the handshakes of each network would all have come, had they come at the rate: those of this second and of
/// the one before. After that they have.
#[derive(Debug)]
struct Lately {
    since: Instant,
    current: HashMap<Network, Instant>,
    before: HashMap<Network, Instant>,
}

impl HandshakeRate {
    /// Counts one more handshake of a network, if it may have one now.
    ///
    /// # Errors
    /// How long it has to wait.
    pub fn admit(&self, network: Network, rate: NonZeroU32, now: Instant) -> Result<(), Duration> {
        let mut lately = self.lately();
        let lately = lately.get_or_insert_with(|| Lately::new(now));
        let due = lately.may(network, rate, now)?;
        lately.remember(network, due);
        Ok(())
    }

    /// Whether a network may have one more handshake now, which is not counted.
    ///
    /// # Errors
    /// How long it has to wait.
    pub fn judge(&self, network: Network, rate: NonZeroU32, now: Instant) -> Result<(), Duration> {
        match &mut *self.lately() {
            Some(lately) => lately.may(network, rate, now).map(drop),
            None => Ok(()),
        }
    }

    /// Forgets everything, where there is no rate any more.
    pub fn forget(&self) {
        *self.lately() = None;
    }

    fn lately(&self) -> MutexGuard<'_, Option<Lately>> {
        // Nothing under the lock can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lately {
    fn new(now: Instant) -> Lately {
        Lately { since: now, current: HashMap::new(), before: HashMap::new() }
    }

    /// When all that a network had and one more would have come, if it may have that now.
    fn may(
        &mut self,
        network: Network,
        rate: NonZeroU32,
        now: Instant,
    ) -> Result<Instant, Duration> {
        let due = self.due(network, now) + Duration::from_secs(1) / rate.get();
        let wait = due.saturating_duration_since(now + BURST);
        if wait.is_zero() { Ok(due) } else { Err(wait) }
    }

    /// When all that a network had would have come; not before now.
    fn due(&mut self, network: Network, now: Instant) -> Instant {
        let age = now.saturating_duration_since(self.since);
        if age >= BURST {
            let current = std::mem::take(&mut self.current);
            // What was last changed more than a second ago is over.
            self.before = if age < 2 * BURST { current } else { HashMap::new() };
            self.since = now;
        }
        let due = self.current.get(&network).or_else(|| self.before.get(&network));
        due.copied().map_or(now, |due| due.max(now))
    }

    fn remember(&mut self, network: Network, due: Instant) {
        if self.current.len() < MOST || self.current.contains_key(&network) {
            self.current.insert(network, due);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_second: u32) -> NonZeroU32 {
        NonZeroU32::new(per_second).expect("a rate")
    }

    #[test]
    fn a_network_has_a_burst_of_a_second_and_then_its_rate() {
        let (all, start) = (HandshakeRate::default(), Instant::now());
        for (number, per_second) in [1, 2, 10, 1000].into_iter().enumerate() {
            let network = Network::V6(number as u64);
            let admitted =
                (0..2000).filter(|_| all.admit(network, rate(per_second), start).is_ok()).count();
            assert_eq!(admitted, per_second as usize);
            let wait = all.admit(network, rate(per_second), start).expect_err("too many");
            assert_eq!(all.judge(network, rate(per_second), start), Err(wait));
            assert_eq!(all.judge(network, rate(per_second), start + wait), Ok(()));
            assert!(wait <= Duration::from_secs(1) / per_second, "{wait:?}");
            assert_eq!(all.admit(network, rate(per_second), start + wait), Ok(()));
        }
        // Another network has its own.
        assert_eq!(all.admit(Network::V6(99), rate(1), start), Ok(()));
    }

    #[test]
    fn over_minutes_no_more_than_the_rate_and_one_burst_are_admitted() {
        for per_second in [1, 3, 50] {
            let (all, start) = (HandshakeRate::default(), Instant::now());
            let mut admitted = 0;
            for millis in (0..60_000).step_by(7) {
                let now = start + Duration::from_millis(millis);
                admitted += u32::from(all.admit(Network::V6(1), rate(per_second), now).is_ok());
            }
            assert!((60 * per_second..=61 * per_second).contains(&admitted), "{admitted}");
        }
    }

    #[test]
    fn after_a_silence_there_is_one_burst_and_what_is_over_is_forgotten() {
        let (all, start) = (HandshakeRate::default(), Instant::now());
        for second in [0, 1, 2, 5, 100] {
            let now = start + Duration::from_secs(second);
            let admitted =
                (0..20).filter(|_| all.admit(Network::V6(second), rate(5), now).is_ok()).count();
            assert_eq!(admitted, 5);
            let lately = all.lately();
            let lately = lately.as_ref().expect("something");
            assert!(lately.current.len() + lately.before.len() <= 2);
        }
        all.forget();
        assert!(all.lately().is_none());
    }

    #[test]
    fn however_many_networks_come_only_so_many_are_remembered() {
        let (all, start) = (HandshakeRate::default(), Instant::now());
        let known = Network::V6(0);
        assert_eq!(all.admit(known, rate(1), start), Ok(()));
        for number in 1..3 * MOST as u64 {
            assert_eq!(all.admit(Network::V6(number), rate(1), start), Ok(()));
        }
        assert_eq!(all.lately().as_ref().map(|lately| lately.current.len()), Some(MOST));
        // Those that are known are held up all the same.
        assert!(all.admit(known, rate(1), start).is_err());
    }
}
