//! What all who take part share: where the server is, what was published, what went wrong and when, and when to stop.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{Builder, Scope};
use std::time::{Duration, Instant};

use crate::healthy::{CHANNELS, PUBLISHERS, READERS};
use crate::reloads::Reloads;
use crate::support::server::Server;
use crate::support::tls::Tunnel;
use crate::visits::KINDS;

/// How much there is to do.
#[derive(Clone, Copy)]
pub(crate) enum Pace {
    Leisurely,
    /// For a release build: a fifth to a third of a core's time.
    Brisk,
}

/// What all share.
pub(crate) struct Field {
    pub(crate) began: Instant,
    pub(crate) pace: Pace,
    /// Where the server listens without TLS, and with it.
    pub(crate) plain: SocketAddr,
    pub(crate) secured: SocketAddr,
    /// Where one comes to the latter without speaking TLS oneself: the healthy, and all others.
    pub(crate) healthy_tunnel: Tunnel,
    pub(crate) churn_tunnel: Tunnel,
    /// Where it is measured.
    pub(crate) metrics: SocketAddr,
    /// How many messages each publisher has sent on each channel.
    pub(crate) sent: [[AtomicU64; PUBLISHERS]; CHANNELS],
    /// Messages that were heard and held against those.
    pub(crate) heard: AtomicU64,
    /// Visits that have ended, by their kind.
    pub(crate) visits: [AtomicU64; KINDS.len()],
    /// Readers that stalled and were cut.
    pub(crate) stalled: AtomicU64,
    delays: Delays,
    orders: Mutex<BTreeMap<(usize, u64), Order>>,
    /// Healthy ones that are connected, that take part at all, and that publish.
    open: AtomicU64,
    here: AtomicU64,
    publishers: AtomicU64,
    churn_is_over: AtomicBool,
    publishing_is_over: AtomicBool,
    failed: AtomicBool,
    faults: Mutex<Vec<String>>,
}

/// What one subscriber has heard on a channel, up to some message, and how many have heard the same.
struct Order {
    hash: u64,
    readers: usize,
}

/// How long messages took, counted by quarters of powers of two of a microsecond.
struct Delays([AtomicU64; 128]);

impl Field {
    pub(crate) fn new(server: &Server, reloads: &Reloads, pace: Pace) -> Field {
        let trusted: Vec<_> = reloads.certificates().iter().collect();
        let secured = reloads.secured();
        Field {
            began: Instant::now(),
            pace,
            plain: server.address(),
            secured,
            healthy_tunnel: Tunnel::to(secured, &trusted),
            churn_tunnel: Tunnel::to(secured, &trusted),
            metrics: reloads.metrics(),
            sent: [const { [const { AtomicU64::new(0) }; PUBLISHERS] }; CHANNELS],
            heard: AtomicU64::new(0),
            visits: [const { AtomicU64::new(0) }; KINDS.len()],
            stalled: AtomicU64::new(0),
            delays: Delays([const { AtomicU64::new(0) }; 128]),
            orders: Mutex::default(),
            open: AtomicU64::new(0),
            here: AtomicU64::new(0),
            publishers: AtomicU64::new(0),
            churn_is_over: AtomicBool::new(false),
            publishing_is_over: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            faults: Mutex::default(),
        }
    }

