//! The hubs of several workers in one thread, with a scheduler that chooses at random what happens next:
//! a member opens, publishes or leaves, a turn ends, mail moves, a socket takes some bytes, a worker stands still for a
//! while. What must hold whatever it chooses: one order a channel, completeness, no duplicates, nothing of one's own, bounds.
//!
//! This is where interleavings are explored. A hub is changed by its own thread alone, and workers share nothing but mail,
//! so an interleaving of theirs is an order in which mail arrives and turns end: all of them can come up here, and one that
//! fails comes again with its seed. What does cross threads beside tokio's channels are single atomic figures that nothing
//! else is read together with (counters that one thread writes, [`super::held`], places), and short locks.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::IoSlice;

use super::credit::Unanswered;
use super::mail::{Mail, Publisher, WorkerId};
use super::outsider::{self, OutsiderKey};
use super::placement::Placement;
use super::{Hub, MemberKey, batch, credit};
use crate::protocol::Publish;

/// A small deterministic generator (xorshift64*): a failure is repeated by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

type Message = (u32, u32);

struct Client {
    number: u32,
    worker: usize,
    key: MemberKey,
    publisher: Publisher,
    channels: Vec<Box<str>>,
    open: bool,
    written: Vec<u8>,
    received: BTreeMap<String, Vec<Message>>,
    /// What still waited for it when it left.
    heard_late: BTreeMap<String, Vec<Message>>,
    /// What was published to its channels while it was open, by others.
    owed: BTreeMap<String, Vec<Message>>,
}

struct World {
    hubs: Vec<Hub>,
    lines: HashMap<(usize, usize), VecDeque<Mail>>,
    clients: Vec<Client>,
    gone: Vec<Client>,
    random: Random,
    next: u32,
    /// A worker that stands still, and for how many more steps.
    still: Option<(usize, usize)>,
    /// Everything is to arrive now.
    ending: bool,
    /// Publishers that are no members, with what is yet to be published of each.
    outsiders: Vec<Outside>,
    /// Of each of their messages: how many subscribers it is said to have reached, and who was to be left out.
    receipts: HashMap<Message, (u32, Option<u32>)>,
    /// How often it has come to somebody, into a queue at least.
    reached: HashMap<Message, u32>,
}

/// An outsider, and what it has published.
struct Outside {
    worker: usize,
    key: OutsiderKey,
    messages: Vec<(Message, Option<u32>)>,
}

/// How many seeds for each number of workers where nobody says.
const SEEDS: u64 = 20;

/// Numbers of outsiders, whose messages have no issuer, begin here.
const OUTSIDE: u32 = 1_000_000;

impl World {
    fn new(workers: usize, seed: u64) -> Self {
        let placement = Placement::new(workers);
        World {
            hubs: (0..workers).map(|me| Hub::new(WorkerId(me as u8), placement.clone())).collect(),
            lines: HashMap::new(),
            clients: Vec::new(),
            gone: Vec::new(),
            random: Random(seed | 1),
            next: 0,
            still: None,
            ending: false,
            outsiders: Vec::new(),
            receipts: HashMap::new(),
            reached: HashMap::new(),
        }
    }

    /// Whether nothing happens on a worker: it has no processor, or is in the middle of something.
    fn is_still(&self, worker: usize) -> bool {
        self.still.is_some_and(|(still, _)| still == worker)
    }

    /// Has some worker stand still at times.
    fn hold(&mut self) {
        self.still = match self.still {
            Some((worker, steps)) if steps > 0 => Some((worker, steps - 1)),
            None if self.random.one_in(300) => {
                Some((self.random.below(self.hubs.len()), self.random.below(300)))
            }
            _ => None,
        };
    }

    /// Somebody enters who publishes and is no member.
    fn enter(&mut self) {
        let worker = self.random.below(self.hubs.len());
        if self.is_still(worker) {
            return;
        }
        let key = self.hubs[worker].enter();
        self.outsiders.push(Outside { worker, key, messages: Vec::new() });
    }

