//! Owns [`Tls`]: the section `tls`, and what stands in its two files. Where they do not fit, that is told here, and
//! not by the first handshake.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use x509_cert::der::Decode;

use super::Config;
use super::browsers;
use super::fault::Origin;
use super::field::quote;
use super::key_file::{self, Readers};
use super::pem_file::{self, PemFault};
use super::report::Report;
use super::rules::Origins;
use super::sources::Sources;

pub(super) const CERTIFICATE: &str = "tls.certificate";
const KEY: &str = "tls.key";
/// From when on the end of a certificate is told: certificates of 90 days are renewed at 30, so there have been failures
/// for two weeks then.
const WARNING: u64 = 14 * DAY;
const DAY: u64 = 24 * 60 * 60;

const DATE: &[BorrowedFormatItem<'_>] =
    format_description!(version = 2, "[year]-[month]-[day] [hour]:[minute] UTC");

/// The section `tls`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tls {
    /// The file of the certificate and of those that it rests on, in PEM.
    pub certificate: Option<PathBuf>,
    /// The file of its key, in PEM.
    pub key: Option<PathBuf>,
    /// What stands in them; None where they are not named.
    pub identity: Option<Identity>,
}

impl Tls {
    /// The certificate by what tells it from another in the same file.
    pub(super) fn describe(&self) -> String {
        let Some(path) = &self.certificate else { return "none".into() };
        let path = quote(&path.to_string_lossy());
        match &self.identity {
            Some(identity) => format!("{path} (until {}, {})", identity.until(), identity.mark()),
            None => path,
        }
    }
}

/// A certificate with its key, ready to be used.
#[derive(Clone)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    /// Until when it is good, in seconds since 1970.
    pub expires: u64,
    /// What handshakes go by.
    pub server: Arc<ServerConfig>,
}

impl Identity {
    /// The certificate itself, in DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.chain[0]
    }

    /// What is to be said of its end at this moment, in seconds since 1970; nothing while that is far off.
    pub fn expiry_warning(&self, now: u64) -> Option<String> {
        let date = date(self.expires);
        if now >= self.expires {
            return Some(format!("{CERTIFICATE}: has expired on {date}; renew it, and reload"));
        }
        let left = self.expires - now;
        (left <= WARNING).then(|| match left / DAY {
            0 => format!("{CERTIFICATE}: expires within a day, on {date}; renew it, and reload"),
            1 => format!("{CERTIFICATE}: expires in 1 day, on {date}; renew it, and reload"),
            days => {
                format!("{CERTIFICATE}: expires in {days} days, on {date}; renew it, and reload")
            }
        })
    }

    /// The end of its signature: enough to tell it from the one before.
    fn mark(&self) -> String {
        let end = self.chain[0].last_chunk::<4>().copied().unwrap_or_default();
        format!("...{:08x}", u32::from_be_bytes(end))
    }

    /// Until when it is good, for people.
    pub(super) fn until(&self) -> String {
        date(self.expires)
    }
}

impl PartialEq for Identity {
    /// The key fits the certificate, so that one tells the other.
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("expires", &self.until()).finish_non_exhaustive()
    }
}

/// From when until when a certificate is good, in seconds since 1970; None where it is damaged.
pub(crate) fn validity(certificate: &CertificateDer<'_>) -> Option<(u64, u64)> {
    let certificate = x509_cert::Certificate::from_der(certificate).ok()?;
    let validity = certificate.tbs_certificate().validity();
    let seconds = |time: x509_cert::time::Time| time.to_unix_duration().as_secs();
    Some((seconds(validity.not_before), seconds(validity.not_after)))
}

/// A moment in seconds since 1970, for people.
pub(crate) fn date(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|moment| moment.format(DATE).ok())
        .unwrap_or_else(|| "a day that no calendar has".into())
}

/// Reads the two files that the configuration names.
pub(super) fn resolve(
    config: &mut Config,
    origins: &Origins,
    sources: &dyn Sources,
    report: &mut Report,
) {
    let origin = |key| origins.get(key).cloned().unwrap_or(Origin::Default);
    let mut reader = Reader { sources, report };
    match (&config.tls.certificate, &config.tls.key) {
        (None, None) => {}
        (Some(_), None) => {
            let text = "without tls.key; name the file of this certificate's key too";
            reader.report.fault(&origin(CERTIFICATE), Some(CERTIFICATE), text);
        }
        (None, Some(_)) => {
            let text = "without tls.certificate; name the file of the certificate too";
            reader.report.fault(&origin(KEY), Some(KEY), text);
        }
        (Some(certificate), Some(key)) => {
            let chain = reader.chain(&origin(CERTIFICATE), certificate);
            let key = reader.key(&origin(KEY), key).map(|read| (key, read));
            if let (Some((chain, expires)), Some((path, key))) = (chain, key) {
                let pair = Pair { certificate, chain, expires, path, key };
                config.tls.identity = reader.fit(&origin(KEY), pair);
            }
        }
    }
}

