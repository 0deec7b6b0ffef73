//! What the table of the keys says of each after a reload, held against the server: of keys that hold at once, that those
//! who are connected already go by them, and of keys for new connections, that those do not.

use std::io::Write;

use philote::config::{Reload, reference};

use crate::support::client::Event;
use crate::support::frame::{Out, PING, PONG};
use crate::support::http::{Request, Response, connect};
use crate::support::server::{Setup, file};
use crate::support::token::{grant, token};

/// What the table says of a key.
#[track_caller]
fn says(key: &str, reload: Reload) {
    let entry = reference().into_iter().find(|entry| entry.key == key);
    assert_eq!(entry.unwrap_or_else(|| panic!("no {key}")).reload, reload, "{key}");
}

#[test]
fn pings_their_answers_and_closes_go_by_new_times_at_once() {
    for key in ["ping_interval", "pong_timeout", "close_timeout"] {
        says(&format!("websocket.{key}"), Reload::AtOnce);
    }
    // Each time is longer at first than a test waits.
    let slow = "websocket.close_timeout = \"5m\"";
    let server = Setup::of_file(&file(&[slow, "websocket.pong_timeout = \"1h\""])).start();
    let mut early = server.open(&grant(&["c"], &["c"]));
    early.round_trip();
    let pinged = "websocket.ping_interval = \"200ms\"";
    server.takes(&file(&[slow, "websocket.pong_timeout = \"1h\"", pinged]));
    // Who was there before is pinged now; it answers once, so that answers are expected of it, and then no more.
    let frame = early.frame();
    assert_eq!(frame.opcode, PING, "{frame:?}");
    early.send(&Out::new(PONG, frame.payload));
    server.takes(&file(&[slow, "websocket.pong_timeout = \"200ms\"", pinged]));
    while !matches!(early.event(), Event::End) {}
    server.until_connections(0);

    // One that answers no Close is cut after the time that holds when it is closed.
    let mut early = server.open(&grant(&[], &[]));
    early.round_trip();
    server.takes(&file(&["websocket.close_timeout = \"100ms\""]));
    early.send_text("this is no message");
    while !matches!(early.event(), Event::End) {}
    server.until_connections(0);
}

#[test]
fn the_size_of_a_head_and_the_time_of_a_handshake_are_those_of_the_accept() {
    says("limits.max_head_size", Reload::NewConnections);
    says("websocket.handshake_timeout", Reload::NewConnections);
    let server = Setup::of_file(&file(&["websocket.handshake_timeout = \"5m\""])).start();
    let get = Request::get("/healthz");
    let mut kept = connect(server.address());
    kept.write_all(&get.bytes()).expect("it is sent");
    assert_eq!(Response::read(&mut kept, "GET").0.expect("an answer").status, 200);
    let mut silent = connect(server.address());
    let patient = "websocket.handshake_timeout = \"5m\"";
    server.takes(&file(&["limits.max_head_size = \"8KiB\"", patient]));
    // A lower bound holds for the next request of those who are there, a higher one for newcomers alone.
    let long = get.clone().header("X-Padding", &"x".repeat(20_000));
    assert_eq!(server.ask(&long).status, 431);
    kept.write_all(&long.bytes()).expect("it is sent");
    assert_eq!(Response::read(&mut kept, "GET").0.expect("an answer").status, 431);
    let mut narrow = connect(server.address());
    narrow.write_all(&get.bytes()).expect("it is sent");
    assert_eq!(Response::read(&mut narrow, "GET").0.expect("an answer").status, 200);
    server.takes(&file(&[patient]));
    assert_eq!(server.ask(&long).status, 200);
    narrow.write_all(&long.bytes()).expect("it is sent");
    assert_eq!(Response::read(&mut narrow, "GET").0.expect("an answer").status, 431);
    server.takes(&file(&["websocket.handshake_timeout = \"100ms\""]));
    // Newcomers that send nothing are answered 408 meanwhile.
    let mut newcomer = connect(server.address());
    assert_eq!(Response::read(&mut newcomer, "GET").0.expect("an answer").status, 408);
    silent.write_all(&get.bytes()).expect("it is sent");
    assert_eq!(Response::read(&mut silent, "GET").0.expect("an answer").status, 200);
}

#[test]
fn proxies_are_believed_from_the_next_request_on() {
    for key in ["proxy.trusted", "proxy.header"] {
        says(key, Reload::NewHandshakes);
    }
    let server = Setup::of_file(&file(&["limits.max_connections_per_ip = 1"])).start();
    let get = Request::upgrade_with(&token("{}")).header("X-Forwarded-For", "192.0.2.1");
    let other = Request::upgrade_with(&token("{}")).header("X-Forwarded-For", "192.0.2.2");
    let _one = server.open_with(&get);
    assert_eq!(server.refuses(&other).status, 429);
    // Connected, and answered once, before the reload.
    let mut kept = connect(server.address());
    kept.write_all(&Request::get("/healthz").bytes()).expect("it is sent");
    assert_eq!(Response::read(&mut kept, "GET").0.expect("an answer").status, 200);
    server.takes(&file(&["limits.max_connections_per_ip = 1", "proxy.trusted = [\"127.0.0.1\"]"]));
    kept.write_all(&other.bytes()).expect("it is sent");
    assert_eq!(Response::read(&mut kept, "GET").0.expect("an answer").status, 101);
}

#[test]
fn every_key_is_in_one_of_the_five_groups_and_those_that_wait_are_named_in_the_documentation() {
    let page = include_str!("../../docs/operating.md");
    let waits = page.lines().find(|line| line.starts_with("- **After a restart:**"));
    let waits = waits.expect("a line says what waits for a restart");
    for entry in reference() {
        let is_named = waits.contains(&format!("`{}`", entry.key));
        assert_eq!(is_named, entry.reload == Reload::Restart, "{}", entry.key);
    }
}
