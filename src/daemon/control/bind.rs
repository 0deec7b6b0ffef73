//! Owns [`bind`]: the control socket, from nothing to listening. Its file goes with it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};

use crate::config::{self, remedy};
use crate::daemon::bind::group_id;
use crate::daemon::socket_file::{self, ListenError, SocketFile, is_something_else};

/// Callers that may wait to be accepted.
const BACKLOG: i32 = 64;

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another daemon listens there.
    #[error(
        "control.socket: {path}: in use by process {pid}; stop that, or give each server a socket of its own"
    )]
    InUse {
        /// The socket.
        path: PathBuf,
        /// Who listens there.
        pid: Pid,
    },
    /// Something else is there, which is not ours to remove.
    #[error(
        "control.socket: {path}: there is something else that is no socket; choose another path"
    )]
    NoSocket {
        /// The socket.
        path: PathBuf,
    },
    /// The group is not known.
    #[error("control.group: {error}; write the name or the number of one that exists")]
    Group {
        /// Which it is.
        error: io::Error,
    },
    /// The system says no.
    #[error("control.socket: {path}: {error}; {remedy}")]
    System {
        /// The socket.
        path: PathBuf,
        /// What it says.
        error: io::Error,
        /// How to mend it.
        remedy: &'static str,
    },
}

/// A process, where the system tells which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pid(Option<i32>);

impl std::fmt::Display for Pid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(pid) => write!(f, "{pid}"),
            None => write!(f, "unknown"),
        }
    }
}

impl BindError {
    fn system(path: &Path, error: io::Error) -> BindError {
        let remedy = match error.kind() {
            io::ErrorKind::PermissionDenied => {
                "its directory must be writable for the user of the server, and a stale socket must be this user's"
            }
            io::ErrorKind::NotFound => {
                "create its directory, or let the service manager do so (RuntimeDirectory=philote)"
            }
            io::ErrorKind::AddrInUse => "is another server just starting? stop it, or try again",
            // std's own: of a path that does not fit into the address of a socket.
            io::ErrorKind::InvalidInput if error.raw_os_error().is_none() => {
                "choose a shorter path"
            }
            _ => remedy::of_path(&error).unwrap_or("choose another path"),
        };
        BindError::System { path: path.into(), error, remedy }
    }

    fn group(path: &Path, error: io::Error) -> BindError {
        let remedy = match error.kind() {
            io::ErrorKind::PermissionDenied => {
                "control.group must be a group that the server's user belongs to"
            }
            io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput => {
                "the file system here knows no such group; choose another path or another group"
            }
            _ => remedy::of_path(&error).unwrap_or("choose another path"),
        };
        BindError::System { path: path.into(), error, remedy }
    }

    /// 77 where it is not permitted, 78 where only the configuration can mend it, 69 where it may heal.
    pub fn exit_code(&self) -> u8 {
        match self {
            BindError::InUse { .. } => 69,
            BindError::NoSocket { .. } | BindError::Group { .. } => 78,
            BindError::System { error, .. } => match error.kind() {
                io::ErrorKind::PermissionDenied => 77,
                _ => 69,
            },
        }
    }
}

/// A control socket that listens. Its file goes with it.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    file: SocketFile,
}

impl ControlSocket {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        let (stream, _) = self.listener.accept().await?;
        Ok(stream)
    }
}

/// Makes the control socket that the configuration asks for; `None` where it is off. Needs tokio's runtime around it.
///
/// A socket that nobody listens on any more, which is known by a refused connect, is replaced.
///
/// # Errors
/// Where another process listens there, something else stands there, the group is not known, or the system says no.
pub fn bind(control: &config::Control) -> Result<Option<ControlSocket>, BindError> {
    let Some(path) = &control.socket else { return Ok(None) };
    let group = group_of(control)?;
    make_room(path)?;
    let system = |error| BindError::system(path, error);
    let (listener, file) =
        socket_file::listen(path, control.mode, group, BACKLOG).map_err(|error| match error {
            ListenError::Group(error) => BindError::group(path, error),
            ListenError::System(error) => system(error),
        })?;
    let listener = UnixListener::from_std(listener).map_err(system)?;
    Ok(Some(ControlSocket { listener, file }))
}

/// Whether the control socket could be made, as far as that shows without doing it.
///
/// # Errors
/// Why it could not.
pub fn look(control: &config::Control) -> Result<(), BindError> {
    let Some(path) = &control.socket else { return Ok(()) };
    group_of(control)?;
    holds_nothing_else(path)
}

fn holds_nothing_else(path: &Path) -> Result<(), BindError> {
    if is_something_else(path) {
        return Err(BindError::NoSocket { path: path.into() });
    }
    Ok(())
}

fn group_of(control: &config::Control) -> Result<Option<u32>, BindError> {
    let number = control.group.as_deref().map(group_id).transpose();
    number.map_err(|error| BindError::Group { error })
}

/// Removes a stale socket, and nothing else.
fn make_room(path: &Path) -> Result<(), BindError> {
    let system = |error| BindError::system(path, error);
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(system(error)),
        Ok(_) => holds_nothing_else(path)?,
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(system)?;
    // A server that does not accept must not make us wait.
    socket.set_nonblocking(true).map_err(system)?;
    let connected = SockAddr::unix(path).and_then(|address| socket.connect(&address));
    let pid = match connected {
        Ok(()) => UnixStream::from_std(socket.into()).and_then(|stream| stream.peer_cred()),
        Err(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => return fs::remove_file(path).map_err(system),
            io::ErrorKind::NotFound => return Ok(()),
            // Its queue is full: it lives.
            io::ErrorKind::WouldBlock => Err(error),
            _ => return Err(system(error)),
        },
    };
    let pid = Pid(pid.ok().and_then(|credentials| credentials.pid()));
    Err(BindError::InUse { path: path.into(), pid })
}
