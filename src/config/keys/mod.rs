//! Owns the table of all keys, in the order in which they are shown. Adding a key is adding an
//! entry to its section's file. Comments there give the source of a number; the sentences are for
//! administrators.

mod auth;
mod control;
mod http;
mod limits;
mod log;
mod metrics;
mod proxy;
mod shutdown;
mod tls;
mod websocket;

use std::ops::RangeInclusive;
use std::time::Duration;

use super::MOST_WORKERS;
use super::field::Field;
use super::key::{Key, Reload, Unset};
use super::lens::lens;

/// A section of the file.
pub(super) struct Section {
    pub(super) name: &'static str,
    /// What it is about, for administrators.
    pub(super) doc: &'static str,
    pub(super) keys: &'static [Key],
}

/// The sections, in the order in which they are shown.
pub(super) static SECTIONS: &[Section] = &[
    Section {
        name: "auth",
        doc: "Who may connect: the secret that tokens are signed with, and pages' origins.",
        keys: auth::KEYS,
    },
    Section {
        name: "limits",
        doc: "What one connection, and all of them, may take. Only rates can be switched off, and are.",
        keys: limits::KEYS,
    },
    Section {
        name: "websocket",
        doc: "How connections are kept alive and ended.",
        keys: websocket::KEYS,
    },
    Section {
        name: "tls",
        doc: "The certificate of listeners with the word tls.",
        keys: tls::KEYS,
    },
    Section {
        name: "proxy",
        doc: "Proxies in front of the server, and how they say whom they speak for.",
        keys: proxy::KEYS,
    },
    Section { name: "log", doc: "What is logged, where and how.", keys: log::KEYS },
    Section {
        name: "metrics",
        doc: "What Prometheus reads. It is always answered on the control socket too.",
        keys: metrics::KEYS,
    },
    Section { name: "shutdown", doc: "How a stop goes.", keys: shutdown::KEYS },
    Section { name: "http", doc: "Plain requests, beside the connections.", keys: http::KEYS },
    Section {
        name: "control",
        doc: "The socket that philote's own commands talk to. Who may connect may stop it.",
        keys: control::KEYS,
    },
];

/// The keys above the sections.
pub(super) static TOP: &[Key] = &[
    Key {
        path: "listen",
        other_variables: &["LISTEN"],
        field: Field::Listen(lens!(listen)),
        unset: Unset::Told {
            words: "127.0.0.1:6380 and [::1]:6380 while the secret is empty, [::]:6380 with one",
            example: "[\"127.0.0.1:6380\", \"[::1]:6380\"]",
        },
        reload: Reload::Listeners,
        doc: "Where to listen: \"ADDRESS:PORT\", with ipv6only after it where an IPv6 address \
              shall leave IPv4 alone, or \"unix:/path mode=0660 group=NAME\". The word tls after \
              either makes it TLS, with the certificate of the section tls; the word proxy \
              demands the header of the PROXY protocol, version 1 or 2, from each \
              connection. ADDRESS is written \
              in numbers, or is localhost, which is both loopback addresses; without a port it is \
              6380. On a machine without IPv6, localhost is 127.0.0.1 alone, and [::] is \
              0.0.0.0. The variable PORT replaces the port. Listeners given by the service manager \
              replace the whole list.",
    },
    Key {
        path: "workers",
        other_variables: &[],
        // Above the cores a worker only costs.
        field: Field::Threads(lens!(workers), 1..=MOST_WORKERS.get() as u64),
        unset: Unset::Told {
            words: "one a core, within the quota of the control group, 64 at most",
            example: "2",
        },
        reload: Reload::Restart,
        doc: "Threads that serve connections.",
    },
];

/// Every key.
pub(super) fn all() -> impl Iterator<Item = &'static Key> {
    TOP.iter().chain(SECTIONS.iter().flat_map(|section| section.keys))
}

const NONE: Unset = Unset::Told { words: "none", example: "[]" };

/// Short enough for tests, and long enough that a typing error ("1ms") shows.
const SHORTEST: Duration = Duration::from_millis(100);
const NOTHING: Duration = Duration::ZERO;

const fn up_to_minutes(shortest: Duration, minutes: u64) -> RangeInclusive<Duration> {
    shortest..=Duration::from_secs(minutes * 60)
}
