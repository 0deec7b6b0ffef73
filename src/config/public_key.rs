//! Owns [`PublicKey`], a key that verifies tokens and signs none: from PEM text to a key with the one
//! algorithm that it verifies (RFC 8725, 3.1). Reads no file, verifies no token.

use std::fmt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rsa::PublicEncryptingKey;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    VerificationAlgorithm,
};

use super::pem_file;

/// The one label of PEM that is taken: a SubjectPublicKeyInfo (RFC 7468, section 13).
const LABEL: &str = "PUBLIC KEY";

/// How to come to a key that is taken.
const MAKE: &str = "use RSA of 2048 to 8192 bits, P-256 or Ed25519 \
                    (openssl genpkey -algorithm ED25519 -out app.key)";
/// How to come to the public half of a private key.
const HALF: &str = "take its public half alone (openssl pkey -in PRIVATE -pubout -out PUBLIC)";

/// A public key, with the file that it was read from.
#[derive(Clone)]
pub struct PublicKey {
    file: PathBuf,
    algorithm: PublicAlgorithm,
    key: ParsedPublicKey,
}

/// What a public key verifies, and nothing else (RFC 7518, sections 3.3 and 3.4; RFC 8037, 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PublicAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256, for RSA keys.
    Rs256,
    /// ECDSA with SHA-256, for keys on P-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl PublicAlgorithm {
    /// The algorithm's name in a token's header.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// What a SubjectPublicKeyInfo's AlgorithmIdentifier is in DER, to the last byte: named curves
    /// alone, and no parameters that a reader could take for something else.
    fn identifier(self) -> &'static [u8] {
        match self {
            // rsaEncryption, NULL
            Self::Rs256 => b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00",
            // id-ecPublicKey, prime256v1
            Self::Es256 => {
                b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"
            }
            // id-Ed25519
            Self::EdDsa => b"\x30\x05\x06\x03\x2b\x65\x70",
        }
    }

    fn of(info: &[u8]) -> Option<Self> {
        let inner = without_header(info)?;
        [Self::Rs256, Self::Es256, Self::EdDsa]
            .into_iter()
            .find(|algorithm| inner.starts_with(algorithm.identifier()))
    }

    fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            Self::Es256 => &ECDSA_P256_SHA256_FIXED,
            Self::EdDsa => &ED25519,
        }
    }
}

/// What a SEQUENCE of DER holds.
fn without_header(der: &[u8]) -> Option<&[u8]> {
    let length = match der {
        [0x30, 0..=0x7f, ..] => 2,
        [0x30, 0x81, ..] => 3,
        [0x30, 0x82, ..] => 4,
        _ => return None,
    };
    der.get(length..)
}

impl PublicKey {
    /// Reads the text of `file`: one public key in PEM, with whatever text around it.
    ///
    /// # Errors
    /// `what; how to mend it`, without the file's name: no key or several, a private key, another
    /// kind of key, a key that is too small, too large or broken. Nothing of the text is in it.
    pub fn parse(file: &Path, text: &[u8]) -> Result<Self, String> {
        let info = sole_block(text)?;
        let Some(algorithm) = PublicAlgorithm::of(&info) else {
            return Err(format!("a key of a kind that verifies no token here; {MAKE}"));
        };
        // The parser below takes RSA keys of any size, and refuses each signature then.
        if algorithm == PublicAlgorithm::Rs256 && PublicEncryptingKey::from_der(&info).is_err() {
            return Err(format!(
                "an RSA key of fewer than 2048 bits, of too many, or a broken one; {MAKE}"
            ));
        }
        let key = ParsedPublicKey::new(algorithm.verification(), info)
            .map_err(|_| format!("a broken key; {MAKE}"))?;
        Ok(Self { file: file.to_owned(), algorithm, key })
    }

    /// Whether some bytes hold a key in PEM, or are a public key in DER: whatever such a key is, its text
    /// is no shared secret.
    pub(super) fn is_within(bytes: &[u8]) -> bool {
        const BEGIN: &[u8] = b"-----BEGIN";
        bytes.windows(BEGIN.len()).any(|window| window == BEGIN)
            || PublicAlgorithm::of(bytes).is_some()
    }

