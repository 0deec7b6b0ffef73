//! What every request has to satisfy, whatever it asks for: one host, one value of a header that has one, no body
//! before an upgrade, a head that is short enough.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;

use crate::support::client::{Client, publish};
use crate::support::dir::Dir;
use crate::support::frame::Out;
use crate::support::http::{Request, Response, connect, free_port, local};
use crate::support::server::{Server, Setup, file};
use crate::support::token::{grant, signed, token};
use crate::support::{has_ended, until};

/// The bytes of a request with these lines behind its first one.
fn with_lines(request: &Request, lines: &[&str]) -> Vec<u8> {
    let bytes = request.bytes();
    let end = bytes.windows(2).position(|two| two == b"\r\n").expect("a line") + 2;
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    [&bytes[..end], lines.as_bytes(), &bytes[end..]].concat()
}

fn answer_to(address: SocketAddr, bytes: &[u8]) -> Response {
    let mut stream = connect(address);
    stream.write_all(bytes).expect("the request is taken");
    Response::read(&mut stream, "GET").0.expect("an answer")
}

/// One request of each kind that a listener serves, each good.
fn kinds() -> Vec<Request> {
    let api = token(r#"{"api":true,"manage":true,"write":["c"]}"#);
    vec![
        Request::upgrade_with(&grant(&["c"], &["c"])),
        Request::get("/"),
        Request::get("/healthz"),
        Request::get("/readyz"),
        Request::get("/nothing"),
        Request::get("/api/info").bearer(&api),
        Request::get("/api/connections").bearer(&api),
        Request::new("POST", "/api/publish")
            .body("application/json", r#"{"channel":"c"}"#)
            .bearer(&api),
    ]
}

#[test]
fn a_request_of_any_kind_names_one_host() {
    let server = Server::start();
    for good in kinds() {
        let without = good.clone().without("Host");
        for lines in [
            &[][..],
            &["Host: localhost", "Host: localhost"],
            &["Host: localhost", "Host: other"],
            &["Host: a b"],
            &["Host: user@localhost"],
            &["Host: localhost:port"],
            &["Host: http://localhost"],
            &["Host: [::1"],
        ] {
            let answer = answer_to(server.address(), &with_lines(&without, lines));
            assert_eq!(answer.status, 400, "{lines:?} in {good:?}: {answer:?}");
            assert!(answer.body.contains("Host"), "{answer:?}");
        }
        let hosts =
            ["localhost", "localhost:1", "[::1]:80", "192.0.2.1", "under_score.example", ""];
        for host in hosts {
            let answer = answer_to(server.address(), &good.clone().header("Host", host).bytes());
            assert!(!answer.body.contains("Host"), "{host:?} in {good:?}: {answer:?}");
        }
    }
    server.logs("the refusal", |line| {
        line.contains("event=handshake_refused") && line.contains("reason=malformed")
    });
    server.is_healthy();
}

#[test]
fn a_request_of_http_1_0_needs_no_host() {
    let server = Server::start();
    let old = Request::get("/healthz").version("HTTP/1.0").without("Host");
    assert_eq!(server.ask(&old).status, 200);
    let two = with_lines(&old, &["Host: a", "Host: a"]);
    assert_eq!(answer_to(server.address(), &two).status, 400);
    assert_eq!(server.ask(&old.header("Host", "a b")).status, 400);
}

#[test]
fn metrics_and_the_control_socket_want_one_host_too() {
    let (dir, metrics) = (Dir::new(), local(free_port()));
    let path = dir.path().join("control");
    let _server = Setup::of_file(&file(&[
        &format!("metrics.listen = [\"{metrics}\"]"),
        &format!("control.socket = \"{}\"", path.display()),
    ]))
    .start();
    let request = Request::get("/healthz").without("Host");
    for (lines, status) in [
        (&["Host: localhost"][..], 200),
        (&[], 400),
        (&["Host: localhost", "Host: localhost"], 400),
        (&["Host: a b"], 400),
    ] {
        let bytes = with_lines(&request, lines);
        assert_eq!(answer_to(metrics, &bytes).status, status, "{lines:?}");
        let mut control = UnixStream::connect(&path).expect("it listens");
        control.write_all(&bytes).expect("taken");
        let mut answer = String::new();
        control.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{lines:?}: {answer}");
        assert!(answer.contains("\r\ndate: "), "{answer}");
    }
}

/// RFC 9112, 3.2.2: what a target names counts, and the header `Host` does not.
#[test]
fn the_host_of_a_target_takes_the_place_of_the_header() {
    let upgrade = |target: &str, host: &str, token: &str| {
        Request::upgrade(target).bearer(token).header("Host", host)
    };
    let server = Setup::new("").without_secret().start();
    let token = signed("HS256", "{}", "");
    server.open_with(&upgrade("http://localhost/", "philote.example", &token)).round_trip();
    server.open_with(&upgrade("ws://127.0.0.1:80/x?y=z", "philote.example", &token)).round_trip();
    for target in ["http://philote.example/", "http://philote.example:80/x"] {
        let refusal = server.refuses(&upgrade(target, "localhost", &token));
        assert_eq!(refusal.status, 403, "{refusal:?}");
        let api = signed("HS256", r#"{"api":true}"#, "");
        let info = Request::get(&format!("{target}api/info").replace("/xapi", "/api")).bearer(&api);
        assert_eq!(server.ask(&info).status, 403, "{info:?}");
    }
    let refusal = server.refuses(&upgrade("http://user@localhost/", "localhost", &token));
    assert_eq!(refusal.status, 400, "{refusal:?}");

    let server = Server::with("[auth]\ncheck_origin = true");
    let token = grant(&["c"], &["c"]);
    let page = |target: &str, host: &str| {
        upgrade(target, host, &token).header("Origin", "http://app.example")
    };
    server.open_with(&page("http://app.example/", "other.example")).round_trip();
    let refusal = server.refuses(&page("http://other.example/", "app.example"));
    assert_eq!(refusal.status, 403, "{refusal:?}");
}

#[test]
fn two_lines_of_a_header_that_has_one_value_are_400() {
    let server = Server::start();
    for good in kinds() {
        for line in [
            "Origin: http://localhost",
            "Authorization: Bearer x",
            "Content-Type: application/json",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ] {
            let bytes = with_lines(&good, &[line, line]);
            let answer = answer_to(server.address(), &bytes);
            assert_eq!(answer.status, 400, "{line} in {good:?}: {answer:?}");
        }
        for lines in [
            &["Transfer-Encoding: gzip, chunked"][..],
            &["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
            &["Content-Length: 1", "Content-Length: 2"],
        ] {
            let plain = good.clone().without("Content-Length");
            let answer = answer_to(server.address(), &with_lines(&plain, lines));
            assert_eq!(answer.status, 400, "{lines:?} in {good:?}: {answer:?}");
        }
    }
    // A good token and a bad one, in either order, and two in the query.
    let good = grant(&["c"], &[]);
    for two in [[good.as_str(), "bad"], ["bad", good.as_str()], [good.as_str(), good.as_str()]] {
        let lines = two.map(|token| format!("Authorization: Bearer {token}"));
        let bytes = with_lines(&Request::upgrade("/"), &lines.each_ref().map(String::as_str));
        assert_eq!(answer_to(server.address(), &bytes).status, 400);
        let query = Request::upgrade(&format!("/?auth={}&x=y&auth={}", two[0], two[1]));
        assert_eq!(server.refuses(&query).status, 400);
        let info = Request::get(&format!("/api/info?auth={}&auth={}", two[0], two[1]));
        assert_eq!(server.ask(&info).status, 400);
    }
    server.is_healthy();
}

#[test]
fn headers_that_are_lists_may_stand_on_several_lines() {
    let server = Server::start();
    let upgrade =
        Request::upgrade_with(&grant(&["c"], &["c"])).without("Upgrade").without("Connection");
    let bytes = with_lines(
        &upgrade,
        &["Upgrade: h2c", "Upgrade: WebSocket", "Connection: keep-alive", "Connection: x, upgrade"],
    );
    Client::open_on(connect(server.address()), &bytes).expect("admitted").round_trip();
}

/// The body is a frame that would publish, cut at each place where TCP may cut it.
#[test]
fn a_handshake_with_a_body_is_400_and_nothing_of_it_is_a_message() {
    let server = Server::start();
    let mut subscriber = server.subscriber(&["c"]);
    let upgrade = Request::upgrade_with(&grant(&[], &["c"]));
    let frame = Out::text(publish("c", "smuggled")).bytes();
    let length = format!("Content-Length: {}", frame.len());
    let size = format!("{:x}\r\n", frame.len());
    let chunks = [size.as_bytes(), &frame, b"\r\n0\r\n\r\n"].concat();
    for (line, body) in [
        (length.as_str(), &frame),
        ("Content-Length: 5", &b"hello".to_vec()),
        ("Transfer-Encoding: chunked", &chunks),
        ("Transfer-Encoding: chunked", &b"0\r\n\r\n".to_vec()),
    ] {
        let head = with_lines(&upgrade, &[line]);
        let bytes = [&head[..], body].concat();
        for cut in [bytes.len(), head.len(), head.len() + 1, head.len() - 1] {
            let mut stream = connect(server.address());
            stream.write_all(&bytes[..cut]).expect("taken");
            if cut >= head.len() {
                let answer = Response::read(&mut stream, "GET").0.expect("an answer");
                assert_eq!(answer.status, 400, "{line} cut at {cut}: {answer:?}");
            }
            // It may have been closed meanwhile.
            let _ = stream.write_all(&bytes[cut..]);
            if cut < head.len() {
                let answer = Response::read(&mut stream, "GET").0.expect("an answer");
                assert_eq!(answer.status, 400, "{line} cut at {cut}: {answer:?}");
            }
        }
    }
    // A body of no bytes is none: what comes behind the head are frames.
    let bytes =
        [with_lines(&upgrade, &["Content-Length: 0"]), Out::text(publish("c", "a frame")).bytes()];
    let mut client = Client::open_on(connect(server.address()), &bytes.concat()).expect("admitted");
    subscriber.hears("c", "a frame");
    client.round_trip();
}

/// A head of exactly so many bytes, with blanks or a long value in it.
fn head_of(length: usize, blanks: bool) -> Vec<u8> {
    let good = Request::get("/healthz");
    let padding = |count: usize| if blanks { " ".repeat(count) } else { "x".repeat(count) };
    let line = |count| format!("X-Long: y{}z", padding(count));
    let bytes = with_lines(&good, &[&line(length - with_lines(&good, &[&line(0)]).len())]);
    assert_eq!(bytes.len(), length);
    bytes
}

#[test]
fn a_head_longer_than_the_limit_is_431_however_it_is_cut() {
    for limit in [16 << 10, 64 << 10] {
        let server = Server::with(&format!("[limits]\nmax_head_size = {limit}"));
        for blanks in [false, true] {
            for length in [limit - 1, limit, limit + 1, limit * 3 / 2, 100_000] {
                let status = if length <= limit { 200 } else { 431 };
                let head = head_of(length, blanks);
                for piece in [length, 1000, limit / 3, limit - 1, limit] {
                    let mut stream = connect(server.address());
                    for piece in head.chunks(piece) {
                        // Whoever has been refused may find it closed.
                        if stream.write_all(piece).is_err() {
                            break;
                        }
                    }
                    let answer = Response::read(&mut stream, "GET").0;
                    let answered = answer.map(|answer| answer.status);
                    // A reset may overtake the answer where not all of the head was read.
                    let fine = answered == Some(status) || (status == 431 && answered.is_none());
                    assert!(fine, "{length} of {limit} in pieces of {piece}: {answered:?}");
                }
            }
        }
        // The second request of a connection has the same limit.
        let mut stream = connect(server.address());
        for (length, status) in [(limit, 200), (limit + 64, 431)] {
            stream.write_all(&head_of(length, false)).expect("taken");
            let answer = Response::read(&mut stream, "GET").0.expect("an answer");
            assert_eq!(answer.status, status);
        }
    }
}

#[test]
fn a_hundred_headers_are_read_and_more_are_431() {
    let server = Server::start();
    // One of them is Host.
    for (count, status) in [(99, 200), (100, 431), (300, 431)] {
        let bytes = with_lines(&Request::get("/healthz"), &vec!["X: y"; count]);
        assert_eq!(answer_to(server.address(), &bytes).status, status, "{count} and Host");
    }
}

fn is_date(answer: &Response) -> bool {
    // IMF-fixdate, RFC 9110, 5.6.7.
    answer.header("date").is_some_and(|date| date.len() == 29 && date.ends_with(" GMT"))
}

#[test]
fn every_answer_has_a_date() {
    let server = Server::with("[websocket]\nhandshake_timeout = \"500ms\"");
    let mut answers: Vec<Response> =
        kinds().iter().map(|good| answer_to(server.address(), &good.bytes())).collect();
    answers.push(server.refuses(&Request::upgrade("/")));
    let long = "x".repeat(200_000);
    for bytes in [
        "no request\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        &format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"),
        "GET / HTTP/1.1\r\nHost: half of",
    ] {
        answers.push(answer_to(server.address(), bytes.as_bytes()));
    }
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert!(
        [101, 200, 400, 401, 404, 408, 431].iter().all(|status| statuses.contains(status)),
        "{statuses:?}"
    );
    assert!(answers.iter().all(is_date), "{answers:?}");
}

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Asks once and stays.
fn asks(stream: &mut TcpStream) -> Response {
    stream.write_all(HEALTH.as_bytes()).expect("taken");
    let answer = Response::read(stream, "GET").0.expect("an answer");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

#[test]
fn an_idle_connection_ends_after_its_time_and_a_request_that_crosses_the_end_is_not_reset() {
    let server = Setup::of_file(&file(&["http.keep_alive = \"300ms\""])).start();
    for _ in 0..5 {
        let mut stream = connect(server.address());
        asks(&mut stream);
        asks(&mut stream);
        let begun = std::time::Instant::now();
        until("it ends", || has_ended(&stream));
        assert_eq!(stream.read(&mut [0; 16]).expect("no reset"), 0, "nothing but the end");
        assert!(begun.elapsed().as_millis() >= 250, "after {:?}", begun.elapsed());
        // A reset would make the second of these fail.
        for _ in 0..2 {
            stream.write_all(HEALTH.as_bytes()).expect("it is read and thrown away");
            assert_eq!(stream.read(&mut [0; 16]).expect("no reset"), 0);
        }
    }
}

#[test]
fn a_request_that_has_begun_is_not_cut_by_the_end_of_the_idle_time() {
    let server = Setup::of_file(&file(&[
        "http.keep_alive = \"300ms\"",
        "websocket.handshake_timeout = \"60s\"",
    ]))
    .start();
    let mut begun = connect(server.address());
    asks(&mut begun);
    begun.write_all(&HEALTH.as_bytes()[..20]).expect("taken");
    // The time of this one begins later, and is over.
    let mut idle = connect(server.address());
    asks(&mut idle);
    until("the idle one ends", || has_ended(&idle));
    begun.write_all(&HEALTH.as_bytes()[20..]).expect("taken");
    assert_eq!(Response::read(&mut begun, "GET").0.map(|answer| answer.status), Some(200));
}

#[test]
fn the_time_of_idle_connections_follows_a_reload_from_the_next_answer_on() {
    let server = Setup::of_file(&file(&["http.keep_alive = \"1h\""])).start();
    let mut streams = [(); 2].map(|()| connect(server.address()));
    streams.iter_mut().for_each(|stream| drop(asks(stream)));
    server.takes(&file(&["http.keep_alive = \"300ms\""]));
    let [kept, asks_again] = &mut streams;
    asks(asks_again);
    until("it ends", || has_ended(asks_again));
    assert!(!has_ended(kept));
    server.takes(&file(&["http.keep_alive = \"off\""]));
    let answer = asks(kept);
    assert_eq!(answer.header("connection"), Some("close"));
    until("it ends with its answer", || has_ended(kept));
    // A handshake is not ended by it.
    server.is_healthy();
}

#[test]
fn an_answer_that_comes_before_the_body_says_that_the_connection_ends() {
    let server = Server::start();
    let api = token(r#"{"api":true,"manage":true,"write":["c"]}"#);
    let body = r#"{"channel":"c"}"#;
    let publish = || Request::new("POST", "/api/publish").body("application/json", body);
    for (request, status) in [
        (publish().bearer("no.good.token"), 401),
        (publish().bearer(&grant(&["c"], &["c"])), 403),
        (Request::new("POST", "/nothing").body("application/json", body), 404),
        (Request::new("POST", "/healthz").body("application/json", body), 405),
        (Request::new("GET", "/healthz").body("application/json", body), 200),
        (Request::new("GET", "/api/channels").body("application/json", body).bearer(&api), 200),
    ] {
        let bytes = request.bytes();
        let (head, rest) = bytes.split_at(bytes.len() - body.len());
        let mut stream = connect(server.address());
        stream.write_all(head).expect("the head is taken");
        let (answer, _) = Response::read(&mut stream, "GET");
        let answer = answer.expect("an answer without the body");
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.header("connection"), Some("close"), "{answer:?}");
        stream.write_all(rest).expect("the body is read away");
        let more = stream.read(&mut [0; 1]).expect("its end, in time");
        assert_eq!(more, 0, "it ends as announced: {answer:?}");
    }
    // A body that was read ends nothing.
    let mut stream = connect(server.address());
    for _ in 0..2 {
        stream.write_all(&publish().bearer(&api).bytes()).expect("the request is taken");
        let answer = Response::read(&mut stream, "GET").0.expect("an answer");
        assert_eq!((answer.status, answer.header("connection")), (200, None), "{answer:?}");
    }
}

#[test]
fn an_upgrade_is_offered_also_where_each_answer_ends_its_connection() {
    let server = Server::with("http.keep_alive = \"off\"");
    let request = Request::upgrade_with(&grant(&["c"], &["c"]));
    let request = request.without("Sec-WebSocket-Version").header("Sec-WebSocket-Version", "8");
    let answer = answer_to(server.address(), &request.bytes());
    assert_eq!(answer.status, 426, "{answer:?}");
    assert_eq!(answer.header("upgrade"), Some("websocket"), "{answer:?}");
    assert_eq!(answer.header("connection"), Some("Upgrade, close"), "{answer:?}");
}
