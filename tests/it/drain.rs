//! The stop: everybody is told, what has been read is delivered, and it ends in time whatever happens.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::secrets::is_even;
use crate::support::client::{Client, Event, publish};
use crate::support::dir::Dir;
use crate::support::frame::{Frame, Out, PING, PONG};
use crate::support::http::{Request, Response, connect};
use crate::support::server::{Server, Setup, file};
use crate::support::stuck::{Held, can_hold};
use crate::support::token::grant;
use crate::support::{PATIENCE, until};

/// A thread for a client that only waits, of which there are many.
fn in_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    std::thread::Builder::new().stack_size(256 * 1024).spawn(work).expect("a thread")
}

/// Waits for 1001 with its reason, answers, and says when it came.
fn is_told(mut client: Client) -> Instant {
    let reason = client.close_frame(1001);
    let at = Instant::now();
    assert!(reason.contains("shut"), "{reason:?}");
    let _ = client.try_send(&Out::close(1001, "").bytes());
    client.ends();
    at
}

fn told_at(server: &Server, clients: impl IntoIterator<Item = Client>) -> Vec<Duration> {
    let waiting: Vec<_> =
        clients.into_iter().map(|client| in_a_thread(move || is_told(client))).collect();
    server.signal(Signal::TERM);
    let begun = Instant::now();
    let mut times: Vec<_> = waiting
        .into_iter()
        .map(|told| told.join().expect("it was told").duration_since(begun))
        .collect();
    times.sort();
    times
}

fn idle(server: &Server, count: usize) -> Vec<Client> {
    let token = grant(&["idle"], &[]);
    (0..count).map(|_| server.open(&token)).collect()
}

/// What a publisher hears.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    /// All before its ping has been read.
    Pong,
    /// The stop.
    Told,
}

/// Takes apart what comes to a publisher, on a thread of its own.
fn listen(mut stream: TcpStream) -> Receiver<Heard> {
    let (sender, heard) = channel();
    in_a_thread(move || {
        let mut bytes = Vec::new();
        let mut chunk = [0; 1024];
        while let Ok(count @ 1..) = stream.read(&mut chunk) {
            bytes.extend_from_slice(&chunk[..count]);
            while let Some((frame, taken)) = Frame::parse(&bytes) {
                bytes.drain(..taken);
                let what = if frame.opcode == PONG { Heard::Pong } else { Heard::Told };
                if what == Heard::Told {
                    assert_eq!(frame.close().0, 1001);
                }
                let _ = sender.send(what);
            }
        }
    });
    heard
}

/// Publishes numbers as fast as the server takes them, a thousand at most under way, until it is told of
/// the stop; then one more, and its own Close. How many those were.
fn publish_until_told(mut publisher: Client, flowing: &AtomicBool) -> usize {
    const BATCH: usize = 500;
    let heard = listen(publisher.stream().try_clone().expect("the same socket"));
    let mut number = 0;
    loop {
        let mut frames: Vec<u8> = (number..number + BATCH)
            .flat_map(|number| Out::text(publish("flood", &number.to_string())).bytes())
            .collect();
        frames.extend(Out::new(PING, "").bytes());
        publisher.send_bytes(&frames);
        number += BATCH;
        if number > 2 * BATCH {
            flowing.store(true, Ordering::Relaxed);
            if heard.recv_timeout(PATIENCE).expect("a pong or a Close") == Heard::Told {
                break;
            }
        }
    }
    publisher.publish("flood", "last");
    publisher.send(&Out::close(1001, ""));
    number
}

/// Numbers in order and without a gap, and behind the last of them 1001.
fn hear_until_told(mut subscriber: Client) -> usize {
    let mut next = 0;
    loop {
        let heard = subscriber.delivery();
        if heard.data == "last" {
            is_told(subscriber);
            return next;
        }
        assert_eq!(heard.data, next.to_string(), "after {next} messages in order");
        next += 1;
    }
}

/// How many descriptors a server has open.
fn descriptors(server: &Server) -> usize {
    let of = format!("/proc/{}/fd", server.pid());
    std::fs::read_dir(of).expect("a process that runs").count()
}

