//! What a slow or silent peer can make grow, and what happens at each bound.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::client::{Client, publish};
use crate::support::frame::{CLOSE, Frame, Out, TEXT};
use crate::support::http::{Request, connect};
use crate::support::server::{Server, Setup};
use crate::support::token::grant;
use crate::support::{PATIENCE, has_ended, until, until_within};

/// A message of 4 KiB that carries its number.
fn numbered(n: usize) -> String {
    format!("{n:08}{}", "x".repeat(4096 - 8))
}

/// The number of a delivery.
fn number(frame: &Frame) -> usize {
    assert_eq!(frame.opcode, TEXT, "{frame:?}");
    let text = std::str::from_utf8(&frame.payload).expect("UTF-8");
    let data = crate::support::client::Delivery::parse(text).data;
    data[..8].parse().expect("a number")
}

/// Publishes so many numbered messages while `reader` keeps up with them.
fn publishes(publisher: &mut Client, reader: &mut Client, numbers: std::ops::Range<usize>) {
    for n in numbers {
        publisher.publish("c", &numbered(n));
        let heard = reader.frame();
        assert_eq!(number(&heard), n, "a reader that keeps up misses nothing");
    }
}

/// Messages for which a stalled reader holds up nobody: 24 MB, far beyond what the kernels keep.
const MANY: usize = 6000;

/// The server holds no more than it may, whatever a reader leaves unread.
fn holds_little(server: &Server, before: u64) {
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB more than before, for a queue of 64 KiB");
}

#[test]
fn a_burst_smaller_than_the_queue_evicts_nobody() {
    let server = Server::with("[limits]\noutbound_queue = \"1MiB\"");
    let mut lazy = server.lazy_subscriber(&["c"]);
    let mut reader = server.subscriber(&["c"]);
    let mut publisher = server.publisher(&["c"]);
    let burst: Vec<u8> =
        (0..200).flat_map(|n| Out::text(publish("c", &numbered(n))).bytes()).collect();
    publisher.send_bytes(&burst);
    for n in 0..200 {
        assert_eq!(number(&reader.frame()), n);
    }
    for n in 0..200 {
        assert_eq!(number(&lazy.frame()), n);
    }
    lazy.round_trip();
}

/// What flows before the queue counts is the kernels': 264 KiB as measured, with 128 KiB at the
/// reader's end, for the server keeps the unsent part of its socket small (2.9 MiB otherwise).
#[test]
fn a_subscriber_that_stops_reading_is_closed_with_4000_and_others_notice_nothing() {
    let server =
        Server::with("[limits]\noutbound_queue = \"64KiB\"\n[websocket]\nclose_timeout = \"60s\"");
    let mut lazy = server.lazy_subscriber(&["c"]);
    let mut reader = server.subscriber(&["c"]);
    let mut publisher = server.publisher(&["c"]);
    publishes(&mut publisher, &mut reader, 0..MANY / 10);
    let before = server.resident();
    publishes(&mut publisher, &mut reader, MANY / 10..MANY);
    holds_little(&server, before);

    let mut flowed = 0;
    let (code, reason) = loop {
        let frame = lazy.frame();
        if frame.opcode == CLOSE {
            break frame.close();
        }
        assert_eq!(number(&frame), flowed, "what it still gets is whole and in order");
        flowed += 1;
    };
    assert_eq!(code, 4000);
    assert!(reason.contains("slow"), "the reason names the cause: {reason:?}");
    assert!(flowed < 256, "{flowed} messages of 4 KiB flowed");
    lazy.send(&Out::close(4000, ""));
    lazy.ends();
    drop(lazy);

    publishes(&mut publisher, &mut reader, MANY..MANY + 10);
    server.until_connections(2);
}

#[test]
fn a_subscriber_that_never_reads_again_is_cut_without_a_word() {
    let server = Server::with(
        "[limits]\noutbound_queue = \"64KiB\"\n[websocket]\nclose_timeout = \"300ms\"",
    );
    let mut lazy = server.lazy_subscriber(&["c"]);
    let mut reader = server.subscriber(&["c"]);
    let mut publisher = server.publisher(&["c"]);
    publishes(&mut publisher, &mut reader, 0..MANY / 10);
    let before = server.resident();
    publishes(&mut publisher, &mut reader, MANY / 10..MANY);
    holds_little(&server, before);
    server.until_connections(2);
    let frames = lazy.rest();
    for (n, frame) in frames.iter().enumerate() {
        assert_eq!(number(frame), n, "what it still gets is whole and in order");
    }
    publishes(&mut publisher, &mut reader, MANY..MANY + 10);
}

