//! What comes before a WebSocket and beside it. An input is one of:
//!
//! - `r` BYTES: a client's bytes on a new socket, up to its requests' answers; `R` the same in two pieces.
//! - `q` BYTES: the same on a listener that wants the PROXY protocol first.
//! - `p` BYTES: the header of the PROXY protocol alone.
//! - `f` SENDER VALUES: the header that a proxy forwards clients in, a value a line.
//! - `b` TEXT, `l` TEXT: the body of a publish, as JSON and as lines of JSON.

#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::LazyLock;
use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use philote::config::{self, Config, FileContent, LoadOptions, ReadError, Sources};
use philote::connection::Peer;
use philote::fuzzing::{self, Item};
use philote::http::forwarding::Forwarding;
use philote_fuzz::server::{self, Server};
use philote_fuzz::{SECRET, TOKEN, frames, json};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use uuid::Uuid;

/// More than anything takes that a client waits for, in the time of the runtime.
const PATIENCE: Duration = Duration::from_secs(600);

fuzz_target!(|data: &[u8]| {
    match data.split_first() {
        Some((b'r', bytes)) => requests(bytes, false, bytes.len()),
        Some((b'R', bytes)) => requests(bytes, false, bytes.len() / 2),
        Some((b'q', bytes)) => requests(bytes, true, bytes.len()),
        Some((b'p', bytes)) => proxy_header(bytes),
        Some((b'f', rest)) => forwarded(rest),
        Some((b'b', body)) => publish_body(body, false),
        Some((b'l', body)) => publish_body(body, true),
        _ => {}
    }
});

// ---- whole requests

/// A configuration that trusts these proxies.
struct Trusting(&'static str);

impl Sources for Trusting {
    fn read(&self, _: &std::path::Path, _: usize) -> Result<FileContent, ReadError> {
        Err(ReadError::Absent)
    }

    fn environment(&self) -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
        vec![("PHILOTE_PROXY_TRUSTED".into(), self.0.into())]
    }

    fn machine_memory(&self) -> Option<u64> {
        None
    }

    fn parallelism(&self) -> std::num::NonZeroUsize {
        std::num::NonZeroUsize::MIN
    }
}

const TRUSTED: &str = "10.0.0.0/8, 2001:db8::/32, unix";

static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let trusting = config::load(&Trusting(TRUSTED), &LoadOptions::default()).expect("good");
    Config { proxy: trusting.config.proxy, ..server::config() }
});

fn requests(bytes: &[u8], proxied: bool, first: usize) {
    server::run(async {
        let server = Server::start(1, &CONFIG);
        let socket = server.connect(Peer::Unix, proxied).await;
        let mut socket = UnixStream::from_std(socket).expect("registered");
        let said = talk(&server, &mut socket, bytes.split_at(first)).await;
        drop(socket);
        server.is_empty_in_the_end().await;
        answers(&said, bytes);
    });
}

/// Says both pieces, and everything that comes back.
async fn talk(server: &Server, socket: &mut UnixStream, pieces: (&[u8], &[u8])) -> Vec<u8> {
    let mut said = Vec::new();
    // Whoever has been refused may find nobody there any more.
    let _ = socket.write_all(pieces.0).await;
    if !pieces.1.is_empty() {
        server.turn().await;
        let _ = socket.write_all(pieces.1).await;
    }
    let mut is_upgraded = false;
    loop {
        let mut piece = [0; 4096];
        let read = tokio::time::timeout(PATIENCE, socket.read(&mut piece)).await;
        match read.expect("every wait for a peer has an end") {
            Ok(0) | Err(_) => return said,
            Ok(count) => said.extend_from_slice(&piece[..count]),
        }
        // A connection stays as long as its peer does.
        if !is_upgraded && said.windows(12).any(|window| window == b"HTTP/1.1 101") {
            is_upgraded = true;
            server.turn().await;
            let _ = socket.shutdown().await;
        }
    }
}

