//! Bounds that hold for all queues together.

use std::time::{Duration, Instant};

use super::rig::{Rig, publish, relay};
use crate::config::Config;

/// Asks again and again until the answer is yes.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "not in time: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

fn queued(rig: &Rig) -> u64 {
    rig.shared.sum(|counters| counters.queued.get())
}

#[test]
fn the_figure_of_what_waits_is_right_when_nothing_happens_any_more() {
    let mut config = Config::default();
    config.websocket.ping_interval = None;
    let rig = Rig::start(1, &config, relay);
    let mut lazy = rig.open(&["c"], &[]);
    let mut publisher = rig.open(&[], &["c"]);
    for _ in 0..200 {
        publisher.send(&publish("c", &"x".repeat(10_000)));
    }
    until("much waits", || queued(&rig) > 1_000_000);
    for _ in 0..200 {
        lazy.hears();
    }
    until("nothing waits", || queued(&rig) == 0);
}

#[test]
fn all_queues_together_are_bounded_while_some_of_the_longest_are_closing() {
    let mut config = Config::default();
    config.limits.total_queue = 4 << 20;
    config.limits.outbound_queue = 64 << 20;
    config.websocket.close_timeout = Duration::from_secs(60);
    let rig = Rig::start(1, &config, relay);
    let mut publisher = rig.open(&["c"], &["c", "d"]);
    let _closing = rig.open(&["d"], &[]);
    for _ in 0..300 {
        publisher.send(&publish("d", &"x".repeat(10_000)));
    }
    until("much waits", || queued(&rig) > 2_500_000);
    rig.close_all_but_the_first();
    // Shorter than that of the one that is closing, all of them.
    let lazy: Vec<_> = (0..8).map(|_| rig.open(&["c"], &[])).collect();
    let mut other = rig.open(&["end"], &["c", "end"]);
    for _ in 0..150 {
        other.send(&publish("c", &"x".repeat(10_000)));
    }
    until("slow consumers go", || rig.shared.sum(|counters| counters.slow_consumers.get()) >= 5);
    until("what waits is bounded", || queued(&rig) < (5 << 20));
    drop(lazy);
}
