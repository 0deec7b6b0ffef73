//! A bound listener: accepted from until the process ends, or a reload ends it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::{Shutdown, SocketAddrAny, SocketFlags};
use tokio::sync::oneshot;

use super::bind::BACKLOG;
use super::listeners::End;
use super::metrics::Exposition;
use super::socket_file::SocketFile;
use crate::config::Preamble;
use crate::connection::Peer;
use crate::connection::socket::AcceptedSocket;
use crate::http::Newcomer;
use crate::worker::Workers;

/// How long accepting rests where descriptors have run out, at first and at most.
const REST: Duration = Duration::from_millis(50);
const LONGEST_REST: Duration = Duration::from_secs(1);
/// How many more that wait are accepted before it is looked whether to stop.
const AT_ONCE: usize = 64;
/// How long nothing more is said of accepting that fails again and again, as clients can make it.
const QUIET: Duration = Duration::from_secs(60);
/// How long a handshake that has begun may take to end before its listener closes: a round trip to the other side
/// of the world.
const LAST_STEP: Duration = Duration::from_millis(300);
/// The number of a network interface that does not exist: nothing ever comes in there.
#[cfg(target_os = "linux")]
const NO_INTERFACE: std::num::NonZeroU32 = std::num::NonZeroU32::new(i32::MAX as u32).unwrap();

/// A bound listener, which does not block.
#[derive(Debug)]
pub(super) enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix stream socket; its file is removed at the end, if it is ours.
    Unix(UnixListener, Option<SocketFile>),
}

impl Listener {
    /// The address as it was bound, in the syntax of the key `listen`.
    pub(super) fn address(&self) -> String {
        match self {
            Listener::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|_| "tcp".to_owned(), |address| address.to_string()),
            Listener::Unix(_, Some(file)) => format!("unix:{}", file.path().display()),
            Listener::Unix(listener, None) => {
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

    /// Whether it is the Unix socket at this path, however that is spelled.
    pub(super) fn is_at(&self, wanted: &Path) -> bool {
        matches!(self, Listener::Unix(_, Some(file)) if file.is_at(wanted))
    }

    /// The path of its file, where it has one of its own.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Listener::Unix(_, Some(file)) => Some(file.path()),
            _ => None,
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
    pub(super) fn share(&self, shared: bool) {
        if let Listener::Tcp(listener) = self {
            // Without it the bind that wants it fails, which is told.
            let _ = socket2::SockRef::from(listener).set_reuse_port(shared);
        }
    }

    /// Begins to listen where that was put off.
    ///
    /// # Errors
    /// As the system has it.
    pub(super) fn listen(&self) -> io::Result<()> {
        match self {
            Listener::Tcp(listener) => socket2::SockRef::from(listener).listen(BACKLOG),
            Listener::Unix(..) => Ok(()),
        }
    }

    /// Has the address for itself from now on.
    ///
    /// # Errors
    /// If its file cannot take the place of the old one, which has it still.
    pub(super) fn take_over(&mut self) -> io::Result<()> {
        self.share(false);
        match self {
            Listener::Unix(_, Some(file)) => file.take_over(),
            _ => Ok(()),
        }
    }

    /// Ends listening for whoever else holds the socket, such as a worker that is stuck. Not for one that the service
    /// manager gave, which still holds it for our successor.
    pub(super) fn shut(&self) {
        if let Listener::Unix(_, Some(file)) = self {
            file.remove();
        }
        // Where that is not possible it ends with the process.
        let _ = match self {
            Listener::Tcp(listener) => rustix::net::shutdown(listener, Shutdown::Both),
            Listener::Unix(listener, _) => rustix::net::shutdown(listener, Shutdown::Both),
        };
    }

    /// Lets whoever comes now come to the listener that has taken its place, or to nobody, as if this one were closed.
    /// Those whose handshake has begun stay with it.
    fn step_aside(&self) {
        #[cfg(target_os = "linux")]
        if let Listener::Tcp(listener) = self {
            // Without it a newcomer in the last instant might be reset, at worst.
            let _ = socket2::SockRef::from(listener).bind_device_by_index_v4(Some(NO_INTERFACE));
        }
    }

    /// Who waits by now; `WouldBlock` where nobody does.
    fn accept_now(&self) -> io::Result<(AcceptedSocket, Peer)> {
        match self {
            Listener::Tcp(listener) => {
                let (socket, peer) = accept(listener)?;
                let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
                // Some systems have no address any more of one that has gone already.
                let peer = peer.ok_or(io::ErrorKind::ConnectionAborted)?;
                Ok((AcceptedSocket::Tcp(socket.into()), peer.into()))
            }
            Listener::Unix(listener, _) => {
                let (socket, _) = accept(listener)?;
                Ok((AcceptedSocket::Unix(socket.into()), Peer::Unix))
            }
        }
    }

    /// The same socket once more, on this runtime.
    fn acceptor(&self) -> io::Result<Acceptor> {
        Ok(match self {
            Listener::Tcp(listener) => {
                Acceptor::Tcp(tokio::net::TcpListener::from_std(listener.try_clone()?)?)
            }
            Listener::Unix(listener, _) => {
                Acceptor::Unix(tokio::net::UnixListener::from_std(listener.try_clone()?)?)
            }
        })
    }
}

/// A listener as the runtime knows it. The runtime registers each socket that it accepts itself, which nobody reads
/// here, so only the first of several that wait comes by it.
#[derive(Debug)]
enum Acceptor {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

impl Acceptor {
    async fn accept(&self) -> io::Result<(AcceptedSocket, Peer)> {
        match self {
            Acceptor::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((AcceptedSocket::Tcp(stream.into_std()?), peer.into()))
            }
            Acceptor::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((AcceptedSocket::Unix(stream.into_std()?), Peer::Unix))
            }
        }
    }
}

/// A socket that neither blocks nor is inherited, and who is at its other end.
#[cfg(not(target_vendor = "apple"))]
fn accept(listener: impl AsFd) -> io::Result<(OwnedFd, Option<SocketAddrAny>)> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(rustix::net::acceptfrom_with(listener, flags)?)
}

