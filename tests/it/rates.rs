//! How fast one connection may send, and how often one address may come.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::support::client::{Client, publish};
use crate::support::dir::Dir;
use crate::support::frame::{Out, PING, PONG};
use crate::support::http::{Request, Response};
use crate::support::server::{Server, Setup, file};
use crate::support::tls::{Made, Tunnel, begins, lines};
use crate::support::token::{grant, signed, token};
use crate::support::{PATIENCE, until};

fn limited(limits: &[&str]) -> String {
    let lines: Vec<String> = limits.iter().map(|line| format!("limits.{line}")).collect();
    file(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

// One connection.

#[test]
fn who_sends_more_messages_than_it_may_is_read_from_no_faster_and_loses_nothing() {
    let server = Setup::of_file(&limited(&["messages_per_second = 50"])).start();
    let mut subscriber = server.subscriber(&["c"]);
    let mut publisher = server.publisher(&["c"]);
    let begun = Instant::now();
    let all: Vec<u8> =
        (0..200).flat_map(|n| Out::text(publish("c", &n.to_string())).bytes()).collect();
    publisher.send_bytes(&all);
    for n in 0..200 {
        subscriber.hears("c", &n.to_string());
    }
    // A burst of 50, and 150 at 50 a second.
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(2_900), "after {took:?}");
    publisher.round_trip();
}

#[test]
fn who_sends_more_bytes_than_it_may_is_read_from_no_faster_and_loses_nothing() {
    let server = Setup::of_file(&limited(&["bytes_per_second = \"100KiB\""])).start();
    let mut subscriber = server.subscriber(&["c"]);
    let mut publisher = server.publisher(&["c"]);
    let begun = Instant::now();
    // One message that is longer than what comes in a second, and short ones behind it.
    let long = "x".repeat(250 << 10);
    publisher.publish("c", &long);
    for _ in 0..20 {
        publisher.publish("c", &long[..5_000]);
    }
    subscriber.hears("c", &long);
    for _ in 0..20 {
        subscriber.hears("c", &long[..5_000]);
    }
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(2_300), "after {took:?}");
    publisher.round_trip();
}

#[test]
fn a_burst_within_the_rate_is_not_held_up() {
    let limits = ["messages_per_second = 1000", "bytes_per_second = \"1MiB\""];
    let server = Setup::of_file(&limited(&limits)).start();
    let mut subscriber = server.subscriber(&["c"]);
    let mut publisher = server.publisher(&["c"]);
    for round in 0..3 {
        let begun = Instant::now();
        let all: Vec<u8> = (0..300).flat_map(|_| Out::text(publish("c", "x")).bytes()).collect();
        publisher.send_bytes(&all);
        for _ in 0..300 {
            subscriber.hears("c", "x");
        }
        if round < 2 {
            // As much as comes in the time is there again.
            std::thread::park_timeout(Duration::from_millis(400).saturating_sub(begun.elapsed()));
        }
    }
}

/// Both of them: 10 s of being held up are long, and pass once.
#[test]
fn who_goes_on_sending_too_fast_is_closed_with_4001_and_nobody_else_notices() {
    let server = Setup::of_file(&limited(&["messages_per_second = 20"])).start();
    let mut subscriber = server.subscriber(&["c"]);
    let mut healthy = server.publisher(&["c"]);
    let before = server.resident();
    let begun = Instant::now();
    let floods = [Out::text(publish("d", &"x".repeat(1000))).bytes(), Out::new(PING, "p").bytes()];
    let floods = floods.map(|frame| {
        let mut client = server.open(&grant(&[], &["d"]));
        let stream = client.stream().try_clone().expect("the same socket");
        // It takes some megabytes, and no more before it is read.
        let writer = std::thread::spawn(move || {
            let batch = frame.repeat(100);
            let mut stream = stream;
            let mut sent = 0_u64;
            while std::io::Write::write_all(&mut stream, &batch).is_ok() {
                sent += batch.len() as u64;
            }
            sent
        });
        let reader = std::thread::spawn(move || {
            loop {
                let frame = client.frame();
                if frame.opcode != PONG {
                    let (code, reason) = frame.close();
                    let at = Instant::now();
                    client.reset();
                    return (code, reason, at);
                }
            }
        });
        (writer, reader)
    });
    let (mut exchanges, mut slowest, mut most) = (0, Duration::ZERO, 0);
    while floods.iter().any(|(_, reader)| !reader.is_finished()) {
        let asked = Instant::now();
        healthy.publish("c", "still here");
        subscriber.hears("c", "still here");
        slowest = slowest.max(asked.elapsed());
        most = most.max(server.resident());
        exchanges += 1;
        std::thread::park_timeout(Duration::from_millis(60));
        assert!(begun.elapsed() < 3 * PATIENCE, "nobody is closed");
    }
    for (writer, reader) in floods {
        let (code, reason, at) = reader.join().expect("it was closed");
        assert_eq!(code, 4001, "{reason}");
        assert!(reason.contains("limits.messages_per_second"), "{reason}");
        let took = at - begun;
        assert!(took >= Duration::from_secs(10), "closed after {took:?}");
        let sent = writer.join().expect("it has ended");
        assert!(sent > 0);
    }
    let grown = most.saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB more than before");
    assert!(
        exchanges > 50 && slowest < PATIENCE / 4,
        "{exchanges} exchanges, one took {slowest:?}"
    );
    server.is_healthy();
}

