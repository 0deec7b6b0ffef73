//! The promises about order and completeness, with publishers and subscribers on all workers.

use std::collections::HashMap;

use crate::support::client::{Client, publish};
use crate::support::frame::Out;
use crate::support::server::{Server, Setup};
use crate::support::token::grant;

/// Publishes `count` numbered messages to each of `channels`, a burst at a time.
fn publishes(mut client: Client, name: usize, channels: Vec<String>, count: usize) {
    for start in (0..count).step_by(10) {
        let mut burst = Vec::new();
        for n in start..start + 10 {
            for channel in &channels {
                burst.extend(Out::text(publish(channel, &format!("{name} {n}"))).bytes());
            }
        }
        client.send_bytes(&burst);
    }
    client.close();
}

/// What a subscriber heard, by channel.
fn hears(mut client: Client, total: usize) -> HashMap<String, Vec<String>> {
    let mut heard: HashMap<String, Vec<String>> = HashMap::new();
    for _ in 0..total {
        let delivery = client.delivery();
        heard.entry(delivery.channel).or_default().push(delivery.data);
    }
    client.round_trip();
    heard
}

fn orders(workers: &str, publishers: usize, subscribers: usize, channels: usize, count: usize) {
    let server = Setup::new("").environment("PHILOTE_WORKERS", workers).start();
    let names: Vec<String> = (0..channels).map(|n| format!("channel {n}")).collect();
    let refs: Vec<&str> = names.iter().map(String::as_str).collect();
    let total = publishers * channels * count;
    let heard: Vec<HashMap<String, Vec<String>>> = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..subscribers)
            .map(|_| server.subscriber(&refs))
            .map(|client| scope.spawn(move || hears(client, total)))
            .collect();
        for name in 0..publishers {
            let (client, names) = (server.publisher(&refs), names.clone());
            scope.spawn(move || publishes(client, name, names, count));
        }
        readers.into_iter().map(|reader| reader.join().expect("a reader")).collect()
    });
    for channel in &names {
        let order = &heard[0][channel];
        assert_eq!(order.len(), publishers * count, "nothing is missing or doubled");
        for other in &heard {
            assert!(&other[channel] == order, "{channel} has two orders");
        }
        let mut next = vec![0; publishers];
        for data in order {
            let (name, n) = data.split_once(' ').expect("two numbers");
            let (name, n): (usize, usize) = (name.parse().unwrap(), n.parse().unwrap());
            assert_eq!(n, next[name], "{channel}: a publisher's messages are out of order");
            next[name] += 1;
        }
    }
}

#[test]
fn all_subscribers_of_a_channel_see_one_order_on_one_worker() {
    orders("1", 4, 4, 1, 500);
}

#[test]
fn all_subscribers_of_a_channel_see_one_order_on_two_workers() {
    orders("2", 4, 4, 1, 500);
}

#[test]
fn each_of_many_channels_has_its_order_on_four_workers() {
    orders("4", 3, 4, 8, 100);
}

/// The small fly past the large nowhere.
#[test]
fn messages_of_all_sizes_keep_their_order() {
    let server = Server::start();
    let mut subscriber = server.subscriber(&["c"]);
    let mut publisher = server.publisher(&["c"]);
    let sizes = [1, 100, 70_000, 2, 500_000, 125, 126, 65_535, 65_536, 3, 900_000, 4];
    let data: Vec<String> = sizes.iter().map(|&size| "x".repeat(size)).collect();
    let reader = std::thread::spawn(move || {
        let lengths: Vec<usize> =
            (0..sizes.len()).map(|_| subscriber.delivery().data.len()).collect();
        assert_eq!(lengths, sizes);
    });
    for data in &data {
        publisher.publish("c", data);
    }
    reader.join().expect("all came in order");
}

/// A message is delivered although its publisher is gone right after it was sent.
#[test]
fn what_was_sent_before_a_close_is_delivered() {
    let server = Server::start();
    let mut subscriber = server.subscriber(&["c"]);
    for round in 0..50 {
        let mut publisher = server.open(&grant(&["c"], &["c"]));
        let mut bytes = Vec::new();
        for n in 0..20 {
            bytes.extend(Out::text(publish("c", &format!("{round} {n}"))).bytes());
        }
        bytes.extend(Out::close(1000, "").bytes());
        publisher.send_bytes(&bytes);
        for n in 0..20 {
            subscriber.hears("c", &format!("{round} {n}"));
        }
        assert_eq!(publisher.frame().close().0, 1000);
        publisher.ends();
    }
}

/// Answering each other across workers, nothing gets lost between two turns.
#[test]
fn a_long_game_of_ping_pong_loses_nothing() {
    let server = Server::start();
    let token = grant(&["left", "right"], &["left", "right"]);
    let (mut left, mut right) = (server.open(&token), server.open(&token));
    for n in 0..1000 {
        let text = n.to_string();
        left.publish("right", &text);
        right.hears("right", &text);
        right.publish("left", &text);
        left.hears("left", &text);
    }
}
