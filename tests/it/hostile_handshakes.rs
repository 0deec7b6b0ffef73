//! What an attacker may send before a connection is open. After each, a healthy pair on the same
//! server still exchanges messages.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::support::http::{Request, Response, connect};
use crate::support::server::Server;
use crate::support::token::{grant, token, with_header};
use crate::support::{PATIENCE, until};

/// Sends bytes on a new connection, as far as they are taken.
fn sends(server: &Server, bytes: &[u8]) -> TcpStream {
    let mut stream = connect(server.address());
    let _ = stream.write_all(bytes);
    stream
}

/// The server answers with a refusal, or with nothing, and ends the connection.
#[track_caller]
fn is_turned_away(mut stream: TcpStream) -> Option<u16> {
    let response = Response::read(&mut stream, "GET").0;
    let status = response.map(|response| response.status);
    assert!(status.is_none_or(|status| (400..=505).contains(&status)), "answered {status:?}");
    let mut rest = Vec::new();
    // A reset is an end, too: not all that was sent may have been read.
    if let Err(error) = stream.read_to_end(&mut rest) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "no end came: {error}");
    }
    status
}

#[test]
fn garbage_in_the_place_of_a_handshake_is_turned_away() {
    let server = Server::with("[websocket]\nhandshake_timeout = \"1s\"");
    let every: Vec<u8> = (0..=255).collect();
    for garbage in [
        every.as_slice(),
        &every.repeat(4096),
        b"\0\0\0\0",
        b"\r\n\r\n\r\n\r\n",
        b"\n",
        b"GET",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\n\0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost\r\n\r\n",
        b"GET / HTTP/1.1\r\n: x\r\n\r\n",
        b"GET \xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GE\tT / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        // The beginning of a TLS ClientHello, of SSH, of SMTP, of a frame without a handshake.
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"EHLO localhost\r\n",
        b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
    ] {
        is_turned_away(sends(&server, garbage));
        server.is_healthy();
    }
}

#[test]
fn garbage_in_the_middle_of_a_handshake_is_turned_away() {
    let server = Server::with("[websocket]\nhandshake_timeout = \"1s\"");
    let head = Request::upgrade_with(&grant(&["a"], &[])).bytes();
    for at in [1, 3, 5, 14, 20, head.len() / 2, head.len() - 3] {
        let bytes = [&head[..at], b"\0\xff\x01garbage\x80\r\n\x7f: \0\r\n\r\n"].concat();
        is_turned_away(sends(&server, &bytes));
    }
    server.is_healthy();
}

#[test]
fn garbage_in_each_header_is_turned_away_or_ignored() {
    let server = Server::with("[websocket]\nhandshake_timeout = \"1s\"");
    let good = Request::upgrade_with(&grant(&["a"], &[]));
    for name in ["Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Host"] {
        for value in ["", ",", ",,,,", "\u{7f}", "ü", "a\tb", &"x".repeat(10_000)] {
            let stream = sends(&server, &good.clone().header(name, value).bytes());
            // Whether an odd Host is refused is another test's; it must do no harm.
            if name != "Host" {
                stream.shutdown(Shutdown::Write).expect("no more is sent");
                is_turned_away(stream);
            }
        }
    }
    for value in ["\u{7f}", "Bearer", "Bearer  ", "Bearer a b c", "Bearer ü", "\"", "Bearer \t."] {
        let request = Request::upgrade("/").header("Authorization", value);
        let stream = sends(&server, &request.bytes());
        stream.shutdown(Shutdown::Write).expect("no more is sent");
        is_turned_away(stream);
    }
    server.is_healthy();
}

/// Two different lengths, a length and chunks: what smuggles requests past a proxy.
#[test]
fn a_request_whose_length_is_in_doubt_is_turned_away() {
    let server = Server::with("[websocket]\nhandshake_timeout = \"1s\"");
    for headers in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: -1",
        "Content-Length: 99999999999999999999999",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: x",
    ] {
        let text = format!("POST /nothing HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\nhello");
        let stream = sends(&server, text.as_bytes());
        stream.shutdown(Shutdown::Write).expect("no more is sent");
        is_turned_away(stream);
    }
    server.is_healthy();
}

#[test]
fn half_a_head_and_then_the_end_leaves_nothing() {
    let server = Server::start();
    let head = Request::upgrade_with(&grant(&["a"], &[])).bytes();
    for at in [0, 1, 10, head.len() / 2, head.len() - 1] {
        let stream = sends(&server, &head[..at]);
        stream.shutdown(Shutdown::Write).expect("no more is sent");
        is_turned_away(stream);
        // And without a farewell.
        drop(sends(&server, &head[..at]));
    }
    server.is_healthy();
    server.until_connections(0);
}

#[test]
fn a_head_of_a_mebibyte_is_refused() {
    let server = Server::with("[websocket]\nhandshake_timeout = \"5s\"");
    let before = server.resident();
    let token = grant(&["a"], &[]);
    let many: String = (0..40_000).map(|n| format!("X-Header-{n}: some value\r\n")).collect();
    for head in [
        Request::upgrade_with(&token).header("X-Long", &"x".repeat(1 << 20)).bytes(),
        Request::upgrade(&format!("/?auth={token}&x={}", "x".repeat(1 << 20))).bytes(),
        Request::upgrade(&format!("/{}", "x".repeat(1 << 20))).bearer(&token).bytes(),
        Request::upgrade("/").bearer(&"x".repeat(1 << 20)).bytes(),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n").into_bytes(),
        // Without an end.
        format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(1 << 20)).into_bytes(),
    ] {
        let status = is_turned_away(sends(&server, &head));
        assert!(matches!(status, None | Some(400 | 401 | 414 | 431)), "answered {status:?}");
        server.is_healthy();
    }
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB more than before");
}