#[test]
fn rates_hold_for_open_connections_from_a_reload_on_and_are_off_again_after_another() {
    let server = Setup::of_file(&file(&[])).start();
    let mut subscriber = server.subscriber(&["c"]);
    let mut publisher = server.publisher(&["c"]);
    let send = |publisher: &mut Client, subscriber: &mut Client, count: usize| {
        let all: Vec<u8> = (0..count).flat_map(|_| Out::text(publish("c", "x")).bytes()).collect();
        let begun = Instant::now();
        publisher.send_bytes(&all);
        for _ in 0..count {
            subscriber.hears("c", "x");
        }
        begun.elapsed()
    };
    send(&mut publisher, &mut subscriber, 500);
    server.takes(&limited(&["messages_per_second = 10"]));
    let took = send(&mut publisher, &mut subscriber, 25);
    assert!(took >= Duration::from_millis(1_300), "15 at 10 a second took {took:?}");
    // What waits when the limit goes waits no longer than the next look at it.
    server.takes(&limited(&["messages_per_second = \"off\""]));
    let took = send(&mut publisher, &mut subscriber, 500);
    assert!(took < PATIENCE / 2, "500 took {took:?}");
    publisher.round_trip();
}

// One address.

/// A connection to the server from another address of this machine.
fn connect_from(last: u8, server: SocketAddr) -> TcpStream {
    let from = SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0));
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    socket.bind(&from.into()).expect("an address of the loopback network");
    socket.connect(&server.into()).expect("a connection");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

fn open_from(last: u8, server: &Server, token: &str) -> Result<Client, Response> {
    Client::open_on(connect_from(last, server.address()), &Request::upgrade_with(token).bytes())
}

#[track_caller]
fn is_429(refusal: Result<Client, Response>) -> Response {
    match refusal {
        Ok(_) => panic!("admitted"),
        Err(refusal) => {
            assert_eq!(refusal.status, 429, "{refusal:?}");
            assert!(refusal.header("retry-after").is_some(), "{refusal:?}");
            refusal
        }
    }
}

#[test]
fn an_address_has_so_many_connections_and_another_address_its_own() {
    let server = Setup::of_file(&limited(&["max_connections_per_ip = 3"])).start();
    let token = grant(&["c"], &["c"]);
    let mut held: Vec<Client> = (0..3).map(|_| server.open(&token)).collect();
    let refusal = is_429(open_from(1, &server, &token));
    assert!(refusal.body.contains("limits.max_connections_per_ip"), "{refusal:?}");
    let mut other: Vec<_> =
        (0..3).map(|_| open_from(2, &server, &token).expect("another address")).collect();
    is_429(open_from(2, &server, &token));
    // Requests that are no connection are answered.
    assert_eq!(server.ask(&Request::get("/healthz")).status, 200);
    held.iter_mut().chain(&mut other).for_each(Client::round_trip);
    held.pop().expect("three").close();
    until("there is room again", || open_from(1, &server, &token).is_ok());
}

#[test]
fn a_limit_by_address_counts_those_that_are_open_when_it_is_set_and_throws_nobody_out() {
    let server = Setup::of_file(&file(&[])).start();
    let token = grant(&["c"], &["c"]);
    let mut held: Vec<Client> = (0..5).map(|_| server.open(&token)).collect();
    server.takes(&limited(&["max_connections_per_ip = 3"]));
    is_429(open_from(1, &server, &token));
    held.iter_mut().for_each(Client::round_trip);
    server.takes(&limited(&["max_connections_per_ip = 6"]));
    let sixth = server.open(&token);
    is_429(open_from(1, &server, &token));
    server.takes(&file(&[]));
    server.open(&token).close();
    drop(sixth);
}

