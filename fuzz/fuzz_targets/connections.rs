//! Whole connections through handshake, transport, hub and mail, of several workers on one thread: clients that join,
//! publish, stall, send nonsense and leave in any order, while settings change, keys are withdrawn and time passes.
//!
//! What holds throughout: one order a channel and no message twice; a connection that is neither closed nor dropped
//! from hears whatever was published after its 101; nobody hears what it may not read, what was not granted, or itself;
//! whoever is closed is told why, by a code that it has earned; queues keep to their bounds; and in the end nothing is
//! left over.

#![no_main]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use philote::auth::{self, Algorithm, Claims};
use philote::config::{Config, SlowConsumer};
use philote::connection::{Peer, Settings};
use philote::http::rules::Rules;
use philote_fuzz::frames;
use philote_fuzz::server::{self, Server};

const CHANNELS: [&str; 4] = ["a", "b", "quoted \"c\"", ""];
/// Bytes of data. The last are more than a message may have.
const SIZES: [usize; 8] = [0, 1, 60, 126, 5_000, 20_000, 65_000, 80_000];
/// The bounds of outbound queues.
const QUEUES: [usize; 3] = [4 * 1024, 64 * 1024, 1024 * 1024];
const MOST_CLIENTS: usize = 10;
const MOST_STEPS: usize = 120;
/// What a queue that is far over its bound may hold for a moment (`FAR_OVER`).
const FAR_OVER: usize = 16;
/// What may be partly sent beside it: a batch and the longest message.
const PARTLY_SENT: usize = 300_000;

#[derive(Debug, Arbitrary)]
struct Plan {
    workers: u8,
    queue: u8,
    drops: bool,
    drains: bool,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, Arbitrary)]