/// The same where it takes three calls.
#[cfg(target_vendor = "apple")]
fn accept(listener: impl AsFd) -> io::Result<(OwnedFd, Option<SocketAddrAny>)> {
    let (socket, peer) = rustix::net::acceptfrom(listener)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok((socket, peer))
}

/// Where accepted sockets go.
#[derive(Debug)]
pub(super) enum To {
    /// To a worker, as clients, who begin with this.
    Workers(Arc<Workers>, Preamble),
    /// To whoever serves metrics.
    Exposition(Arc<Exposition>),
}

impl To {
    async fn accept(&self, socket: AcceptedSocket, peer: Peer) {
        match self {
            To::Workers(workers, preamble) => {
                workers.accept(Newcomer { socket, peer, preamble: *preamble }).await;
            }
            To::Exposition(exposition) => exposition.accept(socket).await,
        }
    }
}

/// Accepts until it is told to stop, giving each socket to whom it is for. Rests where descriptors have run out:
/// those that are connected go on, those that wait stay in the kernel's queue.
pub(super) async fn accept_until(
    mut stop: oneshot::Receiver<End>,
    listener: Arc<Listener>,
    to: To,
) {
    let mut rest = REST;
    let mut warned: Option<Instant> = None;
    let mut acceptor = None;
    loop {
        let accepted = tokio::select! {
            // First: whoever waits is then our successor's.
            biased;
            end = &mut stop => {
                if end == Ok(End::Emptied) {
                    empty(&listener, &to).await;
                }
                return;
            }
            accepted = accept_from(&listener, &mut acceptor) => accepted,
        };
        match accepted {
            Ok((socket, peer)) => {
                rest = REST;
                to.accept(socket, peer).await;
                accept_waiting(&listener, &to, AT_ONCE).await;
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

/// Waits for the next to come, by `acceptor`, which is made where there is none.
async fn accept_from(
    listener: &Listener,
    acceptor: &mut Option<Acceptor>,
) -> io::Result<(AcceptedSocket, Peer)> {
    let acceptor = match acceptor {
        Some(acceptor) => acceptor,
        None => acceptor.insert(listener.acceptor()?),
    };
    acceptor.accept().await
}

/// Accepts whoever has come, since closing the listener resets them: also those whose handshake is under way.
async fn empty(listener: &Listener, to: &To) {
    listener.step_aside();
    accept_waiting(listener, to, usize::MAX).await;
    tokio::time::sleep(LAST_STEP).await;
    accept_waiting(listener, to, usize::MAX).await;
}

/// Accepts so many, or until the kernel has nobody more. The runtime is not asked: it knows of those only who had come
/// when it last looked.
async fn accept_waiting(listener: &Listener, to: &To, most: usize) {
    for _ in 0..most {
        match listener.accept_now() {
            Ok((socket, peer)) => to.accept(socket, peer).await,
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => return,
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
