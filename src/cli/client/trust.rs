//! Owns [`Security`]: the handshake of TLS with a server (RFC 8446), whose certificate counts there, and in plain
//! words why it fails.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::cli::escape::escaped;
use crate::cli::failure::Failure;
use crate::config::{certificates, date, validity};

/// The most bytes of a file of certificates; a whole system's are a quarter of it.
const LONGEST: u64 = 1 << 20;

/// TLS with one server.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Security {
    /// What its certificate has to be for.
    pub(super) name: ServerName<'static>,
    trust: Trust,
    /// Made of these for the first connection: whom a machine trusts is hundreds of certificates.
    config: OnceLock<Arc<ClientConfig>>,
}

/// Whose certificate counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// One that rests on those whom this machine trusts.
    System,
    /// One that rests on those in this file, or stands there itself.
    Given(PathBuf, Arc<[CertificateDer<'static>]>),
    /// This one alone, whatever it is for: that of our own configuration, at our own listener.
    Own(CertificateDer<'static>),
}

/// Why TLS has failed, and how to mend it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(in crate::cli) struct Fault(String);

impl Trust {
    /// Those in a file.
    ///
    /// # Errors
    /// [`Failure::NotPermitted`] where it cannot be read, [`Failure::Usage`] where none stands in it.
    pub(super) fn in_file(path: &Path) -> Result<Trust, Failure> {
        let shown = escaped(&path.to_string_lossy()).into_owned();
        let bytes = read(path).map_err(|error| {
            Failure::NotPermitted(format!("cannot read the certificates: {shown}: {error}"))
        })?;
        match certificates(&bytes) {
            Ok(all) if !all.is_empty() => Ok(Trust::Given(path.to_owned(), all.into())),
            Ok(_) => Err(Failure::Usage(format!(
                "{shown}: no certificate in PEM (BEGIN CERTIFICATE); name the file of whoever has \
                 signed the server's"
            ))),
            Err(fault) => Err(Failure::Usage(format!("{shown}: {fault}"))),
        }
    }

    fn verifier(&self) -> Result<Verifier, Fault> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        let mut exact: Arc<[CertificateDer<'static>]> = Arc::default();
        match self {
            Trust::System => {
                let found = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(found.certs);
                if roots.is_empty() {
                    let why = found.errors.first().map(|error| format!(" ({error})"));
                    return Err(Fault(format!(
                        "this machine trusts nobody{}, so the server's certificate cannot be judged; install \
                         its certificates of authorities (ca-certificates), or name a file with --ca",
                        why.unwrap_or_default()
                    )));
                }
            }
            Trust::Given(_, given) => {
                roots.add_parsable_certificates(given.iter().cloned());
                exact = given.clone();
            }
            Trust::Own(own) => exact = [own.clone()].into(),
        }
        let chains = match roots.is_empty() {
            true => None,
            false => {
                let built =
                    WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone());
                Some(built.build().map_err(|error| Fault(format!("TLS cannot be had: {error}")))?)
            }
        };
        Ok(Verifier { chains, exact, any_name: matches!(self, Trust::Own(_)), provider })
    }

    fn client_config(&self) -> Result<Arc<ClientConfig>, Fault> {
        let verifier = self.verifier()?;
        let config = ClientConfig::builder_with_provider(verifier.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| Fault(format!("TLS cannot be had: {error}")))?;
        let mut config = config
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::other("it is too large"));
    }
    Ok(bytes)
}

impl Security {
    /// Nothing is read yet.
    pub(super) fn new(name: ServerName<'static>, trust: Trust) -> Security {
        Security { name, trust, config: OnceLock::new() }
    }

