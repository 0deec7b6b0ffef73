//! Owns [`TlsSocket`]: a socket under TLS, by rustls. Never blocks, and keeps no more than one flush's ciphertext.
//!
//! What is written is sealed at once, so it has to go out in that order and whole: what the kernel does not take stays
//! here, in rustls, until it does, and nothing more is sealed meanwhile. So a queue that was taken over is not a queue
//! that was sent; `TlsSocket::try_flush` tells.

use std::future::poll_fn;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::{ServerConfig, ServerConnection};
use tokio::io::ReadBuf;

use super::handshake_budget::{HandshakeBudget, Share};
use super::socket::{Socket, send};

/// The most plaintext that is sealed before the kernel has taken what was sealed before: four records, enough for
/// every flush but those that are behind.
const SEALED: usize = 64 * 1024;

/// What the state of TLS takes of the heap for a connection that is idle, in bytes. 2,000 of them were measured to take
/// 9.4 KiB each, some 1.5 of it what a connection takes without TLS.
pub(super) const MEMORY: usize = 8 * 1024;

/// A socket whose TLS handshake is done.
#[derive(Debug)]
pub struct TlsSocket {
    pub(super) socket: Socket,
    session: ServerConnection,
    /// Bytes that have come and been opened, and are not read yet.
    opened: usize,
    /// The peer has been told that nothing more comes.
    finished: bool,
}

impl TlsSocket {
    /// Does the server's part of the handshake.
    ///
    /// # Errors
    /// Where the peer does not speak TLS or nothing that both know, or goes.
    pub(crate) async fn accept(
        socket: Socket,
        config: Arc<ServerConfig>,
        budget: &HandshakeBudget,
    ) -> io::Result<Socket> {
        let mut session = ServerConnection::new(config).map_err(io::Error::other)?;
        session.set_buffer_limit(Some(SEALED));
        let mut tls = Box::new(TlsSocket { socket, session, opened: 0, finished: false });
        loop {
            poll_fn(|cx| tls.poll_flush(cx)).await?;
            if !tls.session.is_handshaking() {
                return Ok(Socket::Tls(tls));
            }
            poll_fn(|cx| tls.socket.poll_read_ready(cx)).await?;
            // What has come may ask for a signature.
            match budget.run(Share::Tls, || tls.try_receive()).await {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Takes ciphertext from the kernel, once; 0 where the stream has ended.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.socket.poll_read_ready(cx))?;
            match self.try_receive() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return Poll::Ready(received),
            }
        }
    }

    /// The same, without waiting.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if the kernel has nothing.
    fn try_receive(&mut self) -> io::Result<usize> {
        let count = self.session.read_tls(&mut Kernel(&mut self.socket))?;
        match self.session.process_new_packets() {
            Ok(state) => {
                self.opened = state.plaintext_bytes_to_read();
                Ok(count)
            }
            Err(error) => {
                // The peer is told why, if it can be.
                let _ = self.try_flush();
                Err(io::Error::new(io::ErrorKind::InvalidData, error))
            }
        }
    }

    /// Whether something has come.
    pub(super) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.opened > 0 {
            return Poll::Ready(Ok(()));
        }
        self.socket.poll_read_ready(cx)
    }

    /// Reads plaintext; nothing, where the peer has said that nothing more comes.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self.session.reader().read(buffer.initialize_unfilled()) {
                Ok(count) => {
                    self.opened = self.opened.saturating_sub(count);
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            ready!(self.poll_receive(cx))?;
            // An answer that TLS itself owes, to a change of keys; a kernel that does not take it now takes it with
            // what is written next.
            match self.try_flush() {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                    return Poll::Ready(Err(error));
                }
                _ => {}
            }
        }
    }

    /// Seals what fits and gives it to the kernel as far as that takes it.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where what was sealed before has not gone out.
    pub(super) fn try_write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.try_flush()?;
        let count = self.session.writer().write_vectored(pieces)?;
        match self.try_flush() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(count),
        }
    }

    /// Gives the kernel what was sealed.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where something is left.
    pub(super) fn try_flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut Kernel(&mut self.socket))?;
        }
        Ok(())
    }

    /// The same, waiting for the kernel.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.try_flush() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.socket.poll_write_ready(cx))?;
                }
                done => return Poll::Ready(done),
            }
        }
    }

    /// Tells the peer that nothing more comes, with TLS's own word for it, and ends our side of the stream.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where something has yet to go out before.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        if !self.finished {
            self.session.send_close_notify();
            self.finished = true;
        }
        self.try_flush()?;
        self.socket.finish()
    }
}

