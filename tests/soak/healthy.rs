//! Those who do everything right: publishers at a steady pace, over sockets, over TLS and by HTTP, and subscribers who
//! hold each message against what was sent: nothing is missing, nothing comes twice, each publisher's stand as it sent
//! them, and all hear a channel in one order.

use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::Scope;
use std::time::{Duration, Instant};

use crate::field::{Field, Pace, Random, wait_until};
use crate::support::PATIENCE;
use crate::support::client::{Client, Delivery, Event, publish};
use crate::support::frame::{CLOSE, Frame, Out, PING, PONG, TEXT};
use crate::support::http::Request;
use crate::support::token::{grant, token};

/// Channels of the healthy. Everybody else may hear them, and nobody else publish there.
pub(crate) const CHANNELS: usize = 6;
/// Subscribers, every fourth of them over TLS; and how many channels each hears.
const SUBSCRIBERS: usize = 24;
const HEARS: usize = 2;
/// Subscribers of a channel.
pub(crate) const READERS: usize = SUBSCRIBERS * HEARS / CHANNELS;
/// Publishers with a connection, the last of them over TLS, and one by HTTP.
const CONNECTED: usize = 4;
pub(crate) const PUBLISHERS: usize = CONNECTED + 1;
/// Connections of them all.
pub(crate) const CONNECTIONS: usize = SUBSCRIBERS + CONNECTED;
/// How often the publisher by HTTP sends two messages on every channel.
const SLOW_PACE: Duration = Duration::from_millis(100);
/// After so many messages it is looked whether all have heard a channel in the same order.
const STEP: u64 = 256;

impl Pace {
    /// How often each of the others sends one.
    fn of_publishers(self) -> Duration {
        Duration::from_millis(match self {
            Pace::Leisurely => 24,
            Pace::Brisk => 7,
        })
    }
}

pub(crate) fn channel(number: usize) -> String {
    format!("healthy-{number}")
}

/// They come, and stay until the publishing is over and everything has been heard.
pub(crate) fn come<'scope>(scope: &'scope Scope<'scope, '_>, field: &'scope Field) {
    for number in 0..SUBSCRIBERS {
        let here = field.takes_part();
        let address = if number % 4 == 3 { field.healthy_tunnel.address } else { field.plain };
        field.hire(scope, format!("subscriber {number}"), move |field| {
            let _here = here;
            Subscriber::new(field, number).hear(address);
        });
    }
    // Whoever hears from the beginning has nothing to miss.
    crate::until("the subscribers are there", || {
        field.failed() || field.open() == SUBSCRIBERS as u64
    });
    for number in 0..CONNECTED {
        let (here, publishes) = (field.takes_part(), field.publishes());
        let is_last = number == CONNECTED - 1;
        let address = if is_last { field.healthy_tunnel.address } else { field.plain };
        field.hire(scope, format!("publisher {number}"), move |field| {
            let _here = (here, publishes);
            publish_by_socket(field, number, address);
        });
    }
    let (here, publishes) = (field.takes_part(), field.publishes());
    field.hire(scope, "publisher by HTTP".into(), move |field| {
        let _here = (here, publishes);
        publish_by_http(field, CONNECTED);
    });
}

/// The next message of a publisher on a channel.
fn next(field: &Field, random: &mut Random, publisher: usize, channel: usize) -> String {
    let number = field.sent[channel][publisher].fetch_add(1, Relaxed);
    let filler = match random.below(1000) {
        0 => 60_000,
        1..20 => 4_000,
        _ => random.below(200),
    };
    let at = field.began.elapsed().as_nanos();
    format!("{publisher} {number} {at} {}", "x".repeat(filler))
}

fn publish_by_socket(field: &Field, publisher: usize, address: SocketAddr) {
    let names: Vec<String> = (0..CHANNELS).map(channel).collect();
    let write: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut client = open(address, &grant(&[], &write));
    let connected = field.connected();
    let mut random = Random::new(publisher);
    let mut due = Instant::now();
    while !field.publishing_is_over() {
        let mut bytes = Vec::new();
        for (channel, name) in names.iter().enumerate() {
            let data = next(field, &mut random, publisher, channel);
            bytes.extend(Out::text(publish(name, &data)).bytes());
        }
        client.send_bytes(&bytes);
        due = (due + field.pace.of_publishers()).max(Instant::now());
        wait_until(due);
    }
    part(client);
    drop(connected);
}

fn publish_by_http(field: &Field, publisher: usize) {
    let names: Vec<String> = (0..CHANNELS).map(channel).collect();
    let claims = serde_json::json!({ "api": true, "write": names });
    let token = token(&claims.to_string());
    let mut random = Random::new(publisher);
    let mut due = Instant::now();
    while !field.publishing_is_over() {
        let mut items = Vec::new();
        for (channel, name) in names.iter().enumerate().chain(names.iter().enumerate()) {
            let data = next(field, &mut random, publisher, channel);
            items.push(serde_json::json!({ "channel": name, "data": data }));
        }
        let body = serde_json::Value::from(items).to_string();
        let request = Request::new("POST", "/api/publish").body("application/json", body);
        let answer = request.bearer(&token).send(field.plain);
        assert_eq!(answer.status, 200, "{answer:?}");
        let said: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
        let said = said.as_array().expect("an answer for each");
        assert_eq!(said.len(), 2 * CHANNELS);
        // The healthy, and whoever else is there.
        let reached = |item: &serde_json::Value| item["subscribers"].as_u64().unwrap_or_default();
        assert!(said.iter().all(|item| reached(item) >= READERS as u64), "{said:?}");
        due = (due + SLOW_PACE).max(Instant::now());
        wait_until(due);
    }
}