/// What was said is answers, one behind the other, then perhaps frames.
fn answers(said: &[u8], asked: &[u8]) {
    let holds = |hidden: &str| said.windows(hidden.len()).any(|window| window == hidden.as_bytes());
    assert!(!holds(SECRET), "the secret");
    let (_, signature) = TOKEN.rsplit_once('.').expect("three parts");
    assert!(!holds(signature), "a token");
    let mut rest = said;
    while !rest.is_empty() {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut answer = httparse::Response::new(&mut headers);
        let length = match answer.parse(rest).expect("an answer") {
            httparse::Status::Complete(length) => length,
            httparse::Status::Partial => panic!("half an answer"),
        };
        let code = answer.code.expect("a status");
        const KNOWN: &[u16] = &[
            100, 101, 200, 400, 401, 403, 404, 405, 408, 413, 414, 415, 417, 426, 429, 431, 503,
            505,
        ];
        assert!(KNOWN.contains(&code), "status {code}");
        let header = |name: &str| {
            let found = answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            found.map(|header| std::str::from_utf8(header.value).expect("ASCII"))
        };
        let body = header("content-length").map_or(0, |text| text.parse().expect("a number"));
        if matches!(code, 401 | 405 | 426 | 429 | 503) {
            let beside = match code {
                401 => "www-authenticate",
                405 => "allow",
                426 => "sec-websocket-version",
                _ => "retry-after",
            };
            assert!(header(beside).is_some(), "{code} without {beside}");
        }
        if code == 426 {
            assert_eq!(
                (header("upgrade"), header("connection")),
                (Some("websocket"), Some("Upgrade"))
            );
        }
        // An informational answer needs none (RFC 9110, 6.6.1).
        assert!(code == 100 || header("date").is_some(), "{code} without a date");
        rest = &rest[length..];
        match code {
            101 => {
                assert!(names_token(asked), "nobody has shown a token");
                return only_frames(rest);
            }
            100 => {}
            // An answer to HEAD has the length of what it leaves out.
            _ if asked.windows(4).any(|window| window == b"HEAD") => return,
            _ => rest = rest.get(body..).expect("a whole body"),
        }
    }
}

/// Whether the good token stands in what was asked, percent-encoded or not.
fn names_token(asked: &[u8]) -> bool {
    let plain = |bytes: &[u8]| bytes.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes());
    plain(asked) || {
        let decoded = form_urlencoded::parse(asked).flat_map(|(name, value)| [name, value]);
        decoded.into_iter().any(|text| plain(text.as_bytes()))
            || asked
                .split(|byte| matches!(byte, b'?' | b'&' | b' '))
                .flat_map(form_urlencoded::parse)
                .any(|(name, value)| plain(name.as_bytes()) || plain(value.as_bytes()))
    }
}

fn only_frames(mut said: &[u8]) {
    while let Some((first, payload, length)) = frames::first(said) {
        assert!(matches!(first, 0x81 | 0x88 | 0x89 | 0x8a), "{first:x}");
        assert!(first != 0x88 || length == said.len(), "nothing comes behind a Close");
        assert!(first & 8 == 0 || payload.len() <= 125);
        said = &said[length..];
    }
    assert!(said.is_empty(), "half a frame");
}

// ---- the PROXY protocol

/// How much of it is looked at, and has to be enough.
const ENOUGH: usize = 107;

fn proxy_header(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(ENOUGH)];
    let decided = fuzzing::proxy_header(bytes);
    // More bytes never change what has been decided, and it is decided in time.
    let mut first = None;
    for end in 0..=bytes.len() {
        let now = fuzzing::proxy_header(&bytes[..end]);
        if let Some(before) = first {
            assert_eq!(Some(before), now, "at {end}");
        }
        first = now;
    }
    assert!(bytes.len() < ENOUGH || decided.is_some(), "it could wait for ever");
    let Some(Ok((length, client))) = decided else { return };
    assert!((8..=16 + 4096).contains(&length));
    if bytes.starts_with(b"PROXY ") {
        let line = std::str::from_utf8(&bytes[..length]).expect("a line");
        let line = line.strip_suffix("\r\n").expect("with its end");
        let words: Vec<&str> = line.split(' ').collect();
        let named =
            |source: Result<IpAddr, _>| SocketAddr::new(source.expect(line), port(words[4]));
        match words[1] {
            "UNKNOWN" => assert_eq!(client, None),
            "TCP4" => assert_eq!(client, Some(named(words[2].parse().map(IpAddr::V4)))),
            "TCP6" => assert_eq!(client, Some(named(words[2].parse().map(IpAddr::V6)))),
            other => panic!("{other}"),
        }
    } else {
        assert!(bytes.starts_with(b"\r\n\r\n\0\r\nQUIT\n"));
        assert_eq!(length, 16 + usize::from(u16::from_be_bytes([bytes[14], bytes[15]])));
        let port = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let expected = match (bytes[12], bytes[13]) {
            (0x21, 0x11) => {
                let source: [u8; 4] = bytes[16..20].try_into().expect("four");
                Some(SocketAddr::new(Ipv4Addr::from(source).into(), port(24)))
            }
            (0x21, 0x21) => {
                let source: [u8; 16] = bytes[16..32].try_into().expect("sixteen");
                Some(SocketAddr::new(Ipv6Addr::from(source).into(), port(48)))
            }
            (0x20, _) | (0x21, 0x00 | 0x31) => None,
            other => panic!("{other:?}"),
        };
        assert_eq!(client, expected);
    }
}

fn port(text: &str) -> u16 {
    text.parse().expect("a port")
}

// ---- forwarded clients

