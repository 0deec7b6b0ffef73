//! The healthy readers: they read whenever there is something, and check that
//! each publisher's messages come once, whole and in order.

use serde_json::{Value, json};

use super::Options;
use super::part::{self, Command, Leader, OwnCpu};
use crate::clock::{self, MILLI};
use crate::engine::{Engine, Handler};
use crate::scenario::{Context, Failure, goodbye, rest};
use crate::stamp::{Layout, PROBE};
use crate::target::{Role, Target};
use crate::track::{Arrival, Track};

/// How soon a command is noticed while nothing arrives.
const IDLE: u64 = 20 * MILLI;
/// How often the slow ones are told how far the healthy ones have got.
const PROGRESS_EVERY: u64 = 100 * MILLI;
/// The same where publishers wait for it.
const PROGRESS_AWAITED: u64 = 5 * MILLI;
/// The niceness they ask for: among as many processes as a flood has, a reader
/// that the scheduler keeps waiting would look slow to the server.
const NICE: i32 = -15;
/// How long repeats of the last messages have to show.
const LINGER: u64 = 50 * MILLI;

struct Readers<'t> {
    target: &'t Target,
    layout: Layout,
    publishers: usize,
    /// One for each reader and publisher, a reader's side by side.
    tracks: Vec<Track>,
    /// Different messages that have arrived, by reader.
    received: Vec<u64>,
    ready: Vec<bool>,
    unready: usize,
    duplicated: u64,
    out_of_order: u64,
    unexpected: u64,
    bytes: u64,
    last_arrival: u64,
    evicted: Vec<usize>,
    first_evicted: Option<u64>,
    data_hint: usize,
}

impl Handler for Readers<'_> {
    #[inline]
    fn message(&mut self, id: usize, payload: &[u8], now: u64) {
        self.bytes += payload.len() as u64;
        let data = self.target.data(payload, self.layout.size(), &mut self.data_hint);
        let Some(stamp) = data.and_then(|data| self.layout.parse(data)) else {
            self.unexpected += 1;
            return;
        };
        if stamp.seq == PROBE {
            self.unready -= usize::from(!self.ready[id]);
            self.ready[id] = true;
            return;
        }
        if stamp.publisher >= self.publishers as u64 {
            self.unexpected += 1;
            return;
        }
        let track = id * self.publishers + stamp.publisher as usize;
        match self.tracks[track].arrive(stamp.seq as u32) {
            Arrival::InOrder => {}
            Arrival::Late => self.out_of_order += 1,
            Arrival::Duplicate => {
                self.duplicated += 1;
                return;
            }
        }
        self.received[id] += 1;
        self.last_arrival = now;
    }

    fn closed(&mut self, id: usize) {
        self.evicted.push(id);
        self.first_evicted.get_or_insert_with(clock::now);
    }
}

impl Readers<'_> {
    /// Whether everyone who is still connected has got so many messages.
    fn complete(&self, engine: &Engine<'_>, expected: u64) -> bool {
        let missing = |(id, got): (usize, &u64)| *got < expected && engine.ending(id).is_none();
        !self.received.iter().enumerate().any(missing)
    }

    /// What the last of those who are connected has got.
    fn least(&self, engine: &Engine<'_>) -> u64 {
        let connected = |&(id, _): &(usize, &u64)| engine.ending(id).is_none();
        self.received.iter().enumerate().filter(connected).map(|(_, got)| *got).min().unwrap_or(0)
    }

    fn report(&self, engine: &Engine<'_>) -> Value {
        json!({
            "received": self.received.iter().sum::<u64>(),
            "duplicated": self.duplicated,
            "out_of_order": self.out_of_order,
            "unexpected": self.unexpected,
            "evicted": self.evicted.len(),
            "evicted_how": part::endings(engine, &self.evicted),
            "first_evicted": self.first_evicted,
        })
    }
}

pub fn play(context: &Context<'_>, options: &Options, leader: &Leader) -> Result<Value, Failure> {
    let stall = crate::scenario::seconds(options.stall, "--stall")?;
    // Whoever may not has the waiting time in the report to judge by.
    let preferred = rustix::process::setpriority_process(None, NICE).is_ok();
    let mut readers = Readers {
        target: context.target,
        layout: Layout::new(options.size),
        publishers: options.pubs,
        tracks: vec![Track::default(); options.subs * options.pubs],
        received: vec![0; options.subs],
        ready: vec![false; options.subs],
        unready: options.subs,
        duplicated: 0,
        out_of_order: 0,
        unexpected: 0,
        bytes: 0,
        last_arrival: clock::now(),
        evicted: Vec::new(),
        first_evicted: None,
        data_hint: 0,
    };
    let role = (options.subs, Role::SUBSCRIBER, None);
    let mut engine = part::open(context, options, leader, role, &mut readers)?;

    let mut cpu = OwnCpu::start();
    let mut announced_ready = false;
    let mut expected = None;
    let mut next_progress = u64::MAX;
    while clock::now() < context.deadline {
        match leader.command() {
            Some(Command::Go { start, .. }) => {
                cpu = OwnCpu::start();
                readers.bytes = 0;
                let is_awaited = options.slow > 0 || options.ahead > 0;
                next_progress = if is_awaited { start } else { u64::MAX };
            }
            Some(Command::Expect(messages)) => {
                expected = Some(messages);
                readers.last_arrival = readers.last_arrival.max(clock::now());
            }
            Some(Command::End) => break,
            _ => {}
        }
        engine.turn(clock::now() + IDLE, &mut readers);
        let now = clock::now();
        if readers.unready == 0 && !announced_ready {
            announced_ready = true;
            leader.say(json!({"ready": true}));
        }
        if now >= next_progress {
            let bytes = readers.bytes / options.subs as u64;
            leader.say(json!({"bytes": bytes, "least": readers.least(&engine)}));
            next_progress = now + if options.ahead > 0 { PROGRESS_AWAITED } else { PROGRESS_EVERY };
        }
        if let Some(messages) = expected
            && (readers.complete(&engine, messages) || now >= readers.last_arrival + stall)
        {
            let last = readers.last_arrival;
            leader.say(json!({
                "done": true,
                "last_arrival": last,
                "cpu_s": cpu.seconds(),
                "waited_s": cpu.waited_seconds(),
                "preferred": preferred,
            }));
            expected = None;
        }
    }
    rest(&mut engine, clock::now() + LINGER, &mut readers);
    let report = readers.report(&engine);
    goodbye(&mut engine);
    Ok(report)
}
