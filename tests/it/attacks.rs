//! Attacks by number: what each does to healthy clients and to the server's memory, before, during and after.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::client::{Client, publish};
use crate::support::dir::Dir;
use crate::support::frame::{CONTINUATION, Out, PING, PONG};
use crate::support::http::{Request, connect, connect_from};
use crate::support::private_key::{public, signed as signed_privately};
use crate::support::server::{Server, Setup, file};
use crate::support::tls::{Made, begins, lines};
use crate::support::token::{grant, signed};
use crate::support::tools::skip;
use crate::support::watch::under;
use crate::support::{PATIENCE, until};

/// Sends bytes on a new connection, as far as they are taken.
fn sends(server: &Server, bytes: &[u8]) -> TcpStream {
    let mut stream = connect(server.address());
    let _ = stream.write_all(bytes);
    stream
}

/// Whether the server has ended it.
fn has_ended(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a mode");
    let mut bytes = [0; 4096];
    loop {
        match (&mut &*stream).read(&mut bytes) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

#[test]
fn two_hundred_handshakes_that_drip_are_all_cut_in_time() {
    let server = Server::with("[websocket]\nhandshake_timeout = \"1s\"");
    let head = Request::upgrade_with(&grant(&["a"], &[])).bytes();
    let report = under(&server, "dripping handshakes", || {
        let begun = Instant::now();
        let mut streams: Vec<TcpStream> =
            (0..200).map(|n| sends(&server, &head[..n % 20])).collect();
        let mut next = 20;
        while !streams.is_empty() {
            // Another byte from each, which buys no more time.
            streams.retain_mut(|stream| {
                let _ = stream.set_nonblocking(true);
                let _ = stream.write(&head[next..=next]);
                !has_ended(stream)
            });
            next = (next + 1).min(head.len() - 2);
            assert!(begun.elapsed() < PATIENCE, "{} are left", streams.len());
            std::thread::park_timeout(Duration::from_millis(20));
        }
        assert!(begun.elapsed() >= Duration::from_millis(900), "cut too early");
    });
    assert!(report.grown() < 8 * 1024, "{report:?}");
    server.is_healthy();
}

#[test]
fn ten_thousand_half_open_connections_leave_room_for_real_ones() {
    const MANY: usize = 10_000;
    let wanted = MANY as u64 + 500;
    let limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|most| most < wanted) {
        return skip("10,000 connections need more open files than the hard limit allows");
    }
    let raised = Rlimit { current: Some(wanted.max(limit.current.unwrap_or(wanted))), ..limit };
    setrlimit(Resource::Nofile, raised).expect("the soft limit is raised");
    let server = Server::start();
    let head = Request::upgrade_with(&grant(&["a"], &[])).bytes();
    let report = under(&server, "10,000 half-open connections", || {
        let held: Vec<TcpStream> =
            (0..MANY).map(|n| sends(&server, &head[..n % head.len()])).collect();
        // Those that are real come in while the others are there.
        let mut real: Vec<Client> = (0..50).map(|_| server.publisher(&["c"])).collect();
        real.iter_mut().for_each(Client::round_trip);
        // No more are kept than limits.max_pending.
        until("the oldest are closed", || {
            held.iter().filter(|s| has_ended(s)).count() > MANY - 1100
        });
        real.into_iter().for_each(Client::close);
    });
    // 36 KiB each, were they all kept: 350 MiB. No more than limits.max_pending are, and those few that are on their way
    // out: others are accepted when they have gone.
    assert!(report.grown() < 64 * 1024, "{report:?}");
    server.is_healthy();
}

#[test]
fn garbage_behind_a_handshake_and_in_its_place_harms_nobody() {
    let server = Server::start();
    let good = Request::upgrade_with(&grant(&["c"], &["c"])).bytes();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let garbage: Vec<u8> = std::iter::repeat_with(|| {
        // Marsaglia's xorshift: the same bytes in each run.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    })
    .take(64 << 10)
    .collect();
    let report = under(&server, "pipelined garbage", || {
        for round in 0..300 {
            let from = round * 100;
            let bytes = match round % 3 {
                0 => garbage[from..].to_vec(),
                // In one piece with the handshake, so that it is read with it.
                1 => [&good, &garbage[from..]].concat(),
                _ => [&good[..good.len() / 2], &garbage[from..]].concat(),
            };
            let stream = sends(&server, &bytes);
            let _ = stream.shutdown(Shutdown::Write);
        }
    });
    assert!(report.grown() < 16 * 1024, "{report:?}");
    server.until_connections(0);
    server.is_healthy();
}

/// A frame a thousand times at once, as often as wanted, by a peer that takes what comes and throws it away.
fn floods(server: &Server, frame: &Out, thousands: usize) -> std::thread::JoinHandle<()> {
    let mut client = server.publisher(&["c"]);
    let batch = frame.bytes().repeat(1000);
    let reader = client.stream().try_clone().expect("the same socket");
    std::thread::spawn(move || {
        let drain = std::thread::spawn(move || {
            let mut bytes = vec![0; 64 << 10];
            while (&reader).read(&mut bytes).is_ok_and(|count| count > 0) {}
        });
        for _ in 0..thousands {
            client.send_bytes(&batch);
        }
        client.send(&Out::close(1000, ""));
        drain.join().expect("the server closes");
    })
}

#[test]
fn floods_of_pings_and_pongs_cost_no_memory_and_nobody_else_waits() {
    let server = Server::start();
    let report = under(&server, "500,000 pings and 300,000 pongs", || {
        let all = [
            (Out::new(PING, [b'p'; 100]), 200),
            (Out::new(PING, ""), 300),
            (Out::new(PONG, ""), 300),
        ];
        let all = all.map(|(frame, thousands)| floods(&server, &frame, thousands));
        all.into_iter().for_each(|flood| flood.join().expect("it has ended"));
    });
    assert!(report.grown() < 8 * 1024, "{report:?}");
    server.is_healthy();
}

#[test]
fn a_million_empty_frames_cost_no_memory_and_nobody_else_waits() {
    let server = Server::start();
    let report = under(&server, "a million empty frames", || {
        let mut client = server.publisher(&["c"]);
        client.send(&Out::text(publish("c", "D")).unfinished());
        let empty = Out::new(CONTINUATION, "").unfinished().bytes().repeat(1000);
        for _ in 0..1000 {
            client.send_bytes(&empty);
        }
        client.send(&Out::new(CONTINUATION, ""));
        client.round_trip();
    });
    assert!(report.grown() < 8 * 1024, "{report:?}");
    // Empty messages are no messages: the first ends its connection.
    for empty in [Out::text(""), Out::binary("")] {
        let mut client = server.publisher(&["c"]);
        let _ = client.try_send(&empty.bytes().repeat(10_000));
        assert_eq!(client.frame().close().0, 1007);
    }
    server.is_healthy();
}

#[test]
fn fragments_without_end_are_held_to_the_size_of_a_message_and_forgotten() {
    let server = Server::with("[limits]\nmax_message_size = \"256KiB\"");
    let report = under(&server, "40 messages of fragments without end", || {
        let piece = Out::new(CONTINUATION, vec![b'x'; 16 << 10]).unfinished().bytes();
        let mut clients: Vec<Client> = (0..40).map(|_| server.publisher(&["c"])).collect();
        for client in &mut clients {
            client.send(&Out::text("{").unfinished());
            for _ in 0..15 {
                client.send_bytes(&piece);
            }
            client.round_trip();
        }
        // One more is too much for each.
        for mut client in clients {
            let _ = client.try_send(&piece.repeat(2));
            assert_eq!(client.frame().close().0, 1009);
        }
    });
    // What 40 of them may hold, and what vectors that grow hold beside it.
    assert!(report.grown() < 40 * 2 * 256 + 8 * 1024, "{report:?}");
    server.until_connections(0);
    server.is_healthy();
}

#[test]
fn whatever_compression_is_offered_none_is_taken() {
    let server = Server::start();
    let report = under(&server, "offers of compression", || {
        for offer in [
            "permessage-deflate",
            "permessage-deflate; server_max_window_bits=8; client_max_window_bits",
            "permessage-deflate; server_max_window_bits=99999999999999999999",
            "permessage-deflate, permessage-deflate, permessage-deflate; x=\"\\\"\"",
            "x-webkit-deflate-frame, permessage-bzip2, mux; max-channels=4",
            ";;;,,,==",
            &"permessage-deflate, ".repeat(2000),
        ] {
            let request = Request::upgrade_with(&grant(&["c"], &["c"]))
                .header("Sec-WebSocket-Extensions", offer);
            let mut stream = sends(&server, &request.bytes());
            let (answer, _) = crate::support::http::Response::read(&mut stream, "GET");
            let answer = answer.expect("an answer");
            assert_eq!(answer.status, 101, "{offer:.40}");
            assert_eq!(answer.header("sec-websocket-extensions"), None, "{offer:.40}");
            // And a frame that is compressed all the same is no frame.
            let mut client =
                Client::open_on(connect(server.address()), &request.bytes()).expect("admitted");
            client.send(&Out::text("\u{1}").reserved(4));
            client.closed_with(1002);
        }
    });
    assert!(report.grown() < 8 * 1024, "{report:?}");
    server.is_healthy();
}

/// Processor time that the server has used so far.
fn used(server: &Server) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).expect("its stat");
    let (_, fields) = stat.rsplit_once(") ").expect("its name");
    // utime and stime, of which there are 100 a second.
    let ticks: u64 =
        fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("ticks")).sum();
    Duration::from_millis(ticks * 10)
}

