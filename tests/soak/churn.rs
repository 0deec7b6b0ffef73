//! Who comes and goes: visitors, one after the other on each of some threads, and readers that stall.

use std::sync::atomic::Ordering::Relaxed;
use std::thread::Scope;
use std::time::{Duration, Instant};

use crate::field::{Field, Pace, Random, wait_until};
use crate::visits::{KINDS, stall};

/// Visitors at once.
const VISITORS: usize = 10;
/// How often a reader stalls, at most.
const STALL: Duration = Duration::from_secs(4);

impl Pace {
    /// How long each of them takes at least.
    fn of_visits(self) -> Duration {
        Duration::from_millis(match self {
            Pace::Leisurely => 120,
            Pace::Brisk => 50,
        })
    }
}

/// They come from now on, until the churn is over.
pub(crate) fn begin<'scope>(scope: &'scope Scope<'scope, '_>, field: &'scope Field) {
    for number in 0..VISITORS {
        let here = field.takes_part();
        field.hire(scope, format!("visitor {number}"), move |field| {
            let _here = here;
            let mut random = Random::new(100 + number);
            // Each kind is there once at least, however short all of it is.
            let mut turn = number * KINDS.len() / VISITORS;
            while !field.churn_is_over() {
                let due = Instant::now() + field.pace.of_visits();
                let kind = if turn < 2 * KINDS.len() { turn } else { random.below(KINDS.len()) };
                let kind = kind % KINDS.len();
                KINDS[kind].1(field, &mut random);
                field.visits[kind].fetch_add(1, Relaxed);
                turn += 1;
                wait_until(due);
            }
        });
    }
    let here = field.takes_part();
    field.hire(scope, "stalling reader".into(), move |field| {
        let _here = here;
        for number in 0.. {
            if field.churn_is_over() {
                return;
            }
            let due = Instant::now() + STALL;
            stall(field, number);
            while !field.churn_is_over() && Instant::now() < due {
                std::thread::park_timeout(Duration::from_millis(100));
            }
        }
    });
}