/// The stop spreads its Closes over four seconds here; those that go before are gone from then on.
#[test]
fn a_stop_lets_go_of_connections_that_have_gone() {
    const COUNT: usize = 400;
    let config = [
        "limits.max_connections = 1000",
        "log.level = \"debug\"",
        "shutdown.drain_timeout = \"10m\"",
        "websocket.close_timeout = \"5m\"",
    ];
    let server = Setup::of_file(&file(&config)).start();
    let before = descriptors(&server);
    // The first is told first, and does not answer.
    let mut stays = server.subscriber(&["c"]);
    let others = idle(&server, COUNT);
    server.signal(Signal::TERM);
    stays.close_frame(1001);
    drop(others);
    until("all others are over", || {
        server.log().matches("event=connection_closed").count() == COUNT
    });
    let held = descriptors(&server);
    server.signal(Signal::TERM);
    let log = server.ended().log;
    assert!(held < before + COUNT / 10, "{held} descriptors of {COUNT} connections that have gone");
    let stopped = log.lines().find(|line| line.contains("event=stopped")).expect("a last line");
    assert!(stopped.contains("cut=1 ") || stopped.ends_with("cut=1"), "{stopped}");
}

#[test]
fn a_thousand_connections_are_told_evenly_and_what_was_read_is_delivered() {
    // Half of six seconds is less than a second for each hundred.
    let config = ["limits.max_connections = 2000", "shutdown.drain_timeout = \"6s\""];
    let server = Setup::of_file(&file(&config)).start();
    // Those that opened first are told first: the publisher, while it publishes; its subscribers when
    // all that it had to say has been said.
    let publisher = server.publisher(&["flood"]);
    let idle = idle(&server, 979);
    let flowing = Arc::new(AtomicBool::new(false));
    let subscribers: Vec<_> = (0..20)
        .map(|_| server.subscriber(&["flood"]))
        .map(|client| in_a_thread(move || hear_until_told(client)))
        .collect();
    let publisher = in_a_thread({
        let flowing = flowing.clone();
        move || publish_until_told(publisher, &flowing)
    });
    until("messages flow", || flowing.load(Ordering::Relaxed));
    let times = told_at(&server, idle);
    is_even(&times, Duration::from_secs(3));
    let published = publisher.join().expect("a publisher");
    for subscriber in subscribers {
        assert_eq!(subscriber.join().expect("a subscriber"), published);
    }
    let ended = server.ended();
    assert!(ended.status.success(), "{}", ended.status);
    let stopped = ended.log.lines().last().expect("a last line");
    assert!(stopped.contains("event=stopped") && stopped.contains("cut=0"), "{stopped}");
    assert!(ended.log.contains("event=drain connections=1000"), "{}", ended.log);
}

#[test]
fn what_was_read_before_the_signal_reaches_everybody_before_their_close() {
    for _ in 0..10 {
        let server = Setup::of_file(&file(&[])).start();
        let subscribers: Vec<_> =
            (0..4).map(|_| server.subscriber(&["a", "b", "c", "d"])).collect();
        let mut publishers: Vec<_> =
            (0..4).map(|_| server.publisher(&["a", "b", "c", "d"])).collect();
        for publisher in &mut publishers {
            let burst: Vec<u8> = (0..200)
                .flat_map(|number| {
                    let channel = ["a", "b", "c", "d"][number % 4];
                    Out::text(publish(channel, &number.to_string())).bytes()
                })
                .collect();
            publisher.send_bytes(&burst);
        }
        // All of them have been read when the last has its pong.
        publishers.iter_mut().for_each(Client::round_trip);
        server.signal(Signal::TERM);
        for mut subscriber in subscribers {
            for _ in 0..800 {
                subscriber.delivery();
            }
            is_told(subscriber);
        }
        drop(publishers);
        assert!(server.ended().status.success());
    }
}

#[test]
fn a_hundred_are_told_in_a_second_where_there_is_time() {
    let server = Setup::of_file(&file(&["shutdown.drain_timeout = \"60s\""])).start();
    let clients = idle(&server, 200);
    let times = told_at(&server, clients);
    is_even(&times, Duration::from_secs(2));
    assert!(server.ended().status.success());
}

