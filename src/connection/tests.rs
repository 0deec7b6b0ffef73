//! Connections over socket pairs in one thread, whose turns the test itself ends.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio::runtime::{Builder, LocalOptions};

use super::Settings;
use super::relay::Relay;
use super::socket::{AcceptedSocket, Socket};
use super::*;
use crate::config::{Config, SlowConsumer};
use crate::counters::Counters;
use crate::hub::Hub;
use crate::hub::mail::WorkerId;
use crate::hub::placement::Placement;
use crate::protocol::Publish;
use uuid::Uuid;

/// The connections of one worker.
pub(super) struct Alone {
    pub(super) all: Rc<Connections>,
    taken: Arc<AtomicUsize>,
}

impl Alone {
    pub(super) fn new(config: &Config) -> Alone {
        Alone::of(1, config)
    }

    /// The first of so many workers, of which the others say nothing.
    pub(super) fn of(workers: usize, config: &Config) -> Alone {
        Alone::with(workers, config, Box::<Relay>::default())
    }

    /// The same with an application of the test's own.
    pub(super) fn with(
        workers: usize,
        config: &Config,
        application: Box<dyn Application>,
    ) -> Alone {
        let counters: Arc<[Arc<Counters>]> = (0..workers).map(|_| Arc::default()).collect();
        let hub = Hub::new(WorkerId(0), Placement::new(workers));
        let hub = hub.counting(counters[0].held.clone());
        let settings = Settings::from(config);
        let all = Connections::new(hub, WorkerId(0), counters, settings, application);
        Alone { all, taken: Arc::default() }
    }

    pub(super) fn reserve(&self, read: &[&str], write: &[&str]) -> Reservation {
        let boxed = |names: &[&str]| names.iter().map(|&name| name.into()).collect::<Vec<_>>();
        Reservation::new(&self.all, &boxed(read), &boxed(write))
    }

    pub(super) fn identity(&self) -> Identity {
        Identity {
            id: Uuid::new_v4(),
            peer: Peer::Unix,
            subject: None,
            key: None,
            closes_at: None,
            place: self.place(),
        }
    }

    pub(super) fn place(&self) -> Place {
        Place::take(&self.taken, 10).expect("room")
    }

    pub(super) fn publish(&self, by: &Reservation, channel: &str, data: &str) {
        let data = format!("\"{data}\"");
        let message = Publish { channel: channel.into(), data: data.as_bytes() };
        self.all.change_hub(|hub| hub.publish(by.key(), "i", &message)).expect("granted");
        self.end_turn();
    }

    pub(super) fn end_turn(&self) {
        self.all.settle();
        self.all.flush(&mut Vec::new());
    }
}

/// A socket of a connection, and its peer's.
pub(super) fn sockets() -> (Socket, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    theirs.set_nonblocking(true).expect("non-blocking");
    let socket = Socket::from_accepted(AcceptedSocket::Unix(theirs)).expect("registered");
    ours.set_nonblocking(true).expect("non-blocking");
    (socket, ours)
}

/// The same over TCP, with little room in the kernel.
pub(super) fn tcp_sockets() -> (Socket, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let ours = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    let (theirs, _) = listener.accept().expect("accepted");
    socket2::SockRef::from(&theirs).set_send_buffer_size(64 * 1024).expect("set");
    theirs.set_nonblocking(true).expect("non-blocking");
    let socket = Socket::from_accepted(AcceptedSocket::Tcp(theirs)).expect("registered");
    ours.set_nonblocking(true).expect("non-blocking");
    (socket, ours)
}

/// Turns enough for whatever can happen now: the runtime looks at its sockets once in 61 of them.
pub(super) async fn turns(alone: &Alone) {
    for _ in 0..100 {
        tokio::task::yield_now().await;
        alone.end_turn();
    }
}

/// What the peer reads until `all` says that it is all.
pub(super) async fn reads(
    alone: &Alone,
    mut peer: impl Read,
    all: impl Fn(&[u8]) -> bool,
) -> Vec<u8> {
    let begun = Instant::now();
    let mut everything = Vec::new();
    while !all(&everything) {
        turns(alone).await;
        // It ends with an error where nothing comes for now.
        let _ = peer.read_to_end(&mut everything);
        assert!(begun.elapsed().as_secs() < 20, "{} bytes came", everything.len());
    }
    everything
}

pub(super) fn run_local(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    runtime.expect("a runtime").block_on(test);
}

#[test]
fn a_peer_that_takes_its_time_over_its_101_is_bounded_like_a_slow_consumer() {
    let mut config = Config::default();
    config.limits.outbound_queue = 10_000;
    for policy in [SlowConsumer::Disconnect, SlowConsumer::Drop] {
        config.websocket.slow_consumer = policy;
        run_local(async {
            let alone = Alone::new(&config);
            let publisher = alone.reserve(&[], &["c"]);
            let late = alone.reserve(&["c"], &[]);
            // Sixteen times the bound and then some: within its moment of grace.
            for number in 0..400 {
                alone.publish(&publisher, "c", &format!("{number:01000}"));
                assert!(alone.all.counters.queued.get() < 163_000, "at {number}");
            }
            let (socket, peer) = sockets();
            late.attach(alone.identity(), socket, &[]);
            let heard = reads(&alone, &peer, |heard| heard.len() > 4).await;
            match policy {
                SlowConsumer::Disconnect => {
                    assert_eq!(heard[..4], CloseReason::SlowConsumer.frame()[..4]);
                    assert_eq!(alone.all.counters.slow_consumers.get(), 1);
                    assert!(alone.all.counters.dropped.get() > 100);
                }
                SlowConsumer::Drop => {
                    assert!(heard.len() > 9_000 && alone.all.counters.dropped.get() > 80);
                    alone.publish(&publisher, "c", "the newest");
                    let newest = |heard: &[u8]| heard.ends_with(b"\"the newest\"}");
                    reads(&alone, &peer, newest).await;
                }
            }
        });
    }
}

#[test]
fn of_all_queues_together_that_of_a_peer_which_does_not_take_its_101_may_be_the_longest() {
    let mut config = Config::default();
    config.limits.total_queue = 100_000;
    run_local(async {
        let alone = Alone::new(&config);
        let publisher = alone.reserve(&[], &["c"]);
        let late = alone.reserve(&["c"], &[]);
        let (socket, mut peer) = sockets();
        let reader = alone.reserve(&["c"], &[]).attach(alone.identity(), socket, &[]);
        turns(&alone).await;
        let mut heard = Vec::new();
        for number in 0..400 {
            alone.publish(&publisher, "c", &format!("{number:01000}"));
            tokio::task::yield_now().await;
            alone.end_turn();
            let _ = peer.read_to_end(&mut heard);
            assert!(alone.all.counters.held.bytes() < 110_000, "at {number}");
        }
        assert!(reader.is_open() && heard.len() > 400_000, "{} bytes", heard.len());
        assert_eq!(alone.all.counters.slow_consumers.get(), 1);
        let (socket, peer) = sockets();
        late.attach(alone.identity(), socket, &[]);
        let heard = reads(&alone, &peer, |heard| heard.len() > 4).await;
        assert_eq!(heard[..4], CloseReason::SlowConsumer.frame()[..4]);
    });
}
