//! Workers of an application of the test's own, and clients that block.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use crate::auth::{Algorithm, Claims, sign};
use crate::config::Config;
use crate::connection::Settings;
use crate::connection::client_frame::masked;
use crate::connection::relay::Relay;
use crate::connection::socket::AcceptedSocket;
use crate::connection::survey::Selection;
use crate::connection::{Application, Peer};
use crate::http::Newcomer;
use crate::http::front::Shared;
use crate::http::inquiry::Inquiry;
use crate::http::rules::Rules;
use crate::worker::workers::{Broken, NewApplication, Workers};

/// The longest that a healthy worker may take for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// What philote itself does.
pub(super) fn relay() -> Box<dyn Application> {
    Box::<Relay>::default()
}

/// Workers that run.
pub(super) struct Rig {
    pub(super) workers: Workers,
    pub(super) broken: Broken,
    pub(super) shared: Arc<Shared>,
    runtime: tokio::runtime::Runtime,
}

impl Rig {
    /// So many workers with the settings of `config`, its empty secret in force.
    pub(super) fn start(count: usize, config: &Config, application: NewApplication) -> Rig {
        let shared = Arc::new(Shared::new(count));
        shared.pending.set_most(config.limits.max_pending);
        let rules = Arc::new(Rules::from(config));
        let (workers, broken) =
            Workers::start(&shared, &rules, &Settings::from(config), application).expect("threads");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Rig { workers, broken, shared, runtime: runtime.expect("a runtime") }
    }

    /// A socket that the next worker in turn serves.
    pub(super) fn connect(&self) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        theirs.set_nonblocking(true).expect("non-blocking");
        ours.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        ours.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        let newcomer = Newcomer::plain(AcceptedSocket::Unix(theirs), Peer::Unix);
        self.runtime.block_on(self.workers.accept(newcomer));
        ours
    }

    /// A connection that may read and write these channels.
    pub(super) fn open(&self, read: &[&str], write: &[&str]) -> Client {
        let mut socket = self.connect();
        socket.write_all(&handshake(read, write)).expect("taken");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            assert_eq!(socket.read(&mut byte).expect("in time"), 1, "it ended in its handshake");
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        Client { socket, unread: Vec::new() }
    }

    /// Has an administrator close every connection but the one that has been open longest.
    pub(super) fn close_all_but_the_first(&self) {
        self.runtime.block_on(async {
            let everyone = self.workers.everyone();
            let selection = Arc::new(Selection { limit: usize::MAX, ..Selection::default() });
            let ask = |answer| Inquiry::Connections(selection.clone(), answer);
            let parts = everyone.ask_all(ask).await.expect("listed");
            let views: Vec<_> = parts.into_iter().flat_map(|part| part.found).collect();
            let first = views.iter().min_by_key(|view| view.since).expect("some").id;
            for view in views.iter().filter(|view| view.id != first) {
                let closed = everyone.ask_all(|answer| Inquiry::Close(view.id, answer)).await;
                assert!(closed.expect("answered").contains(&true));
            }
        });
    }

    /// The worker that is reported as broken.
    pub(super) fn breaks(&mut self) -> Option<u8> {
        let Rig { runtime, broken, .. } = self;
        runtime.block_on(async {
            let told = tokio::time::timeout(PATIENCE, broken.wait()).await.expect("told in time");
            told.map(|worker| worker.0)
        })
    }
}

/// A request for an upgrade, with a token that grants these.
pub(super) fn handshake(read: &[&str], write: &[&str]) -> Vec<u8> {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let claims = Claims { read: owned(read), write: owned(write), ..Claims::default() };
    let token = sign(&claims, b"", Algorithm::Hs256).expect("signed");
    format!(
        "GET /?auth={token} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes()
}

/// A frame of a client, masked with zeros.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    masked(first, payload, [0; 4])
}

/// The frame of a publish.
pub(super) fn publish(channel: &str, data: &str) -> Vec<u8> {
    frame(0x81, format!(r#"{{"channel":"{channel}","data":"{data}"}}"#).as_bytes())
}

/// A connection after its upgrade.
pub(super) struct Client {
    pub(super) socket: UnixStream,
    unread: Vec<u8>,
}

impl Client {
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("taken");
    }

    /// The next frame: its first byte and its payload. None at the end of the stream.
    pub(super) fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some(frame) = self.cut() {
                return Some(frame);
            }
            let mut bytes = [0; 4096];
            match self.socket.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.unread.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing came: {error}"),
            }
        }
    }

    fn cut(&mut self) -> Option<(u8, Vec<u8>)> {
        let (header, length) = match *self.unread.get(1)? {
            126 => (4, usize::from(u16::from_be_bytes(*self.unread[2..].first_chunk()?))),
            127 => (10, u64::from_be_bytes(*self.unread[2..].first_chunk()?) as usize),
            short => (2, usize::from(short)),
        };
        if self.unread.len() < header + length {
            return None;
        }
        let rest = self.unread.split_off(header + length);
        let frame = std::mem::replace(&mut self.unread, rest);
        Some((frame[0], frame[header..].to_vec()))
    }

    /// The data of the next delivery.
    pub(super) fn hears(&mut self) -> String {
        let (first, payload) = self.frame().expect("a delivery before the end");
        assert_eq!(first, 0x81, "{payload:?}");
        let json: serde_json::Value = serde_json::from_slice(&payload).expect("JSON");
        json["data"].as_str().unwrap_or_default().to_owned()
    }

    /// The code of the Close that comes next; it is answered, and the stream ends.
    pub(super) fn closed(&mut self) -> u16 {
        let (first, payload) = self.frame().expect("a Close before the end");
        assert_eq!(first, 0x88, "{payload:?}");
        // It may be gone already.
        let _ = self.socket.write_all(&frame(0x88, &payload[..2]));
        assert_eq!(self.frame(), None, "nothing comes after a Close");
        u16::from_be_bytes(*payload.first_chunk().expect("a code"))
    }
}
