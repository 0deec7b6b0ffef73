//! Listeners with the word `proxy`: the header of the PROXY protocol, whom it is taken from, and what becomes of what
//! is no such header.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::support::PATIENCE;
use crate::support::client::Client;
use crate::support::dir::Dir;
use crate::support::frame::Out;
use crate::support::http::{Request, connect, connect_from, free_port};
use crate::support::server::{Server, Setup, file};
use crate::support::token::grant;

const TRUSTED: &str = "[proxy]\ntrusted = [\"127.0.0.1\", \"unix\"]\n[log]\nlevel = \"debug\"";
const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n";

fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("a length").to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, rest].concat()
}

fn v2_of_ipv6() -> Vec<u8> {
    let mut rest = vec![0; 36];
    rest[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    rest[15] = 7;
    rest[32..34].copy_from_slice(&4711_u16.to_be_bytes());
    // A unique id, as HAProxy adds one; it is passed over.
    rest.extend([0x05, 0, 3, 1, 2, 3]);
    v2(0x21, 0x21, &rest)
}

/// One listener for proxies on loopback.
fn listening(config: &str) -> Server {
    Setup::new(config).environment("PHILOTE_LISTEN", "127.0.0.1:0 proxy").start()
}

fn upgrade() -> Vec<u8> {
    Request::upgrade_with(&grant(&["c"], &["c"])).bytes()
}

fn was_opened_by(server: &Server, peer: &str) {
    let opened = format!("peer={peer}");
    // Without a port it is any port's.
    let end = |line: &str| line.ends_with(&opened) || peer.ends_with(':') && line.contains(&opened);
    server.logs(&opened, |line| line.contains("event=connection_opened") && end(line));
}

fn is_refused(server: &Server, reason: &str) -> String {
    let reason = format!("reason={reason}");
    server.logs(&reason, |line| line.contains("event=handshake_refused") && line.ends_with(&reason))
}

/// The server ends the connection without a word.
fn ends(mut stream: impl Read) {
    let mut said = Vec::new();
    let ended = stream.read_to_end(&mut said);
    assert!(
        ended.as_ref().is_ok_and(|count| *count == 0)
            || ended.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset),
        "{ended:?} {said:?}"
    );
}

#[test]
fn whom_a_trusted_proxy_speaks_for_is_the_peer_in_log_and_list_with_every_version() {
    let dir = Dir::new();
    let control = dir.path().join("control");
    let config = format!("{TRUSTED}\n[control]\nsocket = {:?}", control.display().to_string());
    let server = listening(&config);
    let listening = format!("listening on {} proxy", server.address());
    server.logs("what it is for", |line| line.contains(&listening));
    let ours = |stream: &TcpStream| stream.local_addr().expect("its address").to_string();
    let mut open = Vec::new();
    for (header, client) in [
        (V1.to_vec(), Some("192.0.2.7:4711")),
        (b"PROXY TCP6 2001:db8::7 ::1 4711 80\r\n".to_vec(), Some("[2001:db8::7]:4711")),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (v2(0x21, 0x11, &[192, 0, 2, 8, 0, 0, 0, 0, 0, 80, 0, 80]), Some("192.0.2.8:80")),
        (v2_of_ipv6(), Some("[2001:db8::7]:4711")),
        (v2(0x21, 0x31, &[b'x'; 216]), None),
        (v2(0x20, 0x00, b""), None),
        (v2(0x20, 0x11, &[9; 12]), None),
    ] {
        let stream = connect(server.address());
        let client = client.map_or_else(|| ours(&stream), str::to_owned);
        let client =
            (Client::open_on(stream, &[header, upgrade()].concat()).expect("admitted"), client);
        was_opened_by(&server, &client.1);
        open.push(client);
    }
    let listed = std::process::Command::new(env!("CARGO_BIN_EXE_philote"))
        .args(["connections", "--json", "--control"])
        .arg(&control)
        .output()
        .expect("it runs");
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    let listed = listed.as_array().expect("an array");
    let mut peers: Vec<_> = listed.iter().map(|one| one["peer"].as_str().expect("text")).collect();
    let mut expected: Vec<_> = open.iter().map(|(_, peer)| peer.as_str()).collect();
    peers.sort_unstable();
    expected.sort_unstable();
    assert_eq!(peers, expected);
}

