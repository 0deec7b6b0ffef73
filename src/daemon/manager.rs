//! What the service manager is told: readiness, reloads, status, the watchdog (sd_notify(3)).
//!
//! Without `NOTIFY_SOCKET` all of it does nothing.

use std::cell::Cell;
use std::io;
#[cfg(target_os = "linux")]
use std::os::{
    linux::net::SocketAddrExt as _,
    unix::ffi::OsStrExt as _,
    unix::net::{SocketAddr, UnixDatagram},
};

use sd_notify::NotifyState;

/// The service manager, as far as it listens.
#[derive(Debug, Default)]
pub(super) struct Manager {
    status: String,
    /// It could not be told the last time, which has been logged.
    deaf: Cell<bool>,
}

impl Manager {
    /// Everything that can fail has passed.
    pub(super) fn ready(&mut self, status: &str) {
        self.status = clean(status);
        self.notify(&[NotifyState::Ready, NotifyState::Status(&self.status)]);
    }

    /// A reload begins; it ends when what this returns is dropped, on every way out.
    pub(super) fn reloading(&mut self) -> Reloading<'_> {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => {
                self.notify(&[NotifyState::Reloading, now, NotifyState::Status("reloading")]);
            }
            Err(error) => {
                tracing::warn!(event = "notify_failed", %error, "no monotonic clock");
            }
        }
        Reloading(self)
    }

    /// The stop begins.
    pub(super) fn stopping(&mut self) {
        self.status = "draining".to_owned();
        self.notify(&[NotifyState::Stopping, NotifyState::Status(&self.status)]);
    }

    /// More time is needed for the stop, in microseconds from now.
    pub(super) fn extend(&self, microseconds: u32) {
        self.notify(&[NotifyState::ExtendTimeoutUsec(microseconds)]);
    }

    /// Every worker turns.
    pub(super) fn alive(&self) {
        self.notify(&[NotifyState::Watchdog]);
    }

    /// How it is, if that has changed.
    pub(super) fn status(&mut self, status: &str) {
        let status = clean(status);
        if status != self.status {
            self.notify(&[NotifyState::Status(&status)]);
            self.status = status;
        }
    }

    fn notify(&self, states: &[NotifyState<'_>]) {
        let told = send(states);
        let was_deaf = self.deaf.replace(told.is_err());
        if let (Err(error), false) = (told, was_deaf) {
            tracing::warn!(event = "notify_failed", %error, "the service manager could not be told");
        }
    }
}

/// Sends one datagram, if a service manager has said where to.
///
/// # Errors
/// What the socket says.
fn send(states: &[NotifyState<'_>]) -> io::Result<()> {
    // sd_notify takes each name for that of a file.
    #[cfg(target_os = "linux")]
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET")
        && let Some(name) = socket.as_bytes().strip_prefix(b"@")
    {
        return send_to_abstract(name, states);
    }
    sd_notify::notify(states)
}

/// The same, to a socket that has a name and no file (unix(7), "abstract").
#[cfg(target_os = "linux")]
fn send_to_abstract(name: &[u8], states: &[NotifyState<'_>]) -> io::Result<()> {
    let address = SocketAddr::from_abstract_name(name)?;
    let datagram: String = states.iter().map(|state| format!("{state}\n")).collect();
    // A datagram is sent whole or not at all.
    UnixDatagram::unbound()?.send_to_addr(datagram.as_bytes(), &address).map(drop)
}

/// A reload that the service manager has been told of.
pub(super) struct Reloading<'a>(&'a mut Manager);

impl Reloading<'_> {
    /// Ends it with this status.
    pub(super) fn done(self, status: &str) {
        self.0.status = clean(status);
    }
}

impl Drop for Reloading<'_> {
    fn drop(&mut self) {
        self.0.notify(&[NotifyState::Ready, NotifyState::Status(&self.0.status)]);
    }
}

/// A status of one line: another line would be taken for another state.
fn clean(status: &str) -> String {
    status.replace(['\n', '\r'], " ")
}