/// What the two files hold, each right for itself.
struct Pair<'a> {
    certificate: &'a Path,
    chain: Vec<CertificateDer<'static>>,
    expires: u64,
    path: &'a Path,
    key: PrivateKeyDer<'static>,
}

/// The one private key of a file.
///
/// # Errors
/// `what; how to mend it`, without the file's name and without anything of the text.
fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    let mut found: Option<(PrivateKeyDer<'static>, usize)> = None;
    for block in pem_file::blocks(text).map_err(|fault| fault.to_string())? {
        let key: PrivateKeyDer<'static> = match &block.label[..] {
            _ if block.is_encrypted => continue,
            "PRIVATE KEY" => PrivatePkcs8KeyDer::from(block.content).into(),
            "RSA PRIVATE KEY" => PrivatePkcs1KeyDer::from(block.content).into(),
            "EC PRIVATE KEY" => PrivateSec1KeyDer::from(block.content).into(),
            "CERTIFICATE" => continue,
            label if pem_file::is_beside(label) => continue,
            _ => {
                let what = "this block is neither a private key nor a certificate; take it out";
                return Err(PemFault::new(block.line, what).to_string());
            }
        };
        if let Some((_, first)) = found {
            let what = format!("a second private key, after that in line {first}; keep one");
            return Err(PemFault::new(block.line, what).to_string());
        }
        found = Some((key, block.line));
    }
    let what = "no private key in PEM (BEGIN PRIVATE KEY, without a pass phrase); name the file of the \
                key, such as certbot's privkey.pem";
    found.map(|(key, _)| key).ok_or_else(|| what.to_owned())
}

struct Reader<'a> {
    sources: &'a dyn Sources,
    report: &'a mut Report,
}

impl Reader<'_> {
    /// The certificate and those that it rests on, and when it expires.
    fn chain(
        &mut self,
        origin: &Origin,
        path: &Path,
    ) -> Option<(Vec<CertificateDer<'static>>, u64)> {
        let place = (origin, CERTIFICATE);
        let content = key_file::read(self.sources, path, Readers::All, place, self.report)?;
        let mut fault = |text: String| self.report.fault(origin, Some(CERTIFICATE), text);
        let chain = match pem_file::certificates(&content) {
            Ok(chain) if !chain.is_empty() => chain,
            Ok(_) => {
                fault(format!(
                    "{path:?}: no certificate in PEM (BEGIN CERTIFICATE); name the file of the whole \
                     chain, such as certbot's fullchain.pem"
                ));
                return None;
            }
            Err(what) => {
                fault(format!("{path:?}: {what}"));
                return None;
            }
        };
        let Some((_, end)) = validity(&chain[0]) else {
            fault(format!("{path:?}: its first certificate is damaged; have it issued anew"));
            return None;
        };
        let complaints = browsers::complaints(&chain);
        if !complaints.is_empty() {
            let text = format!(
                "{path:?}: browsers refuse it: {}; have it issued for a key of P-256 or of RSA, signed by RSA or ECDSA \
                 with SHA-256, with the server's names in it",
                complaints.join(", ")
            );
            self.report.warn(origin, Some(CERTIFICATE), text);
        }
        Some((chain, end))
    }

    fn key(&mut self, origin: &Origin, path: &Path) -> Option<PrivateKeyDer<'static>> {
        let place = (origin, KEY);
        let content = key_file::read(self.sources, path, Readers::Few, place, self.report)?;
        let key = private_key(&content).map_err(|what| format!("{path:?}: {what}"));
        key.map_err(|text| self.report.fault(origin, Some(KEY), text)).ok()
    }

    /// Puts both together.
    fn fit(&mut self, origin: &Origin, pair: Pair<'_>) -> Option<Identity> {
        let Pair { certificate, chain, expires, path, key } = pair;
        let mut fault = |text: String| self.report.fault(origin, Some(KEY), text);
        let provider = aws_lc_rs::default_provider();
        let Ok(signer) = provider.key_provider.load_private_key(key) else {
            fault(format!(
                "{path:?}: a key of a kind that is not served; use RSA of 2048 bits or more, P-256, P-384 \
                 or Ed25519"
            ));
            return None;
        };
        let certified = CertifiedKey::new(chain.clone(), signer);
        if certified.keys_match().is_err() {
            fault(format!(
                "{path:?}: not the key of the certificate in {certificate:?}; name the key that the \
                 certificate was issued for"
            ));
            return None;
        }
        let server = ServerConfig::builder_with_provider(provider.into())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12]);
        let Ok(server) = server else {
            fault(
                "the TLS of this build serves neither 1.2 nor 1.3; this is a fault of philote"
                    .into(),
            );
            return None;
        };
        let mut server = server
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Those who come back prove it with a ticket, which costs no memory here, and two asymmetric operations less.
        if let Ok(ticketer) = aws_lc_rs::Ticketer::new() {
            server.ticketer = ticketer;
            server.send_tls13_tickets = 1;
        }
        Some(Identity { chain, expires, server: Arc::new(server) })
    }
}