enum Step {
    /// A client comes that may read and write these channels, a bit each.
    Join {
        reads: u8,
        writes: u8,
    },
    /// A client publishes so often, in so many fragments.
    Say {
        who: u8,
        channel: u8,
        size: u8,
        times: u8,
        fragments: u8,
        binary: bool,
    },
    Ping {
        who: u8,
        length: u8,
    },
    /// A client sends what makes no sense.
    Babble {
        who: u8,
        bytes: [u8; 6],
        length: u8,
    },
    /// A client stops reading, or goes on.
    Stall {
        who: u8,
        is: bool,
    },
    /// A client sends so many bytes at a time only; 0 is any number.
    Trickle {
        who: u8,
        bytes: u8,
    },
    Leave {
        who: u8,
        how: Way,
    },
    /// Some tasks run.
    Turn,
    /// Everything happens that can.
    Settle,
    Wait {
        seconds: u8,
    },
    /// Other bounds are put in force.
    Reload {
        queue: u8,
        drops: bool,
    },
    /// The secret is another from now on.
    Withdraw,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Way {
    Close,
    Drop,
    ShutDown,
}

/// Client and number.
type Message = (usize, u32);

struct Client {
    number: usize,
    socket: Option<UnixStream>,
    reads: Vec<&'static str>,
    writes: Vec<&'static str>,
    /// Bytes that its socket has not taken yet.
    outbox: Vec<u8>,
    inbox: Vec<u8>,
    /// The bytes it sends at a time.
    most: usize,
    /// Its 101 has come.
    is_open: bool,
    /// Another answer has.
    is_refused: bool,
    is_stalled: bool,
    /// It has sent what it should not have, and whatever follows is no message.
    has_erred: bool,
    /// It has said that it goes.
    has_closed: bool,
    /// Nothing more comes, or goes.
    is_over: bool,
    /// What it was closed with.
    code: Option<u16>,
    pings: Vec<Vec<u8>>,
    heard: BTreeMap<String, Vec<Message>>,
    owed: Vec<(&'static str, Message)>,
}

/// A message of which it is not known yet whether the server has taken it.
struct Pending {
    message: Message,
    channel: &'static str,
    /// Who was open when it was sent, and reads that channel.
    readers: Vec<usize>,
}

struct World {
    server: Server,
    config: Config,
    secrets: usize,
    clients: Vec<Client>,
    next: u32,
    /// How long each message's data is, and on which channel.
    said: HashMap<Message, (&'static str, usize)>,
    refused: HashSet<Message>,
    pending: Vec<Pending>,
    issuers: HashMap<usize, String>,
    largest_queue: usize,
    is_draining: bool,
    /// Time has passed in which handshakes may not have gone on.
    has_waited: bool,
}

fuzz_target!(|plan: Plan| server::run(play(plan)));

async fn play(plan: Plan) {
    let mut config = server::config();
    config.limits.outbound_queue = QUEUES[usize::from(plan.queue) % QUEUES.len()];
    config.websocket.slow_consumer = policy(plan.drops);
    let mut world = World {
        server: Server::start(1 + usize::from(plan.workers % 3), &config),
        largest_queue: config.limits.outbound_queue,
        config,
        secrets: 0,
        clients: Vec::new(),
        next: 0,
        said: HashMap::new(),
        refused: HashSet::new(),
        pending: Vec::new(),
        issuers: HashMap::new(),
        is_draining: false,
        has_waited: false,
    };
    world.join(0b11, 0b11).await;
    for step in plan.steps.into_iter().take(MOST_STEPS) {
        world.take(step).await;
        world.pump();
        world.is_bounded();
    }
    world.finish(plan.drains).await;
}

fn policy(drops: bool) -> SlowConsumer {
    if drops { SlowConsumer::Drop } else { SlowConsumer::Disconnect }
}

impl World {
    async fn take(&mut self, step: Step) {
        match step {
            Step::Join { reads, writes } => self.join(reads, writes).await,
            Step::Say { who, channel, size, times, fragments, binary } => {
                let channel = CHANNELS[usize::from(channel) % CHANNELS.len()];
                let size = SIZES[usize::from(size) % SIZES.len()];
                // Much of what is short, little of what is long.
                let most = 1 + 200_000 / (size + 1_000);
                for _ in 0..=(usize::from(times) % most) {
                    self.say(who, channel, size, fragments, binary);
                }
            }
            Step::Ping { who, length } => {
                if let Some(client) = self.client(who) {
                    let payload = vec![length; usize::from(length % 126)];
                    client.send(&frames::masked(0x89, &payload, [1, 2, 3, length]));
                    client.pings.push(payload);
                }
            }
            Step::Babble { who, bytes, length } => {
                if let Some(client) = self.client(who) {
                    client.has_erred = true;
                    client.send(&bytes[..usize::from(length) % 7]);
                }
            }
            Step::Stall { who, is } => {
                if let Some(client) = self.client(who) {
                    client.is_stalled = is;
                }
            }
            Step::Trickle { who, bytes } => {
                if let Some(client) = self.client(who) {
                    client.most = if bytes == 0 { usize::MAX } else { usize::from(bytes) };
                }
            }
            Step::Leave { who, how } => {
                if let Some(client) = self.client(who) {
                    client.leave(how);
                }
            }
            Step::Turn => self.server.turn().await,
            Step::Settle => self.settle().await,
            Step::Wait { seconds } => {
                self.has_waited = true;
                tokio::time::sleep(Duration::from_secs(seconds.into())).await;
            }
            Step::Reload { queue, drops } => {
                self.config.limits.outbound_queue = QUEUES[usize::from(queue) % QUEUES.len()];
                self.largest_queue = self.largest_queue.max(self.config.limits.outbound_queue);
                self.config.websocket.slow_consumer = policy(drops);
                self.configure().await;
            }
            Step::Withdraw => {
                self.secrets += 1;
                self.config.auth.secret = self.secret().as_str().into();
                self.configure().await;
                self.server.workers.withdraw(Duration::from_secs(1)).await;
            }
        }
    }

    fn secret(&self) -> String {
        format!("a secret of many, and this is number {}", self.secrets)
    }

    async fn configure(&self) {
        let rules = Arc::new(Rules::from(&self.config));
        let settings = Settings::from(&self.config);
        let configured = self.server.workers.configure(&rules, &settings).await;
        configured.expect("all workers answer");
    }

    fn client(&mut self, who: u8) -> Option<&mut Client> {
        let count = self.clients.len();
        self.clients.get_mut(usize::from(who) % count)
    }

