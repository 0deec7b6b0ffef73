//! A connection is subscribed before its 101 goes out: what is published in the instant that a
//! client has read it, on whichever worker, reaches it.

use crate::support::server::{Server, Setup};
use crate::support::token::grant;

/// How often; `PHILOTE_TEST_ROUNDS` says otherwise.
const ROUNDS: usize = 2000;

/// Not so many that each has a home of its own, enough that each worker is home to some.
const CHANNELS: usize = 16;

fn rounds() -> usize {
    match std::env::var("PHILOTE_TEST_ROUNDS") {
        Ok(count) => count.parse().expect("PHILOTE_TEST_ROUNDS is a number"),
        Err(_) => ROUNDS,
    }
}

fn nothing_is_missing(server: &Server, rounds: usize) {
    let names: Vec<String> = (0..CHANNELS).map(|n| format!("channel {n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let tokens: Vec<String> = names.iter().map(|name| grant(&[name], &[])).collect();
    // Publishers on more than one worker, whichever worker takes whom.
    let mut publishers: Vec<_> = (0..5).map(|_| server.publisher(&names)).collect();
    for round in 0..rounds {
        let channel = round * 7 % CHANNELS;
        let publisher = &mut publishers[round % 5];
        let data = round.to_string();
        let mut subscriber = server.open(&tokens[channel]);
        publisher.publish(names[channel], &data);
        subscriber.hears(names[channel], &data);
        if round % 2 == 0 { subscriber.close() } else { subscriber.reset() }
    }
    drop(publishers);
    server.until_connections(0);
}

#[test]
fn what_is_published_at_the_instant_of_the_101_is_heard_on_two_workers() {
    nothing_is_missing(&Server::start(), rounds());
}

#[test]
fn what_is_published_at_the_instant_of_the_101_is_heard_on_five_workers() {
    let server = Setup::new("").environment("PHILOTE_WORKERS", "5").start();
    nothing_is_missing(&server, rounds() / 4);
}

/// All its channels at once, whichever workers are their homes.
#[test]
fn a_connection_is_subscribed_to_all_its_channels_when_it_opens() {
    let server = Setup::new("").environment("PHILOTE_WORKERS", "4").start();
    let names: Vec<String> = (0..64).map(|n| format!("channel {n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let token = grant(&names, &[]);
    let mut publisher = server.publisher(&names);
    for _ in 0..rounds() / 40 {
        let mut subscriber = server.open(&token);
        for name in &names {
            publisher.publish(name, "at once");
        }
        let mut heard: Vec<String> = names.iter().map(|_| subscriber.delivery().channel).collect();
        heard.sort();
        heard.dedup();
        assert_eq!(heard.len(), names.len());
        subscriber.round_trip();
        subscriber.close();
    }
}
