//! Many clients that come, speak and go in every way at once: whatever they do, they leave nothing.

use std::io::Write;
use std::time::{Duration, Instant};

use super::rig::{Rig, frame, handshake, publish, relay};
use crate::config::Config;

const THREADS: u64 = 4;
const ROUNDS: usize = 300;

/// A small deterministic generator (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }
}

fn visit(rig: &Rig, random: &mut Random) {
    let names: Vec<String> =
        (0..random.below(40)).map(|_| format!("channel {}", random.below(60))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    if random.below(6) == 0 {
        // Gone in the middle of its handshake, or right behind it.
        let mut socket = rig.connect();
        let request = handshake(&names, &names);
        let _ = socket.write_all(&request[..random.below(request.len() + 1)]);
        return;
    }
    let mut client = rig.open(&names, &names);
    for _ in 0..random.below(8) {
        let Some(name) = names.get(random.below(names.len().max(1))) else { break };
        let length = [10, 3_000, 70_000][random.below(3)];
        let bytes = publish(name, &"x".repeat(length)).repeat(random.below(6));
        // Who reads nothing may have been closed already; nobody here waits for room for ever.
        if client.socket.write_all(&bytes).is_err() {
            return;
        }
    }
    match random.below(5) {
        0 => drop(client.socket.write_all(&frame(0x88, &1000u16.to_be_bytes()))),
        1 => drop(client.socket.write_all(b"no frame")),
        2 => drop(client.socket.write_all(&publish("half", "of it")[..9])),
        3 => drop(client.socket.shutdown(std::net::Shutdown::Write)),
        _ => {}
    }
}

#[test]
fn clients_that_come_and_go_in_every_way_leave_nothing() {
    let mut config = Config::default();
    config.limits.outbound_queue = 256 * 1024;
    config.limits.max_connections = 10_000;
    config.websocket.close_timeout = Duration::from_millis(200);
    let rig = Rig::start(3, &config, relay);
    std::thread::scope(|scope| {
        for seed in 1..=THREADS {
            let rig = &rig;
            scope.spawn(move || {
                let mut random = Random(seed * 7919);
                (0..ROUNDS).for_each(|_| visit(rig, &mut random));
            });
        }
    });
    let shared = &rig.shared;
    let left = || {
        [
            shared.sum(|counters| counters.connections.get()),
            shared.sum(|counters| counters.channels.get()),
            shared.sum(|counters| counters.queued.get()),
            shared.taken.load(std::sync::atomic::Ordering::Relaxed) as u64,
            shared.pending.len() as u64,
        ]
    };
    let begun = Instant::now();
    while left() != [0; 5] {
        assert!(begun.elapsed() < Duration::from_secs(20), "left: {:?}", left());
        std::thread::park_timeout(Duration::from_millis(5));
    }
    assert_eq!(shared.sum(|counters| counters.faults.get()), 0);
    let delivered = shared.sum(|counters| counters.messages_out.get());
    assert!(delivered > 1000, "only {delivered} deliveries");
}
