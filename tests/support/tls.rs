//! Certificates made for a test, and a tunnel that speaks TLS to a server on behalf of clients that do not.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tokio_rustls::TlsConnector;

use super::dir::Dir;

/// A certificate that signed itself, for `localhost`, with its key.
pub(crate) struct Made {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) pem: String,
    pub(crate) key: String,
    /// Until when it is good, in seconds since 1970.
    pub(crate) until: i64,
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
        let mut params = for_localhost();
        if let Some(days) = days {
            good(&mut params, -100, days);
        }
        let made = params.self_signed(&key).expect("signed");
        Made::of(&params, &made, &key)
    }

    /// One that calls itself an authority, as those do that openssl makes in one step.
    pub(crate) fn in_one_step() -> Made {
        let mut params = for_localhost();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Made::of(&params, &params.self_signed(&key).expect("signed"), &key)
    }

    fn of(params: &CertificateParams, made: &rcgen::Certificate, key: &KeyPair) -> Made {
        Made {
            certificate: made.der().clone(),
            pem: made.pem(),
            key: key.serialize_pem(),
            until: params.not_after.unix_timestamp(),
        }
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

/// An authority that signs certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Authority {
        Authority::called("An authority of the tests")
    }

    pub(crate) fn called(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        Authority(CertifiedIssuer::self_signed(params, key).expect("signed"))
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for `localhost`, good from so many days from now until so many.
    pub(crate) fn signs(&self, from: i64, until: i64) -> Made {
        let mut params = for_localhost();
        good(&mut params, from, until);
        let key = KeyPair::generate().expect("a key");
        Made::of(&params, &params.signed_by(&key, &self.0).expect("signed"), &key)
    }
}

fn for_localhost() -> CertificateParams {
    CertificateParams::new(["localhost".to_owned()]).expect("a name")
}

/// From so many days from now until so many and a half.
fn good(params: &mut CertificateParams, from: i64, until: i64) {
    let day = std::time::Duration::from_secs(24 * 60 * 60);
    let now = SystemTime::now();
    let moved = |days: i64| match u32::try_from(days) {
        Ok(later) => now + day * later,
        Err(_) => now - day * u32::try_from(-days).expect("days"),
    };
    params.not_before = moved(from).into();
    let half = if until >= 0 { day / 2 } else { std::time::Duration::ZERO };
    params.not_after = (moved(until) + half).into();
}

/// The lines of a configuration that name these files.
pub(crate) fn lines(files: &[PathBuf; 2]) -> String {
    let [certificate, key] = files.each_ref().map(|path| path.display().to_string());
    format!("[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n")
}

/// What a client says first, by which a server can tell that it speaks TLS.
fn client_hello() -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let mut session = rustls::ClientConnection::new(Arc::new(config), name).expect("a session");
    let mut hello = Vec::new();
    session.write_tls(&mut hello).expect("it is written");
    hello
}

/// Whether a server goes into the handshake of TLS on this connection, or closes it.
pub(crate) fn begins(mut stream: TcpStream, before: &[u8]) -> bool {
    let said = [before, &client_hello()].concat();
    // What is closed may be reset while this is sent.
    let _ = stream.write_all(&said);
    let mut first = [0];
    match stream.read(&mut first) {
        Ok(1) => {
            assert_eq!(first, [22], "a record of the handshake");
            true
        }
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
            false
        }
    }
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
    /// From where each connection to the server came.
    sources: Arc<Mutex<Vec<SocketAddr>>>,
}

/// A client's that trusts these, with these versions of TLS and these protocols under it.
fn config(
    trusted: &[&Made],
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&str],
) -> ClientConfig {
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
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

/// A connection to the server, from this address where one is given.
async fn to_server(server: SocketAddr, source: Option<IpAddr>) -> Option<tokio::net::TcpStream> {
    let socket = match server {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4(),
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6(),
    };
    let socket = socket.ok()?;
    if let Some(source) = source {
        socket.bind(SocketAddr::new(source, 0)).expect("an address of this machine");
    }
    socket.connect(server).await.ok()
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
        Tunnel::start(server, None, config(trusted, versions, &["h2", "http/1.1"]))
    }

    /// The same for HTTP/1.1 alone, from this address of our own: a WebSocket to a proxy that speaks HTTP/2 as well.
    pub(crate) fn of_http_1_from(source: IpAddr, server: SocketAddr, trusted: &[&Made]) -> Tunnel {
        let versions = [&rustls::version::TLS12, &rustls::version::TLS13];
        Tunnel::start(server, Some(source), config(trusted, &versions, &["http/1.1"]))
    }

    fn start(server: SocketAddr, source: Option<IpAddr>, config: ClientConfig) -> Tunnel {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        listener.set_nonblocking(true).expect("non-blocking");
        let address = listener.local_addr().expect("its address");
        let tunnel = Tunnel {
            address,
            agreed: Arc::default(),
            ends: Arc::default(),
            sources: Arc::default(),
        };
        let (agreed, ends) = (tunnel.agreed.clone(), tunnel.ends.clone());
        let sources = tunnel.sources.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("registered");
                let connector = TlsConnector::from(Arc::new(config));
                while let Ok((plain, _)) = listener.accept().await {
                    let (connector, agreed, ends) =
                        (connector.clone(), agreed.clone(), ends.clone());
                    let sources = sources.clone();
                    tokio::spawn(async move {
                        let Some(stream) = to_server(server, source).await else { return };
                        let own = stream.local_addr().expect("its address");
                        sources.lock().expect("the sources").push(own);
                        let passed = pass(plain, stream, connector, &agreed).await;
                        if let Some(in_order) = passed {
                            ends.lock().expect("the ends").push(in_order);
                        }
                    });
                }
            });
        });
        tunnel
    }

    /// From where the last connection to the server came.
    pub(crate) fn last_source(&self) -> SocketAddr {
        *self.sources.lock().expect("the sources").last().expect("a connection")
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
    stream: tokio::net::TcpStream,
    connector: TlsConnector,
    agreed: &Mutex<Vec<Agreed>>,
) -> Option<bool> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
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
