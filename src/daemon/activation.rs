//! Listeners that the service manager opened (sd_listen_fds(3)); with them a restart refuses nobody.
//!
//! Each descriptor is looked at before it is accepted from: one that does not listen would make a server that is ready
//! and serves nothing. Which directive of the .socket unit mends it stands in the fault (systemd.socket(5)).

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use listenfd::ListenFd;
use rustix::net::{AddressFamily, SocketType, getpeername};

use super::bind::BindError;
use super::listener::Listener;
use super::listeners::{Opened, Purpose};
use crate::config::Preamble;

/// The beginning of the names under which releases of philote store descriptors with the service manager
/// (`FDSTORE=1`). One that this release does not know is left alone without a word: it is no fault of the unit.
const STORED: &str = "philote-";
/// The end of the name that a descriptor has without `FileDescriptorName=`, which is that of its unit.
const UNIT: &str = ".socket";

/// The names that ask for something, and what.
const NAMES: [(&str, Purpose, Preamble); 5] = [
    ("http", Purpose::Clients, Preamble { tls: false, proxy: false }),
    ("https", Purpose::Clients, Preamble { tls: true, proxy: false }),
    ("http-proxy", Purpose::Clients, Preamble { tls: false, proxy: true }),
    ("https-proxy", Purpose::Clients, Preamble { tls: true, proxy: true }),
    ("metrics", Purpose::Metrics, Preamble { tls: false, proxy: false }),
];

/// Takes all that were passed; none if we were started without. Warns of names that are nearly those above.
///
/// # Errors
/// A fault for each descriptor that is no listening stream socket.
pub(super) fn take() -> Result<Vec<Opened>, Vec<BindError>> {
    let mut given = ListenFd::from_env();
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let (mut taken, mut faults) = (Vec::new(), Vec::new());
    for index in 0..given.len() {
        let name = names.next().unwrap_or_default();
        if is_stored(name) {
            close(&mut given, index);
            continue;
        }
        if let Some(meant) = nearly(name) {
            tracing::warn!(
                event = "configuration_warning",
                "FileDescriptorName={name} of the service manager asks for nothing special, so that socket is served \
                 as plain HTTP to clients; if {meant} is meant, write FileDescriptorName={meant} in the .socket unit"
            );
        }
        let (purpose, preamble) = meaning(name);
        match take_one(&mut given, index) {
            Ok(listener) => taken.push(Opened { asked: None, purpose, preamble, listener }),
            Err((error, remedy)) => {
                let which = match name {
                    "" => format!("descriptor {index} of the service manager"),
                    name => format!("descriptor {index} of the service manager ({name:?})"),
                };
                faults.push(BindError::given(which, error, remedy).of(purpose));
            }
        }
    }
    if faults.is_empty() { Ok(taken) } else { Err(faults) }
}

/// What a `FileDescriptorName=` asks for; any other than ours asks for nothing, such as the socket unit's own name,
/// which is the default.
fn meaning(name: &str) -> (Purpose, Preamble) {
    let found = NAMES.iter().find(|(known, ..)| *known == name);
    found.map_or((Purpose::Clients, Preamble::default()), |(_, purpose, preamble)| {
        (*purpose, *preamble)
    })
}

/// Whether a release of philote has stored this descriptor, rather than a unit's socket been opened.
fn is_stored(name: &str) -> bool {
    name.starts_with(STORED) && !name.ends_with(UNIT)
}

/// The name of ours that another one probably stands for, if it asks for more than plain HTTP, which that is.
fn nearly(name: &str) -> Option<&'static str> {
    if NAMES.iter().any(|(known, ..)| *known == name) || name.ends_with(UNIT) {
        return None;
    }
    let name = name.to_ascii_lowercase().replace('_', "-");
    let has = |words: &[&str]| name.split('-').any(|part| words.contains(&part));
    let is_secure = has(&["tls", "ssl", "https", "wss"]);
    let meant = match has(&["proxy"]) {
        true if is_secure => "https-proxy",
        true => "http-proxy",
        false if is_secure => "https",
        false if has(&["metric", "metrics", "prometheus"]) => "metrics",
        false => {
            let distances = NAMES.map(|(known, ..)| (strsim::osa_distance(known, &name), known));
            let (distance, nearest) = distances.into_iter().min()?;
            (distance <= 2).then_some(nearest)?
        }
    };
    (meant != "http").then_some(meant)
}