impl TlsSocket {
    /// The same, waiting for the kernel.
    pub(super) fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.finish() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.socket.poll_write_ready(cx))?;
                }
                done => return Poll::Ready(done),
            }
        }
    }
}

/// However it ends, the peer is told that this is the end and no part of what it was owed is cut off (RFC 8446, 6.1).
/// Only what the kernel takes at once goes out: nothing waits here.
impl Drop for TlsSocket {
    fn drop(&mut self) {
        // A handshake that is not done has nothing that could be cut off.
        if !self.finished && !self.session.is_handshaking() {
            self.session.send_close_notify();
        }
        // Without the runtime, which may have ended. A stream that has failed takes nothing.
        while self.session.wants_write()
            && self.session.write_tls(&mut Raw(self.socket.as_fd())).is_ok()
        {}
    }
}

/// A socket without the runtime's knowledge of it.
struct Raw<'a>(BorrowedFd<'a>);

impl Write for Raw<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        send(self.0, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The socket underneath, as rustls wants it.
struct Kernel<'a>(&'a mut Socket);

impl Read for Kernel<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(bytes)
    }
}

impl Write for Kernel<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, RootCertStore};

    use super::*;
    use crate::connection::socket::AcceptedSocket;
    use crate::connection::tests::run_local;

    /// Both sides' configuration, for a certificate made here.
    fn configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = made.signing_key.serialize_der().try_into().expect("a key");
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a pair");
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).expect("a root");
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        (server.into(), client.into())
    }

    /// A client on a non-blocking socket.
    struct Client {
        socket: UnixStream,
        session: ClientConnection,
        heard: Vec<u8>,
        /// The end was announced by TLS's own word.
        ended: bool,
    }

    impl Client {
        /// Sends what it has to send and takes at most so many bytes from the kernel.
        fn turn(&mut self, most: usize) {
            while self.session.wants_write() {
                match self.session.write_tls(&mut self.socket) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{error}"),
                }
            }
            let mut some = (&self.socket).take(most as u64);
            while self.session.read_tls(&mut some).is_ok_and(|count| count > 0) {
                let state = self.session.process_new_packets().expect("good records");
                let mut plain = vec![0; state.plaintext_bytes_to_read()];
                self.session.reader().read_exact(&mut plain).expect("as much as was said");
                self.heard.extend(plain);
                self.ended |= state.peer_has_closed();
            }
        }
    }

    async fn pair() -> (Socket, Client) {
        let (server, client) = configs();
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        for socket in [&ours, &theirs] {
            socket.set_nonblocking(true).expect("non-blocking");
            // As little as the kernel lets us have.
            socket2::SockRef::from(socket).set_send_buffer_size(4096).expect("a buffer");
        }
        let name = ServerName::try_from("localhost").expect("a name");
        let session = ClientConnection::new(client, name).expect("a session");
        let mut client = Client { socket: theirs, session, heard: Vec::new(), ended: false };
        let socket = Socket::from_accepted(AcceptedSocket::Unix(ours)).expect("registered");
        let budget = HandshakeBudget::default();
        let mut accepting = Box::pin(TlsSocket::accept(socket, server, &budget));
        loop {
            tokio::select! {
                biased;
                socket = &mut accepting => return (socket.expect("a handshake"), client),
                () = tokio::task::yield_now() => client.turn(usize::MAX),
            }
        }
    }

    #[test]
    fn what_the_kernel_takes_in_pieces_arrives_whole_and_in_order_and_is_not_kept_beyond_a_bound() {
        run_local(async {
            let (mut socket, mut client) = pair().await;
            let all: Vec<u8> = (0..1_000_000_u32).map(|n| (n ^ (n >> 8)) as u8).collect();
            let (mut sent, mut blocked) = (0, 0);
            while sent < all.len() {
                let piece = &all[sent..all.len().min(sent + 100_000)];
                let (first, second) = piece.split_at(piece.len() / 3);
                let pieces = [IoSlice::new(first), IoSlice::new(second)];
                match socket.try_write_vectored(&pieces) {
                    Ok(count) => {
                        assert!((1..=SEALED).contains(&count), "{count}");
                        sent += count;
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                        assert_eq!(
                            socket.try_flush().expect_err("it is not out").kind(),
                            io::ErrorKind::WouldBlock
                        );
                        blocked += 1;
                        client.turn(3000);
                        tokio::task::yield_now().await;
                    }
                }
                assert!(sent - client.heard.len() <= SEALED + (1 << 20), "{sent}");
            }
            while socket.finish().is_err() {
                client.turn(3000);
                tokio::task::yield_now().await;
            }
            client.turn(usize::MAX);
            assert!(client.heard == all, "{} bytes of {}", client.heard.len(), all.len());
            assert!(blocked > 10, "{blocked}");
            assert!(client.ended, "the end is TLS's own");
        });
    }

    #[test]
    fn what_is_read_in_pieces_is_whole_and_its_end_shows() {
        run_local(async {
            use tokio::io::AsyncReadExt;
            let (mut socket, mut client) = pair().await;
            let all: Vec<u8> = (0..300_000_u32).map(|n| (n ^ (n >> 8)) as u8).collect();
            let (mut given, mut read) = (0, Vec::new());
            let mut bytes = [0; 777];
            while read.len() < all.len() {
                if given < all.len() && !client.session.wants_write() {
                    let piece = &all[given..all.len().min(given + 5000)];
                    given += client.session.writer().write(piece).expect("sealed");
                }
                client.turn(0);
                tokio::select! {
                    biased;
                    count = socket.read(&mut bytes) => {
                        read.extend_from_slice(&bytes[..count.expect("good records")]);
                    }
                    () = tokio::task::yield_now() => {}
                }
            }
            assert!(read == all);
            client.session.send_close_notify();
            client.turn(0);
            assert_eq!(socket.read(&mut bytes).await.expect("an end in order"), 0);
        });
    }

    #[test]
    fn of_many_handshakes_that_are_ready_one_step_is_done_a_turn() {
        run_local(async {
            const MANY: usize = 40;
            let (server, client) = configs();
            let budget = HandshakeBudget::default();
            let mut accepting = Vec::new();
            let mut peers = Vec::new();
            for _ in 0..MANY {
                let (ours, mut theirs) = UnixStream::pair().expect("a pair");
                ours.set_nonblocking(true).expect("non-blocking");
                let name = ServerName::try_from("localhost").expect("a name");
                let mut session = ClientConnection::new(client.clone(), name).expect("a session");
                session.write_tls(&mut theirs).expect("a hello is sent");
                let socket = Socket::from_accepted(AcceptedSocket::Unix(ours)).expect("registered");
                accepting.push(Box::pin(TlsSocket::accept(socket, server.clone(), &budget)));
                peers.push((theirs, session));
            }
            let answered = |(peer, _): &(UnixStream, ClientConnection)| {
                peer.set_nonblocking(true).expect("non-blocking");
                rustix::net::recv(peer, &mut [0; 1], rustix::net::RecvFlags::PEEK).is_ok()
            };
            let (mut before, mut turns) = (0, 0);
            while before < MANY {
                tokio::task::yield_now().await;
                poll_fn(|cx| {
                    for handshake in &mut accepting {
                        assert!(handshake.as_mut().poll(cx).is_pending(), "its peer says no more");
                    }
                    Poll::Ready(())
                })
                .await;
                let now = peers.iter().filter(|peer| answered(peer)).count();
                assert!(now <= before + 1, "{} hellos were answered in a turn", now - before);
                before = now;
                turns += 1;
                assert!(turns < 100_000, "{before} of {MANY}");
            }
            assert!(turns >= MANY, "{turns}");
        });
    }
}
