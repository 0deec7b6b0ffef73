//! What a connection costs in memory, by a counting allocator: the bill, held against its bound.
//!
//! Live bytes of the heap, so no page, stack or kernel buffer is in it. The clients are bare sockets of this
//! process, which own no heap. In a binary of its own, since whatever else runs in the process is counted.
#![allow(unsafe_code, reason = "an allocator that counts can only be written so")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use philote::auth::{Algorithm, Claims, sign};
use philote::config::Config;
use philote::connection::Peer;
use philote::connection::Settings;
use philote::connection::relay::Relay;
use philote::connection::socket::AcceptedSocket;
use philote::http::Newcomer;
use philote::http::front::Shared;
use philote::http::rules::Rules;
use philote::worker::Workers;

/// What a connection may cost, in bytes. 2.12 KiB of pages were measured for the bare shape, 1.6 KiB of them heap.
const BOUND: isize = 2_000;
/// No connection needs so much in one piece while nothing is under way.
const LARGE: usize = 4 * 1024;
/// How many there are.
const CONNECTIONS: usize = 1_000;

/// Counts what is alive.
struct Counting;

static BYTES: AtomicIsize = AtomicIsize::new(0);
static LARGE_PIECES: AtomicIsize = AtomicIsize::new(0);

fn count(layout: Layout, sign: isize) {
    BYTES.fetch_add(sign * layout.size() as isize, Relaxed);
    if layout.size() > LARGE {
        LARGE_PIECES.fetch_add(sign, Relaxed);
    }
}

// SAFETY: everything is the system allocator's; the figures beside it touch no memory that is handed out.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout, 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout, -1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The bill so far.
#[derive(Clone, Copy)]
struct Bill {
    bytes: isize,
    large: isize,
}

impl Bill {
    fn now() -> Bill {
        Bill { bytes: BYTES.load(Relaxed), large: LARGE_PIECES.load(Relaxed) }
    }

