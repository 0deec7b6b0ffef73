//! How connections end, and what is said then.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::sync::mpsc::channel;

use crate::support::client::Client;
use crate::support::frame::{CLOSE, CONTINUATION, Out, PING, PONG};
use crate::support::http::{Request, connect};
use crate::support::server::Server;
use crate::support::token::grant;
use crate::support::until;

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

/// A relay that behaves like proxies do: when the server ends its stream both sides are torn down at once, whatever
/// the client is sending. What the client sends behind its handshake and its first `first` bytes is passed on
/// once the server has said something to them.
fn hasty_relay(server: SocketAddr, first: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        let (client, _) = listener.accept().expect("a client");
        let upstream = connect(server);
        let (say, said) = channel();
        let (mut down, mut up) =
            (client.try_clone().expect("a socket"), upstream.try_clone().expect("a socket"));
        std::thread::spawn(move || {
            let mut chunk = [0; 16 * 1024];
            while let Ok(count @ 1..) = up.read(&mut chunk) {
                let _ = down.write_all(&chunk[..count]);
                let _ = say.send(());
            }
            let _ = down.shutdown(Shutdown::Both);
            let _ = up.shutdown(Shutdown::Both);
        });
        let (mut client, mut upstream) = (client, upstream);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).expect("a request");
            head.push(byte[0]);
        }
        upstream.write_all(&head).expect("taken");
        said.recv().expect("the answer to the handshake");
        let mut bytes = vec![0; first];
        client.read_exact(&mut bytes).expect("the fault");
        upstream.write_all(&bytes).expect("taken");
        said.recv().expect("the Close");
        // It ends when either side has gone.
        let _ = std::io::copy(&mut client, &mut upstream);
        let _ = upstream.shutdown(Shutdown::Write);
    });
    address
}

/// A client that has much more to send reads the reason all the same, and the stream ends when it has closed, long
/// before the timeout.
#[test]
fn a_close_of_the_servers_reaches_a_client_that_is_still_sending_through_a_proxy() {
    let server = Server::with("[websocket]\nclose_timeout = \"5m\"");
    let rest = vec![b'x'; 16 << 20];
    let frames = Out::text(vec![b'x'; 60_000]).bytes().repeat(200);
    let too_big = Out::text(rest.clone()).bytes();
    let fragments = [
        Out::text(vec![b'x'; 1 << 20]).unfinished().bytes(),
        Out::new(CONTINUATION, vec![b'x'; 16 << 20]).bytes(),
    ]
    .concat();
    let cases: [(u16, Vec<u8>, &[u8]); 6] = [
        (1009, too_big[..14].to_vec(), &too_big[14..]),
        (1009, fragments[..(1 << 20) + 100].to_vec(), &fragments[(1 << 20) + 100..]),
        (1002, Out::text("{}").reserved(4).bytes(), &frames),
        (1002, Out::new(3, "a reserved opcode").bytes(), &frames),
        (1002, Out::text("not masked").mask(None).bytes(), &frames),
        (1007, Out::text("no JSON").bytes(), &frames),
    ];
    for (code, fault, rest) in cases {
        let relay = hasty_relay(server.address(), fault.len());
        let request = Request::upgrade_with(&grant(&["c"], &["c"]));
        let mut client = Client::open(relay, &request).expect("admitted");
        client.send_bytes(&fault);
        client.try_send(rest).unwrap_or_else(|error| panic!("{code}: cut while sending: {error}"));
        client.close_frame(code);
        client.send(&Out::close(code, ""));
        client.ends();
    }
    server.until_connections(0);
}

/// The peer's Close ends the wait, and so does the timeout: then with an end of the stream, no reset, though
/// bytes come all the time.
#[test]
fn a_peer_that_sends_for_ever_behind_a_close_is_cut_after_the_timeout() {
    let server = Server::with("[websocket]\nclose_timeout = \"300ms\"");
    let mut client = server.publisher(&["c"]);
    client.send(&Out::text("{}").reserved(4));
    client.close_frame(1002);
    let frame = Out::text(vec![b'x'; 60_000]).bytes();
    until("the server has had enough", || client.try_send(&frame).is_err());
    server.until_connections(0);
    let mut patient = server.publisher(&["c"]);
    patient.send(&Out::text("{}").reserved(4));
    patient.close_frame(1002);
    patient.ends();
    server.until_connections(0);
    server.is_healthy();
}
