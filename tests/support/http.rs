//! HTTP/1.1 by bytes: requests that say what they are told to, answers read as they come.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};

use super::PATIENCE;

/// The key of RFC 6455, 1.3, and the answer to it that the RFC gives.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A request without a body, unless one is given. Nothing is added that is not said here.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    method: String,
    target: String,
    version: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// A plain request with a `Host` and nothing else.
    pub(crate) fn new(method: &str, target: &str) -> Request {
        Request {
            method: method.into(),
            target: target.into(),
            version: "HTTP/1.1".into(),
            headers: vec![("Host".into(), "localhost".into())],
            body: Vec::new(),
        }
    }

    pub(crate) fn get(target: &str) -> Request {
        Request::new("GET", target)
    }

    /// The opening handshake as RFC 6455, 4.1 wants it.
    pub(crate) fn upgrade(target: &str) -> Request {
        Request::get(target)
            .header("Upgrade", "websocket")
            .header("Connection", "Upgrade")
            .header("Sec-WebSocket-Key", KEY)
            .header("Sec-WebSocket-Version", "13")
    }

    /// The opening handshake with a token in the header.
    pub(crate) fn upgrade_with(token: &str) -> Request {
        Request::upgrade("/").bearer(token)
    }

    pub(crate) fn bearer(self, token: &str) -> Request {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// Sets a header, in the place of one of the same name.
    pub(crate) fn header(self, name: &str, value: &str) -> Request {
        let mut request = self.without(name);
        request.headers.push((name.into(), value.into()));
        request
    }

    pub(crate) fn without(mut self, name: &str) -> Request {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    /// With a body of this media type.
    pub(crate) fn body(self, media_type: &str, body: impl Into<Vec<u8>>) -> Request {
        let body = body.into();
        let request = self
            .header("Content-Type", media_type)
            .header("Content-Length", &body.len().to_string());
        Request { body, ..request }
    }

    pub(crate) fn version(mut self, version: &str) -> Request {
        self.version = version.into();
        self
    }

    pub(crate) fn method(mut self, method: &str) -> Request {
        self.method = method.into();
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} {}\r\n", self.method, self.target, self.version);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Sends it on a connection of its own and reads the answer.
    pub(crate) fn send(&self, address: SocketAddr) -> Response {
        let mut stream = connect(address);
        stream.write_all(&self.bytes()).expect("the request is taken");
        Response::read(&mut stream, &self.method).0.expect("an answer")
    }
}

/// A port that nobody uses, on any address: below those that the kernel gives away by itself, so that no client of
/// another test has it as its own.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Tests run side by side, in one process or in several, each at its own place.
    let place = (std::process::id() as u16).wrapping_mul(16);
    let free = |port: &u16| TcpListener::bind(("::", *port)).is_ok();
    (0..2000)
        .map(|_| 10_000 + place.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000)
        .find(free)
        .expect("a port that nobody uses")
}

/// This port on 127.0.0.1.
pub(crate) fn local(port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)
}

/// A connected socket on which nothing waits for ever.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    prepare(TcpStream::connect_timeout(&address, PATIENCE).expect("the server accepts"))
}

/// The same from this address of our own.
pub(crate) fn connect_from(source: IpAddr, address: SocketAddr) -> TcpStream {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::new(source, 0).into()).expect("an address of this machine");
    socket.connect_timeout(&address.into(), PATIENCE).expect("the server accepts");
    prepare(socket.into())
}

/// The same with a kernel that keeps little of what is not read (64 KiB, which it doubles for its
/// own needs), so that it is soon the server's turn to keep it. To be set before connecting: a
/// window that shrinks later makes the kernels drop each other's acknowledgements.
pub(crate) fn connect_keeping_little(address: SocketAddr) -> TcpStream {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(64 * 1024).expect("a receive buffer");
    socket.connect_timeout(&address.into(), PATIENCE).expect("the server accepts");
    prepare(socket.into())
}

fn prepare(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a write timeout");
    stream.set_nodelay(true).expect("no delay");
    stream
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Response {
    /// Reads one answer, and gives back what came behind it. `None` where the connection ended
    /// before the head of an answer was whole.
    pub(crate) fn read(stream: &mut TcpStream, method: &str) -> (Option<Response>, Vec<u8>) {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(bytes.len() < 0x1_0000, "a head without an end");
            if !more(stream, &mut bytes) {
                return (None, bytes);
            }
        };
        let mut behind = bytes.split_off(end);
        let head = String::from_utf8(bytes).expect("a head in UTF-8");
        let mut lines = head.trim_end().split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.strip_prefix("HTTP/1.1 ").or(line.strip_prefix("HTTP/1.0 ")))
            .and_then(|line| line.get(..3)?.parse().ok())
            .unwrap_or_else(|| panic!("not an answer: {head:?}"));
        let headers = lines
            .map(|line| line.split_once(':').unwrap_or_else(|| panic!("not a header: {line:?}")))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut response = Response { status, headers, body: String::new() };
        if status == 101 || method == "HEAD" {
            return (Some(response), behind);
        }
        assert_eq!(response.header("transfer-encoding"), None, "{response:?}");
        let wanted = response
            .header("content-length")
            .map(|length| length.parse::<usize>().expect("a Content-Length that is a number"));
        while wanted.is_none_or(|wanted| behind.len() < wanted) {
            if !more(stream, &mut behind) {
                assert_eq!(wanted, None, "the connection ended within a body");
                break;
            }
        }
        let rest = behind.split_off(wanted.unwrap_or(behind.len()));
        response.body = String::from_utf8(behind).expect("a body in UTF-8");
        (Some(response), rest)
    }

    /// The value of the only header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert_eq!(found.next(), None, "{name} stands twice: {self:?}");
        value
    }
}

/// Reads once. False where the connection has ended.
fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> bool {
    let mut chunk = [0; 16 * 1024];
    match stream.read(&mut chunk) {
        Ok(0) => false,
        Ok(count) => {
            bytes.extend_from_slice(&chunk[..count]);
            true
        }
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
        Err(error) => panic!("no answer: {error}; so far {:?}", String::from_utf8_lossy(bytes)),
    }
}
