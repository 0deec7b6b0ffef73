//! Binding one address that the configuration names.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::families;
use super::listener::Listener;
use super::listeners::Purpose;
use super::socket_file::{self, ListenError, is_something_else};
use crate::config::{ListenAddress, remedy};

/// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`, 4096 by default.
pub(super) const BACKLOG: i32 = 4096;

/// An address that could not be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {address}: {error}; {remedy}")]
pub(super) struct BindError {
    key: &'static str,
    address: String,
    error: io::Error,
    remedy: &'static str,
}

impl BindError {
    pub(super) fn new(address: &impl ToString, error: io::Error) -> BindError {
        let remedy = match error.kind() {
            _ if families::is_refused(&error) => {
                "this machine lacks that family, IPv4 or IPv6, or RestrictAddressFamilies= of the unit forbids it; \
                 name an address of the other family, or localhost, which leaves out what is missing"
            }
            io::ErrorKind::AddrInUse => {
                "is another server running? stop it, or choose another address"
            }
            io::ErrorKind::PermissionDenied if error.raw_os_error().is_none() => {
                "name a group that the server's user belongs to"
            }
            io::ErrorKind::PermissionDenied => {
                "ports below 1024 and other users' directories need a privilege; choose another address"
            }
            io::ErrorKind::AddrNotAvailable => {
                "no interface of this machine has this address (yet)"
            }
            io::ErrorKind::AlreadyExists => "choose another path",
            io::ErrorKind::NotFound => "create its directory, or choose another path",
            // The system's own is about the address.
            io::ErrorKind::InvalidInput if error.raw_os_error().is_none() => {
                "write the name or the number of a group that exists"
            }
            _ => remedy::of_path(&error).unwrap_or("choose another address"),
        };
        let key = Purpose::Clients.key();
        BindError { key, address: address.to_string(), error, remedy }
    }

    /// Of a descriptor that the service manager gave.
    pub(super) fn given(which: String, error: io::Error, remedy: &'static str) -> BindError {
        BindError { key: Purpose::Clients.key(), address: which, error, remedy }
    }

    /// Of a listener for something else.
    pub(super) fn of(self, purpose: Purpose) -> BindError {
        BindError { key: purpose.key(), ..self }
    }

    /// 77 where it is not permitted, 78 where only the configuration can mend it, 69 where it may heal.
    pub(super) fn exit_code(&self) -> u8 {
        match self.error.kind() {
            io::ErrorKind::PermissionDenied => 77,
            io::ErrorKind::AlreadyExists => 78,
            io::ErrorKind::InvalidInput if self.error.raw_os_error().is_none() => 78,
            _ => 69,
        }
    }
}

/// Binds one address.
///
/// # Errors
/// Why it cannot be had.
pub(super) fn bind(address: &ListenAddress) -> Result<Listener, BindError> {
    match address {
        ListenAddress::Tcp { address: socket, ipv6only, .. } => bind_tcp(*socket, *ipv6only, false),
        ListenAddress::Unix { path, mode, group, .. } => bind_unix(path, *mode, group.as_deref()),
    }
    .map_err(|error| BindError::new(address, error))
}

/// Whether an address can be listened on, as far as that shows without doing it.
///
/// # Errors
/// Why it could not.
pub(super) fn look(address: &ListenAddress) -> Result<(), BindError> {
    let looked = match address {
        ListenAddress::Tcp { address, .. } => families::probe(address.ip()),
        ListenAddress::Unix { path, group, .. } => match something_else_at(path) {
            Some(error) => Err(error),
            None => group.as_deref().map_or(Ok(()), |group| group_id(group).map(drop)),
        },
    };
    looked.map_err(|error| BindError::new(address, error))
}