    async fn join(&mut self, reads: u8, writes: u8) {
        if self.clients.len() == MOST_CLIENTS {
            return;
        }
        let named = |bits: u8| -> Vec<&'static str> {
            let at = |bit: &usize| bits & (1 << bit) != 0;
            (0..CHANNELS.len()).filter(at).map(|bit| CHANNELS[bit]).collect()
        };
        let (reads, writes) = (named(reads), named(writes));
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let claims = Claims { read: owned(&reads), write: owned(&writes), ..Claims::default() };
        let secret = match self.secrets {
            0 => philote_fuzz::SECRET.to_owned(),
            _ => self.secret(),
        };
        let token = auth::sign(&claims, secret.as_bytes(), Algorithm::Hs256).expect("signed");
        let request = format!(
            "GET /?auth={token} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        let socket = self.server.connect(Peer::Unix, false).await;
        self.clients.push(Client {
            number: self.clients.len(),
            socket: Some(socket),
            reads,
            writes,
            outbox: request.into_bytes(),
            inbox: Vec::new(),
            most: usize::MAX,
            is_open: false,
            is_refused: false,
            is_stalled: false,
            has_erred: false,
            has_closed: false,
            is_over: false,
            code: None,
            pings: Vec::new(),
            heard: BTreeMap::new(),
            owed: Vec::new(),
        });
    }