#[test]
fn a_slow_subscriber_loses_the_oldest_where_that_is_configured() {
    let server = Server::with(
        "[limits]\noutbound_queue = \"64KiB\"\n[websocket]\nslow_consumer = \"drop\"\n\
         [log]\nlevel = \"debug\"",
    );
    let mut lazy = server.lazy_subscriber(&["c"]);
    let mut reader = server.subscriber(&["c"]);
    let mut publisher = server.publisher(&["c"]);
    publishes(&mut publisher, &mut reader, 0..MANY / 10);
    let before = server.resident();
    publishes(&mut publisher, &mut reader, MANY / 10..MANY);
    holds_little(&server, before);

    let mut heard = vec![number(&lazy.frame())];
    while heard.last() != Some(&(MANY - 1)) {
        heard.push(number(&lazy.frame()));
    }
    assert!(heard.is_sorted_by(|one, next| one < next), "in order, nothing twice");
    assert!(heard.len() < MANY / 2, "{} of {MANY} were kept", heard.len());
    // The newest ones were kept, without a gap: a good half of the queue's bound at least.
    let newest: Vec<usize> = (MANY - 8..MANY).collect();
    assert!(heard.ends_with(&newest), "{:?}", &heard[heard.len() - 8..]);
    // It is a subscriber as before.
    publishes(&mut publisher, &mut reader, MANY..MANY + 10);
    for n in MANY..MANY + 10 {
        assert_eq!(number(&lazy.frame()), n);
    }
    lazy.round_trip();
    // Never silent.
    let counted = server.info().as_object().expect("an object").iter().any(|(name, value)| {
        name.contains("dropped") && value.as_u64().is_some_and(|count| count > 0)
    });
    assert!(counted || server.log().contains("dropped"), "losses are counted and visible");
}

/// One that reads slowly but steadily is behind, not lost, as long as its queue holds it.
#[test]
fn a_subscriber_that_catches_up_stays() {
    let server = Server::with("[limits]\noutbound_queue = \"256KiB\"");
    let mut lazy = server.lazy_subscriber(&["c"]);
    let mut reader = server.subscriber(&["c"]);
    let mut publisher = server.publisher(&["c"]);
    for round in 0..20 {
        let numbers = round * 40..(round + 1) * 40;
        publishes(&mut publisher, &mut reader, numbers.clone());
        for n in numbers {
            assert_eq!(number(&lazy.frame()), n);
        }
    }
}

/// What full queues took goes back to the system once they are empty, and not only to the allocator.
#[test]
fn memory_that_full_queues_took_is_given_back() {
    const MESSAGES: usize = 3000;
    let server = Server::start();
    let mut lazy: Vec<Client> = (0..200).map(|_| server.lazy_subscriber(&["c"])).collect();
    let mut reader = server.subscriber(&["c"]);
    let mut publisher = server.publisher(&["c"]);
    let data = "x".repeat(100);
    let before = server.resident();
    // One by one, since what comes together waits together.
    for _ in 0..MESSAGES {
        publisher.publish("c", &data);
        reader.hears("c", &data);
    }
    let full = server.resident();
    assert!(full > before + 8 * 1024, "{full} KiB after {before}: nothing to give back");
    // What the last of them still waits for lies behind, and between, what the others had. They read all at once: the longer
    // one had waited, the later TCP would look whether it reads again.
    let last = lazy.pop();
    std::thread::scope(|scope| {
        for lazy in &mut lazy {
            scope.spawn(|| (0..MESSAGES).for_each(|_| drop(lazy.hears("c", &data))));
        }
    });
    // It looks every fifteen seconds.
    let back = || server.resident() < before + 3 * 1024;
    until_within(Duration::from_secs(40), "what it had before", back);
    reader.round_trip();
    drop(last);
}

/// A message as large as one may be passes a queue of any bound while it is empty.
#[test]
fn a_message_larger_than_the_queue_reaches_a_reader() {
    let server = Server::with("[limits]\noutbound_queue = \"64KiB\"");
    let mut subscriber = server.subscriber(&["c"]);
    let mut publisher = server.publisher(&["c"]);
    let data = "x".repeat(1_000_000);
    let reader = std::thread::spawn(move || {
        for _ in 0..5 {
            assert_eq!(subscriber.delivery().data.len(), 1_000_000);
            subscriber.publish("not granted", "go on");
        }
        subscriber
    });
    let mut echo = server.subscriber(&["c"]);
    for _ in 0..5 {
        publisher.publish("c", &data);
        assert_eq!(echo.delivery().data.len(), 1_000_000);
    }
    reader.join().expect("a healthy reader").round_trip();
}