/// Binds an address that is in use by `leaving`, listeners of our own on the same port or path that are about to
/// go. A port is shared from then on, which only sockets of the same user can, until `leaving` is dropped; a path is
/// inherited by [`Listener::take_over`].
///
/// # Errors
/// `fault`, which is why it could not be had alone, where none of them is on that port.
///
/// On a port it does not listen yet: see [`Listener::listen`].
pub(super) fn bind_over(
    address: &ListenAddress,
    leaving: &Leaving<'_>,
    fault: BindError,
) -> Result<Listener, BindError> {
    if fault.error.kind() != io::ErrorKind::AddrInUse {
        return Err(fault);
    }
    let bound = match address {
        ListenAddress::Tcp { address, ipv6only, .. } => {
            if !leaving.share(address.port()) {
                return Err(fault);
            }
            bind_tcp(*address, *ipv6only, true)
        }
        ListenAddress::Unix { path, mode, group, .. } => {
            if !leaving.0.iter().any(|old| old.is_at(path)) {
                return Err(fault);
            }
            bind_unix_beside(path, *mode, group.as_deref())
        }
    };
    bound.map_err(|error| BindError::new(address, error))
}

/// Listeners of our own that are about to go. Dropped, they have their ports for themselves again.
#[derive(Debug)]
pub(super) struct Leaving<'a>(pub(super) Vec<&'a Listener>);

impl Leaving<'_> {
    /// Lets others bind a port, and listen on it: both are looked at. Whether any of these has that port.
    fn share(&self, port: u16) -> bool {
        let on_it = || self.0.iter().filter(|old| old.port() == Some(port));
        on_it().for_each(|old| old.share(true));
        on_it().next().is_some()
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        // They go on alone if the reload is rejected after all; what is bound stays bound.
        self.0.iter().for_each(|old| old.share(false));
    }
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
    // One that shares a port would draw newcomers away from those that may stay after all.
    if !shared {
        socket.listen(BACKLOG)?;
    }
    Ok(Listener::Tcp(socket.into()))
}

/// What is told of something that stands where a socket is to be.
fn something_else_at(path: &Path) -> Option<io::Error> {
    is_something_else(path).then(|| {
        let text = "there is something else that is no socket";
        io::Error::new(io::ErrorKind::AlreadyExists, text)
    })
}

fn bind_unix(path: &Path, mode: Option<u32>, group: Option<&str>) -> io::Result<Listener> {
    if let Some(error) = something_else_at(path) {
        return Err(error);
    }
    if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        // One that nobody listens on is left over from a server that was killed.
        // Not waiting where its queue is full: it may be one of ours, which is not accepted from meanwhile.
        let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        probe.set_nonblocking(true)?;
        match probe.connect(&SockAddr::unix(path)?) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                fs::remove_file(path)?;
            }
            // It has gone by itself.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            // Somebody listens, with a full queue or without.
            _ => return Err(io::ErrorKind::AddrInUse.into()),
        }
    }
    let group = group.map(group_id).transpose()?;
    // Without a mode or a group the directory guards it.
    let mode = mode.unwrap_or(if group.is_some() { 0o660 } else { 0o666 });
    let listening = socket_file::listen(path, mode, group, BACKLOG);
    let (listener, file) = listening.map_err(|error| match error {
        ListenError::System(error) => error,
        // Words of our own, by which the remedy is found.
        ListenError::Group(error) => {
            io::Error::new(error.kind(), format!("its group cannot be set: {error}"))
        }
    })?;
    Ok(Listener::Unix(listener, Some(file)))
}

/// Binds the first name beside `path` at which nothing listens: the file's own name may be as long as a name can be, and
/// another listener may have a name like that.
fn bind_unix_beside(path: &Path, mode: Option<u32>, group: Option<&str>) -> io::Result<Listener> {
    let mut tried = Err(io::ErrorKind::AddrInUse.into());
    for number in 0..10 {
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{number}"));
        tried = bind_unix(beside.as_ref(), mode, group);
        match &mut tried {
            Ok(Listener::Unix(_, Some(file))) => file.inherit(path),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::AddrInUse | io::ErrorKind::AlreadyExists
                ) =>
            {
                continue;
            }
            _ => {}
        }
        break;
    }
    tried
}

/// A group's number, from its number or from /etc/group: read by ourselves, since a static binary must
/// not load the system's name service modules.
pub(super) fn group_id(group: &str) -> io::Result<u32> {
    if let Ok(number) = group.parse() {
        return Ok(number);
    }
    let unknown = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
    let groups = fs::read_to_string("/etc/group")
        .map_err(|error| unknown(format!("no group {group}: /etc/group: {error}")))?;
    groups
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(group)).then(|| fields.nth(1)?.parse().ok()).flatten()
        })
        .next()
        .ok_or_else(|| unknown(format!("no group {group} in /etc/group")))
}