/// What is wrong with a descriptor, and how to mend it.
type Unusable = (io::Error, &'static str);

fn take_one(given: &mut ListenFd, index: usize) -> Result<Listener, Unusable> {
    let system = |error| (error, "start it by its .socket unit anew");
    if let Ok(Some(listener)) = given.take_tcp_listener(index) {
        listens(&listener)?;
        listener.set_nonblocking(true).map_err(system)?;
        return Ok(Listener::Tcp(listener));
    }
    if let Ok(Some(listener)) = given.take_unix_listener(index) {
        listens(&listener)?;
        listener.set_nonblocking(true).map_err(system)?;
        // Its file is the service manager's.
        return Ok(Listener::Unix(listener, None));
    }
    let (what, remedy) = match () {
        () if is_of(given, index, AddressFamily::INET, SocketType::DGRAM)
            || is_of(given, index, AddressFamily::UNIX, SocketType::DGRAM) =>
        {
            (
                "a datagram socket, which accepts no connections",
                "write ListenStream= in place of ListenDatagram= in the .socket unit",
            )
        }
        () if is_of(given, index, AddressFamily::UNIX, SocketType::SEQPACKET) => (
            "a socket for sequential packets, which clients do not speak",
            "write ListenStream= in place of ListenSequentialPacket= in the .socket unit",
        ),
        () => (
            "no stream socket of TCP or Unix",
            "write ListenStream= with a port, an address or a path in the .socket unit, in place of ListenFIFO= and \
             the like",
        ),
    };
    Err((io::Error::new(io::ErrorKind::InvalidInput, what), remedy))
}

/// Whether it is a socket of this kind, which is closed then.
fn is_of(given: &mut ListenFd, index: usize, family: AddressFamily, kind: SocketType) -> bool {
    let (family, kind) = (i32::from(family.as_raw()), i32::try_from(kind.as_raw()));
    kind.is_ok_and(|kind| {
        given
            .take_custom::<OwnedFd>(index, family, kind, "socket")
            .is_ok_and(|taken| taken.is_some())
    })
}

/// Closes a descriptor if it is a socket, whose peer would wait for us otherwise. Anything else costs nothing open.
fn close(given: &mut ListenFd, index: usize) {
    for family in [AddressFamily::INET, AddressFamily::UNIX] {
        for kind in [SocketType::STREAM, SocketType::DGRAM, SocketType::SEQPACKET] {
            if is_of(given, index, family, kind) {
                return;
            }
        }
    }
}

/// Whether connections can be accepted from a stream socket.
///
/// # Errors
/// What it is instead.
fn listens(socket: impl AsFd) -> Result<(), Unusable> {
    if accepts(&socket) {
        return Ok(());
    }
    let (what, remedy) = match getpeername(&socket) {
        Ok(_) => (
            "one connection that has been accepted already, in place of the listener",
            "write Accept=no in the .socket unit, or leave Accept= out, and name the service without @",
        ),
        Err(_) => (
            "a stream socket that does not listen",
            "have it opened by ListenStream= of a .socket unit, or listen(2) before it is passed",
        ),
    };
    Err((io::Error::new(io::ErrorKind::InvalidInput, what), remedy))
}

#[cfg(not(target_vendor = "apple"))]
fn accepts(socket: impl AsFd) -> bool {
    // One that cannot be asked is found out by its first accept.
    rustix::net::sockopt::socket_acceptconn(socket).unwrap_or(true)
}

/// There it cannot be asked, but whoever is connected does not listen.
#[cfg(target_vendor = "apple")]
fn accepts(socket: impl AsFd) -> bool {
    getpeername(socket).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_nearly_one_of_ours_is_told_from_any_other() {
        let cases = [
            ("tls", Some("https")),
            ("TLS", Some("https")),
            ("ssl", Some("https")),
            ("wss", Some("https")),
            ("HTTPS", Some("https")),
            ("Https", Some("https")),
            ("htps", Some("https")),
            ("philote_tls", Some("https")),
            ("https_proxy", Some("https-proxy")),
            ("tls-proxy", Some("https-proxy")),
            ("proxy", Some("http-proxy")),
            ("http-prox", Some("http-proxy")),
            ("HTTP-Proxy", Some("http-proxy")),
            ("metric", Some("metrics")),
            ("Metrics", Some("metrics")),
            ("prometheus", Some("metrics")),
            // These ask for nothing more than they get.
            ("HTTP", None),
            ("htpp", None),
            ("", None),
            ("unknown", None),
            ("web", None),
            ("philote.socket", None),
            ("tls.socket", None),
        ];
        for (name, expected) in cases {
            assert_eq!(nearly(name), expected, "{name}");
            assert_eq!(meaning(name), meaning("http"), "{name}");
        }
        for (name, ..) in NAMES {
            assert_eq!(nearly(name), None, "{name}");
        }
    }

    #[test]
    fn what_releases_store_is_told_from_the_sockets_of_units() {
        for (name, stored) in [
            ("philote-connection", true),
            ("philote-", true),
            ("philote", false),
            ("philote.socket", false),
            ("philote-tls.socket", false),
            ("http", false),
        ] {
            assert_eq!(is_stored(name), stored, "{name}");
        }
    }
}