    /// The file that it was read from.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The one algorithm that it verifies.
    pub fn algorithm(&self) -> PublicAlgorithm {
        self.algorithm
    }

    /// The SubjectPublicKeyInfo in DER: the same for the same key, whatever its file.
    pub fn info(&self) -> &[u8] {
        self.key.as_ref()
    }

    /// Whether this key made `signature`, in the form of its algorithm, over `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }

    /// The file, the algorithm, and by what two keys in one file are told apart: the first four bytes
    /// of the SHA-256 of [`PublicKey::info`].
    pub(super) fn describe(&self) -> String {
        let hash = digest(&SHA256, self.info());
        let hash: String = hash.as_ref()[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{} ({} {hash})", self.file.display(), self.algorithm.name())
    }
}

/// The same key in the same file.
impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.file == other.file && self.info() == other.info()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.describe())
    }
}

/// The file's name.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())
    }
}

/// The content of the only block of PEM in a text, which must be a public key's.
fn sole_block(text: &[u8]) -> Result<Vec<u8>, String> {
    // By the labels first: a private key is refused wherever it stands, and however broken.
    let lossy = String::from_utf8_lossy(text);
    let labels = pem_file::labels(&lossy);
    if labels.iter().any(|label| label.ends_with("PRIVATE KEY")) {
        return Err(format!(
            "holds a private key, which can sign tokens and must not be here; {HALF}"
        ));
    }
    match labels[..] {
        [LABEL] => {}
        [] => return Err(format!("holds no key in PEM (-----BEGIN {LABEL}-----); {MAKE}")),
        ["CERTIFICATE"] => {
            let text = "holds a certificate; take its key alone \
                        (openssl x509 -in CERTIFICATE -noout -pubkey)";
            return Err(text.into());
        }
        ["RSA PUBLIC KEY"] => {
            let text = "holds an RSA key in the old form; write it anew \
                        (openssl rsa -RSAPublicKey_in -in OLD -pubout -out NEW)";
            return Err(text.into());
        }
        [_] => return Err(format!("holds something else than a public key; {MAKE}")),
        _ => return Err("holds more than one block of PEM; keep one key a file".into()),
    }
    let blocks = pem_file::blocks(text).map_err(|fault| fault.to_string())?;
    let mut contents = blocks.into_iter().map(|block| block.content);
    contents.next().ok_or_else(|| format!("holds no key in PEM (-----BEGIN {LABEL}-----); {MAKE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RSA: &str = include_str!("../../tests/keys/rsa.pub");
    const P256: &str = include_str!("../../tests/keys/p256.pub");
    const ED25519: &str = include_str!("../../tests/keys/ed25519.pub");

    fn parse(text: &str) -> Result<PublicKey, String> {
        PublicKey::parse(Path::new("/k"), text.as_bytes())
    }

    #[test]
    fn each_kind_of_key_has_its_one_algorithm() {
        use PublicAlgorithm::{EdDsa, Es256, Rs256};
        let cases = [
            (RSA, Rs256),
            (include_str!("../../tests/keys/rsa4096.pub"), Rs256),
            (P256, Es256),
            (ED25519, EdDsa),
        ];
        for (text, algorithm) in cases {
            assert_eq!(parse(text).expect("a good key").algorithm(), algorithm);
            let around =
                format!("Key of the application:\r\n{}\r\nend", text.replace('\n', "\r\n"));
            assert_eq!(parse(&around).expect("a good key"), parse(text).expect("a good key"));
        }
    }

    #[test]
    fn whatever_else_is_in_a_file_is_refused_with_how_to_mend_it() {
        let cases = [
            ("", "no key in PEM"),
            ("MCowBQYDK2VwAyEA", "no key in PEM"),
            (include_str!("../../tests/keys/rsa.key"), "a private key"),
            (include_str!("../../tests/keys/p256.key"), "a private key"),
            (include_str!("../../tests/keys/ed25519.key"), "a private key"),
            (include_str!("../../tests/keys/refused/rsa-private-pkcs1.pem"), "a private key"),
            (include_str!("../../tests/keys/refused/ec-private-sec1.pem"), "a private key"),
            (include_str!("../../tests/keys/refused/encrypted-private.pem"), "a private key"),
            (include_str!("../../tests/keys/refused/certificate.pem"), "openssl x509"),
            (include_str!("../../tests/keys/refused/rsa-pkcs1.pub"), "-RSAPublicKey_in"),
            (include_str!("../../tests/keys/refused/rsa1024.pub"), "fewer than 2048 bits"),
            (include_str!("../../tests/keys/refused/rsa2047.pub"), "fewer than 2048 bits"),
            (include_str!("../../tests/keys/refused/rsa-pss.pub"), "of a kind that"),
            (include_str!("../../tests/keys/refused/P-384.pub"), "of a kind that"),
            (include_str!("../../tests/keys/refused/P-521.pub"), "of a kind that"),
            (include_str!("../../tests/keys/refused/secp256k1.pub"), "of a kind that"),
            (include_str!("../../tests/keys/refused/p256-explicit.pub"), "of a kind that"),
            (include_str!("../../tests/keys/refused/ed448.pub"), "of a kind that"),
            (include_str!("../../tests/keys/refused/x25519.pub"), "of a kind that"),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "of a kind that"),
            ("-----BEGIN PUBLIC KEY-----\n\n-----END PUBLIC KEY-----\n", "of a kind that"),
            ("-----BEGIN PUBLIC KEY-----\n????\n-----END PUBLIC KEY-----\n", "PEM is broken"),
            ("-----BEGIN PUBLIC KEY-----\nMCowBQ", "PEM is broken"),
            ("-----BEGIN OPENSSH PUBLIC KEY-----\nMCow", "something else"),
        ];
        for (text, expected) in cases {
            let error = parse(text).expect_err(expected);
            assert!(error.contains(expected) && error.contains("; "), "{expected}: {error}");
        }
        let both = [ED25519, P256].concat();
        assert!(parse(&both).expect_err("two keys").contains("one key a file"));
        for (public, private) in [
            (ED25519, include_str!("../../tests/keys/ed25519.key")),
            (P256, include_str!("../../tests/keys/refused/ec-private-sec1.pem")),
        ] {
            for text in [[public, private].concat(), [private, public].concat()] {
                assert!(parse(&text).expect_err("both halves").contains("a private key"));
            }
            // However little of it is left.
            let cut = private.lines().next().expect("a line");
            assert!(parse(&[public, cut].concat()).expect_err("a rest").contains("a private key"));
        }
    }

    #[test]
    fn a_key_with_a_changed_byte_is_refused_or_another_key() {
        let key = parse(P256).expect("a good key");
        let mut refused = 0;
        for at in 0..key.info().len() {
            let mut changed = key.info().to_vec();
            changed[at] ^= 1;
            let text = pem::encode(&pem::Pem::new(LABEL, changed.clone()));
            match parse(&text) {
                Ok(other) => assert_eq!(other.info(), changed),
                Err(_) => refused += 1,
            }
        }
        // No point of the curve has a changed coordinate.
        assert_eq!(refused, key.info().len());
    }

    #[test]
    fn an_rsa_key_whose_exponent_verifies_anything_is_refused() {
        let info = parse(RSA).expect("a good key").info().to_vec();
        // Of 65537 = 01 00 01 at the end.
        let (before, exponent) = info.split_at(info.len() - 3);
        assert_eq!(exponent, [1, 0, 1]);
        for exponent in [[0, 0, 1], [0, 0, 0], [1, 0, 0]] {
            let changed = pem::encode(&pem::Pem::new(LABEL, [before, &exponent].concat()));
            assert!(parse(&changed).is_err(), "{exponent:?}");
        }
    }

    #[test]
    fn two_keys_in_one_file_are_told_apart_and_nothing_but_the_files_name_is_displayed() {
        let (one, two) = (parse(P256).expect("good"), parse(ED25519).expect("good"));
        assert_ne!(one, two);
        assert_ne!(one.describe(), two.describe());
        assert!(one.describe().starts_with("/k (ES256 "), "{}", one.describe());
        assert_eq!(one.to_string(), "/k");
    }
}
