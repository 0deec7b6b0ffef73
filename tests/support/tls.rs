//! Certificates made for a test, and a tunnel that speaks TLS to a server on behalf of clients that do not.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tokio_rustls::TlsConnector;

use super::dir::Dir;

/// A certificate that signed itself, for `localhost`, with its key.
pub(crate) struct Made {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) pem: String,
    pub(crate) key: String,
}

impl Made {
    /// Good for a long time.
    pub(crate) fn new() -> Made {
        Made::with(KeyPair::generate().expect("a key"), None)
    }

    /// Good for so many days from now; negative, no more.
    pub(crate) fn for_days(days: i64) -> Made {
        Made::with(KeyPair::generate().expect("a key"), Some(days))
    }

    pub(crate) fn with(key: KeyPair, days: Option<i64>) -> Made {
        let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        if let Some(days) = days {
            let day = std::time::Duration::from_secs(24 * 60 * 60);
            let now = SystemTime::now();
            let moved = |days: i64| match u32::try_from(days) {
                Ok(later) => now + day * later + day / 2,
                Err(_) => now - day * u32::try_from(-days).expect("days"),
            };
            params.not_before = (now - day * 100).into();
            params.not_after = moved(days).into();
        }
        let made = params.self_signed(&key).expect("signed");
        let (pem, key) = (made.pem(), key.serialize_pem());
        Made { certificate: made.der().clone(), pem, key }
    }

    /// Puts both into files, over those of another.
    pub(crate) fn write(&self, dir: &Dir) -> [PathBuf; 2] {
        // By renaming, so that no reload sees half of a file.
        [("certificate.pem", &self.pem), ("key.pem", &self.key)].map(|(name, text)| {
            let new = dir.write(&format!("{name}.new"), text);
            let path = dir.path().join(name);
            std::fs::rename(new, &path).expect("renamed");
            path
        })
    }
}

/// The lines of a configuration that name these files.
pub(crate) fn lines(files: &[PathBuf; 2]) -> String {
    let [certificate, key] = files.each_ref().map(|path| path.display().to_string());
    format!("[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n")
}

/// What was agreed on in a handshake.
#[derive(Clone, Debug)]
pub(crate) struct Agreed {
    pub(crate) version: ProtocolVersion,
    pub(crate) alpn: Option<Vec<u8>>,
    pub(crate) certificate: CertificateDer<'static>,
}

/// Takes connections without TLS and passes each on to a server under TLS.
pub(crate) struct Tunnel {
    pub(crate) address: SocketAddr,
    agreed: Arc<Mutex<Vec<Agreed>>>,
    /// How each connection ended on the server's side: true where TLS said so.
    ends: Arc<Mutex<Vec<bool>>>,
}

impl Tunnel {
    /// To this server, whose certificate has to be one of these.
    pub(crate) fn to(server: SocketAddr, trusted: &[&Made]) -> Tunnel {
        Tunnel::by(server, trusted, &[&rustls::version::TLS12, &rustls::version::TLS13])
    }

    pub(crate) fn by(
        server: SocketAddr,
        trusted: &[&Made],
        versions: &[&'static SupportedProtocolVersion],
    ) -> Tunnel {
        let mut roots = RootCertStore::empty();
        for made in trusted {
            roots.add(made.certificate.clone()).expect("a root");
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        listener.set_nonblocking(true).expect("non-blocking");
        let address = listener.local_addr().expect("its address");
        let tunnel = Tunnel { address, agreed: Arc::default(), ends: Arc::default() };
        let (agreed, ends) = (tunnel.agreed.clone(), tunnel.ends.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("registered");
                let connector = TlsConnector::from(Arc::new(config));
                while let Ok((plain, _)) = listener.accept().await {
                    let (connector, agreed, ends) =
                        (connector.clone(), agreed.clone(), ends.clone());
                    tokio::spawn(async move {
                        let passed = pass(plain, server, connector, &agreed).await;
                        if let Some(in_order) = passed {
                            ends.lock().expect("the ends").push(in_order);
                        }
                    });
                }
            });
        });
        tunnel
    }

    /// What the last handshake agreed on.
    pub(crate) fn agreed(&self) -> Agreed {
        self.agreed.lock().expect("what was agreed").last().expect("a handshake").clone()
    }

    pub(crate) fn ends(&self) -> Vec<bool> {
        self.ends.lock().expect("the ends").clone()
    }
}

async fn pass(
    mut plain: tokio::net::TcpStream,
    server: SocketAddr,
    connector: TlsConnector,
    agreed: &Mutex<Vec<Agreed>>,
) -> Option<bool> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let stream = tokio::net::TcpStream::connect(server).await.ok()?;
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = connector.connect(name, stream).await.ok()?;
    {
        let (_, session) = stream.get_ref();
        let certificate = session.peer_certificates().expect("a certificate")[0].clone();
        agreed.lock().expect("what was agreed").push(Agreed {
            version: session.protocol_version().expect("a version"),
            alpn: session.alpn_protocol().map(<[u8]>::to_vec),
            certificate: certificate.into_owned(),
        });
    }
    let (mut from_server, mut to_server) = tokio::io::split(stream);
    let (mut from_client, mut to_client) = plain.split();
    let down = async {
        let mut bytes = vec![0; 64 * 1024];
        loop {
            match from_server.read(&mut bytes).await {
                Ok(0) => break true,
                Ok(count) => {
                    if to_client.write_all(&bytes[..count]).await.is_err() {
                        break false;
                    }
                }
                Err(_) => break false,
            }
        }
    };
    let up = async {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
        let _ = to_server.shutdown().await;
        std::future::pending::<()>().await;
    };
    Some(tokio::select! {
        in_order = down => in_order,
        () = up => false,
    })
}
