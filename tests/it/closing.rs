//! How connections end, and what is said then.

use crate::support::client::Client;
use crate::support::frame::{CLOSE, CONTINUATION, Out, PING, PONG};
use crate::support::http::Request;
use crate::support::server::Server;
use crate::support::token::grant;

#[test]
fn a_ping_is_answered_with_a_pong_of_the_same_payload() {
    let server = Server::start();
    let mut client = server.open(&grant(&["c"], &["c"]));
    for payload in [vec![], vec![0], b"hello".to_vec(), vec![0xff; 125], (0..125).collect()] {
        client.send(&Out::new(PING, payload.clone()));
        let pong = client.frame();
        assert_eq!((pong.opcode, pong.payload), (PONG, payload));
    }
    client.close();
}

#[test]
fn a_pong_that_nobody_asked_for_is_ignored() {
    let server = Server::start();
    let mut client = server.open(&grant(&["c"], &["c"]));
    client.send(&Out::new(PONG, ""));
    client.send(&Out::new(PONG, vec![0xff; 125]));
    client.round_trip();
}

#[test]
fn sigterm_closes_with_1001_and_a_reason_and_exits_0() {
    let server = Server::start();
    let mut clients = [
        server.open(&grant(&["c"], &["c"])),
        server.open(&grant(&["d"], &[])),
        server.open(&grant(&[], &[])),
    ];
    for client in &mut clients {
        client.round_trip();
    }
    let told: Vec<_> = clients
        .into_iter()
        .map(|client| std::thread::spawn(move || client.closed_with(1001)))
        .collect();
    server.signal(rustix::process::Signal::TERM);
    server.notifies("STOPPING=1");
    let ended = server.ended();
    assert!(ended.status.success(), "{}; log:\n{}", ended.status, ended.log);
    for told in told {
        let reason = told.join().expect("closed with 1001");
        assert!(reason.contains("shut"), "the reason names the cause: {reason:?}");
    }
}

#[test]
fn sigint_is_as_polite_as_sigterm() {
    let server = Server::start();
    let mut client = server.open(&grant(&["c"], &["c"]));
    client.round_trip();
    let told = std::thread::spawn(move || client.closed_with(1001));
    server.signal(rustix::process::Signal::INT);
    let ended = server.ended();
    assert!(ended.status.success(), "{}", ended.status);
    told.join().expect("closed with 1001");
}

/// However short the time between its 101 and the signal.
#[test]
fn a_connection_that_has_just_opened_is_told_of_the_stop() {
    for _ in 0..60 {
        let server = Server::start();
        let client = server.open(&grant(&["c"], &["c"]));
        server.signal(rustix::process::Signal::TERM);
        client.closed_with(1001);
        let ended = server.ended();
        assert!(ended.status.success(), "{}", ended.status);
    }
}

/// Whoever is not answered by its peer is cut after `close_timeout`, and the daemon still ends
/// well.
#[test]
fn a_peer_that_never_answers_does_not_hold_up_the_stop_for_ever() {
    let server =
        Server::with("[websocket]\nclose_timeout = \"300ms\"\n[shutdown]\ndrain_timeout = \"2s\"");
    let mut silent = server.open(&grant(&["c"], &["c"]));
    silent.round_trip();
    server.stop();
    silent.close_frame(1001);
    silent.ends();
}

#[test]
fn without_connections_a_stop_waits_for_nobody() {
    let server = Server::start();
    let begun = std::time::Instant::now();
    server.stop();
    assert!(begun.elapsed() < std::time::Duration::from_secs(5));
}

#[test]
fn malformed_framing_is_1002() {
    let server = Server::start();
    for frame in [
        Out::text("{}").reserved(4),
        Out::text("{}").mask(None),
        Out::new(3, ""),
        Out::new(CONTINUATION, "x"),
    ] {
        let mut client = server.publisher(&["c"]);
        client.send(&frame);
        client.closed_with(1002);
    }
}