    /// One outsider publishes some messages, or takes its receipts and goes.
    fn publish_from_outside(&mut self, sequence: &mut u32) {
        if self.outsiders.is_empty() {
            return;
        }
        let at = self.random.below(self.outsiders.len());
        let (worker, key) = (self.outsiders[at].worker, self.outsiders[at].key);
        if self.is_still(worker) {
            return;
        }
        if self.random.one_in(4) {
            self.exit(at);
            return;
        }
        let channel = ["a", "b", "c", "d", "", "nobody's"][self.random.below(6)];
        for _ in 0..self.random.below(40) {
            if !self.hubs[worker].outsider_has_credit(key) {
                return;
            }
            // Somebody on any worker, who may have gone and whose place somebody else may have.
            let left_out = self.random.one_in(2).then(|| {
                let mut everybody = self.clients.iter().chain(&self.gone);
                let number = self.random.0 as usize % (self.clients.len() + self.gone.len()).max(1);
                everybody.nth(number).map(|client| (client.publisher, client.number))
            });
            let left_out = left_out.flatten();
            *sequence += 1;
            let message = (OUTSIDE + *sequence, *sequence);
            let filler = "x".repeat(if self.random.one_in(100) { 70_000 } else { 5 });
            let data = format!("\"{} {} {filler}\"", message.0, message.1);
            let encoded = crate::protocol::encode_name(channel);
            let left = left_out.map(|(publisher, _)| publisher);
            let said =
                outsider::Message { channel, encoded: &encoded, data: &data, left_out: left };
            self.hubs[worker].publish_from_outside(key, &said);
            let kept_out = left_out.map(|(_, number)| number);
            self.outsiders[at].messages.push((message, kept_out));
            for client in &mut self.clients {
                if client.open
                    && kept_out != Some(client.number)
                    && client.channels.iter().any(|c| **c == *channel)
                {
                    client.owed.entry(channel.to_owned()).or_default().push(message);
                }
            }
        }
    }

    /// An outsider goes, with its receipts where they are all there; without them its messages go their way.
    fn exit(&mut self, at: usize) {
        let outside = self.outsiders.swap_remove(at);
        let hub = &mut self.hubs[outside.worker];
        if let Some(reached) = hub.reached(outside.key) {
            assert_eq!(reached.len(), outside.messages.len());
            for ((message, left_out), reached) in outside.messages.into_iter().zip(reached) {
                self.receipts.insert(message, (reached, left_out));
            }
        } else if !self.ending && self.random.one_in(2) {
            self.outsiders.push(outside);
            return;
        }
        hub.exit(outside.key);
    }

    fn join(&mut self) {
        let worker = self.random.below(self.hubs.len());
        if self.is_still(worker) {
            return;
        }
        let channels: Vec<Box<str>> = ["a", "b", "c", "d", ""]
            .into_iter()
            .filter(|_| self.random.one_in(2))
            .map(Box::from)
            .collect();
        let key = self.hubs[worker].open(&channels, &channels);
        let number = self.next;
        self.next += 1;
        self.clients.push(Client {
            number,
            worker,
            key,
            publisher: self.hubs[worker].publisher(key),
            channels,
            open: false,
            written: Vec::new(),
            received: BTreeMap::new(),
            heard_late: BTreeMap::new(),
            owed: BTreeMap::new(),
        });
        self.note_open();
    }

    fn note_open(&mut self) {
        for client in &mut self.clients {
            client.open = client.open || self.hubs[client.worker].is_open(client.key);
        }
    }

    fn publish(&mut self, sequence: &mut u32) {
        if self.clients.is_empty() {
            return;
        }
        let from = self.random.below(self.clients.len());
        if self.is_still(self.clients[from].worker) {
            return;
        }
        let client = &self.clients[from];
        let hub = &mut self.hubs[client.worker];
        if !client.open || client.channels.is_empty() || !hub.has_credit(client.key) {
            return;
        }
        let channel = client.channels[self.random.below(client.channels.len())].to_string();
        *sequence += 1;
        let message = (client.number, *sequence);
        let length = match self.random.below(400) {
            // Longer than a batch may be.
            0 => 70_000,
            1..10 => 20_000,
            _ => 5,
        };
        let filler = "x".repeat(length);
        let data = format!("\"{} {} {filler}\"", message.0, message.1);
        let publish = Publish { channel: channel.as_str().into(), data: data.as_bytes() };
        hub.publish(client.key, &client.number.to_string(), &publish).expect("granted");
        let refused = Publish { channel: "secret".into(), data: data.as_bytes() };
        assert!(hub.publish(client.key, "", &refused).is_err());
        for (at, other) in self.clients.iter_mut().enumerate() {
            if at != from && other.open && other.channels.iter().any(|c| **c == *channel) {
                other.owed.entry(channel.clone()).or_default().push(message);
            }
        }
    }

