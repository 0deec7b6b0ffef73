//! A WebSocket client on a blocking socket that sends what it is told and hides nothing that
//! comes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::frame::{CLOSE, Frame, Out, PING, PONG, TEXT};
use super::http::{ACCEPT, Request, Response, connect};

/// A connection after its upgrade.
pub(crate) struct Client {
    stream: TcpStream,
    /// What has been read; the part before `start` is spent.
    unread: Vec<u8>,
    start: usize,
}

/// What a read brought.
#[derive(Debug)]
pub(crate) enum Event {
    Frame(Frame),
    /// The connection is over, with a FIN or with a reset. What it held of a frame is dropped.
    End,
}

/// A message as subscribers get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) issuer: String,
    pub(crate) channel: String,
    pub(crate) data: String,
}

impl Client {
    /// Opens a connection, or gives the refusal.
    pub(crate) fn open(address: SocketAddr, request: &Request) -> Result<Client, Response> {
        Client::open_on(connect(address), &request.bytes())
    }

    /// The same on a socket that is there already, with whatever stands behind the request.
    pub(crate) fn open_on(mut stream: TcpStream, bytes: &[u8]) -> Result<Client, Response> {
        stream.write_all(bytes).expect("the request is taken");
        let (response, unread) = Response::read(&mut stream, "GET");
        let response = response.expect("an answer to the handshake");
        if response.status != 101 {
            return Err(response);
        }
        assert_eq!(response.header("sec-websocket-accept"), Some(ACCEPT), "{response:?}");
        assert!(
            response.header("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket")),
            "{response:?}"
        );
        assert!(
            response
                .header("connection")
                .is_some_and(|value| value.eq_ignore_ascii_case("upgrade")),
            "{response:?}"
        );
        // Neither was offered; and where a test offers one, the server knows none.
        assert_eq!(response.header("sec-websocket-extensions"), None, "{response:?}");
        assert_eq!(response.header("sec-websocket-protocol"), None, "{response:?}");
        Ok(Client { stream, unread, start: 0 })
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    // Sending.

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.try_send(bytes).expect("the server takes bytes");
    }

    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends in pieces of `size` bytes, each a segment of its own.
    pub(crate) fn trickle(&mut self, bytes: &[u8], size: usize) {
        for piece in bytes.chunks(size) {
            self.send_bytes(piece);
        }
    }

    pub(crate) fn send(&mut self, frame: &Out) {
        self.send_bytes(&frame.bytes());
    }

    pub(crate) fn send_text(&mut self, text: &str) {
        self.send(&Out::text(text));
    }

    pub(crate) fn publish(&mut self, channel: &str, data: &str) {
        self.send_text(&publish(channel, data));
    }

    /// Says that no more will be sent; what comes can still be read.
    pub(crate) fn finish_sending(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("the sending side is shut");
    }

    /// Ends the connection with a reset, as a crashed peer's kernel does.
    pub(crate) fn reset(self) {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO))
            .expect("linger is set");
    }

    // Receiving.

    /// The next frame or the end.
    pub(crate) fn event(&mut self) -> Event {
        self.event_within(PATIENCE).unwrap_or_else(|| panic!("nothing came within {PATIENCE:?}"))
    }

    /// The next frame or the end, or `None` where neither comes in time.
    pub(crate) fn event_within(&mut self, limit: Duration) -> Option<Event> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some((frame, taken)) = Frame::parse(&self.unread[self.start..]) {
                self.start += taken;
                return Some(Event::Frame(frame));
            }
            self.unread.drain(..std::mem::take(&mut self.start));
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.stream.set_read_timeout(Some(left)).expect("a read timeout");
            let mut chunk = [0; 64 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Some(Event::End),
                Ok(count) => self.unread.extend_from_slice(&chunk[..count]),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => return Some(Event::End),
                    _ => panic!("reading failed: {error}"),
                },
            }
        }
    }

    /// The next frame; the end fails the test.
    pub(crate) fn frame(&mut self) -> Frame {
        match self.event() {
            Event::Frame(frame) => frame,
            Event::End => panic!("the connection ended where a frame was expected"),
        }
    }

    /// The next message, which must be a whole text frame. Pings before it are answered.
    pub(crate) fn message(&mut self) -> String {
        loop {
            let frame = self.frame();
            match frame.opcode {
                TEXT if frame.fin => {
                    return String::from_utf8(frame.payload).expect("a text frame in UTF-8");
                }
                PING => self.send(&Out::new(PONG, frame.payload)),
                CLOSE => panic!("closed where a message was expected: {:?}", frame.close()),
                _ => panic!("neither a message nor a control frame: {frame:?}"),
            }
        }
    }

    /// The next message, taken apart.
    pub(crate) fn delivery(&mut self) -> Delivery {
        Delivery::parse(&self.message())
    }

    /// The next message is this one. Answers its issuer.
    #[track_caller]
    pub(crate) fn hears(&mut self, channel: &str, data: &str) -> String {
        let heard = self.delivery();
        assert_eq!((heard.channel.as_str(), heard.data.as_str()), (channel, data));
        heard.issuer
    }

    /// A ping goes out, and what comes next is its pong: nothing else was waiting, and all that
    /// was sent before has been read.
    pub(crate) fn round_trip(&mut self) {
        self.send(&Out::new(PING, "all read?"));
        let frame = self.frame();
        assert_eq!((frame.opcode, frame.payload.as_slice()), (PONG, &b"all read?"[..]));
    }

    /// The server closes with this code and a reason, and ends the connection once we answer.
    #[track_caller]
    pub(crate) fn closed_with(mut self, code: u16) -> String {
        let reason = self.close_frame(code);
        let _ = self.try_send(&Out::close(code, "").bytes());
        self.ends();
        reason
    }

    /// The next frame is a Close of that code with a reason in words; it is not answered.
    #[track_caller]
    pub(crate) fn close_frame(&mut self, code: u16) -> String {
        let (given, reason) = self.frame().close();
        assert_eq!(given, code, "closed with the reason {reason:?}");
        assert!(!reason.is_empty() && reason.len() <= 123, "not a reason: {reason:?}");
        reason
    }

    /// Nothing more comes but the end.
    #[track_caller]
    pub(crate) fn ends(&mut self) {
        match self.event() {
            Event::End => assert_eq!(self.unread.len(), 0, "it ended within a frame"),
            Event::Frame(frame) => panic!("the end was expected: {frame:?}"),
        }
    }

    /// All that still comes before the end.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Event::Frame(frame) = self.event() {
            frames.push(frame);
        }
        frames
    }

    /// Closes as a client should: Close 1000, its echo, the end.
    pub(crate) fn close(mut self) {
        self.send(&Out::close(1000, "done"));
        let (code, _) = self.frame().close();
        assert_eq!(code, 1000, "a Close is answered with its own code");
        self.ends();
    }
}

impl Delivery {
    /// Takes a delivery apart. A member that is missing is empty; any other member fails.
    pub(crate) fn parse(text: &str) -> Delivery {
        let value: serde_json::Value =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text:?}"));
        let members = value.as_object().unwrap_or_else(|| panic!("not an object: {text:?}"));
        for name in members.keys() {
            assert!(["issuer", "channel", "data"].contains(&name.as_str()), "{name}: {text:?}");
        }
        let member = |name: &str| match members.get(name) {
            None => String::new(),
            Some(value) => {
                let value = value.as_str().unwrap_or_else(|| panic!("not a string: {text:?}"));
                assert!(!value.is_empty(), "an empty member is left out: {text:?}");
                value.to_owned()
            }
        };
        Delivery { issuer: member("issuer"), channel: member("channel"), data: member("data") }
    }
}

/// The message that publishes `data` to `channel`.
pub(crate) fn publish(channel: &str, data: &str) -> String {
    serde_json::json!({ "channel": channel, "data": data }).to_string()
}