/// A subscriber, and what it expects.
struct Subscriber<'a> {
    field: &'a Field,
    name: String,
    channels: Vec<usize>,
    /// The number of the next message of each publisher on each channel.
    next: [[u64; PUBLISHERS]; CHANNELS],
    /// How many messages came on each channel, and in what order.
    count: [u64; CHANNELS],
    order: [u64; CHANNELS],
}

impl Subscriber<'_> {
    fn new(field: &Field, number: usize) -> Subscriber<'_> {
        let channels = (0..HEARS).map(|more| (number + more) % CHANNELS).collect();
        let name = format!("subscriber {number}");
        let (next, count, order) = ([[0; PUBLISHERS]; CHANNELS], [0; CHANNELS], [0; CHANNELS]);
        Subscriber { field, name, channels, next, count, order }
    }

    fn hear(&mut self, address: SocketAddr) {
        let names: Vec<String> = self.channels.iter().map(|number| channel(*number)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut client = open(address, &grant(&names, &[]));
        let connected = self.field.connected();
        let mut over = None;
        loop {
            match client.event_within(Duration::from_millis(200)) {
                Some(Event::Frame(frame)) => self.take(&mut client, &frame),
                Some(Event::End) => panic!("the connection ended"),
                None => {}
            }
            if self.field.failed() {
                break;
            }
            if self.field.publishers() > 0 {
                continue;
            }
            // What was sent last may be on its way still.
            let since = *over.get_or_insert_with(Instant::now);
            let missing = self.missing();
            if missing.is_empty() {
                break;
            }
            assert!(
                since.elapsed() < PATIENCE,
                "lost: channel, publisher, heard, sent: {missing:?}"
            );
        }
        for channel in self.channels.clone() {
            self.compare(channel);
        }
        part(client);
        drop(connected);
    }

    /// What came on a channel so far, held against what others have heard there.
    fn compare(&self, channel: usize) {
        let (count, order) = (self.count[channel], self.order[channel]);
        self.field.same_order(&self.name, channel, count, order);
    }

    fn take(&mut self, client: &mut Client, frame: &Frame) {
        match frame.opcode {
            PING => client.send(&Out::new(PONG, frame.payload.clone())),
            CLOSE => panic!("closed: {:?}", frame.close()),
            TEXT if frame.fin => {
                let text = std::str::from_utf8(&frame.payload).expect("a text frame in UTF-8");
                self.take_delivery(&Delivery::parse(text));
            }
            _ => panic!("neither a message nor a control frame: {frame:?}"),
        }
    }

    fn take_delivery(&mut self, delivery: &Delivery) {
        let mut words = delivery.data.split(' ');
        let mut number = || words.next().and_then(|word| word.parse().ok()).expect("a number");
        let (publisher, message, sent): (u64, u64, u64) = (number(), number(), number());
        let channel = delivery.channel.strip_prefix("healthy-").expect("a channel of ours");
        let channel: usize = channel.parse().expect("its number");
        assert!(self.channels.contains(&channel), "{}", delivery.channel);
        let next = &mut self.next[channel][publisher as usize];
        assert_eq!(
            message, *next,
            "of publisher {publisher} on channel {channel}: lost, repeated or misplaced"
        );
        *next += 1;
        self.count[channel] += 1;
        // FNV-1a, in words.
        for word in [publisher, message] {
            self.order[channel] = (self.order[channel] ^ word).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if self.count[channel].is_multiple_of(STEP) {
            self.compare(channel);
        }
        self.field.heard.fetch_add(1, Relaxed);
        self.field.took(self.field.began.elapsed().saturating_sub(Duration::from_nanos(sent)));
    }

    /// Channel, publisher, what was heard and what was sent, where these differ.
    fn missing(&self) -> Vec<(usize, usize, u64, u64)> {
        let pairs = self
            .channels
            .iter()
            .flat_map(|channel| (0..PUBLISHERS).map(move |publisher| (*channel, publisher)));
        let counts = pairs.map(|(channel, publisher)| {
            let sent = self.field.sent[channel][publisher].load(Relaxed);
            (channel, publisher, self.next[channel][publisher], sent)
        });
        counts.filter(|(.., heard, sent)| heard != sent).collect()
    }
}

fn open(address: SocketAddr, token: &str) -> Client {
    let request = Request::upgrade_with(token);
    Client::open(address, &request).unwrap_or_else(|refusal| panic!("refused: {refusal:?}"))
}

/// Closes as a client should, whatever else comes meanwhile.
pub(crate) fn part(mut client: Client) {
    client.send(&Out::close(1000, "done"));
    let mut code = None;
    while let Event::Frame(frame) = client.event() {
        if frame.opcode == CLOSE {
            code = Some(frame.close().0);
        }
    }
    assert_eq!(code, Some(1000), "a Close is answered with its own code");
}