#[test]
fn a_close_is_answered_with_its_own_code() {
    let server = Server::start();
    for code in [1000, 1001, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        for reason in ["", "in words", &"x".repeat(123)] {
            let mut client = server.open(&grant(&["c"], &[]));
            client.send(&Out::close(code, reason));
            assert_eq!(client.frame().close().0, code);
            client.ends();
        }
    }
}

#[test]
fn a_close_without_a_code_is_answered_and_ends_the_connection() {
    let server = Server::start();
    let mut client = server.open(&grant(&["c"], &[]));
    client.send(&Out::new(CLOSE, ""));
    let (code, _) = client.frame().close();
    assert!(matches!(code, 1000 | 1005), "answered with {code}");
    client.ends();
}

#[test]
fn after_our_close_nothing_of_theirs_counts() {
    let server = Server::start();
    let mut subscriber = server.subscriber(&["c"]);
    let mut publisher = server.publisher(&["c"]);
    let mut bytes = Out::close(1000, "").bytes();
    bytes.extend(Out::text(crate::support::client::publish("c", "too late")).bytes());
    publisher.send_bytes(&bytes);
    assert_eq!(publisher.frame().close().0, 1000);
    publisher.ends();
    server.publisher(&["c"]).publish("c", "in time");
    subscriber.hears("c", "in time");
}

#[test]
fn a_connection_that_went_hears_nothing_and_leaves_nothing() {
    let server = Server::start();
    let mut publisher = server.publisher(&["c"]);
    let mut lasting = server.subscriber(&["c"]);
    for round in 0..20 {
        let mut clients: Vec<Client> = (0..4).map(|_| server.subscriber(&["c"])).collect();
        publisher.publish("c", "all");
        for client in &mut clients {
            client.hears("c", "all");
        }
        lasting.hears("c", "all");
        for client in clients {
            if round % 2 == 0 { client.close() } else { client.reset() }
        }
    }
    server.until_connections(2);
    publisher.publish("c", "the last");
    lasting.hears("c", "the last");
}

/// A connection that is told of the stop works until both have closed; newcomers are told to come
/// again; a probe sees that it is no crash.
#[test]
fn while_it_drains_newcomers_are_told_to_come_again() {
    let server = Server::with("[websocket]\nclose_timeout = \"30s\"");
    let token = grant(&["c"], &["c"]);
    let mut lasting = server.open(&token);
    lasting.round_trip();
    server.signal(rustix::process::Signal::TERM);
    server.notifies("STOPPING=1");
    lasting.close_frame(1001);
    for refusal in [server.refuses_token(&token), server.ask(&Request::get("/api/info"))] {
        assert_eq!(refusal.status, 503, "{refusal:?}");
        assert!(refusal.header("retry-after").is_some(), "{refusal:?}");
        let connection = refusal.header("connection").unwrap_or_default();
        assert!(connection.eq_ignore_ascii_case("close"), "{refusal:?}");
    }
    assert_eq!(server.ask(&Request::get("/readyz")).status, 503);
    assert_eq!(server.ask(&Request::get("/healthz")).status, 200);
    lasting.send(&Out::close(1001, ""));
    lasting.ends();
    drop(lasting);
    assert!(server.ended().status.success());
}

#[test]
fn a_second_sigterm_cuts_what_is_left() {
    let server =
        Server::with("[websocket]\nclose_timeout = \"60s\"\n[shutdown]\ndrain_timeout = \"60s\"");
    let mut silent = server.open(&grant(&["c"], &["c"]));
    silent.round_trip();
    server.signal(rustix::process::Signal::TERM);
    silent.close_frame(1001);
    server.signal(rustix::process::Signal::TERM);
    let ended = server.ended();
    assert!(ended.status.success(), "{}; log:\n{}", ended.status, ended.log);
    silent.ends();
}

/// Log rotation and habit send these; the default of each is death.
#[test]
fn other_signals_kill_nobody() {
    use rustix::process::Signal;
    let server = Server::start();
    let mut client = server.open(&grant(&["c"], &["c"]));
    for signal in [Signal::HUP, Signal::USR1, Signal::USR2, Signal::HUP] {
        server.signal(signal);
        client.round_trip();
        server.is_healthy();
    }
    client.close();
    server.stop();
}