#[test]
fn what_comes_in_one_segment_with_the_header_is_not_lost_and_neither_is_what_comes_in_many() {
    let server = listening(TRUSTED);
    for header in [V1.to_vec(), v2_of_ipv6()] {
        let mut listener =
            Client::open_on(connect(server.address()), &[&header[..], &upgrade()].concat())
                .expect("admitted");
        let message = Out::text(r#"{"channel":"c","data":"behind the header"}"#).bytes();
        let all = [&header[..], &upgrade(), &message].concat();
        let whole = Client::open_on(connect(server.address()), &all).expect("admitted");
        listener.hears("c", "behind the header");
        drop(whole);
        // A byte a segment, over header and request.
        let mut stream = connect(server.address());
        let (first, last) = all.split_at(header.len() + 40);
        for byte in first {
            stream.write_all(&[*byte]).expect("it is taken");
        }
        let _trickled = Client::open_on(stream, last).expect("admitted");
        listener.hears("c", "behind the header");
    }
}

#[test]
fn who_is_not_trusted_is_refused_whatever_they_say() {
    let server = listening("[proxy]\ntrusted = [\"127.0.0.2\", \"10.0.0.0/8\", \"unix\"]");
    for said in [V1, &v2(0x20, 0, b""), &upgrade(), b""] {
        let mut stream = connect(server.address());
        // It may be gone already.
        let _ = stream.write_all(said);
        ends(stream);
    }
    let line = is_refused(&server, "not_a_trusted_proxy");
    assert!(line.contains("peer=127.0.0.1:"), "the stranger's own address: {line}");
    let stream = connect_from(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), server.address());
    Client::open_on(stream, &[V1, &upgrade()].concat()).expect("admitted").close();
}

#[test]
fn without_a_header_nothing_is_answered() {
    let server = listening(TRUSTED);
    for said in [
        &upgrade()[..],
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 99999 80\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        &v2(0x23, 0x11, &[0; 12]),
        &[b'P'; 4000],
    ] {
        let mut stream = connect(server.address());
        let _ = stream.write_all(said);
        ends(stream);
    }
    // One whose proxy is trusted stays a fault of the proxy's, not of a client's that it may have named.
    let line = is_refused(&server, "no_proxy_header");
    assert!(line.contains("peer=127.0.0.1:"), "{line}");
    // A header and then nonsense is what it is without the header.
    let mut stream = connect(server.address());
    stream.write_all(&[V1, b"nonsense\r\n\r\n"].concat()).expect("it is taken");
    let answer = std::io::read_to_string(stream).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn a_header_that_does_not_end_is_waited_for_as_long_as_a_handshake() {
    let config = format!("{TRUSTED}\n[websocket]\nhandshake_timeout = \"300ms\"");
    let server = listening(&config);
    let begun = Instant::now();
    let mut stream = connect(server.address());
    stream.write_all(&V1[..20]).expect("it is taken");
    ends(&stream);
    assert!(begun.elapsed() >= Duration::from_millis(300));
    is_refused(&server, "proxy_header_took_too_long");
    // The header does not begin the time anew.
    let begun = Instant::now();
    let mut stream = connect(server.address());
    stream.write_all(V1).expect("it is taken");
    let answer = std::io::read_to_string(stream).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(begun.elapsed() < PATIENCE / 2);
}

#[test]
fn headers_that_do_not_end_take_no_more_places_than_there_are() {
    let config =
        format!("{TRUSTED}\n[limits]\nmax_pending = 4\n[websocket]\nhandshake_timeout = \"60s\"");
    let server = listening(&config);
    let mut first = connect(server.address());
    first.write_all(&V1[..20]).expect("it is taken");
    let others: Vec<TcpStream> = (0..8).map(|_| connect(server.address())).collect();
    ends(first);
    drop(others);
    Client::open_on(connect(server.address()), &[V1, &upgrade()].concat()).expect("admitted");
}

#[test]
fn a_unix_socket_can_be_for_proxies_too() {
    let dir = Dir::new();
    let path = dir.path().join("s");
    let listen = format!("unix:{} proxy", path.display());
    let server = Setup::new(TRUSTED).environment("PHILOTE_LISTEN", &listen).spawn();
    server.notifies("READY=1");
    let ask = |said: &[u8]| {
        let mut stream = UnixStream::connect(&path).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
        stream.write_all(said).expect("it is taken");
        let mut answer = [0; 12];
        let count = stream.read(&mut answer).unwrap_or(0);
        (stream, String::from_utf8_lossy(&answer[..count]).into_owned())
    };
    let (held, answer) = ask(&[V1, &upgrade()].concat());
    assert_eq!(answer, "HTTP/1.1 101");
    was_opened_by(&server, "192.0.2.7:4711");
    let (_, answer) = ask(&[&v2(0x20, 0, b"")[..], &upgrade()].concat());
    assert_eq!(answer, "HTTP/1.1 101");
    was_opened_by(&server, "unix");
    let (_, answer) = ask(&upgrade());
    assert_eq!(answer, "");
    drop(held);
}

#[test]
fn a_listener_of_the_service_manager_is_for_proxies_by_its_name() {
    for (name, proxied) in [("http-proxy", true), ("http", false), ("philote.socket", false)] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let server =
            Setup::new(TRUSTED).environment("LISTEN_FDNAMES", name).given(listener).start();
        let said = if proxied { [V1, &upgrade()].concat() } else { upgrade() };
        let _open = Client::open_on(connect(server.address()), &said).expect("admitted");
        was_opened_by(&server, if proxied { "192.0.2.7:4711" } else { "127.0.0.1:" });
    }
}

