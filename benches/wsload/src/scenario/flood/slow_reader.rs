//! The slow readers: alive, reading, and much too slow. What they get is only
//! counted; what matters is whether they are disconnected, and how.

use serde_json::{Value, json};

use super::part::{self, Command, Leader, OwnCpu};
use super::{Options, SlowRate};
use crate::clock::{self, MILLI};
use crate::engine::{Engine, Handler};
use crate::scenario::{Context, Failure, goodbye, rest};
use crate::stamp::{Layout, PROBE};
use crate::target::{Role, Target};

/// How often they read.
const EVERY: u64 = 5 * MILLI;

struct SlowReaders<'t> {
    target: &'t Target,
    layout: Layout,
    ready: Vec<bool>,
    unready: usize,
    received: u64,
    evicted: Vec<usize>,
    first_evicted: Option<u64>,
    data_hint: usize,
}

impl Handler for SlowReaders<'_> {
    fn message(&mut self, id: usize, payload: &[u8], _now: u64) {
        let data = self.target.data(payload, self.layout.size(), &mut self.data_hint);
        match data.and_then(|data| self.layout.parse(data)) {
            Some(stamp) if stamp.seq == PROBE => {
                self.unready -= usize::from(!self.ready[id]);
                self.ready[id] = true;
            }
            _ => self.received += 1,
        }
    }

    fn closed(&mut self, id: usize) {
        self.evicted.push(id);
        self.first_evicted.get_or_insert_with(clock::now);
    }
}

/// How much each may have read by now.
#[derive(Clone, Copy)]
struct Allowance {
    rate: SlowRate,
    start: u64,
    healthy_bytes: u64,
}

impl Allowance {
    fn bytes(self, now: u64) -> u64 {
        let bytes = match self.rate {
            SlowRate::BytesPerSecond(rate) => {
                rate as f64 * clock::seconds(now.saturating_sub(self.start))
            }
            SlowRate::Fraction(part) => part * self.healthy_bytes as f64,
        };
        bytes as u64
    }
}

pub fn play(context: &Context<'_>, options: &Options, leader: &Leader) -> Result<Value, Failure> {
    let mut readers = SlowReaders {
        target: context.target,
        layout: Layout::new(options.size),
        ready: vec![false; options.slow],
        unready: options.slow,
        received: 0,
        evicted: Vec::new(),
        first_evicted: None,
        data_hint: 0,
    };
    let role = (options.slow, Role::SUBSCRIBER, Some(options.slow_rcvbuf));
    let mut engine = part::open(context, options, leader, role, &mut readers)?;
    while readers.unready > 0 && clock::now() < context.deadline {
        engine.turn(context.deadline, &mut readers);
    }
    leader.say(json!({"ready": true}));

    let cpu = OwnCpu::start();
    let mut read = vec![0u64; options.slow];
    let mut allowance = None;
    let mut settled_by = None;
    let mut evicted_while_publishing = 0;
    let mut read_while_publishing = 0;
    while clock::now() < context.deadline {
        match leader.command() {
            Some(Command::Go { start, .. }) => {
                (0..options.slow).for_each(|id| engine.pause(id));
                allowance = Some(Allowance { rate: options.slow_rate, start, healthy_bytes: 0 });
            }
            Some(Command::Pace(bytes)) => {
                if let Some(allowance) = &mut allowance {
                    allowance.healthy_bytes = bytes;
                }
            }
            Some(Command::Resume) => {
                evicted_while_publishing = readers.evicted.len();
                read_while_publishing = read.iter().sum();
                allowance = None;
                for id in 0..options.slow {
                    engine.resume(id, &mut readers);
                }
                let resume = crate::scenario::seconds(options.resume, "--resume")?;
                settled_by = Some(clock::now() + resume);
            }
            Some(Command::End) => break,
            _ => {}
        }
        engine.turn(clock::now() + EVERY, &mut readers);
        if let Some(allowance) = allowance {
            sip(&mut engine, &mut readers, &mut read, allowance);
        }
        let all_gone = readers.evicted.len() == options.slow;
        if settled_by.is_some_and(|by| all_gone || clock::now() >= by) {
            settled_by = None;
            leader.say(json!({"settled": true}));
        }
    }
    let report = json!({
        "received": readers.received,
        "evicted": readers.evicted.len(),
        "evicted_how": part::endings(&engine, &readers.evicted),
        "evicted_while_publishing": evicted_while_publishing,
        "read_while_publishing": read_while_publishing,
        "first_evicted": readers.first_evicted,
        "cpu_s": cpu.seconds(),
    });
    rest(&mut engine, clock::now(), &mut readers);
    goodbye(&mut engine);
    Ok(report)
}

/// Lets each read up to its allowance.
fn sip(
    engine: &mut Engine<'_>,
    readers: &mut SlowReaders<'_>,
    read: &mut [u64],
    allowance: Allowance,
) {
    let allowed = allowance.bytes(clock::now());
    for (id, read) in read.iter_mut().enumerate() {
        while *read < allowed {
            match engine.sip(id, (allowed - *read) as usize, readers) {
                0 => break,
                bytes => *read += bytes as u64,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allowance_follows_the_clock_or_the_healthy_readers() {
        let start = 7 * clock::SECOND;
        let by_time = Allowance { rate: SlowRate::BytesPerSecond(1000), start, healthy_bytes: 5 };
        assert_eq!(by_time.bytes(start), 0);
        assert_eq!(by_time.bytes(start + clock::SECOND / 2), 500);
        let rate = SlowRate::Fraction(0.01);
        let by_share = Allowance { rate, start, healthy_bytes: 70_000 };
        assert_eq!(by_share.bytes(start), 700);
    }
}
