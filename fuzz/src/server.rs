//! A whole server on this thread, but for its listeners: the workers, with everything from a socket's first byte on,
//! under a clock that jumps to what comes next where nothing else is to be done.

use std::future::Future;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use philote::config::{Config, Preamble};
use philote::connection::relay::Relay;
use philote::connection::socket::AcceptedSocket;
use philote::connection::{Application, Peer, Settings};
use philote::http::Newcomer;
use philote::http::front::Shared;
use philote::http::rules::Rules;
use philote::worker::{Broken, Workers};
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::yield_now;

use crate::SECRET;

/// How often a task may run before sockets are looked at: often, so that nothing is late for long.
const LOOK_AT_SOCKETS: u32 = 5;
/// Turns in which whatever can happen without time passing has happened.
const TURNS: usize = 12 * LOOK_AT_SOCKETS as usize;

/// The workers of a server.
pub struct Server {
    pub workers: Workers,
    pub shared: Arc<Shared>,
    _broken: Broken,
}

/// A configuration with [`SECRET`] and small bounds.
pub fn config() -> Config {
    let mut config = Config::default();
    config.auth.secret = SECRET.into();
    config.auth.secret_configured = true;
    config.limits.max_head_size = 8 * 1024;
    config.limits.max_message_size = 70_000;
    config.limits.outbound_queue = 64 * 1024;
    config
}

/// Runs `what` where servers can be.
pub fn run<F: Future<Output = ()>>(what: F) {
    Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .event_interval(LOOK_AT_SOCKETS)
        .build_local(LocalOptions::default())
        .expect("a runtime")
        .block_on(what);
}

fn relay() -> Box<dyn Application> {
    Box::<Relay>::default()
}

impl Server {
    /// So many workers.
    pub fn start(workers: usize, config: &Config) -> Server {
        let shared = Arc::new(Shared::new(workers));
        shared.pending.set_most(config.limits.max_pending);
        let rules = Arc::new(Rules::from(config));
        let settings = Settings::from(config);
        let (workers, _broken) = Workers::start_here(&shared, &rules, &settings, relay);
        Server { workers, shared, _broken }
    }

    /// A socket that the next worker in turn serves.
    pub async fn connect(&self, peer: Peer, proxy: bool) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        ours.set_nonblocking(true).expect("non-blocking");
        theirs.set_nonblocking(true).expect("non-blocking");
        let preamble = Preamble { proxy, ..Preamble::default() };
        let socket = AcceptedSocket::Unix(theirs);
        self.workers.accept(Newcomer { socket, peer, preamble }).await;
        ours
    }

    /// Lets everything happen that can without time passing, as far as a round of turns brings it.
    pub async fn turn(&self) {
        for _ in 0..TURNS {
            yield_now().await;
        }
    }

    /// After everybody has gone: waits as long as anybody may take for it, and holds that nothing is left over.
    pub async fn is_empty_in_the_end(&self) {
        let taken = || self.shared.taken.load(Ordering::Relaxed);
        for _ in 0..300 {
            self.turn().await;
            if taken() == 0 && self.shared.pending.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        // The figures are right at the end of a turn, of which there is one in each second.
        tokio::time::sleep(Duration::from_secs(2)).await;
        self.turn().await;
        assert_eq!(taken(), 0, "a place is left over");
        assert_eq!(self.shared.pending.len(), 0, "a socket is left over");
        assert_eq!(self.shared.requests.load(Ordering::Relaxed), 0, "a request is left over");
        for counters in &*self.shared.counters {
            assert_eq!(counters.connections.get(), 0, "a connection is left over");
            assert_eq!(counters.queued.get(), 0, "bytes are left in queues");
            assert_eq!(counters.held.bytes(), 0, "a delivery is left over");
            assert_eq!(counters.channels.get(), 0, "a channel is left over");
            assert_eq!(counters.faults.get(), 0, "a connection has ended by a fault of ours");
        }
    }
}
