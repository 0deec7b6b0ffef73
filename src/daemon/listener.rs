//! Listeners: bound before anything is announced, accepted from until the process ends.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::oneshot;

use super::listeners::{Bound, End};
use crate::config::{Config, ListenAddress};
use crate::connection::Peer;
use crate::connection::socket::AcceptedSocket;
use crate::worker::Workers;

/// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`, 4096 by default.
const BACKLOG: i32 = 4096;
/// How long accepting rests where descriptors have run out, at first and at most.
const REST: Duration = Duration::from_millis(50);
const LONGEST_REST: Duration = Duration::from_secs(1);
/// How long nothing more is said of accepting that fails again and again, as clients can make it.
const QUIET: Duration = Duration::from_secs(60);

/// An address that could not be listened on.
#[derive(Debug, thiserror::Error)]
#[error("listen: {address}: {error}; {remedy}")]
pub(super) struct BindError {
    address: String,
    error: io::Error,
    remedy: &'static str,
}

impl BindError {
    pub(super) fn new(address: &impl ToString, error: io::Error) -> BindError {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "is another server running? stop it, or choose another address"
            }
            io::ErrorKind::PermissionDenied => {
                "ports below 1024 and other users' directories need a privilege; choose another address"
            }
            io::ErrorKind::AddrNotAvailable => {
                "no interface of this machine has this address (yet)"
            }
            _ => "choose another address",
        };
        BindError { address: address.to_string(), error, remedy }
    }

    /// 77 where it is not permitted, 69 where it may heal.
    pub(super) fn exit_code(&self) -> u8 {
        if self.error.kind() == io::ErrorKind::PermissionDenied { 77 } else { 69 }
    }
}

/// A bound listener.
#[derive(Debug)]
pub(super) enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix stream socket; its file is removed at the end, if it is ours.
    Unix(UnixListener, #[allow(dead_code, reason = "held for its end")] Option<SocketFile>),
}

/// The file of a Unix listener; removed when it is dropped.
#[derive(Debug)]
pub(super) struct SocketFile(std::path::PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another server may have put its own there; then nothing is left to do.
        let _ = fs::remove_file(&self.0);
    }
}

impl Listener {
    /// The address as it was bound, in the syntax of the key `listen`.
    pub(super) fn address(&self) -> String {
        match self {
            Listener::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|_| "tcp".to_owned(), |address| address.to_string()),
            Listener::Unix(listener, _) => {
                let address = listener.local_addr().ok();
                let path = address.as_ref().and_then(|address| address.as_pathname());
                path.map_or_else(|| "unix".to_owned(), |path| format!("unix:{}", path.display()))
            }
        }
    }

    /// The port, where it has one.
    pub(super) fn port(&self) -> Option<u16> {
        match self {
            Listener::Tcp(listener) => listener.local_addr().ok().map(|address| address.port()),
            Listener::Unix(..) => None,
        }
    }

    /// Whether only this machine can reach it.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Listener::Tcp(listener) => {
                listener.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback())
            }
            Listener::Unix(..) => true,
        }
    }

    /// Lets other sockets of ours bind an overlapping address, or not any more.
    fn share(&self, shared: bool) {
        if let Listener::Tcp(listener) = self {
            // Without it the bind that wants it fails, which is told.
            let _ = socket2::SockRef::from(listener).set_reuse_port(shared);
        }
    }

    /// Refuses every other socket the same address, as from the start.
    pub(super) fn stop_sharing(&self) {
        self.share(false);
    }

    async fn accept(&self) -> io::Result<(AcceptedSocket, Peer)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                Ok((AcceptedSocket::Tcp(stream.into_std()?), Peer::Address(peer)))
            }
            Listener::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((AcceptedSocket::Unix(stream.into_std()?), Peer::Unix))
            }
        }
    }
}

/// Binds everything that the configuration asks for, or nothing.
///
/// # Errors
/// Every address that cannot be had. Of the default listeners a family that the machine lacks is left out.
pub(super) fn bind_all(config: &Config) -> Result<Bound, Vec<BindError>> {
    let by_default = config.listens_by_default();
    let mut bound = Vec::new();
    let mut lacking = Vec::new();
    let mut faults = Vec::new();
    for address in config.listen_addresses() {
        match bind(&address) {
            Ok(listener) => bound.push((Some(address), listener)),
            Err(fault) if by_default && lacks_family(&fault.error) => {
                lacking.push((address, fault))
            }
            Err(fault) => faults.push(fault),
        }
    }
    for (address, fault) in lacking {
        tracing::debug!(event = "family_lacking", address = fault.address, "not listening there");
        if !bound.is_empty() {
            continue;
        }
        // Without IPv6 the wildcard is IPv4's.
        let v4 = match &address {
            ListenAddress::Tcp { address, .. } if address.ip().is_unspecified() => bind_tcp(
                SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port()),
                false,
                false,
            )
            .map_err(|error| BindError::new(address, error)),
            _ => Err(fault),
        };
        match v4 {
            Ok(listener) => bound.push((Some(address), listener)),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(bound) } else { Err(faults) }
}