    /// Has somebody take part on a thread of its own. A panic there is a fault.
    pub(crate) fn hire<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        name: String,
        act: impl FnOnce(&Field) + Send + 'scope,
    ) {
        let thread = Builder::new().name(name.clone());
        let body = move || {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| act(self))) {
                let said = panic.downcast_ref::<String>().map(String::as_str);
                let said = said.or(panic.downcast_ref::<&str>().copied());
                self.note(&name, said.unwrap_or("a panic"));
            }
        };
        thread.spawn_scoped(scope, body).expect("a thread");
    }

    // Faults.

    /// Something is wrong. It is told at once, and everything ends.
    pub(crate) fn note(&self, who: &str, what: &str) {
        let at = self.began.elapsed().as_secs();
        let line = format!("{}m{:02}s {who}: {what}", at / 60, at % 60);
        tell(&format!("FAULT {line}"));
        let mut faults = self.faults.lock().expect("the faults");
        if faults.len() < 20 {
            faults.push(line);
        }
        self.failed.store(true, Relaxed);
    }

    pub(crate) fn failed(&self) -> bool {
        self.failed.load(Relaxed)
    }

    pub(crate) fn faults(&self) -> Vec<String> {
        self.faults.lock().expect("the faults").clone()
    }

    // The healthy.

    /// One more healthy one is connected, for as long as what it gets is there.
    pub(crate) fn connected(&self) -> Count<'_> {
        self.open.fetch_add(1, Relaxed);
        Count(&self.open)
    }

    /// One more takes part, likewise.
    pub(crate) fn takes_part(&self) -> Count<'_> {
        self.here.fetch_add(1, Relaxed);
        Count(&self.here)
    }

    /// One more publishes, likewise.
    pub(crate) fn publishes(&self) -> Count<'_> {
        self.publishers.fetch_add(1, Relaxed);
        Count(&self.publishers)
    }

    pub(crate) fn publishers(&self) -> u64 {
        self.publishers.load(Relaxed)
    }

    pub(crate) fn open(&self) -> u64 {
        self.open.load(Relaxed)
    }

    pub(crate) fn here(&self) -> u64 {
        self.here.load(Relaxed)
    }

    /// What a subscriber has heard on a channel up to its `count`-th message: the same as all others.
    pub(crate) fn same_order(&self, who: &str, channel: usize, count: u64, hash: u64) {
        let mut orders = self.orders.lock().expect("the orders");
        let order = orders.entry((channel, count)).or_insert(Order { hash, readers: 0 });
        order.readers += 1;
        let same = order.hash == hash;
        if order.readers == READERS {
            orders.remove(&(channel, count));
        }
        drop(orders);
        if !same {
            let what =
                format!("the first {count} messages of channel {channel} came in another order");
            self.note(who, &what);
        }
    }

    // How long messages took.

    pub(crate) fn took(&self, time: Duration) {
        let quarters = (time.as_micros().max(1) as f64).log2() * 4.0;
        self.delays.0[(quarters as usize).min(127)].fetch_add(1, Relaxed);
    }

    /// The time that 99 of 100 took no longer than, in milliseconds, since it was last asked for.
    pub(crate) fn p99(&self) -> f64 {
        let counts: Vec<u64> = self.delays.0.iter().map(|count| count.swap(0, Relaxed)).collect();
        let mut beyond = counts.iter().sum::<u64>() / 100;
        let bucket = counts.iter().rposition(|count| {
            let is_here = *count > beyond;
            beyond = beyond.saturating_sub(*count);
            is_here
        });
        bucket.map_or(0.0, |bucket| ((bucket + 1) as f64 / 4.0).exp2() / 1000.0)
    }

    // The end.

    /// Ends it all when it is dropped.
    pub(crate) fn end(&self) -> End<'_> {
        End(self)
    }

    pub(crate) fn end_churn(&self) {
        self.churn_is_over.store(true, Relaxed);
    }

    pub(crate) fn end_publishing(&self) {
        self.publishing_is_over.store(true, Relaxed);
    }

    pub(crate) fn churn_is_over(&self) -> bool {
        self.churn_is_over.load(Relaxed) || self.failed()
    }

    pub(crate) fn publishing_is_over(&self) -> bool {
        self.publishing_is_over.load(Relaxed) || self.failed()
    }
}

/// One of those that are counted, while it is there.
pub(crate) struct Count<'a>(&'a AtomicU64);

impl Drop for Count<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Ends it all.
pub(crate) struct End<'a>(&'a Field);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.end_churn();
        self.0.end_publishing();
    }
}

/// A small deterministic generator (xorshift64*).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: usize) -> Random {
        Random((seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// A line for whoever looks on.
pub(crate) fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

pub(crate) fn wait_until(due: Instant) {
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::park_timeout(left);
    }
}
