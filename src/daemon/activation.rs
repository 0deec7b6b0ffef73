//! Listeners that the service manager opened (sd_listen_fds(3)); with them a restart refuses nobody.

use std::io;

use listenfd::ListenFd;

use super::bind::BindError;
use super::listener::Listener;
use super::listeners::{Opened, Purpose};
use crate::config::Preamble;

/// Takes all that were passed; none where we were started without.
///
/// # Errors
/// Where a descriptor is no listening stream socket.
pub(super) fn take() -> Result<Vec<Opened>, BindError> {
    let mut given = ListenFd::from_env();
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    (0..given.len())
        .map(|index| {
            let (purpose, preamble) = purpose(names.next().unwrap_or_default());
            let taken = take_one(&mut given, index).map_err(|error| {
                BindError::new(&format!("descriptor {index} of the service manager"), error)
            });
            taken.map(|listener| Opened { asked: None, purpose, preamble, listener })
        })
        .collect()
}

/// What a `FileDescriptorName=` asks for; any other than ours asks for nothing, such as the socket unit's own name,
/// which is the default.
fn purpose(name: &str) -> (Purpose, Preamble) {
    let purpose = if name == "metrics" { Purpose::Metrics } else { Purpose::Clients };
    let tls = matches!(name, "https" | "https-proxy");
    (purpose, Preamble { tls, proxy: matches!(name, "http-proxy" | "https-proxy") })
}

fn take_one(given: &mut ListenFd, index: usize) -> io::Result<Listener> {
    if let Ok(Some(listener)) = given.take_tcp_listener(index) {
        listener.set_nonblocking(true)?;
        return Ok(Listener::Tcp(listener));
    }
    match given.take_unix_listener(index)? {
        Some(listener) => {
            listener.set_nonblocking(true)?;
            // Its file is the service manager's.
            Ok(Listener::Unix(listener, None))
        }
        None => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a listening stream socket")),
    }
}
