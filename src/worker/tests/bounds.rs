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
fn what_waits_for_connections_that_are_closing_goes_before_any_reader_does() {
    for workers in [1, 2] {
        let mut config = Config::default();
        config.limits.total_queue = 4 << 20;
        config.limits.outbound_queue = 64 << 20;
        config.websocket.close_timeout = Duration::from_secs(60);
        let rig = Rig::start(workers, &config, relay);
        let mut publisher = rig.open(&[], &["c", "d"]);
        let mut closing: Vec<_> = (0..6).map(|_| rig.open(&["d"], &[])).collect();
        for _ in 0..350 {
            publisher.send(&publish("d", &"x".repeat(10_000)));
        }
        until("much waits for those to be closed", || queued(&rig) > 6 * 3_000_000);
        rig.close_all_but_the_first();
        let mut healthy: Vec<_> = (0..8).map(|_| rig.open(&["c"], &[])).collect();
        for number in 0..150 {
            publisher.send(&publish("c", &format!("{number}{}", "x".repeat(10_000))));
        }
        let held = || rig.shared.counters.iter().map(|of| of.queue_memory()).sum::<usize>();
        let discarded = || rig.shared.sum(|counters| counters.abandoned.get());
        until("some of what waits is discarded", || discarded() > 100);
        until("what waits is bounded", || held() <= 4 << 20);
        for reader in &mut healthy {
            for number in 0..150 {
                let data = reader.hears();
                assert!(data.starts_with(&format!("{number}x")), "{workers} workers: {number}");
            }
        }
        assert_eq!(rig.shared.sum(|counters| counters.slow_consumers.get()), 0);
        for peer in &mut closing {
            let mut frames = std::iter::from_fn(|| peer.frame());
            let close = frames.find(|(first, _)| *first == 0x88);
            let (_, payload) = close.expect("its Close goes out");
            assert_eq!(payload[..2], 4002_u16.to_be_bytes());
        }
    }
}

#[test]
fn the_entries_of_queues_count_as_memory_that_waits() {
    let mut config = Config::default();
    config.limits.total_queue = 4 << 20;
    let rig = Rig::start(2, &config, relay);
    let mut publisher = rig.open(&["end"], &["c", "end"]);
    let mut healthy = rig.open(&["c"], &[]);
    let stalled: Vec<_> = (0..40).map(|_| rig.open(&["c"], &[])).collect();
    let held = || rig.shared.counters.iter().map(|of| of.queue_memory()).sum::<usize>();
    // Far less than the bound in bytes of frames, if each counts once.
    let mut most = 0;
    for number in 0..20_000 {
        publisher.send(&publish("c", &number.to_string()));
        assert_eq!(healthy.hears(), number.to_string());
        most = most.max(held());
    }
    let slow = rig.shared.sum(|counters| counters.slow_consumers.get());
    assert!((20..=40).contains(&slow), "{slow} of 40 stalled readers were closed");
    assert!(most <= (4 << 20) * 9 / 8 + (256 << 10), "{most} bytes were held");
    assert!(healthy.socket.take_error().expect("asked").is_none());
    drop(stalled);
}