    fn say(&mut self, who: u8, channel: &'static str, size: usize, fragments: u8, binary: bool) {
        let at = usize::from(who) % self.clients.len();
        self.next += 1;
        let message = (at, self.next);
        let readers = self.clients.iter().filter(|client| {
            client.number != at && client.hears() && client.reads.contains(&channel)
        });
        let readers = readers.map(|client| client.number).collect();
        let client = &mut self.clients[at];
        if client.socket.is_none() || client.has_closed {
            return;
        }
        let filler = "x".repeat(size);
        let name = channel.replace('"', "\\\"");
        let text = format!(r#"{{"channel":"{name}","data":"{} {} {filler}"}}"#, at, self.next);
        client.publish(text.as_bytes(), usize::from(fragments % 5), binary);
        let is_too_long = text.len() > self.config.limits.max_message_size;
        if is_too_long || !client.writes.contains(&channel) {
            self.refused.insert(message);
        } else {
            self.said.insert(message, (channel, size));
            // Otherwise it may be the middle of a frame.
            if !client.has_erred {
                self.pending.push(Pending { message, channel, readers });
            }
        }
        client.has_erred |= is_too_long;
    }

    /// What clients have to say goes out, what has come for those who read is taken in. Whether there was any.
    fn pump(&mut self) -> bool {
        let mut moved = false;
        for client in &mut self.clients {
            moved |= client.write() | client.read();
        }
        moved |= self.understand();
        moved
    }

    /// Takes in the answers to handshakes, and frames; whether there were any.
    fn understand(&mut self) -> bool {
        (0..self.clients.len())
            .fold(false, |moved, at| (self.is_answered(at) && self.listen(at)) | moved)
    }

    /// Whether a client is open, or has just become so.
    fn is_answered(&mut self, at: usize) -> bool {
        let may_be_late = self.has_waited;
        let may_fail = self.is_draining || self.secrets > 0;
        let client = &mut self.clients[at];
        if client.is_open || client.is_refused {
            return client.is_open;
        }
        let Some(end) = client.inbox.windows(4).position(|four| four == b"\r\n\r\n") else {
            return false;
        };
        let head: Vec<u8> = client.inbox.drain(..end + 4).collect();
        client.is_open = head.starts_with(b"HTTP/1.1 101 ");
        client.is_refused = !client.is_open;
        let is_late = may_be_late && head.starts_with(b"HTTP/1.1 408 ");
        assert!(client.is_open || may_fail || is_late, "{}", String::from_utf8_lossy(&head));
        client.is_open
    }

    fn listen(&mut self, at: usize) -> bool {
        let inbox = std::mem::take(&mut self.clients[at].inbox);
        let mut rest = &inbox[..];
        while let Some((first, payload, length)) = frames::first(rest) {
            rest = &rest[length..];
            let client = &mut self.clients[at];
            assert_eq!(client.code, None, "nothing comes behind a Close");
            match first {
                0x81 => self.hear(at, payload),
                0x88 => {
                    client.is_closed(payload);
                    self.is_deserved(at);
                }
                0x89 => client.answer(payload),
                0x8a => {
                    let is_answer = client.pings.iter().any(|ping| ping == payload);
                    assert!(is_answer || client.has_erred, "a pong of no ping");
                }
                other => panic!("a frame that no client knows: {other:x}"),
            }
        }
        let moved = rest.len() < inbox.len();
        self.clients[at].inbox = rest.to_vec();
        moved
    }

    fn hear(&mut self, at: usize, payload: &[u8]) {
        let json: serde_json::Value = serde_json::from_slice(payload).expect("JSON");
        let text = |name: &str| json.get(name).map_or("", |value| value.as_str().expect(name));
        let (channel, data, issuer) = (text("channel"), text("data"), text("issuer"));
        let members = json.as_object().expect("an object").keys();
        members.for_each(|name| assert!(["channel", "data", "issuer"].contains(&&**name)));
        let mut words = data.splitn(3, ' ');
        let mut word = || words.next().expect("three words");
        let message = (word().parse().expect("a number"), word().parse().expect("a number"));
        let filler = word();
        assert!(!self.refused.contains(&message), "{message:?} was not granted");
        let (said_on, size) = *self.said.get(&message).expect("somebody has said it");
        assert_eq!((said_on, size), (channel, filler.len()), "as it was said");
        assert!(filler.bytes().all(|byte| byte == b'x'));
        let known = self.issuers.entry(message.0).or_insert_with(|| issuer.to_owned());
        assert_eq!(known, issuer, "one id a connection");
        assert_eq!(issuer.len(), 36);
        let client = &mut self.clients[at];
        assert_ne!(message.0, client.number, "nobody hears itself");
        assert!(client.reads.contains(&channel), "{channel:?} is none of its channels");
        client.heard.entry(channel.to_owned()).or_default().push(message);
    }

    /// Whoever is closed has been told a code that says why.
    fn is_deserved(&self, at: usize) {
        let client = &self.clients[at];
        let code = client.code.expect("it has just come");
        let is_deserved = match code {
            1000 => client.has_closed,
            1001 => self.is_draining,
            1008 => self.secrets > 0,
            4000 => true,
            _ => false,
        };
        // Whoever babbles may have said a Close of its own, which comes back.
        assert!(is_deserved || client.has_erred, "client {at} is closed with {code}");
    }

    fn is_bounded(&self) {
        let counters = self.server.shared.counters.iter();
        let queued: u64 = counters.map(|counters| counters.queued.get()).sum();
        let most = self.clients.len() * (FAR_OVER * self.largest_queue + PARTLY_SENT);
        assert!(queued <= most as u64, "{queued} bytes wait");
    }

    /// Everything happens that can without time passing; what of the messages has been taken by then is owed.
    async fn settle(&mut self) {
        let mut idle = 0;
        for _ in 0..2_000 {
            self.server.turn().await;
            self.is_bounded();
            idle = if self.pump() { 0 } else { idle + 1 };
            if idle == 4 {
                break;
            }
        }
        for pending in std::mem::take(&mut self.pending) {
            let by = &self.clients[pending.message.0];
            // What was said before a Close counts. Otherwise it is not known how far the server came.
            let is_there = match by.code {
                None => by.socket.is_some() && !by.is_over && !by.has_closed,
                Some(code) => code == 1000,
            };
            if by.has_erred || by.is_refused || !is_there && !by.is_stalled {
                continue;
            }
            if by.is_stalled || !by.outbox.is_empty() || !by.is_open {
                self.pending.push(pending);
                continue;
            }
            for reader in pending.readers {
                self.clients[reader].owed.push((pending.channel, pending.message));
            }
        }
    }

    async fn finish(mut self, drains: bool) {
        for client in &mut self.clients {
            client.is_stalled = false;
            client.most = usize::MAX;
        }
        self.settle().await;
        // Credit, grace, and connections that are closed one after the other.
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(2)).await;
            self.settle().await;
        }
        self.check();
        if drains {
            self.is_draining = true;
            self.server.shared.draining.store(true, Ordering::Relaxed);
            self.server.workers.drain(Duration::from_secs(1)).await;
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                self.settle().await;
            }
            for client in self.clients.iter().filter(|client| client.is_open && !client.is_over) {
                let told = client.code.is_some() || client.has_closed || client.has_erred;
                assert!(told || client.socket.is_none(), "client {} stays", client.number);
            }
        }
        self.clients.clear();
        self.server.is_empty_in_the_end().await;
    }