/// Whoever connects and says nothing is counted, and at the bound the oldest goes.
#[test]
fn over_the_bound_of_the_pending_the_oldest_is_closed() {
    let server = Setup::new("[limits]\nmax_pending = 4\n[websocket]\nhandshake_timeout = \"60s\"")
        .environment("PHILOTE_WORKERS", "1")
        .start();
    let mut pending: Vec<TcpStream> = (0..6).map(|_| connect(server.address())).collect();
    let younger = pending.split_off(2);
    until("the two oldest are closed", || pending.iter().all(has_ended));
    let request = Request::upgrade_with(&grant(&["a"], &[])).bytes();
    let mut opened: Vec<Client> = younger
        .into_iter()
        .map(|stream| Client::open_on(stream, &request).expect("admitted"))
        .collect();
    // Who is open is pending no more.
    let more: Vec<TcpStream> = (0..6).map(|_| connect(server.address())).collect();
    server.is_healthy();
    for client in &mut opened {
        client.round_trip();
    }
    drop(more);
}

/// Each worker may keep one that the others do not know of.
#[test]
fn however_many_come_and_say_nothing_few_are_kept_and_newcomers_are_served() {
    let server = Setup::new("[limits]\nmax_pending = 8\n[websocket]\nhandshake_timeout = \"60s\"")
        .environment("PHILOTE_WORKERS", "4")
        .start();
    let idle: Vec<TcpStream> = (0..200).map(|_| connect(server.address())).collect();
    until("few of the idle are kept", || {
        idle.iter().filter(|stream| !has_ended(stream)).count() <= 8 + 4
    });
    for _ in 0..10 {
        server.is_healthy();
    }
}

#[test]
fn a_peer_that_never_answers_our_close_is_cut() {
    let server = Server::with("[websocket]\nclose_timeout = \"500ms\"");
    let mut client = server.publisher(&["c"]);
    client.send_text("not JSON");
    client.close_frame(1007);
    let begun = Instant::now();
    client.ends();
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(400), "cut after {took:?}, with its answer under way");
    assert!(took < Duration::from_secs(5), "cut after {took:?}");
    server.until_connections(0);
}

#[test]
fn a_peer_that_answers_our_close_is_not_kept_waiting() {
    let server = Server::with("[websocket]\nclose_timeout = \"15s\"");
    let mut client = server.publisher(&["c"]);
    client.send_text("not JSON");
    client.close_frame(1007);
    let begun = Instant::now();
    client.send(&Out::close(1007, ""));
    client.ends();
    assert!(begun.elapsed() < Duration::from_secs(5));
}

/// Once both have closed, the place is free, whatever the peer does with its socket.
#[test]
fn a_peer_that_has_closed_holds_no_place_while_its_socket_is_open() {
    let server = Server::with("[websocket]\nclose_timeout = \"60s\"");
    let mut theirs = server.publisher(&["c"]);
    theirs.send(&Out::close(1000, ""));
    assert_eq!(theirs.frame().close().0, 1000);
    theirs.ends();
    server.until_connections(0);
    let mut ours = server.publisher(&["c"]);
    ours.send_text("not JSON");
    ours.close_frame(1007);
    ours.send(&Out::close(1007, ""));
    ours.ends();
    server.until_connections(0);
    drop((theirs, ours));
}

/// Talking on instead of answering buys no time.
#[test]
fn a_peer_that_talks_on_after_our_close_is_cut_as_well() {
    let server = Server::with("[websocket]\nclose_timeout = \"500ms\"");
    let mut client = server.publisher(&["c"]);
    client.send_text("not JSON");
    client.close_frame(1007);
    let begun = Instant::now();
    let message = Out::text(publish("c", "talk")).bytes();
    while client.try_send(&message).is_ok() {
        assert!(begun.elapsed() < PATIENCE, "it may talk for ever");
    }
    assert!(begun.elapsed() >= Duration::from_millis(400));
    assert_eq!(client.rest(), []);
    server.is_healthy();
}

/// Publishers at full speed and readers at their own: nobody who reads is thrown out.
#[test]
fn publishers_at_full_speed_evict_no_reader() {
    let server = Server::start();
    let (publishers, readers, count) = (8, 4, 1000);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..readers)
            .map(|_| server.subscriber(&["c"]))
            .map(|mut client| {
                scope.spawn(move || {
                    for _ in 0..publishers * count {
                        client.message();
                    }
                })
            })
            .collect();
        for _ in 0..publishers {
            let mut client = server.publisher(&["c"]);
            scope.spawn(move || {
                let batch = Out::text(publish("c", &"x".repeat(500))).bytes().repeat(100);
                for _ in 0..count / 100 {
                    client.send_bytes(&batch);
                }
                client.close();
            });
        }
        for reader in readers {
            reader.join().expect("a reader that keeps reading misses nothing");
        }
    });
}