    fn leave(&mut self) {
        if !self.clients.is_empty() {
            let at = self.random.below(self.clients.len());
            if self.is_still(self.clients[at].worker) {
                return;
            }
            let mut client = self.clients.swap_remove(at);
            // What waits for it has reached it, though it goes.
            let waiting = self.hubs[client.worker].with_queue(client.key, |queue, pool| {
                let mut slices = vec![IoSlice::new(&[]); 20_000];
                let count = queue.slices(&mut slices, pool);
                slices[..count].iter().flat_map(|s| s.to_vec()).collect::<Vec<u8>>()
            });
            assert_eq!(waiting.len(), self.hubs[client.worker].queue(client.key).bytes());
            let heard = std::mem::take(&mut client.received);
            client.written.extend(waiting);
            read_frames(&mut client);
            assert!(client.written.is_empty(), "whole frames");
            count_outside(&mut self.reached, &heard);
            count_outside(&mut self.reached, &client.received);
            for (channel, messages) in client.received.split_off("") {
                client.heard_late.entry(channel).or_default().extend(messages);
            }
            client.received = heard;
            self.hubs[client.worker].leave(client.key);
            self.gone.push(client);
        }
    }

    fn end_turn(&mut self, worker: usize) {
        if self.is_still(worker) {
            return;
        }
        let hub = &mut self.hubs[worker];
        hub.settle();
        for to in 0..self.hubs.len() {
            // A mailbox that is full: the mail stays.
            if !self.ending && self.random.one_in(8) {
                continue;
            }
            let mail = std::mem::take(self.hubs[worker].outbox(WorkerId(to as u8)));
            assert!(to != worker || mail.is_empty(), "nobody mails itself");
            self.lines.entry((worker, to)).or_default().extend(mail);
        }
        let mut dirty = Vec::new();
        self.hubs[worker].take_dirty(&mut dirty);
        self.hubs[worker].take_opened();
        self.hubs[worker].take_credited();
        self.hubs[worker].take_stirred();
    }

    fn move_mail(&mut self, from: usize, to: usize, most: usize) {
        if self.is_still(to) {
            return;
        }
        let line = self.lines.entry((from, to)).or_default();
        for _ in 0..most {
            let Some(mail) = line.pop_front() else { break };
            self.hubs[to].take(WorkerId(from as u8), mail);
        }
        self.note_open();
    }

    /// The socket of a client takes up to `most` bytes.
    fn write(&mut self, at: usize, most: usize) {
        if self.is_still(self.clients[at].worker) {
            return;
        }
        let client = &mut self.clients[at];
        let written = &mut client.written;
        self.hubs[client.worker].with_queue(client.key, |queue, pool| {
            let mut slices = [IoSlice::new(&[]); 4];
            let count = queue.slices(&mut slices, pool);
            let mut bytes: Vec<u8> = slices[..count].iter().flat_map(|s| s.to_vec()).collect();
            bytes.truncate(most);
            queue.advance(bytes.len(), pool);
            written.extend(bytes);
        });
        read_frames(client);
    }

    fn step(&mut self, sequence: &mut u32) {
        let workers = self.hubs.len();
        self.hold();
        match self.random.below(100) {
            0 if self.random.one_in(3) => self.enter(),
            0..2 => self.join(),
            2 if self.random.one_in(60) => self.leave_all(sequence),
            2 => self.leave(),
            3..10 => self.publish_from_outside(sequence),
            10..50 => self.publish(sequence),
            50..65 => {
                let worker = self.random.below(workers);
                self.end_turn(worker);
            }
            65..85 => {
                let (from, to) = (self.random.below(workers), self.random.below(workers));
                let most = self.random.below(4) + 1;
                self.move_mail(from, to, most);
            }
            _ => {
                if !self.clients.is_empty() {
                    let at = self.random.below(self.clients.len());
                    let most = self.random.below(100_000);
                    self.write(at, most);
                }
            }
        }
    }