#[test]
fn three_idle_connections_take_no_time() {
    let server = Setup::of_file(&file(&[])).start();
    let clients = idle(&server, 3);
    let times = told_at(&server, clients);
    assert!(times[2] < Duration::from_secs(3), "{times:?}");
    let begun = Instant::now();
    assert!(server.ended().status.success());
    assert!(begun.elapsed() < Duration::from_secs(3));
}

/// For a balancer, which is to see first that nobody new may come.
#[test]
fn a_delay_leaves_connections_alone_while_newcomers_are_turned_away() {
    let config = ["shutdown.delay = \"1s\"", "shutdown.drain_timeout = \"3s\""];
    let server = Setup::of_file(&file(&config)).start();
    let mut subscriber = server.subscriber(&["c"]);
    let mut publisher = server.publisher(&["c"]);
    let others = idle(&server, 200);
    let begun = Instant::now();
    let waiting: Vec<_> =
        others.into_iter().map(|client| in_a_thread(move || is_told(client))).collect();
    server.signal(Signal::TERM);
    server.notifies("STOPPING=1");
    assert_eq!(server.ask(&Request::get("/readyz")).status, 503);
    assert_eq!(server.ask(&Request::get("/healthz")).status, 200);
    let refusal = server.refuses_token(&grant(&["c"], &[]));
    assert_eq!(refusal.status, 503);
    assert!(refusal.header("retry-after").is_some(), "{refusal:?}");
    while begun.elapsed() < Duration::from_millis(700) {
        publisher.publish("c", "as ever");
        subscriber.hears("c", "as ever");
    }
    let mut times: Vec<_> = waiting
        .into_iter()
        .map(|told| told.join().expect("it was told").duration_since(begun))
        .collect();
    times.sort();
    assert!(times[0] >= Duration::from_millis(950), "told within the delay: {:?}", times[0]);
    // Two seconds are left then; over half of them.
    let delay = times[0];
    times.iter_mut().for_each(|time| *time -= delay);
    is_even(&times, Duration::from_secs(1));
    drop((subscriber, publisher));
    assert!(server.ended().status.success());
}

#[test]
fn a_request_under_way_is_finished() {
    let server = Setup::of_file(&file(&["shutdown.delay = \"300ms\""])).start();
    let lasting = server.open(&grant(&["c"], &[]));
    let bytes = Request::get("/healthz").bytes();
    let (first, second) = bytes.split_at(10);
    let mut stream = connect(server.address());
    stream.write_all(first).expect("half a request");
    // Whoever comes after it has been accepted after it.
    server.ask(&Request::get("/healthz"));
    server.signal(Signal::TERM);
    server.notifies("STOPPING=1");
    stream.write_all(second).expect("the other half");
    let answer = Response::read(&mut stream, "GET").0.expect("an answer");
    assert_eq!(answer.status, 200, "{answer:?}");
    is_told(lasting);
    assert!(server.ended().status.success());
}

#[test]
fn whoever_never_answers_is_cut_at_the_deadline_and_counted() {
    let config = ["websocket.close_timeout = \"60s\"", "shutdown.drain_timeout = \"1s\""];
    let server = Setup::of_file(&file(&config)).start();
    let mut silent = idle(&server, 5);
    let polite: Vec<_> =
        idle(&server, 5).into_iter().map(|client| in_a_thread(move || is_told(client))).collect();
    let begun = Instant::now();
    server.signal(Signal::TERM);
    for told in polite {
        told.join().expect("it was told");
    }
    let ended = server.ended();
    let took = begun.elapsed();
    assert!((900..4000).contains(&took.as_millis()), "{took:?}");
    assert!(ended.status.success(), "{}", ended.status);
    assert!(ended.log.contains("event=stopped cut=5"), "{}", ended.log);
    for client in &mut silent {
        client.close_frame(1001);
        client.ends();
    }
}

