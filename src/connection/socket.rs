//! A connected socket of any kind that a listener accepts.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::tls::TlsSocket;

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
    /// Either under TLS; in a box of its own, so that the others cost nothing for it.
    Tls(Box<TlsSocket>),
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

    /// The same socket once more, without the runtime: for whoever goes on with it. Not one under TLS, whose state
    /// cannot be written down.
    ///
    /// # Errors
    /// Where descriptors have run out; `Unsupported` for TLS.
    pub fn try_clone(&self) -> io::Result<AcceptedSocket> {
        Ok(match self {
            Socket::Tcp(stream) => AcceptedSocket::Tcp(stream.as_fd().try_clone_to_owned()?.into()),
            Socket::Unix(stream) => {
                AcceptedSocket::Unix(stream.as_fd().try_clone_to_owned()?.into())
            }
            Socket::Tls(_) => return Err(io::ErrorKind::Unsupported.into()),
        })
    }

    /// Sets what a connection wants of its socket: no delay for small writes, little unsent in the
    /// kernel, and an end where the peer has taken nothing of ours for `user_timeout`.
    pub fn prepare(&self, user_timeout: Option<Duration>) {
        let stream = match self {
            Socket::Tcp(stream) => stream,
            Socket::Tls(tls) => return tls.socket.prepare(user_timeout),
            Socket::Unix(_) => return,
        };
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

    /// Bytes of the heap that it takes beside itself.
    pub(super) fn memory(&self) -> usize {
        match self {
            Socket::Tcp(_) | Socket::Unix(_) => 0,
            Socket::Tls(_) => super::tls::MEMORY,
        }
    }

    /// Whether something has come.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Tcp(stream) => stream.poll_read_ready(cx),
            Socket::Unix(stream) => stream.poll_read_ready(cx),
            Socket::Tls(tls) => tls.poll_read_ready(cx),
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
                // What lies in the kernel is of no use to anybody.
                Socket::Tls(_) => return Err(io::ErrorKind::Unsupported.into()),
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
                Socket::Tls(_) => return Err(io::ErrorKind::Unsupported.into()),
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
            Socket::Tls(tls) => tls.socket.poll_write_ready(cx),
        }
    }

    /// Reads what the kernel has.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where it has nothing, `Unsupported` under TLS.
    pub(crate) fn try_read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.try_read(bytes),
            Socket::Unix(stream) => stream.try_read(bytes),
            Socket::Tls(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Takes what has come out of the kernel, without regard to TLS or to what the runtime knows: for bytes that nobody
    /// wants.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where there is nothing.
    pub(super) fn receive_raw(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let (count, _) = rustix::net::recv(&*self, bytes, RecvFlags::DONTWAIT)?;
        Ok(count)
    }

    /// Writes what fits now.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where nothing fits.
    #[inline]
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Not their own `try_write`: in a process of several threads the C library wraps each of its system calls
        // in two more calls, for a cancellation of threads that nothing here ever asks for.
        match self {
            Socket::Tcp(stream) => {
                stream.try_io(Interest::WRITABLE, || send(stream.as_fd(), bytes))
            }
            Socket::Unix(stream) => {
                stream.try_io(Interest::WRITABLE, || send(stream.as_fd(), bytes))
            }
            Socket::Tls(tls) => tls.try_write_vectored(&[IoSlice::new(bytes)]),
        }
    }

    /// Writes what fits now of several pieces.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where nothing fits.
    #[inline]
    pub fn try_write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => {
                stream.try_io(Interest::WRITABLE, || write(stream.as_fd(), pieces))
            }
            Socket::Unix(stream) => {
                stream.try_io(Interest::WRITABLE, || write(stream.as_fd(), pieces))
            }
            Socket::Tls(tls) => tls.try_write_vectored(pieces),
        }
    }

    /// Gives the kernel what was written and is not there yet: only TLS keeps anything back.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where something is left.
    #[inline]
    pub fn try_flush(&mut self) -> io::Result<()> {
        match self {
            Socket::Tcp(_) | Socket::Unix(_) => Ok(()),
            Socket::Tls(tls) => tls.try_flush(),
        }
    }

    /// Says that nothing more will be written.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where something has to go out before.
    pub fn finish(&mut self) -> io::Result<()> {
        let ended = match self {
            Socket::Tcp(stream) => {
                socket2::SockRef::from(&*stream).shutdown(std::net::Shutdown::Write)
            }
            Socket::Unix(stream) => {
                socket2::SockRef::from(&*stream).shutdown(std::net::Shutdown::Write)
            }
            Socket::Tls(tls) => return tls.finish(),
        };
        // A peer that is gone needs no telling.
        drop(ended);
        Ok(())
    }
}

pub(super) fn send(socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(socket, bytes, SEND_FLAGS)?)
}

fn write(socket: BorrowedFd<'_>, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    Ok(rustix::io::writev(socket, pieces)?)
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Tcp(stream) => stream.as_fd(),
            Socket::Unix(stream) => stream.as_fd(),
            Socket::Tls(tls) => tls.socket.as_fd(),
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
            Socket::Tls(tls) => tls.poll_read(cx, buffer),
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
            Socket::Tls(tls) => {
                ready!(tls.poll_flush(cx))?;
                Poll::Ready(tls.try_write_vectored(&[IoSlice::new(bytes)]))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Socket::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Socket::Tls(tls) => tls.poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Tls(tls) => tls.poll_finish(cx),
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