/// A thousand a second, as fast as they are answered, against as many keys as there may be. What a verification costs
/// depends on the build; how many there are does not.
#[test]
fn a_flood_of_bad_tokens_is_verified_only_as_often_as_its_address_may_ask() {
    if !crate::support::private_key::can_sign() {
        return;
    }
    let keys = ["rsa-other1", "rsa-other2", "rsa-other3", "rsa4096"].map(public);
    let secrets = ["1", "2", "3", "4"].map(|digit| digit.repeat(40));
    let lines = |limit: &str| {
        file(&[
            &format!("auth.public_keys = {keys:?}"),
            &format!("auth.previous_secrets = {:?}", &secrets[..3]),
            &format!("limits.handshakes_per_second_per_ip = {limit}"),
            "proxy.trusted = [\"127.0.0.1\"]",
        ])
    };
    let server = Setup::of_file(&lines("\"off\"")).start();
    // Of a client behind a proxy, so that the healthy pair has an address of its own.
    let claims = r#"{"read":["c"]}"#;
    let bad = [
        signed("HS256", claims, "none of them, and long enough"),
        signed_privately("RS256", claims),
    ]
    .map(|token| Request::upgrade_with(&token).header("X-Forwarded-For", "192.0.2.1").bytes());
    let flood = || {
        let (begun, before, mut verified, mut asked) =
            (Instant::now(), used(&server), 0_u64, 0_u64);
        while asked < 1000 {
            let mut stream = sends(&server, &bad[asked as usize % 2]);
            let (answer, _) = crate::support::http::Response::read(&mut stream, "GET");
            match answer.expect("an answer").status {
                401 => verified += 1,
                429 => {}
                status => panic!("{status}"),
            }
            asked += 1;
        }
        (verified, begun.elapsed(), used(&server) - before)
    };
    let mut free = (0, Duration::ZERO, Duration::ZERO);
    under(&server, "1,000 bad tokens, unlimited", || free = flood());
    server.takes(&lines("20"));
    let mut held = (0, Duration::ZERO, Duration::ZERO);
    let report = under(&server, "1,000 bad tokens, 20 a second", || held = flood());
    let _ = writeln!(std::io::stderr(), "verified, in, processor time: {free:?}, limited {held:?}");
    assert_eq!(free.0, 1000);
    let most = 21 + 20 * held.1.as_millis() as u64 / 1000;
    assert!(held.0 <= most, "{} of {most} at most", held.0);
    assert!(report.grown() < 8 * 1024, "{report:?}");
    server.is_healthy();
}