#[test]
fn sigquit_cuts_everybody_at_once_and_says_how_many() {
    let server = Setup::of_file(&file(&["shutdown.delay = \"60s\""])).start();
    let mut clients = idle(&server, 7);
    server.signal(Signal::QUIT);
    let ended = server.ended();
    assert!(ended.status.success(), "{}", ended.status);
    assert!(ended.log.contains("cut=7"), "{}", ended.log);
    for client in &mut clients {
        // Told or not, it is over.
        assert!(client.rest().len() <= 1);
    }
}

#[test]
fn a_second_signal_of_either_kind_ends_the_delay_too() {
    for (first, second) in
        [(Signal::TERM, Signal::INT), (Signal::INT, Signal::TERM), (Signal::TERM, Signal::QUIT)]
    {
        let server = Setup::of_file(&file(&["shutdown.delay = \"60s\""])).start();
        let clients = idle(&server, 3);
        server.signal(first);
        server.notifies("STOPPING=1");
        server.signal(second);
        let ended = server.ended();
        assert!(ended.status.success(), "{}", ended.status);
        assert!(ended.log.contains("cut=3"), "{}", ended.log);
        drop(clients);
    }
}

// Where no worker does anything any more.

fn stuck(config: &[&str]) -> Option<(Server, Vec<Client>, Held)> {
    can_hold().then(|| {
        let server = Setup::of_file(&file(config)).start();
        let clients = idle(&server, 4);
        let held = Held::workers(&server, &[0, 1]);
        (server, clients, held)
    })
}

#[track_caller]
fn ends_well(server: Server, held: Held, within: Duration) -> String {
    let begun = Instant::now();
    held.until_killed();
    let ended = server.ended();
    assert!(ended.status.success(), "{}; log:\n{}", ended.status, ended.log);
    assert!(begun.elapsed() < within, "it took {:?}", begun.elapsed());
    ended.log
}

#[test]
fn a_second_signal_ends_at_once_also_when_every_worker_is_stuck() {
    let Some((server, clients, held)) = stuck(&["shutdown.drain_timeout = \"60s\""]) else {
        return;
    };
    server.signal(Signal::TERM);
    server.notifies("STOPPING=1");
    server.signal(Signal::TERM);
    let log = ends_well(server, held, Duration::from_secs(5));
    assert!(log.contains("cut=4"), "{log}");
    drop(clients);
}

#[test]
fn sigquit_ends_at_once_also_when_every_worker_is_stuck() {
    if !can_hold() {
        return;
    }
    let dir = Dir::new();
    let socket = dir.path().join("philote.sock");
    let server = Setup::of_file(&file(&[])).start();
    let listen = format!("listen = [\"unix:{}\"]", socket.display());
    server.takes(&file(&[&listen, "shutdown.drain_timeout = \"60s\""]));
    assert!(socket.exists());
    let held = Held::workers(&server, &[0, 1]);
    server.signal(Signal::QUIT);
    ends_well(server, held, Duration::from_secs(5));
    assert!(!socket.exists(), "its file goes, though the worker that accepts from it is stuck");
}

#[test]
fn the_deadline_holds_also_when_every_worker_is_stuck() {
    let Some((server, clients, held)) = stuck(&["shutdown.drain_timeout = \"500ms\""]) else {
        return;
    };
    server.signal(Signal::TERM);
    let log = ends_well(server, held, Duration::from_secs(5));
    assert!(log.contains("cut=4"), "{log}");
    drop(clients);
}

#[test]
fn a_stuck_worker_holds_up_the_connections_of_no_other() {
    if !can_hold() {
        return;
    }
    let server = Setup::of_file(&file(&["shutdown.drain_timeout = \"1s\""])).start();
    let mut clients = idle(&server, 8);
    let held = Held::workers(&server, &[1]);
    server.signal(Signal::TERM);
    let mut told = 0;
    for client in &mut clients {
        if let Some(Event::Frame(frame)) = client.event_within(Duration::from_millis(250)) {
            assert_eq!(frame.close().0, 1001);
            told += 1;
        }
    }
    assert_eq!(told, 4, "those of the worker that turns");
    let log = ends_well(server, held, Duration::from_secs(5));
    assert!(log.contains("cut="), "{log}");
}