    /// Everybody leaves, within one turn of each worker; some have just said a lot.
    fn leave_all(&mut self, sequence: &mut u32) {
        for _ in 0..self.random.below(20) {
            self.publish(sequence);
        }
        self.still = None;
        while !self.clients.is_empty() {
            self.leave();
        }
    }

    /// Lets everything arrive.
    fn finish(&mut self) {
        self.ending = true;
        self.still = None;
        let workers = self.hubs.len();
        for _ in 0..20 {
            for worker in 0..workers {
                self.end_turn(worker);
            }
            for from in 0..workers {
                for to in 0..workers {
                    self.move_mail(from, to, usize::MAX);
                }
            }
        }
        for at in 0..self.clients.len() {
            while !self.hubs[self.clients[at].worker].queue(self.clients[at].key).is_empty() {
                self.write(at, usize::MAX);
            }
        }
    }

    /// What outsiders are told is what has happened: a message has come into as many queues as it is said to have
    /// reached, and never to whom it leaves out.
    fn check_receipts(&mut self, seed: u64) {
        while !self.outsiders.is_empty() {
            let before = self.receipts.len() + self.outsiders[0].messages.len();
            self.exit(0);
            assert_eq!(self.receipts.len(), before, "seed {seed}: all receipts are there");
        }
        for client in &self.clients {
            count_outside(&mut self.reached, &client.received);
        }
        for (message, (told, left_out)) in &self.receipts {
            let reached = self.reached.get(message).copied().unwrap_or_default();
            assert_eq!(*told, reached, "seed {seed}: {message:?}");
            let Some(left_out) = left_out else { continue };
            let everybody = self.clients.iter().chain(&self.gone);
            for client in everybody.filter(|client| client.number == *left_out) {
                let mut heard = client.received.values().chain(client.heard_late.values());
                assert!(!heard.any(|all| all.contains(message)), "seed {seed}: {message:?}");
            }
        }
        for hub in &self.hubs {
            assert!(hub.outsiders.is_empty() && hub.stirred.is_empty(), "seed {seed}");
        }
    }

    fn check(&mut self, seed: u64) {
        self.check_receipts(seed);
        for client in &self.clients {
            assert!(client.open, "seed {seed}: everybody opens in the end");
            let unanswered = self.hubs[client.worker].members[client.key as usize].unanswered;
            assert_eq!(unanswered, Unanswered::default(), "seed {seed}: credit is back");
            for (channel, owed) in &client.owed {
                let received = client.received.get(channel).map_or(&[][..], Vec::as_slice);
                let mut sorted = received.to_vec();
                sorted.sort_unstable();
                let before = sorted.len();
                sorted.dedup();
                assert_eq!(before, sorted.len(), "seed {seed}: nothing arrives twice");
                for message in owed {
                    let found = sorted.binary_search(message).is_ok();
                    assert!(found, "seed {seed}: {message:?} on {channel:?} is missing");
                }
            }
        }
        // One order a channel: whoever heard two messages heard them the same way round.
        let everybody = self.clients.iter().chain(&self.gone);
        let mut orders: HashMap<&str, Vec<(u32, &[Message])>> = HashMap::new();
        for client in everybody {
            for (channel, received) in &client.received {
                orders.entry(channel).or_default().push((client.number, received));
                for sender in received.iter().map(|m| m.0) {
                    assert_ne!(sender, client.number, "seed {seed}: nobody hears itself");
                }
            }
        }
        for (channel, orders) in orders {
            for (_, one) in &orders {
                let place: HashMap<&Message, usize> =
                    one.iter().enumerate().map(|(at, m)| (m, at)).collect();
                for (_, other) in &orders {
                    let common: Vec<usize> =
                        other.iter().filter_map(|m| place.get(m).copied()).collect();
                    assert!(common.is_sorted(), "seed {seed}: two orders on {channel:?}");
                }
            }
        }
        for hub in &self.hubs {
            assert_eq!(hub.held.len(), 0, "seed {seed}: no answer is withheld");
            assert!(hub.mailed.iter().all(|bytes| *bytes == 0), "seed {seed}: all mail was taken");
            assert_eq!(hub.queued(), 0, "seed {seed}: nothing waits");
        }
        while let Some(client) = self.clients.pop() {
            self.hubs[client.worker].leave(client.key);
        }
        self.finish();
        for hub in &self.hubs {
            assert_eq!(
                (hub.channels(), hub.members()),
                (0, 0),
                "seed {seed}: nothing is left over"
            );
            assert!(hub.names.is_empty() && hub.batches.is_empty());
        }
    }
}