    /// Waits until `connections` more than at this bill cost no more than they may.
    #[track_caller]
    fn holds(self, what: &str, connections: usize) {
        let begun = Instant::now();
        loop {
            let now = Bill::now();
            let each = (now.bytes - self.bytes) / connections as isize;
            // A few belong to all: tables that grow, pools.
            let large = now.large - self.large;
            if each <= BOUND && large <= connections as isize / 50 {
                let line = format!("{what}: {each} bytes a connection, {large} large pieces\n");
                let _ = std::io::stderr().write_all(line.as_bytes());
                return;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "{what}: {each} bytes a connection, {BOUND} are allowed; {large} pieces of more \
                 than {LARGE} bytes"
            );
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

/// A server in this process.
struct Server {
    workers: Workers,
    shared: Arc<Shared>,
    runtime: tokio::runtime::Runtime,
}

impl Server {
    fn start() -> Server {
        let mut config = Config::default();
        config.limits.max_connections = 4 * CONNECTIONS;
        config.limits.max_pending = CONNECTIONS;
        let shared = Arc::new(Shared::new(2));
        shared.pending.set_most(config.limits.max_pending);
        let rules = Arc::new(Rules::from(&config));
        let settings = Settings::from(&config);
        let (workers, _) = Workers::start(&shared, &rules, &settings, || Box::<Relay>::default())
            .expect("threads");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Server { workers, shared, runtime: runtime.expect("a runtime") }
    }

    /// A connection that reads and writes a channel.
    fn open(&self, channel: &str) -> UnixStream {
        let (mut ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        theirs.set_nonblocking(true).expect("non-blocking");
        ours.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        let accept = self.workers.accept(Newcomer::plain(AcceptedSocket::Unix(theirs), Peer::Unix));
        self.runtime.block_on(accept);
        let names = vec![channel.to_owned()];
        let claims = Claims { read: names.clone(), write: names, ..Claims::default() };
        let token = sign(&claims, b"", Algorithm::Hs256).expect("signed");
        let request = format!(
            "GET /?auth={token} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        ours.write_all(request.as_bytes()).expect("taken");
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            ours.read_exact(&mut byte).expect("a whole answer");
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        ours
    }

    fn until_open(&self, count: u64) {
        let begun = Instant::now();
        while self.shared.sum(|counters| counters.connections.get()) != count {
            assert!(begun.elapsed() < Duration::from_secs(20), "never {count} connections");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

/// The frame of a publish, masked with zeros.
fn publish(channel: &str, length: usize) -> Vec<u8> {
    let text = format!(r#"{{"channel":"{channel}","data":"{}"}}"#, "x".repeat(length));
    let mut frame = vec![0x81, 0xff];
    frame.extend_from_slice(&(text.len() as u64).to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// Reads away so many bytes.
fn skip(socket: &mut UnixStream, mut bytes: usize) {
    let mut buffer = [0; 16 * 1024];
    while bytes > 0 {
        let most = bytes.min(buffer.len());
        bytes -= socket.read(&mut buffer[..most]).expect("in time");
    }
}

/// A ping, which is answered when all before it has been taken in.
fn round_trip(socket: &mut UnixStream) {
    socket.write_all(&[0x89, 0x80, 0, 0, 0, 0]).expect("taken");
    let mut pong = [0; 2];
    socket.read_exact(&mut pong).expect("answered");
    assert_eq!(pong, [0x8a, 0]);
}

fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// One test, since all of them count the same heap.
#[test]
fn a_connection_costs_no_more_than_its_bill_whatever_it_has_done() {
    raise_descriptor_limit();
    let server = Server::start();
    // What all share is there before: pools, buffers, tables.
    let mut warm: Vec<_> = (0..10).map(|n| server.open(&format!("warm {n}"))).collect();
    warm.iter_mut().for_each(round_trip);
    drop(warm);
    server.until_open(0);

    let mut costs_of_all = Vec::new();
    for round in 0..3 {
        let empty = Bill::now();
        let mut own: Vec<_> =
            (0..CONNECTIONS).map(|n| server.open(&format!("channel {n}"))).collect();
        empty.holds("each with a channel of its own", CONNECTIONS);
        own.iter_mut().for_each(round_trip);
        empty.holds("after a ping", CONNECTIONS);
        if round == 0 {
            for (n, socket) in own.iter_mut().enumerate().take(100) {
                socket.write_all(&publish(&format!("channel {n}"), 900_000)).expect("taken");
                round_trip(socket);
            }
            empty.holds("after messages of 900 KB", CONNECTIONS);
            for (n, socket) in own.iter_mut().enumerate() {
                let name = format!("channel {n}");
                socket.write_all(&publish(&name, 10).repeat(100)).expect("taken");
                round_trip(socket);
            }
            empty.holds("after bursts", CONNECTIONS);
        }
        drop(own);
        server.until_open(0);

        let empty = Bill::now();
        let mut shared: Vec<_> = (0..CONNECTIONS).map(|_| server.open("shared")).collect();
        empty.holds("all with one channel", CONNECTIONS);
        let burst = 50;
        shared[0].write_all(&publish("shared", 200).repeat(burst)).expect("taken");
        // {"issuer":"...36...","channel":"shared","data":"...200..."} behind a header of four bytes.
        let delivery = 4 + 11 + 36 + 1 + 1 + 18 + 1 + 7 + 202 + 1;
        for socket in &mut shared[1..] {
            skip(socket, burst * delivery);
        }
        shared.iter_mut().for_each(round_trip);
        empty.holds("after a burst to all of them", CONNECTIONS);
        drop(shared);
        server.until_open(0);
        costs_of_all.push(Bill::now().bytes);
    }
    // Tables keep their size; nothing else stays of those that went.
    let [_, second, third] = costs_of_all[..] else { panic!("three rounds") };
    assert!(third - second < 16 * 1024, "{} bytes more a round", third - second);
}