#[test]
fn peers_of_a_unix_socket_have_no_address_to_be_limited_by() {
    use std::io::{Read, Write};
    let dir = Dir::new();
    let path = dir.path().join("s");
    let listen = format!("listen = [\"127.0.0.1:0\", \"unix:{}\"]", path.display());
    let server = Setup::of_file(&file(&[
        &listen,
        "limits.max_connections_per_ip = 1",
        "limits.handshakes_per_second_per_ip = 1",
    ]))
    .spawn();
    server.notifies("READY=1");
    let request = Request::upgrade_with(&grant(&["c"], &[])).bytes();
    let held: Vec<_> = (0..5)
        .map(|_| {
            let mut stream = std::os::unix::net::UnixStream::connect(&path).expect("it listens");
            stream.write_all(&request).expect("a request");
            let mut status = [0; 12];
            stream.read_exact(&mut status).expect("an answer");
            assert_eq!(&status, b"HTTP/1.1 101");
            stream
        })
        .collect();
    drop(held);
}

#[test]
fn behind_a_trusted_proxy_its_clients_are_limited_and_it_is_not() {
    let lines = [
        "limits.max_connections_per_ip = 2",
        "limits.handshakes_per_second_per_ip = 3",
        "proxy.trusted = [\"127.0.0.1\"]",
    ];
    let server = Setup::of_file(&file(&lines)).start();
    let token = grant(&["c"], &["c"]);
    let from = |client: &str| {
        let request = Request::upgrade_with(&token).header("X-Forwarded-For", client);
        Client::open(server.address(), &request)
    };
    let _own: Vec<Client> = (0..10).map(|_| server.open(&token)).collect();
    let _one = [from("192.0.2.1"), from("192.0.2.1")].map(|open| open.expect("two each"));
    is_429(from("192.0.2.1"));
    let _other = [from("2001:db8::1"), from("2001:db8::2")].map(|open| open.expect("two each"));
    let refusal = is_429(from("2001:db8::3"));
    assert!(refusal.body.contains("max_connections_per_ip"), "{refusal:?}");
    let refusal = is_429(from("2001:db8::4"));
    assert!(refusal.body.contains("handshakes_per_second_per_ip"), "{refusal:?}");
    from("2001:db8:0:1::1").expect("another network").close();
}

#[test]
fn an_address_has_so_many_handshakes_a_second_and_more_are_told_when_to_come_back() {
    let server = Setup::of_file(&limited(&["handshakes_per_second_per_ip = 5"])).start();
    let token = grant(&["c"], &["c"]);
    let begun = Instant::now();
    let (mut admitted, mut refused) = (0, 0);
    for _ in 0..60 {
        match open_from(1, &server, &token) {
            Ok(_) => admitted += 1,
            refusal => {
                let refusal = is_429(refusal);
                assert_eq!(refusal.header("retry-after"), Some("1"), "{refusal:?}");
                assert_eq!(refusal.header("connection"), Some("close"), "{refusal:?}");
                assert!(
                    refusal.body.contains("limits.handshakes_per_second_per_ip"),
                    "{refusal:?}"
                );
                refused += 1;
            }
        }
    }
    // A burst of five, and five a second.
    let most = 6 + 5 * begun.elapsed().as_millis() as usize / 1000;
    assert!((5..=most).contains(&admitted), "{admitted} of {most} at most, {refused} refused");
    open_from(2, &server, &token).expect("another address").close();
    until("there is one again", || open_from(1, &server, &token).is_ok());
    // What is no handshake does not count.
    for _ in 0..30 {
        assert_eq!(server.ask(&Request::get("/healthz")).status, 200);
    }
    // Off again, all come in.
    server.takes(&file(&[]));
    (0..20).for_each(|_| server.open(&token).close());
}

fn secured(listen: &str, config: &str) -> (Server, Made, Dir) {
    let (dir, made) = (Dir::new(), Made::new());
    let config = format!("{config}\n{}", lines(&made.write(&dir)));
    (Setup::new(&config).environment("PHILOTE_LISTEN", listen).start(), made, dir)
}

/// A handshake of TLS costs a signature, which is the most that a stranger can have for nothing.
#[test]
fn one_handshake_of_tls_too_many_is_closed_before_it() {
    let (server, made, _dir) =
        secured("127.0.0.1:0 tls", "[limits]\nhandshakes_per_second_per_ip = 5");
    let begun = Instant::now();
    let answered = (0..60).filter(|_| begins(connect_from(2, server.address()), b"")).count();
    let most = 6 + 5 * begun.elapsed().as_millis() as usize / 1000;
    assert!((5..=most).contains(&answered), "{answered} of {most} at most");
    server.logs("why", |line| {
        line.contains("event=handshake_refused") && line.ends_with("reason=too_many_handshakes")
    });
    // Another address has its own, and what comes in such a handshake is counted with it.
    let tunnel = Tunnel::to(server.address(), &[&made]);
    let request = Request::upgrade_with(&grant(&["c"], &["c"]));
    let mut five = [(); 5].map(|()| Client::open(tunnel.address, &request).expect("admitted"));
    five.iter_mut().for_each(Client::round_trip);
}

