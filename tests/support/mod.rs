//! What the tests of the real binary stand on: a server process that is started, awaited and
//! stopped; a raw client that can say anything, right or wrong; tokens; tools that may be missing.
//!
//! It shares no protocol code with the server, so that a fault in the server's libraries cannot
//! hide itself. Every wait in it has an end.

pub(crate) mod client;
pub(crate) mod dir;
pub(crate) mod family;
pub(crate) mod frame;
pub(crate) mod group;
pub(crate) mod http;
pub(crate) mod network;
pub(crate) mod private_key;
pub(crate) mod required;
pub(crate) mod server;
pub(crate) mod stuck;
pub(crate) mod tls;
pub(crate) mod token;
pub(crate) mod tools;
pub(crate) mod watch;

use std::time::{Duration, Instant};

/// The longest that anything may take which a healthy server does at once. Long, since the
/// machine may be busy; a test that passes never waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Asks again and again until the answer is yes, and fails after `PATIENCE`.
///
/// For states that nothing announces (a count in `/api/info`, a figure under `/proc`).
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    until_within(PATIENCE, what, &mut holds);
}

/// [`until`], with a limit of its own. Answers how long it took.
pub(crate) fn until_within(
    limit: Duration,
    what: &str,
    mut holds: impl FnMut() -> bool,
) -> Duration {
    let begun = Instant::now();
    loop {
        if holds() {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Whether the server has ended this connection, on which it has nothing to say.
pub(crate) fn has_ended(stream: &std::net::TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket that does not block");
    let peeked = stream.peek(&mut [0; 1]);
    stream.set_nonblocking(false).expect("a socket that blocks");
    match peeked {
        Ok(_) => true,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}