#[test]
fn a_head_that_cannot_be_read_is_logged_like_any_refusal() {
    let server = Server::start();
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(70_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(200));
    let heads = ["\u{16}\u{3}\u{1}\r\n\r\n", "GET / HTTP/1.1\r\nbad header\r\n\r\n", &long, &many];
    for (number, head) in heads.iter().enumerate() {
        let status = is_turned_away(sends(&server, head.as_bytes()));
        assert!(matches!(status, Some(400 | 414 | 431)), "{head:.20}: {status:?}");
        let told = "handshake refused: malformed from 127.0.0.1:";
        until("it is logged", || server.log().matches(told).count() == number + 1);
    }
}

#[test]
fn a_head_below_the_limit_is_read() {
    let server = Server::start();
    let request = Request::upgrade_with(&grant(&["a"], &[])).header("X-Long", &"x".repeat(50_000));
    server.open_with(&request).round_trip();
}

#[test]
fn the_limit_of_a_head_can_be_set() {
    let server = Server::with("[limits]\nmax_head_size = \"16KiB\"");
    let good = Request::upgrade_with(&grant(&["a"], &[]));
    server.open_with(&good.clone().header("X-Long", &"x".repeat(8_000))).round_trip();
    let head = good.header("X-Long", &"x".repeat(40_000)).bytes();
    let status = is_turned_away(sends(&server, &head));
    assert!(matches!(status, None | Some(431)), "answered {status:?}");
}

#[test]
fn a_slow_handshake_is_told_408_and_cut() {
    let server = Server::with("[websocket]\nhandshake_timeout = \"500ms\"");
    let mut lasting = server.open(&grant(&["a"], &[]));
    let head = Request::upgrade_with(&grant(&["a"], &[])).bytes();
    for at in [3, head.len() / 2, head.len() - 1] {
        let begun = Instant::now();
        assert_eq!(is_turned_away(sends(&server, &head[..at])), Some(408));
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(450), "cut after {took:?}");
        assert!(took < Duration::from_secs(5), "cut after {took:?}");
    }
    // Whoever says nothing at all may be told nothing.
    let status = is_turned_away(connect(server.address()));
    assert!(matches!(status, None | Some(408)), "answered {status:?}");
    // The limit is the handshake's, not the connection's.
    lasting.round_trip();
    server.is_healthy();
}

/// A byte from time to time buys no more time.
#[test]
fn a_handshake_that_drips_is_cut_as_well() {
    let server = Server::with("[websocket]\nhandshake_timeout = \"500ms\"");
    let head = Request::upgrade_with(&grant(&["a"], &[])).bytes();
    let mut stream = connect(server.address());
    stream.set_read_timeout(Some(Duration::from_millis(50))).expect("a read timeout");
    let begun = Instant::now();
    for byte in &head {
        let taken = stream.write_all(&[*byte]);
        let ended = match stream.read(&mut [0; 512]) {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        };
        if taken.is_err() || ended {
            let took = begun.elapsed();
            assert!(took >= Duration::from_millis(450), "cut after {took:?}");
            server.is_healthy();
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "it drips and drips");
    }
    panic!("the whole head was taken, byte by byte");
}

#[test]
fn a_token_that_is_nested_deep_or_long_harms_nobody() {
    let server = Server::start();
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let claims = format!(r#"{{"read":["a"],"x":{deep}}}"#);
    let header = format!(r#"{{"alg":"HS256","x":{deep}}}"#);
    for text in [
        token(&claims),
        token(&format!(r#"{{"read":{deep}}}"#)),
        with_header(&header, "HS256", "{}", crate::support::token::SECRET),
        "x".repeat(60_000),
        ".".repeat(60_000),
        format!("{}.{}.{}", "e".repeat(20_000), "e".repeat(20_000), "e".repeat(20_000)),
        token(&format!(r#"{{"read":["{}"]}}"#, "\\u0061".repeat(8_000))),
    ] {
        let stream = sends(&server, &Request::upgrade_with(&text).bytes());
        stream.shutdown(Shutdown::Write).expect("no more is sent");
        let mut answer = Vec::new();
        let mut stream = stream;
        let _ = stream.read_to_end(&mut answer);
        server.is_healthy();
    }
}

/// Three hundred peers that vanish in each state of a handshake take no places.
#[test]
fn peers_that_reset_while_they_come_leave_no_place_taken() {
    let server = Server::with("[limits]\nmax_connections = 8");
    let head = Request::upgrade_with(&grant(&["a"], &[])).bytes();
    for round in 0..300 {
        let at = [0, 20, head.len() / 2, head.len() - 1, head.len()][round % 5];
        let stream = sends(&server, &head[..at]);
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).expect("linger");
    }
    server.until_connections(0);
    let token = grant(&["a"], &[]);
    let mut all: Vec<_> = (0..8).map(|_| server.open(&token)).collect();
    server.refuses_token(&token);
    for client in &mut all {
        client.round_trip();
    }
}

/// Many at once that never finish hold up nobody.
#[test]
fn a_thousand_unfinished_handshakes_hold_up_nobody() {
    let server = Server::start();
    let head = Request::upgrade_with(&grant(&["a"], &[])).bytes();
    let waiting: Vec<TcpStream> =
        (0..900).map(|n| sends(&server, &head[..n % head.len()])).collect();
    let begun = Instant::now();
    server.is_healthy();
    assert!(begun.elapsed() < PATIENCE / 4);
    drop(waiting);
    until("they are forgotten", || server.info()["connections"] == 0);
    server.is_healthy();
}