#[test]
fn a_reload_makes_a_listener_one_for_proxies_and_back_and_trusts_others() {
    let port = free_port();
    let lines = |word: &str, trusted: &str| {
        let listen = format!("listen = [\"127.0.0.1:{port}{word}\"]");
        file(&[&listen, &format!("proxy.trusted = [{trusted:?}]"), "log.level = \"debug\""])
    };
    let server = Setup::of_file(&lines("", "127.0.0.1")).start();
    let mut before = server.open_with(&Request::upgrade_with(&grant(&["c"], &["c"])));
    let proxied = || Client::open_on(connect(server.address()), &[V1, &upgrade()].concat());
    assert_eq!(proxied().err().map(|refusal| refusal.status), Some(400));
    server.takes(&lines(" proxy", "127.0.0.1"));
    let mut one = proxied().expect("admitted");
    server.takes(&lines(" proxy", "127.0.0.2"));
    let mut stream = connect(server.address());
    let _ = stream.write_all(V1);
    ends(stream);
    server.takes(&lines("", "127.0.0.2"));
    server.open_with(&Request::upgrade_with(&grant(&["c"], &[]))).close();
    // Nobody was dropped over it.
    before.publish("c", "still here");
    one.hears("c", "still here");
}

/// The tools find a listener that is for proxies alone, and say that they speak for themselves.
#[test]
fn the_tools_reach_a_listener_for_proxies_where_this_machine_is_trusted() {
    let server = listening(TRUSTED);
    let listen = format!("{} proxy", server.address());
    let run = |arguments: &[&str]| {
        std::process::Command::new(env!("CARGO_BIN_EXE_philote"))
            .args(arguments)
            .env("PHILOTE_LISTEN", &listen)
            .env("PHILOTE_PROXY_TRUSTED", "127.0.0.1")
            .env("PHILOTE_CONFIG", server.dir().join("config.toml"))
            .env("SECRET", crate::support::token::SECRET)
            .output()
            .expect("it runs")
    };
    let mut listener =
        Client::open_on(connect(server.address()), &[V1, &upgrade()].concat()).expect("admitted");
    let done = run(&["publish", "c", "from the tools"]);
    assert!(done.status.success(), "{done:?}");
    listener.hears("c", "from the tools");
    let done = run(&["health"]);
    assert!(done.status.success(), "{done:?}");
}

/// Whoever is named by a header can be logged, and is not believed any further.
#[test]
fn a_client_behind_a_header_cannot_speak_for_others_unless_it_is_trusted_itself() {
    let server = listening(
        "[proxy]\ntrusted = [\"127.0.0.1\", \"198.51.100.0/24\"]\n[log]\nlevel = \"debug\"",
    );
    let request =
        Request::upgrade_with(&grant(&["c"], &[])).header("X-Forwarded-For", "203.0.113.9");
    let open = |client: &str| {
        let header = format!("PROXY TCP4 {client} 198.51.100.1 4711 80\r\n");
        Client::open_on(connect(server.address()), &[header.as_bytes(), &request.bytes()].concat())
            .expect("admitted")
    };
    let _stranger = open("192.0.2.7");
    was_opened_by(&server, "192.0.2.7:4711");
    let _proxy = open("198.51.100.9");
    was_opened_by(&server, "203.0.113.9");
}
