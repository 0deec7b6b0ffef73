//! Listeners: bound before anything is announced, accepted from until the process ends.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UnixListener};

use crate::config::{Config, ListenAddress};
use crate::connection::Peer;
use crate::connection::socket::AcceptedSocket;
use crate::worker::Workers;

/// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`, 4096 by default.
const BACKLOG: i32 = 4096;
/// How long accepting rests where descriptors have run out, at first and at most.
const REST: Duration = Duration::from_millis(50);
const LONGEST_REST: Duration = Duration::from_secs(1);

/// An address that could not be listened on.
#[derive(Debug, thiserror::Error)]
#[error("listen: {address}: {error}; {remedy}")]
pub(super) struct BindError {
    address: String,
    error: io::Error,
    remedy: &'static str,
}

impl BindError {
    fn new(address: &impl ToString, error: io::Error) -> BindError {
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
    /// A Unix stream socket, whose file is removed at the end.
    Unix(UnixListener, SocketFile),
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
            Listener::Unix(_, file) => format!("unix:{}", file.0.display()),
        }
    }

    /// The port, where it has one.
    pub(super) fn port(&self) -> Option<u16> {
        match self {
            Listener::Tcp(listener) => listener.local_addr().ok().map(|address| address.port()),
            Listener::Unix(..) => None,
        }
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
pub(super) fn bind_all(config: &Config) -> Result<Vec<Listener>, Vec<BindError>> {
    let addresses = config.listen_addresses();
    let both_families = addresses
        .iter()
        .any(|address| matches!(address, ListenAddress::Tcp { address, .. } if address.is_ipv4()));
    let mut listeners = Vec::new();
    let mut faults = Vec::new();
    let mut lacking = Vec::new();
    for address in &addresses {
        match bind(address, both_families) {
            Ok(listener) => listeners.push(listener),
            Err(fault) if config.listens_by_default() && lacks_family(&fault.error) => {
                tracing::debug!(
                    event = "family_lacking",
                    address = fault.address,
                    "not listening there"
                );
                lacking.push((address, fault));
            }
            Err(fault) => faults.push(fault),
        }
    }
    if listeners.is_empty() && faults.is_empty() {
        // Without IPv6 the wildcard is IPv4's.
        for (address, fault) in lacking {
            match address {
                ListenAddress::Tcp { address, .. } if address.ip().is_unspecified() => {
                    let v4 = SocketAddr::new(IpAddr::from([0, 0, 0, 0]), address.port());
                    let v4 = ListenAddress::Tcp { address: v4, ipv6only: false };
                    match bind(&v4, false) {
                        Ok(listener) => listeners.push(listener),
                        Err(fault) => faults.push(fault),
                    }
                }
                _ => faults.push(fault),
            }
        }
    }
    if faults.is_empty() { Ok(listeners) } else { Err(faults) }
}

fn lacks_family(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

fn bind(address: &ListenAddress, both_families: bool) -> Result<Listener, BindError> {
    match address {
        ListenAddress::Tcp { address: socket, ipv6only } => {
            // Beside an explicit IPv4 address the IPv6 one must not take the same port for both.
            let only = *ipv6only || both_families;
            bind_tcp(*socket, only).map_err(|error| BindError::new(address, error))
        }
        ListenAddress::Unix { path, mode, group } => {
            bind_unix(path, *mode, group.as_deref()).map_err(|error| BindError::new(address, error))
        }
    }
}

fn bind_tcp(address: SocketAddr, ipv6only: bool) -> io::Result<Listener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(ipv6only)?;
    }
    socket.set_reuse_address(true)?;
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
    Ok(Listener::Unix(listener, file))
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

/// Accepts for ever, giving each socket to a worker. Rests where descriptors have run out: those that are
/// connected go on, those that wait stay in the kernel's queue.
pub(super) async fn accept_all(listener: Listener, workers: Arc<Workers>) {
    let mut rest = REST;
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                rest = REST;
                workers.accept(socket, peer).await;
            }
            Err(error) if is_clients(&error) => {}
            Err(error) => {
                if rest == REST {
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
