//! TLS under a connection, by rustls, on sockets that do not block.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{self, SendFlags};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// What TLS needs to know of the server.
#[derive(Clone)]
pub struct Security {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Security {
    /// With a server of this name, whose certificate rests on those in a file.
    /// Every handshake is a whole one: none resumes an earlier session.
    pub fn new(host: &str, ca: &Path) -> Result<Self, String> {
        let told = |why: String| format!("{}: {why}", ca.display());
        let certificates: Result<Vec<_>, _> =
            CertificateDer::pem_file_iter(ca).and_then(Iterator::collect);
        let mut roots = RootCertStore::empty();
        for certificate in certificates.map_err(|e| told(e.to_string()))? {
            roots.add(certificate).map_err(|e| told(e.to_string()))?;
        }
        if roots.is_empty() {
            return Err(told("no certificate in PEM".into()));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::disabled();
        let bare = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let bare = bare.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned())
            .map_err(|_| format!("{bare}: no certificate can be for that"))?;
        Ok(Security { config: Arc::new(config), name })
    }

    pub fn session(&self) -> Result<Session, String> {
        ClientConnection::new(self.config.clone(), self.name.clone())
            .map(|session| Session(Box::new(session)))
            .map_err(|e| e.to_string())
    }
}

/// TLS on one connection.
pub struct Session(Box<ClientConnection>);

/// Why it does not go on.
pub enum Trouble {
    /// What the socket says, EAGAIN among it.
    Socket(Errno),
    /// What is wrong with what the server sent.
    Tls(rustls::Error),
}

impl From<io::Error> for Trouble {
    fn from(e: io::Error) -> Self {
        Trouble::Socket(Errno::from_io_error(&e).unwrap_or(Errno::IO))
    }
}

/// What one read brought.
pub struct Got {
    /// Bytes from the socket; 0 is the end of the stream.
    pub sealed: usize,
    /// Bytes that were in them.
    pub opened: usize,
}

impl Session {
    /// Whether there is something to send that [`write`](Self::write) has taken.
    pub fn wants_write(&self) -> bool {
        self.0.wants_write()
    }

    /// Reads once from the socket, at most as much as fits into `sealed`, and
    /// puts what was in it into `plain`, from `at` on.
    pub fn read(
        &mut self,
        fd: &OwnedFd,
        sealed: &mut [u8],
        plain: &mut Vec<u8>,
        at: usize,
    ) -> Result<Got, Trouble> {
        let count = rustix::io::retry_on_intr(|| rustix::io::read(fd, &mut *sealed))
            .map_err(Trouble::Socket)?;
        let (mut left, mut end) = (&sealed[..count], at);
        while !left.is_empty() {
            self.0.read_tls(&mut left)?;
            let state = self.0.process_new_packets().map_err(Trouble::Tls)?;
            let opened = state.plaintext_bytes_to_read();
            if plain.len() < end + opened {
                plain.resize(end + opened, 0);
            }
            self.0.reader().read_exact(&mut plain[end..end + opened])?;
            end += opened;
        }
        Ok(Got { sealed: count, opened: end - at })
    }

    /// Sends, as far as the socket takes it; how many bytes of `plain` need not
    /// be given again. None are taken before the handshake is done.
    pub fn write(&mut self, fd: &OwnedFd, plain: &[u8]) -> (usize, Result<(), Trouble>) {
        let mut taken = 0;
        loop {
            while self.0.wants_write() {
                if let Err(e) = self.0.write_tls(&mut Socket(fd)) {
                    return (taken, Err(e.into()));
                }
            }
            if self.0.is_handshaking() || taken == plain.len() {
                return (taken, Ok(()));
            }
            match self.0.writer().write(&plain[taken..]) {
                Ok(count) => taken += count,
                Err(e) => return (taken, Err(e.into())),
            }
        }
    }
}

struct Socket<'a>(&'a OwnedFd);

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = || net::send(self.0, bytes, SendFlags::NOSIGNAL);
        Ok(rustix::io::retry_on_intr(sent)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