/// The handshake of TLS is the dearest thing that a stranger can ask for. This one goes no further than the server's
/// answer, which is signed.
#[test]
fn a_flood_of_tls_handshakes_is_answered_only_as_often_as_its_address_may_ask() {
    let (dir, made) = (Dir::new(), Made::new());
    let settings = |limit: &str| {
        file(&[
            "listen = [\"127.0.0.1:0\", \"127.0.0.1:0 tls\"]",
            &format!("limits.handshakes_per_second_per_ip = {limit}"),
        ]) + &lines(&made.write(&dir))
    };
    let server = Setup::of_file(&settings("\"off\"")).start();
    // Of an address of its own, which the healthy pair does not share.
    let attacker = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 66));
    let secured = server.addresses()[1];
    let flood = || {
        let (begun, before) = (Instant::now(), used(&server));
        let answered = (0..1000).filter(|_| begins(connect_from(attacker, secured), b"")).count();
        (answered, begun.elapsed(), used(&server) - before)
    };
    let mut free = (0, Duration::ZERO, Duration::ZERO);
    let report = under(&server, "1,000 handshakes of TLS, unlimited", || free = flood());
    assert_eq!(free.0, 1000);
    assert!(report.grown() < 16 * 1024, "{report:?}");
    server.takes(&settings("20"));
    let mut held = (0, Duration::ZERO, Duration::ZERO);
    let report = under(&server, "1,000 handshakes of TLS, 20 a second", || held = flood());
    let _ = writeln!(std::io::stderr(), "answered, in, processor time: {free:?}, limited {held:?}");
    let most = 21 + 20 * held.1.as_millis() as usize / 1000;
    assert!(held.0 <= most, "{} of {most} at most", held.0);
    assert!(report.grown() < 8 * 1024, "{report:?}");
    server.is_healthy();
}