    fn check(&self) {
        let dropped: u64 = self.server.shared.sum(|counters| counters.dropped.get());
        let mut orders: HashMap<&str, Vec<&[Message]>> = HashMap::new();
        for client in &self.clients {
            for (channel, heard) in &client.heard {
                let once: HashSet<&Message> = heard.iter().collect();
                assert_eq!(once.len(), heard.len(), "client {} hears twice", client.number);
                let mut last: HashMap<usize, u32> = HashMap::new();
                for (by, number) in heard {
                    let before = last.insert(*by, *number);
                    assert!(before < Some(*number), "as its publisher has said it");
                }
                orders.entry(channel.as_str()).or_default().push(heard);
            }
            if client.hears() && dropped == 0 {
                for (channel, message) in &client.owed {
                    let heard = client.heard.get(*channel).is_some_and(|all| all.contains(message));
                    assert!(heard, "client {} misses {message:?} on {channel:?}", client.number);
                }
            }
        }
        for (channel, orders) in orders {
            for (at, one) in orders.iter().enumerate() {
                let place: HashMap<&Message, usize> =
                    one.iter().enumerate().map(|(place, message)| (message, place)).collect();
                for other in &orders[at + 1..] {
                    let common = other.iter().filter_map(|message| place.get(message));
                    assert!(common.is_sorted(), "two orders on {channel:?}");
                }
            }
        }
    }
}

impl Client {
    /// Whether it is there, and is owed what others say from now on.
    fn hears(&self) -> bool {
        self.is_open
            && self.socket.is_some()
            && !self.is_over
            && !self.has_closed
            && !self.has_erred
            && self.code.is_none()
    }

    fn send(&mut self, bytes: &[u8]) {
        if self.socket.is_some() && !self.has_closed {
            self.outbox.extend_from_slice(bytes);
        }
    }

    fn publish(&mut self, text: &[u8], fragments: usize, binary: bool) {
        let opcode = if binary { 2 } else { 1 };
        let length = text.len().div_ceil(fragments + 1).max(1);
        let last = text.len().div_ceil(length) - 1;
        for (number, part) in text.chunks(length).enumerate() {
            let first = if number == 0 { opcode } else { 0 };
            let end = if number == last { 0x80 } else { 0 };
            self.send(&frames::masked(end | first, part, [number as u8, 7, 0, 200]));
        }
    }

    fn leave(&mut self, how: Way) {
        match how {
            Way::Close => self.close(&1000u16.to_be_bytes()),
            Way::Drop => self.socket = None,
            Way::ShutDown => {
                self.has_closed = true;
                self.outbox.clear();
                if let Some(socket) = &self.socket {
                    let _ = socket.shutdown(std::net::Shutdown::Write);
                }
            }
        }
    }

    fn answer(&mut self, ping: &[u8]) {
        self.send(&frames::masked(0x8a, ping, [9; 4]));
    }

    fn is_closed(&mut self, payload: &[u8]) {
        self.code = Some(payload.first_chunk().map_or(0, |code| u16::from_be_bytes(*code)));
        self.close(&payload[..payload.len().min(2)]);
    }

    /// Says a Close, its last word.
    fn close(&mut self, payload: &[u8]) {
        self.send(&frames::masked(0x88, payload, [5; 4]));
        self.has_closed = true;
    }

    fn write(&mut self) -> bool {
        let Some(socket) = &mut self.socket else { return false };
        let mut moved = false;
        while !self.outbox.is_empty() {
            let most = self.outbox.len().min(self.most);
            match socket.write(&self.outbox[..most]) {
                Ok(count) => {
                    self.outbox.drain(..count);
                    moved = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.outbox.clear();
                    break;
                }
            }
            if self.most != usize::MAX {
                break;
            }
        }
        moved
    }

    fn read(&mut self) -> bool {
        if self.is_stalled || self.is_over {
            return false;
        }
        let Some(socket) = &mut self.socket else { return false };
        let mut moved = false;
        let mut bytes = [0; 16 * 1024];
        loop {
            match socket.read(&mut bytes) {
                Ok(count @ 1..) => {
                    self.inbox.extend_from_slice(&bytes[..count]);
                    moved = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return moved,
                Ok(0) | Err(_) => {
                    self.is_over = true;
                    return moved;
                }
            }
        }
    }
}
