//! A connected socket of any kind that a listener accepts.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// What of ours may wait unsent in the kernel, in bytes: what waits, waits in the outbound queue, where
/// it is shared, counted and bounded. Without it a reader that stalls takes 2.9 MiB of kernel memory
/// before its queue grows at all.
const NOT_SENT_LOW_WATER: u32 = 128 * 1024;

/// A peer that has gone is an error to us, not a signal. Apple has no such flag; there, as everywhere, the
/// signal is ignored from the start of the process on.
#[cfg(target_vendor = "apple")]
const SEND_FLAGS: SendFlags = SendFlags::empty();
#[cfg(not(target_vendor = "apple"))]
const SEND_FLAGS: SendFlags = SendFlags::NOSIGNAL;

/// A connected socket.
#[derive(Debug)]
pub enum Socket {
    /// TCP over IPv4 or IPv6.
    Tcp(TcpStream),
    /// A Unix stream socket.
    Unix(UnixStream),
}

impl Socket {
    /// Takes over a socket that was accepted by another thread, on this thread's runtime.
    ///
    /// # Errors
    /// Where the runtime cannot register it.
    pub fn from_accepted(accepted: AcceptedSocket) -> io::Result<Socket> {
        match accepted {
            AcceptedSocket::Tcp(stream) => Ok(Socket::Tcp(TcpStream::from_std(stream)?)),
            AcceptedSocket::Unix(stream) => Ok(Socket::Unix(UnixStream::from_std(stream)?)),
        }
    }

    /// The same socket once more, without the runtime: for whoever goes on with it.
    ///
    /// # Errors
    /// Where descriptors have run out.
    pub fn try_clone(&self) -> io::Result<AcceptedSocket> {
        Ok(match self {
            Socket::Tcp(stream) => AcceptedSocket::Tcp(stream.as_fd().try_clone_to_owned()?.into()),
            Socket::Unix(stream) => {
                AcceptedSocket::Unix(stream.as_fd().try_clone_to_owned()?.into())
            }
        })
    }

    /// Sets what a connection wants of its socket: no delay for small writes, little unsent in the
    /// kernel, and an end where the peer has taken nothing of ours for `user_timeout`.
    pub fn prepare(&self, user_timeout: Option<Duration>) {
        let Socket::Tcp(stream) = self else { return };
        // A socket that lacks an option still works, only less well.
        let _ = stream.set_nodelay(true);
        #[cfg(target_os = "linux")]
        {
            let socket = socket2::SockRef::from(stream);
            let _ = socket.set_tcp_notsent_lowat(NOT_SENT_LOW_WATER);
            let _ = socket.set_tcp_user_timeout(user_timeout);
        }
        #[cfg(not(target_os = "linux"))]
        {
            let _ = NOT_SENT_LOW_WATER;
            if let Some(time) = user_timeout {
                let keepalive = socket2::TcpKeepalive::new().with_time(time);
                let _ = socket2::SockRef::from(stream).set_tcp_keepalive(&keepalive);
            }
        }
    }

    /// Whether something has come.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Tcp(stream) => stream.poll_read_ready(cx),
            Socket::Unix(stream) => stream.poll_read_ready(cx),
        }
    }

    /// Waits until `judge` has something to say of the bytes that have come, and leaves all of them where they are. It
    /// is shown as many as fit into `bytes`.
    ///
    /// # Errors
    /// What `judge` says, or `UnexpectedEof` where it would need more and no more come or fit.
    pub(crate) async fn peek_until<T>(
        &self,
        bytes: &mut [u8],
        mut judge: impl FnMut(&[u8]) -> Option<io::Result<T>>,
    ) -> io::Result<T> {
        loop {
            let ready = match self {
                Socket::Tcp(stream) => stream.ready(Interest::READABLE).await?,
                Socket::Unix(stream) => stream.ready(Interest::READABLE).await?,
            };
            // Bytes that do not suffice are as good as none: this is woken when there are more.
            let look = || {
                let (count, _) = rustix::net::recv(self, &mut *bytes, RecvFlags::PEEK)?;
                judge(&bytes[..count]).unwrap_or_else(|| {
                    let is_all = count == bytes.len() || ready.is_read_closed();
                    Err(if is_all {
                        io::ErrorKind::UnexpectedEof
                    } else {
                        io::ErrorKind::WouldBlock
                    }
                    .into())
                })
            };
            let seen = match self {
                Socket::Tcp(stream) => stream.try_io(Interest::READABLE, look),
                Socket::Unix(stream) => stream.try_io(Interest::READABLE, look),
            };
            match seen {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                seen => return seen,
            }
        }
    }

    /// Whether the socket takes bytes again.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Tcp(stream) => stream.poll_write_ready(cx),
            Socket::Unix(stream) => stream.poll_write_ready(cx),
        }
    }

    /// Writes what fits now.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where nothing fits.
    #[inline]
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        // Not their own `try_write`: in a process of several threads the C library wraps each of its system calls
        // in two more calls, for a cancellation of threads that nothing here ever asks for.
        let send = || Ok(rustix::net::send(self, bytes, SEND_FLAGS)?);
        match self {
            Socket::Tcp(stream) => stream.try_io(Interest::WRITABLE, send),
            Socket::Unix(stream) => stream.try_io(Interest::WRITABLE, send),
        }
    }

    /// Writes what fits now of several pieces.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where nothing fits.
    #[inline]
    pub fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let write = || Ok(rustix::io::writev(self, pieces)?);
        match self {
            Socket::Tcp(stream) => stream.try_io(Interest::WRITABLE, write),
            Socket::Unix(stream) => stream.try_io(Interest::WRITABLE, write),
        }
    }

    /// Says that nothing more will be written.
    pub fn shutdown_write(&self) {
        // A peer that is gone needs no telling.
        let _ = match self {
            Socket::Tcp(stream) => {
                socket2::SockRef::from(stream).shutdown(std::net::Shutdown::Write)
            }
            Socket::Unix(stream) => {
                socket2::SockRef::from(stream).shutdown(std::net::Shutdown::Write)
            }
        };
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Tcp(stream) => stream.as_fd(),
            Socket::Unix(stream) => stream.as_fd(),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Socket::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Socket::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Socket::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// A connected, non-blocking socket between two threads' runtimes.
#[derive(Debug)]
pub enum AcceptedSocket {
    /// TCP over IPv4 or IPv6.
    Tcp(std::net::TcpStream),
    /// A Unix stream socket.
    Unix(std::os::unix::net::UnixStream),
}