    /// Does the client's part of the handshake.
    ///
    /// # Errors
    /// [`Fault`].
    pub(super) async fn begin<S>(&self, socket: S) -> Result<TlsStream<S>, Fault>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = match self.config.get() {
            Some(config) => config.clone(),
            None => {
                let made = self.trust.client_config()?;
                self.config.get_or_init(|| made).clone()
            }
        };
        let connector = TlsConnector::from(config);
        let begun = connector.connect(self.name.clone(), socket).await;
        begun.map_err(|error| Fault(self.why(&error)))
    }

    fn why(&self, error: &io::Error) -> String {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        match inner {
            Some(Error::InvalidCertificate(error)) => self.why_not(error),
            Some(Error::InvalidMessage(_)) => {
                "it does not speak TLS; write ws:// or http://, or name its port of TLS".into()
            }
            Some(Error::AlertReceived(alert)) => format!("it refuses TLS as it is spoken here: {alert:?}"),
            Some(error) => format!("TLS has failed: {error}"),
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                "it hung up in the handshake of TLS; is that its port of TLS, and may this address come \
                 so often?"
                    .into()
            }
            None => error.to_string(),
        }
    }

    /// What is wrong with its certificate.
    fn why_not(&self, error: &CertificateError) -> String {
        use CertificateError as Bad;
        match error {
            // By one of the same name, such as one that was made anew.
            Bad::UnknownIssuer | Bad::BadSignature => match &self.trust {
                Trust::System => {
                    "its certificate is signed by nobody whom this machine trusts; name the \
                                  file of whoever has signed it with --ca"
                        .into()
                }
                Trust::Given(path, _) => format!(
                    "its certificate is signed by nobody in {}; name the file of whoever has signed it",
                    escaped(&path.to_string_lossy())
                ),
                Trust::Own(_) => {
                    "it shows another certificate than stands in tls.certificate; has it been \
                                  told (philote reload)? Or say with --url where the server is"
                        .into()
                }
            },
            Bad::NotValidForName => self.not_for_name(&[]),
            Bad::NotValidForNameContext { presented, .. } => self.not_for_name(presented),
            Bad::Expired => "its certificate has expired; renew it".into(),
            Bad::ExpiredContext { not_after, .. } => {
                format!("its certificate has expired on {}; renew it", date(not_after.as_secs()))
            }
            Bad::NotValidYet => {
                "its certificate is not good yet; is this machine's clock right?".into()
            }
            Bad::NotValidYetContext { not_before, .. } => format!(
                "its certificate is not good before {}; is this machine's clock right?",
                date(not_before.as_secs())
            ),
            Bad::Other(error) if error.to_string().contains("CaUsedAsEndEntity") => {
                "its certificate is that of an authority, which serves no server; have one \
                              issued by it, or name this very one with --ca"
                    .into()
            }
            error => format!("its certificate does not serve: {error}"),
        }
    }

    fn not_for_name(&self, presented: &[String]) -> String {
        let name = self.name.to_str();
        // They come as DnsName("example.org") and IpAddress(192.0.2.1).
        let bare = |name: &String| {
            let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
            escaped(inner.unwrap_or(name).trim_matches('"')).into_owned()
        };
        match presented {
            [] => format!(
                "its certificate is not for {name}; name the server as its certificate does"
            ),
            names => {
                let names: Vec<_> = names.iter().map(bare).collect();
                let names = names.join(", ");
                format!("its certificate is not for {name}, but for {names}; write that in the URL")
            }
        }
    }
}

/// Judges certificates: by who has signed them, or by themselves.
#[derive(Debug)]
struct Verifier {
    /// By chains; None where nobody may have signed it.
    chains: Option<Arc<WebPkiServerVerifier>>,
    /// Those that count without a chain: whoever makes one in one step makes an authority's, which chains refuse.
    exact: Arc<[CertificateDer<'static>]>,
    /// Those count whatever they are for, and until when.
    any_name: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.exact.iter().any(|exact| exact.as_ref() == certificate.as_ref()) {
            if !self.any_name {
                is_in_time(certificate, now)?;
                rustls::client::verify_server_name(
                    &ParsedCertificate::try_from(certificate)?,
                    name,
                )?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        match &self.chains {
            Some(chains) => chains.verify_server_cert(certificate, chain, name, ocsp, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether a certificate is good at this moment.
fn is_in_time(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), CertificateError> {
    let (from, until) = validity(certificate).ok_or(CertificateError::BadEncoding)?;
    let at = |seconds| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    if now.as_secs() < from {
        return Err(CertificateError::NotValidYetContext { time: now, not_before: at(from) });
    }
    if now.as_secs() > until {
        return Err(CertificateError::ExpiredContext { time: now, not_after: at(until) });
    }
    Ok(())
}