fn forwarded(rest: &[u8]) {
    let Some((sender, values)) = rest.split_first() else { return };
    let sender: Peer = match sender {
        b'u' => Peer::Unix,
        b't' => SocketAddr::from(([10, 0, 0, 1], 1)).into(),
        b'6' => SocketAddr::new("2001:db8::1".parse().expect("an address"), 1).into(),
        _ => SocketAddr::from(([203, 0, 113, 9], 1)).into(),
    };
    let forwarding = Forwarding::from(&CONFIG.proxy);
    let name: HeaderName = CONFIG.proxy.header.parse().expect("a name");
    let mut headers = HeaderMap::new();
    for value in values.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name.clone(), value);
        }
    }
    let client = fuzzing::client_of(&forwarding, sender, &headers);
    if !is_trusted(sender) {
        assert_eq!(client, sender, "whoever is not trusted speaks for itself");
        return;
    }
    // What a client puts in front changes nothing for whoever has been found not to be trusted.
    if !is_trusted(client) {
        for lie in ["203.0.113.77", "10.0.0.7", "unix", "", ","] {
            let mut with_lie = HeaderMap::new();
            with_lie.append(name.clone(), HeaderValue::from_static(lie));
            headers.get_all(&name).iter().for_each(|value| {
                with_lie.append(name.clone(), value.clone());
            });
            assert_eq!(fuzzing::client_of(&forwarding, sender, &with_lie), client, "{lie}");
        }
    }
    if client != sender {
        let text: Vec<&[u8]> = headers.get_all(&name).iter().map(HeaderValue::as_bytes).collect();
        let text = text.join(&b","[..]);
        let elements = text.rsplit(|byte| *byte == b',').map(String::from_utf8_lossy);
        let mut named = elements.map(|element| named_in(&element));
        let found = named.position(|named| named == client.ip());
        assert!(found.is_some(), "{client} is nowhere in {:?}", String::from_utf8_lossy(&text));
    }
}

/// The address that an element of the list holds, however it is written.
fn named_in(element: &str) -> Option<IpAddr> {
    let element = element.trim_matches([' ', '\t']);
    let bare = element.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse().or_else(|_| element.parse().map(|socket: SocketAddr| socket.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

fn is_trusted(peer: Peer) -> bool {
    match peer.ip() {
        None => true,
        Some(IpAddr::V4(address)) => address.octets()[0] == 10,
        Some(IpAddr::V6(address)) => address.segments()[..2] == [0x2001, 0xdb8],
    }
}

// ---- bodies

fn publish_body(body: &[u8], lines: bool) {
    let read = fuzzing::publish_body(body, lines);
    if let Err(Some((pointer, reason))) = &read {
        assert!(pointer.is_empty() || pointer.starts_with('/'), "{pointer}");
        assert!(!reason.is_empty());
    }
    let Ok(text) = std::str::from_utf8(body) else {
        assert!(read.is_err(), "no UTF-8");
        return;
    };
    let items: Vec<&str> = if lines {
        text.split('\n').map(json::trim).filter(|line| !line.is_empty()).collect()
    } else {
        if read.is_ok() {
            assert!(json::is_json(text), "no JSON");
        }
        match serde_json::from_str::<Vec<&serde_json::value::RawValue>>(text) {
            Ok(items) => items.into_iter().map(|item| item.get()).collect(),
            Err(_) => vec![json::trim(text)],
        }
    };
    match read {
        Ok(read) => {
            assert_eq!(read.len(), items.len());
            for (read, text) in read.iter().zip(items) {
                assert!(json::is_object(text), "no JSON object: {text}");
                assert_eq!(read.length, text.len());
                if let Some(members) = json::Members::of(text) {
                    assert_eq!(expected(&members), Some(owned(read)));
                }
            }
        }
        Err(fault) => {
            let members: Option<Vec<_>> = items.into_iter().map(json::Members::of).collect();
            let fine = members.is_some_and(|all| all.iter().all(|one| expected(one).is_some()));
            assert!(!fine, "{fault:?}");
        }
    }
}

type Owned = (String, String, Option<Uuid>);

fn owned(item: &Item<'_>) -> Owned {
    let data = match item.data {
        "" => String::new(),
        literal => serde_json::from_str(literal).expect("a string literal"),
    };
    (item.channel.clone().into_owned(), data, item.exclude)
}

/// The contract: three members, each once, nothing else.
fn expected(members: &json::Members) -> Option<Owned> {
    let known = ["channel", "data", "exclude"];
    let is_strict = members
        .0
        .iter()
        .all(|(name, _)| known.contains(&&**name) && members.named(name).len() == 1);
    is_strict.then_some(())?;
    let text = |name| match members.named(name)[..] {
        [] | [Value::Null] => Some(""),
        [Value::String(text)] => Some(&**text),
        _ => None,
    };
    let [Value::String(channel)] = members.named("channel")[..] else { return None };
    let exclude = match text("exclude")? {
        "" => None,
        id => Some(Uuid::try_parse(id).ok()?),
    };
    Some((channel.clone(), text("data")?.to_owned(), exclude))
}