fn lacks_family(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

/// Binds one address.
///
/// # Errors
/// Why it cannot be had.
pub(super) fn bind(address: &ListenAddress) -> Result<Listener, BindError> {
    match address {
        ListenAddress::Tcp { address: socket, ipv6only } => bind_tcp(*socket, *ipv6only, false),
        ListenAddress::Unix { path, mode, group } => bind_unix(path, *mode, group.as_deref()),
    }
    .map_err(|error| BindError::new(address, error))
}

/// Binds an address that is in use by `leaving`, listeners of our own on the same port that are about to
/// go: all share it for that moment, which only sockets of the same user can.
///
/// # Errors
/// `fault`, which is why it could not be had alone, where none of them is on that port.
pub(super) fn bind_over(
    address: &ListenAddress,
    leaving: &[&Listener],
    fault: BindError,
) -> Result<Listener, BindError> {
    let ListenAddress::Tcp { address: socket, ipv6only } = address else { return Err(fault) };
    let overlapping = leaving.iter().filter(|old| old.port() == Some(socket.port()));
    if fault.error.kind() != io::ErrorKind::AddrInUse || overlapping.clone().count() == 0 {
        return Err(fault);
    }
    overlapping.clone().for_each(|old| old.share(true));
    let bound = bind_tcp(*socket, *ipv6only, true);
    // They go on alone if the reload is rejected after all; what is bound stays bound.
    overlapping.for_each(|old| old.share(false));
    bound.map_err(|error| BindError::new(address, error))
}

fn bind_tcp(address: SocketAddr, ipv6only: bool, shared: bool) -> io::Result<Listener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(ipv6only)?;
    }
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(Listener::Tcp(TcpListener::from_std(socket.into())?))
}

fn bind_unix(path: &Path, mode: Option<u32>, group: Option<&str>) -> io::Result<Listener> {
    if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        // One that nobody listens on is left over from a server that was killed.
        match std::os::unix::net::UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                fs::remove_file(path)?;
            }
            _ => return Err(io::ErrorKind::AddrInUse.into()),
        }
    }
    let listener = UnixListener::bind(path)?;
    let file = SocketFile(path.to_owned());
    if let Some(group) = group {
        std::os::unix::fs::chown(path, None, Some(group_id(group)?))?;
    }
    // Without a mode or a group the directory guards it.
    let mode = mode.unwrap_or(if group.is_some() { 0o660 } else { 0o666 });
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(Listener::Unix(listener, Some(file)))
}

/// A group's number, from its number or from /etc/group: read by ourselves, since a static binary must
/// not load the system's name service modules.
pub(super) fn group_id(group: &str) -> io::Result<u32> {
    if let Ok(number) = group.parse() {
        return Ok(number);
    }
    let groups = fs::read_to_string("/etc/group")?;
    groups
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(group)).then(|| fields.nth(1)?.parse().ok()).flatten()
        })
        .next()
        .ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("no group {group} in /etc/group"))
        })
}

/// Accepts until it is told to stop, giving each socket to a worker. Rests where descriptors have run out:
/// those that are connected go on, those that wait stay in the kernel's queue.
pub(super) async fn accept_until(
    mut stop: oneshot::Receiver<End>,
    listener: Arc<Listener>,
    workers: Arc<Workers>,
) {
    let mut rest = REST;
    let mut warned: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            end = &mut stop => {
                if end == Ok(End::Emptied) {
                    empty(&listener, &workers).await;
                }
                return;
            }
        };
        match accepted {
            Ok((socket, peer)) => {
                rest = REST;
                workers.accept(socket, peer).await;
            }
            Err(error) if is_clients(&error) => {}
            Err(error) => {
                if warned.is_none_or(|at| at.elapsed() >= QUIET) {
                    warned = Some(Instant::now());
                    tracing::warn!(
                        event = "accept_failed",
                        address = listener.address(),
                        %error,
                        "cannot accept: if descriptors have run out, raise LimitNOFILE or lower limits.max_connections"
                    );
                }
                tokio::time::sleep(rest).await;
                rest = (rest * 2).min(LONGEST_REST);
            }
        }
    }
}

/// Accepts who waits by now: closing the listener would reset them.
async fn empty(listener: &Listener, workers: &Workers) {
    while let Some(Ok((socket, peer))) = listener.accept().now_or_never() {
        workers.accept(socket, peer).await;
    }
}

/// Whether accepting failed because of the client alone, which is gone already.
fn is_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::WouldBlock
    )
}
