//! Who counts as alive, and how soon the dead are noticed.

use std::time::{Duration, Instant};

use crate::support::client::{Client, Event, publish};
use crate::support::frame::{Out, PING, PONG};
use crate::support::server::Server;
use crate::support::token::grant;

const INTERVAL: Duration = Duration::from_millis(250);
const TIMEOUT: Duration = Duration::from_millis(250);

/// What a busy machine may add to any of these times.
const SLACK: Duration = Duration::from_millis(1500);

fn server() -> Server {
    Server::with("[websocket]\nping_interval = \"250ms\"\npong_timeout = \"250ms\"")
}

/// Answers so many pings, and thereby waits for as many intervals.
fn answers_pings(client: &mut Client, count: usize) {
    for _ in 0..count {
        let frame = client.frame();
        assert_eq!(frame.opcode, PING, "{frame:?}");
        client.send(&Out::new(PONG, frame.payload));
    }
}

#[test]
fn whoever_answers_its_pings_stays() {
    let server = server();
    let mut client = server.subscriber(&["c"]);
    let begun = Instant::now();
    answers_pings(&mut client, 12);
    assert!(begun.elapsed() > INTERVAL * 8, "pings come at their interval, not sooner");
    server.publisher(&["c"]).publish("c", "alive");
    assert!(client.message().contains("alive"));
}

/// The Go client that only publishes never reads, so it never answers.
#[test]
fn a_publisher_that_never_reads_stays() {
    let server = server();
    let mut publisher = server.publisher(&["c"]);
    let mut subscriber = server.subscriber(&["c"]);
    answers_pings(&mut subscriber, 16);
    publisher.publish("c", "after sixteen pings");
    assert!(subscriber.message().contains("after sixteen pings"));
    answers_pings(&mut subscriber, 8);
    publisher.publish("c", "and eight more");
    assert!(subscriber.message().contains("and eight more"));
}

/// A Python client whose loop is busy reads late; nothing of it is held against it before it
/// has answered once.
#[test]
fn a_subscriber_that_never_answered_stays() {
    let server = server();
    let mut silent = server.subscriber(&["c"]);
    let mut answering = server.subscriber(&["d"]);
    answers_pings(&mut answering, 16);
    server.publisher(&["c"]).publish("c", "still here");
    assert!(silent.message().contains("still here"));
}

#[test]
fn one_that_answered_before_and_stops_is_gone_in_time() {
    let server = server();
    let mut client = server.subscriber(&["c"]);
    answers_pings(&mut client, 3);
    let silent_since = Instant::now();
    let mut unanswered = 0;
    loop {
        match client.event() {
            Event::Frame(frame) if frame.opcode == PING => unanswered += 1,
            Event::Frame(frame) => {
                // Whether it is told is not promised.
                frame.close();
            }
            Event::End => break,
        }
    }
    let took = silent_since.elapsed();
    assert!(unanswered >= 2, "gone after {unanswered} unanswered pings: two must be missing");
    assert!(took <= 2 * (INTERVAL + TIMEOUT) + SLACK, "gone after {took:?}");
    server.until_connections(0);
}

/// One byte of a long message at a time is as good as a pong.
#[test]
fn any_inbound_byte_is_life() {
    let server = server();
    let mut subscriber = server.subscriber(&["c"]);
    let mut dripping = server.publisher(&["c"]);
    answers_pings(&mut dripping, 2);
    let frame = Out::text(publish("c", "drop by drop")).bytes();
    let (drops, rest) = frame.split_at(25);
    let begun = Instant::now();
    for byte in drops {
        dripping.send_bytes(&[*byte]);
        // A pause, in which pings come and are not answered.
        let pause = Instant::now() + Duration::from_millis(120);
        while let Some(left) = pause.checked_duration_since(Instant::now()) {
            match dripping.event_within(left) {
                None => break,
                Some(Event::Frame(frame)) => assert_eq!(frame.opcode, PING, "{frame:?}"),
                Some(Event::End) => panic!("taken for dead after {:?}", begun.elapsed()),
            }
        }
    }
    assert!(begun.elapsed() > 4 * (INTERVAL + TIMEOUT));
    dripping.send_bytes(rest);
    assert!(subscriber.message().contains("drop by drop"));
}

/// A ping of the peer's own is a sign of life like any other.
#[test]
fn pings_of_the_peer_are_life() {
    let server = server();
    let mut client = server.open(&grant(&["c"], &[]));
    answers_pings(&mut client, 2);
    let mut pings = 0;
    while pings < 10 {
        client.send(&Out::new(PING, "mine"));
        loop {
            let frame = client.frame();
            if frame.opcode == PONG {
                break;
            }
            assert_eq!(frame.opcode, PING);
        }
        if let Some(Event::Frame(frame)) = client.event_within(Duration::from_millis(100)) {
            assert_eq!(frame.opcode, PING);
            pings += 1;
        }
    }
    client.close();
}