/// Takes the whole frames out of what a client has been written, and notes them.
fn read_frames(client: &mut Client) {
    loop {
        let (header, length) = match client.written.get(1) {
            Some(126) if client.written.len() >= 4 => {
                (4, usize::from(u16::from_be_bytes([client.written[2], client.written[3]])))
            }
            Some(127) if client.written.len() >= 10 => {
                let length = client.written[2..].first_chunk().expect("eight bytes");
                (10, u64::from_be_bytes(*length) as usize)
            }
            Some(short) if *short < 126 => (2, usize::from(*short)),
            _ => return,
        };
        if client.written.len() < header + length {
            return;
        }
        let frame: Vec<u8> = client.written.drain(..header + length).collect();
        let json: serde_json::Value = serde_json::from_slice(&frame[header..]).expect("whole");
        let channel = json.get("channel").map_or("", |c| c.as_str().expect("a string"));
        let mut words = json["data"].as_str().expect("data").split(' ');
        let mut number = || words.next().expect("two numbers").parse::<u32>().expect("a number");
        let message: Message = (number(), number());
        let issuer = (message.0 < OUTSIDE).then(|| message.0.to_string());
        assert_eq!(json["issuer"].as_str(), issuer.as_deref());
        client.received.entry(channel.to_owned()).or_default().push(message);
    }
}

/// Counts the messages of outsiders.
fn count_outside(reached: &mut HashMap<Message, u32>, received: &BTreeMap<String, Vec<Message>>) {
    for message in received.values().flatten().filter(|message| message.0 >= OUTSIDE) {
        *reached.entry(*message).or_default() += 1;
    }
}

fn run(workers: usize, seed: u64, steps: usize) -> (u32, usize) {
    let mut world = World::new(workers, seed);
    let mut sequence = 0;
    for _ in 0..4 {
        world.join();
    }
    for _ in 0..steps {
        world.step(&mut sequence);
    }
    world.finish();
    world.check(seed);
    (sequence, world.receipts.values().filter(|(reached, _)| *reached > 1).count())
}

/// `PHILOTE_TEST_SEEDS` says how many seeds for each number of workers.
#[test]
fn every_subscriber_of_a_channel_hears_all_of_it_once_and_in_one_order() {
    let seeds = std::env::var("PHILOTE_TEST_SEEDS")
        .map_or(SEEDS, |seeds| seeds.parse().expect("PHILOTE_TEST_SEEDS is a number"));
    let (mut published, mut receipts) = (0, 0);
    for workers in 1..=5 {
        for seed in 1..=seeds {
            let (messages, told) = run(workers, seed * 7919 + workers as u64, 1_500);
            published += u64::from(messages);
            receipts += told as u64;
        }
    }
    assert!(published > 750 * seeds, "only {published} messages");
    assert!(receipts > 50 * seeds, "only {receipts} messages of outsiders reached several");
}

#[test]
fn a_worker_that_takes_no_mail_stops_those_who_publish_to_it_and_nobody_else() {
    let mut world = World::new(2, 1);
    world.ending = true;
    // Both at home on the first worker, wherever this process spreads channels.
    let placement = world.hubs[0].placement.clone();
    let mut at_home = (0..).map(|n| format!("c{n}")).filter(|n| placement.home(n) == WorkerId(0));
    let (here, quiet) = (at_home.next().expect("some"), at_home.next().expect("some"));
    let data = format!("\"{}\"", "x".repeat(1000));
    let busy: [Box<str>; 1] = [here.as_str().into()];
    let other: [Box<str>; 1] = [quiet.as_str().into()];
    let publisher = world.hubs[0].open(&[], &busy);
    let local = world.hubs[0].open(&[], &other);
    let _reader = world.hubs[1].open(&busy, &[]);
    for _ in 0..3 {
        world.end_turn(0);
        world.end_turn(1);
        world.move_mail(1, 0, usize::MAX);
        world.move_mail(0, 1, usize::MAX);
    }
    let message =
        |channel: &str| Publish { channel: channel.to_owned().into(), data: data.as_bytes() };
    let mut sent = 0;
    while world.hubs[0].has_credit(publisher) {
        world.hubs[0].publish(publisher, "i", &message(&here)).expect("granted");
        sent += 1;
        world.end_turn(0);
        assert!(sent < 10_000, "a worker that takes no mail bounds its publishers");
    }
    assert!(sent * 1000 > credit::WINDOW, "only after the window");
    assert!(sent * 1000 < credit::WINDOW + 200_000, "{sent} messages");
    for _ in 0..1000 {
        assert!(world.hubs[0].has_credit(local), "another channel goes on");
        world.hubs[0].publish(local, "i", &message(&quiet)).expect("granted");
    }
    world.move_mail(0, 1, usize::MAX);
    world.end_turn(1);
    world.move_mail(1, 0, usize::MAX);
    assert!(world.hubs[0].has_credit(publisher));
    assert_eq!(world.hubs[0].take_credited(), [publisher]);
}

