//! Owns what browsers do not take of a certificate that TLS itself allows, so that a test with another client is green and
//! every page fails. What they take: the baseline requirements of the CA/Browser Forum, sections 6.1.5, 6.1.6 and 7.1.3,
//! and what Chromium, Firefox and WebKit implement.

use aws_lc_rs::rsa::PublicEncryptingKey;
use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::ext::pkix::ExtendedKeyUsage;

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

/// rsaEncryption (RFC 8017, appendix A.1).
const RSA: ObjectIdentifier = oid("1.2.840.113549.1.1.1");
/// id-ecPublicKey (RFC 5480, section 2.1.1).
const EC: ObjectIdentifier = oid("1.2.840.10045.2.1");
/// secp256r1 and secp384r1; secp521r1 is not taken by Chromium.
const CURVES: [ObjectIdentifier; 2] = [oid("1.2.840.10045.3.1.7"), oid("1.3.132.0.34")];
/// RSA, with its padding of old or new, and ECDSA, each with SHA-256 or longer.
const SIGNATURES: [ObjectIdentifier; 7] = [
    oid("1.2.840.113549.1.1.10"),
    oid("1.2.840.113549.1.1.11"),
    oid("1.2.840.113549.1.1.12"),
    oid("1.2.840.113549.1.1.13"),
    oid("1.2.840.10045.4.3.2"),
    oid("1.2.840.10045.4.3.3"),
    oid("1.2.840.10045.4.3.4"),
];
/// subjectAltName (RFC 5280, section 4.2.1.6).
const NAMES: ObjectIdentifier = oid("2.5.29.17");
/// id-kp-serverAuth and anyExtendedKeyUsage (RFC 5280, section 4.2.1.12).
const FOR_SERVERS: [ObjectIdentifier; 2] = [oid("1.3.6.1.5.5.7.3.1"), oid("2.5.29.37.0")];

/// Why browsers refuse a chain, the server's own certificate first: each reason in words that follow "browsers refuse it:".
pub(super) fn complaints(chain: &[CertificateDer<'_>]) -> Vec<String> {
    let parsed = chain.iter().map(|der| Certificate::from_der(der));
    let mut complaints = Vec::new();
    for (index, certificate) in parsed.enumerate() {
        // What is damaged is another fault.
        let Ok(certificate) = certificate else { continue };
        let whose = match index {
            0 => "its".to_owned(),
            _ => format!("the {}. certificate's", index + 1),
        };
        if let Some(key) = unusual_key(&certificate) {
            complaints.push(format!("{whose} key is {key}"));
        }
        let tbs = certificate.tbs_certificate();
        // Nobody looks at what an authority, or a certificate that is trusted by itself, says of itself.
        let is_its_own = tbs.issuer() == tbs.subject();
        if !is_its_own && !SIGNATURES.contains(&certificate.signature_algorithm().oid) {
            complaints
                .push(format!("{whose} signature is neither RSA nor ECDSA with SHA-256 or longer"));
        }
        if index == 0 {
            complaints.extend(unusual_purpose(&certificate).map(str::to_owned));
        }
    }
    complaints
}

/// The kind of a key that browsers do not take.
fn unusual_key(certificate: &Certificate) -> Option<&'static str> {
    let info = certificate.tbs_certificate().subject_public_key_info();
    let curve = || info.algorithm.parameters.as_ref()?.decode_as::<ObjectIdentifier>().ok();
    match info.algorithm.oid {
        // The library reads 2048 bits or more.
        RSA => match info.to_der().ok().map(|der| PublicEncryptingKey::from_der(&der).is_ok()) {
            Some(false) => Some("RSA of fewer than 2048 bits, or of too many"),
            _ => None,
        },
        EC if curve().is_some_and(|curve| CURVES.contains(&curve)) => None,
        EC => Some("on another curve than P-256 and P-384"),
        _ => Some("neither RSA nor on P-256 or P-384"),
    }
}

/// What the server's own certificate lacks.
fn unusual_purpose(certificate: &Certificate) -> Option<&'static str> {
    let tbs = certificate.tbs_certificate();
    let has_names = tbs.extensions().is_some_and(|all| all.iter().any(|one| one.extn_id == NAMES));
    if !has_names {
        return Some("it has no subjectAltName, and the name in its subject is not looked at");
    }
    let usage = tbs.get_extension::<ExtendedKeyUsage>().ok().flatten();
    let is_for_servers = usage.is_none_or(|(_, ExtendedKeyUsage(purposes))| {
        purposes.iter().any(|purpose| FOR_SERVERS.contains(purpose))
    });
    (!is_for_servers).then_some("its extendedKeyUsage does not have serverAuth")
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    fn of_pem(text: &str) -> Vec<String> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
        let chain = chain.expect("certificates");
        assert!(!chain.is_empty());
        complaints(&chain)
    }

    fn of_key(algorithm: &'static rcgen::SignatureAlgorithm) -> Vec<String> {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        of_pem(&params.self_signed(&key).expect("signed").pem())
    }

    #[test]
    fn what_browsers_take_is_not_told() {
        for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384] {
            assert_eq!(of_key(algorithm), [""; 0], "{algorithm:?}");
        }
        assert_eq!(of_pem(include_str!("../../tests/keys/browsers/good.pem")), [""; 0]);
    }

    #[test]
    fn each_reason_why_browsers_refuse_a_certificate_is_told() {
        let ed25519 = of_key(&rcgen::PKCS_ED25519);
        assert_eq!(ed25519, ["its key is neither RSA nor on P-256 or P-384"]);
        let p521 = of_key(&rcgen::PKCS_ECDSA_P521_SHA512);
        assert_eq!(p521, ["its key is on another curve than P-256 and P-384"]);
        let signature = "its signature is neither RSA nor ECDSA with SHA-256 or longer";
        let cases = [
            (include_str!("../../tests/keys/browsers/sha1.pem"), signature),
            (include_str!("../../tests/keys/browsers/ed25519-signature.pem"), signature),
            (
                include_str!("../../tests/keys/browsers/small-issuer.pem"),
                "the 2. certificate's key is RSA of fewer than 2048 bits, or of too many",
            ),
            (
                include_str!("../../tests/keys/browsers/no-names.pem"),
                "it has no subjectAltName, and the name in its subject is not looked at",
            ),
            (
                include_str!("../../tests/keys/browsers/clients-only.pem"),
                "its extendedKeyUsage does not have serverAuth",
            ),
        ];
        for (pem, expected) in cases {
            assert_eq!(of_pem(pem), [expected]);
        }
    }
}