#[test]
fn a_trusted_proxy_may_begin_tls_as_often_as_it_likes_and_its_clients_may_not() {
    let config = "[limits]\nhandshakes_per_second_per_ip = 3\nmax_connections_per_ip = 2\n\
                  [proxy]\ntrusted = [\"127.0.0.1\"]";
    let (server, made, _dir) = secured("127.0.0.1:0 tls, 127.0.0.1:0 tls proxy", config);
    // One that says in the request whom it speaks for.
    let tunnel = Tunnel::to(server.addresses()[0], &[&made]);
    let upgrade = Request::upgrade_with(&grant(&["c"], &["c"]));
    let _own: Vec<Client> =
        (0..10).map(|_| Client::open(tunnel.address, &upgrade).expect("the proxy's own")).collect();
    let from = |client: &str| {
        Client::open(tunnel.address, &upgrade.clone().header("X-Forwarded-For", client))
    };
    let _two = [from("192.0.2.1"), from("192.0.2.1")].map(|open| open.expect("two each"));
    let refusal = is_429(from("192.0.2.1"));
    assert!(refusal.body.contains("limits.max_connections_per_ip"), "{refusal:?}");
    until("it has asked too often", || {
        is_429(from("192.0.2.1")).body.contains("limits.handshakes_per_second_per_ip")
    });
    from("192.0.2.2").expect("another client").close();
    // One that says it by the PROXY protocol, before TLS.
    let through = |header: &[u8]| begins(connect_from(1, server.addresses()[1]), header);
    let begun = Instant::now();
    let client = b"PROXY TCP4 192.0.2.3 192.0.2.9 4711 443\r\n";
    let answered = (0..30).filter(|_| through(client)).count();
    let most = 4 + 3 * begun.elapsed().as_millis() as usize / 1000;
    assert!((3..=most).contains(&answered), "{answered} of {most} at most");
    let own = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    assert!((0..30).all(|_| through(own)), "the proxy's own");
}

/// A token that is refused has cost its verification; one that is good counts where a connection is asked for.
#[test]
fn bad_tokens_of_an_address_are_looked_at_only_so_often() {
    let server = Setup::of_file(&limited(&["handshakes_per_second_per_ip = 5"])).start();
    let bad = signed("HS256", r#"{"api":true}"#, "another secret, which nobody has configured");
    let good = token(r#"{"api":true}"#);
    for request in [
        Request::upgrade_with(&bad),
        Request::get("/api/info").bearer(&bad),
        Request::get("/api/connections").bearer(&bad),
    ] {
        let begun = Instant::now();
        let mut looked_at = 0;
        for _ in 0..60 {
            let status = server.ask(&request).status;
            assert!(matches!(status, 401 | 429), "{status}");
            looked_at += usize::from(status == 401);
        }
        let most = 6 + 5 * begun.elapsed().as_millis() as usize / 1000;
        assert!(looked_at <= most, "{looked_at} of {most} at most");
        until("there is one again", || {
            server.ask(&Request::get("/api/info").bearer(&good)).status == 200
        });
        // Good ones of the API are as many as anybody likes.
        std::thread::park_timeout(Duration::from_millis(300));
        for _ in 0..30 {
            assert_eq!(server.ask(&Request::get("/api/info").bearer(&good)).status, 200);
        }
    }
}

/// Strangers behind the same address guess tokens as fast as they can; the application there keeps publishing.
#[test]
fn a_good_token_of_the_api_is_answered_whatever_others_of_its_address_have_tried() {
    let server = Setup::of_file(&limited(&["handshakes_per_second_per_ip = 1"])).start();
    let claims = r#"{"api":true,"manage":true,"write":["c"]}"#;
    let (good, bad) = (token(claims), signed("HS256", claims, "another secret"));
    let ask = |bearer: &str| {
        [
            Request::get("/api/info"),
            Request::get(&format!("/api/info?auth={bearer}")),
            Request::get("/api/channels"),
            Request::new("POST", "/api/publish").body("application/json", r#"{"channel":"c"}"#),
        ]
        .map(|request| {
            let has_query = format!("{request:?}").contains("?auth=");
            let request = if has_query { request } else { request.bearer(bearer) };
            server.ask(&request).status
        })
    };
    let begun = Instant::now();
    let mut exhausted = 0;
    while exhausted < 20 {
        let handshake = server.ask(&Request::upgrade_with(&bad)).status;
        let refused = ask(&bad);
        assert!(refused.iter().all(|status| matches!(status, 401 | 429)), "{refused:?}");
        exhausted += usize::from(handshake == 429 && refused == [429; 4]);
        assert_eq!(ask(&good), [200; 4], "after {handshake} and {refused:?}");
        assert!(begun.elapsed() < 3 * PATIENCE, "the attempts are never used up");
    }
}