#[test]
fn a_channel_may_go_in_the_very_turn_that_closed_a_batch_of_it() {
    let mut hub = Hub::new(WorkerId(0), Placement::new(1));
    let channels: [Box<str>; 1] = ["a".into()];
    let large = format!("\"{}\"", "x".repeat(70_000));
    let message = Publish { channel: "a".into(), data: large.as_bytes() };
    let alone = hub.open(&channels, &channels);
    hub.publish(alone, "i", &message).expect("granted");
    hub.leave(alone);
    // Its key in the table is used again at once.
    let names: [Box<str>; 1] = ["b".into()];
    let (next, reader) = (hub.open(&names, &names), hub.open(&names, &[]));
    let small = Publish { channel: "b".into(), data: b"\"x\"" };
    hub.publish(next, "i", &small).expect("granted");
    hub.settle();
    assert_eq!(hub.queue(reader).messages(), 1);
    hub.publish(next, "i", &Publish { channel: "b".into(), data: large.as_bytes() })
        .expect("granted");
    hub.leave(next);
    hub.leave(reader);
    hub.settle();
    assert_eq!((hub.channels(), hub.members(), hub.queued()), (0, 0, 0));
}

#[test]
fn a_turn_of_much_is_delivered_in_pieces_that_can_be_dropped_one_by_one() {
    let mut hub = Hub::new(WorkerId(0), Placement::new(1));
    let channels: [Box<str>; 1] = ["a".into()];
    let (publisher, reader) = (hub.open(&[], &channels), hub.open(&channels, &[]));
    let data = format!("\"{}\"", "x".repeat(10_000));
    for _ in 0..30 {
        hub.publish(publisher, "i", &Publish { channel: "a".into(), data: data.as_bytes() })
            .expect("granted");
    }
    hub.settle();
    let kept = hub.with_queue(reader, |queue, pool| {
        queue.drop_oldest(0, pool);
        queue.bytes()
    });
    assert!((1..batch::LARGEST + 11_000).contains(&kept), "{kept}");
}

#[test]
fn answers_to_one_who_left_give_no_credit_to_whoever_has_its_key_now() {
    let mut world = World::new(2, 1);
    world.ending = true;
    let placement = world.hubs[0].placement.clone();
    let there = (0..).map(|n| format!("c{n}")).find(|n| placement.home(n) == WorkerId(1));
    let there: [Box<str>; 1] = [there.expect("some").into()];
    let spend = |world: &mut World| {
        let key = world.hubs[0].open(&[], &there);
        while world.hubs[0].has_credit(key) {
            let message = Publish { channel: (&*there[0]).into(), data: b"\"\"" };
            world.hubs[0].publish(key, "i", &message).expect("granted");
        }
        world.end_turn(0);
        key
    };
    let gone = spend(&mut world);
    world.move_mail(0, 1, usize::MAX);
    world.end_turn(1);
    world.hubs[0].leave(gone);
    let here = spend(&mut world);
    assert_eq!(here, gone, "the key is used again");
    world.move_mail(1, 0, usize::MAX);
    assert!(!world.hubs[0].has_credit(here));
    world.move_mail(0, 1, usize::MAX);
    world.end_turn(1);
    world.move_mail(1, 0, usize::MAX);
    assert!(world.hubs[0].has_credit(here));
}
