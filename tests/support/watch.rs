//! What an attack does to everybody else: a healthy pair that exchanges messages before, during and after it, and
//! the server's memory meanwhile.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::server::{Server, resident};
use super::until;

/// Exchanges that are looked at before and after, and at least during.
const EXCHANGES: u64 = 40;
/// Between two exchanges.
const PAUSE: Duration = Duration::from_millis(4);
/// The most that one of a hundred exchanges may take during an attack. On two cores, which the attacker and the server
/// share with other tests, the slowest of the attacks makes it an eighth of that.
const MOST: Duration = Duration::from_secs(1);

/// Before, during and after an attack. How long the healthy pair's exchanges took is printed and bounded.
#[derive(Debug)]
pub(crate) struct Report {
    /// The most memory that the server had, in KiB.
    pub(crate) resident: [u64; 3],
}

impl Report {
    /// How much more memory the server had during the attack than before, in KiB.
    pub(crate) fn grown(&self) -> u64 {
        self.resident[1].saturating_sub(self.resident[0])
    }
}

/// Attacks a server while a healthy pair goes on, and prints what came of it. The pair must miss nothing and never wait
/// for a second; how long it waits below that, on a machine that is busy with the attack itself, says little.
#[track_caller]
pub(crate) fn under(server: &Server, name: &str, attack: impl FnOnce()) -> Report {
    let phase = Arc::new(AtomicUsize::new(0));
    let counts: Arc<[AtomicU64; 4]> = Arc::default();
    let mut reader = server.subscriber(&["healthy"]);
    let mut writer = server.publisher(&["healthy"]);
    let pid = server.pid();
    std::thread::scope(|scope| {
        let pair = scope.spawn({
            let (phase, counts) = (Arc::clone(&phase), Arc::clone(&counts));
            move || {
                let (mut took, mut most) = ([const { Vec::new() }; 3], [0; 3]);
                for number in 0_u64.. {
                    let now = phase.load(Ordering::Relaxed);
                    if now > 2 {
                        break;
                    }
                    let begun = Instant::now();
                    writer.publish("healthy", &number.to_string());
                    reader.hears("healthy", &number.to_string());
                    took[now].push(begun.elapsed());
                    most[now] = resident(pid).max(most[now]);
                    counts[now].fetch_add(1, Ordering::Relaxed);
                    std::thread::park_timeout(PAUSE);
                }
                (took, most)
            }
        });
        let enough = |now: usize| {
            until("the healthy pair goes on", || {
                counts[now].load(Ordering::Relaxed) >= EXCHANGES || pair.is_finished()
            });
        };
        enough(0);
        phase.store(1, Ordering::Relaxed);
        attack();
        enough(1);
        phase.store(2, Ordering::Relaxed);
        enough(2);
        phase.store(3, Ordering::Relaxed);
        let (took, resident) = pair.join().expect("the healthy pair misses nothing");
        let p99 = took.map(|mut took| {
            took.sort();
            took[(took.len() * 99).div_ceil(100) - 1]
        });
        let _ = writeln!(
            std::io::stderr(),
            "{name}: before, during, after: p99 {p99:.1?}, resident {resident:?} KiB"
        );
        assert!(p99[1] < MOST, "{name}: healthy clients waited for {:?}", p99[1]);
        Report { resident }
    })
}
