//! The one reader of PEM files (RFC 7468): certificates, private and public keys.
//!
//! The usual readers look for what they know and skip the rest, so that a chain loses a certificate without a word when
//! two files were joined without a newline between them. Here each line that looks like the begin or the end of a block
//! is one, alone on its line and in its order, and each block is decoded; anything else is a fault with its line.
//! Explanatory text may stand between blocks (section 5.2). Nothing of a file is in a fault.

use rustls::pki_types::CertificateDer;
use x509_cert::der::asn1::AnyRef;
use x509_cert::der::{Decode as _, Tag, Tagged as _};

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// The label of a certificate (RFC 7468, section 5.1).
const CERTIFICATE: &str = "CERTIFICATE";
/// Labels of what may stand in one file with the other half of a pair: some proxies want both in one file, and openssl
/// writes the parameters in front of a key.
const BESIDE: [&str; 3] = ["EC PARAMETERS", "DH PARAMETERS", "PUBLIC KEY"];

/// A block of PEM. It may be a private key, so that it has no `Debug`.
pub(crate) struct Block {
    /// What the block says that it is, such as `PRIVATE KEY`.
    pub(crate) label: String,
    /// The line that it begins in, counted from 1.
    pub(crate) line: usize,
    /// The content in DER.
    pub(crate) content: Vec<u8>,
    /// Whether it is encrypted with a pass phrase, in the old form, which says so in a header (RFC 1421, 4.6.1.1).
    pub(crate) is_encrypted: bool,
}

/// A line of a file, and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub(crate) struct PemFault {
    pub(crate) line: usize,
    what: String,
}

impl PemFault {
    pub(crate) fn new(line: usize, what: impl Into<String>) -> PemFault {
        PemFault { line, what: what.into() }
    }

    fn broken(line: usize, what: &str) -> PemFault {
        PemFault::new(line, format!("the PEM is broken: {what}"))
    }
}

/// All blocks of a file, in their order; none if there is nothing like one.
///
/// # Errors
/// The first line that begins or ends a block in a wrong way, and the first block whose content is no base64.
pub(crate) fn blocks(text: &[u8]) -> Result<Vec<Block>, PemFault> {
    let mut blocks = Vec::new();
    // The lines of the block that is open, and the number of the first.
    let mut open: Option<(usize, Vec<&[u8]>)> = None;
    for (line, number) in lines(text).zip(1..) {
        match (Boundary::of(line), &mut open) {
            (Ok(None), None) => {}
            (Ok(None), Some((_, body))) => body.push(line),
            (Ok(Some(Boundary::Begin)), None) => open = Some((number, vec![line])),
            (Ok(Some(Boundary::Begin)), Some((begun, _))) => {
                let what =
                    "this -----BEGIN has no -----END before the next one; copy the file again";
                return Err(PemFault::broken(*begun, what));
            }
            (Ok(Some(Boundary::End)), None) => {
                let what = "an -----END without its -----BEGIN; copy the file again";
                return Err(PemFault::broken(number, what));
            }
            (Ok(Some(Boundary::End)), Some((_, body))) => {
                body.push(line);
                blocks.extend(open.take().map(|(begun, body)| decode(begun, &body)).transpose()?);
            }
            (Err(what), _) => return Err(PemFault::broken(number, what)),
        }
    }
    match open {
        None => Ok(blocks),
        Some((begun, _)) => {
            Err(PemFault::broken(begun, "this -----BEGIN has no -----END; copy the file again"))
        }
    }
}

/// The labels of whatever looks like the begin of a block, however broken the file is.
pub(super) fn labels(text: &str) -> Vec<&str> {
    let begins = text.split("-----BEGIN ").skip(1);
    begins.map(|rest| rest.split("-----").next().unwrap_or_default().trim()).collect()
}

/// The certificates of a file, in their order; none if none is in it. Keys beside them are left alone.
///
/// # Errors
/// Those of [`blocks`], a block of another kind, and a certificate that is none.
pub(crate) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemFault> {
    let mut certificates = Vec::new();
    for block in blocks(text)? {
        match &block.label[..] {
            CERTIFICATE if is_certificate(&block.content) => {
                certificates.push(CertificateDer::from(block.content));
            }
            CERTIFICATE => {
                let what = "this certificate is damaged; copy it again, or have it issued anew";
                return Err(PemFault::new(block.line, what));
            }
            label if is_beside(label) => {}
            _ => {
                let what = "this block is no certificate; take it out, or write it as one \
                            (openssl x509 -in OLD -out NEW)";
                return Err(PemFault::new(block.line, what));
            }
        }
    }
    Ok(certificates)
}

/// Whether a block may stand beside certificates, or beside a private key, and is none of what is looked for.
pub(super) fn is_beside(label: &str) -> bool {
    label.ends_with("PRIVATE KEY") || BESIDE.contains(&label)
}

/// Whether this has the shape of a certificate to its last byte (RFC 5280, section 4.1): what is to be signed, with
/// what, and the signature. No more is looked at, since old certificates of authorities stretch the rules.
fn is_certificate(der: &[u8]) -> bool {
    let Ok(whole) = AnyRef::from_der(der) else { return false };
    let parts: Result<_, x509_cert::der::Error> = whole.sequence(|parts| {
        let tags = [AnyRef::decode(parts)?, AnyRef::decode(parts)?, AnyRef::decode(parts)?];
        Ok(tags.map(|part| part.tag()))
    });
    whole.tag() == Tag::Sequence
        && parts.is_ok_and(|tags| tags == [Tag::Sequence, Tag::Sequence, Tag::BitString])
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    // All three kinds of line ends; between CR and LF no line counts.
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
            rest = None;
            return Some(text.trim_ascii());
        };
        let length = if text[end..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = Some(&text[end + length..]);
        Some(text[..end].trim_ascii())
    })
}

/// The line that a block begins or ends with.
enum Boundary {
    Begin,
    End,
}

impl Boundary {
    /// What a line without blanks around it is; None if it is neither.
    ///
    /// # Errors
    /// What is wrong with a line that looks like one of both.
    fn of(line: &[u8]) -> Result<Option<Boundary>, &'static str> {
        let is_whole = |start: &[u8]| {
            let rest = line.strip_prefix(start).and_then(|rest| rest.strip_suffix(DASHES));
            rest.is_some_and(|label| !label.contains(&b'-'))
        };
        if is_whole(BEGIN) {
            return Ok(Some(Boundary::Begin));
        }
        if is_whole(END) {
            return Ok(Some(Boundary::End));
        }
        match count_of_boundaries(line) {
            0 => Ok(None),
            1 => Err(
                "-----BEGIN and -----END want a line of their own, with five dashes before and \
                      behind, and nothing else on it, also nothing invisible; correct that line",
            ),
            _ => Err(
                "several of -----BEGIN and -----END on one line; write each on a line of its own, such as \
                      where two files were joined",
            ),
        }
    }
}

/// How often a line says BEGIN or END behind two dashes or more, in capitals or not.
fn count_of_boundaries(line: &[u8]) -> usize {
    let is_word = |rest: &[u8], word: &[u8]| {
        rest.len() > word.len()
            && rest[..word.len()].eq_ignore_ascii_case(word)
            && rest[word.len()] == b' '
    };
    let follows_dashes = |at: usize| {
        let before = line[..at].strip_suffix(b" ").unwrap_or(&line[..at]);
        before.ends_with(b"--")
    };
    (0..line.len())
        .filter(|at| {
            (is_word(&line[*at..], b"BEGIN") || is_word(&line[*at..], b"END"))
                && follows_dashes(*at)
        })
        .count()
}

fn decode(line: usize, body: &[&[u8]]) -> Result<Block, PemFault> {
    let broken = || {
        let what = "what stands between this -----BEGIN and its -----END is not its content in base64, \
                    or the two name different things; copy the file again";
        PemFault::broken(line, what)
    };
    let parsed = pem::parse(body.join(&b'\n')).map_err(|_| broken())?;
    let is_encrypted =
        parsed.headers().get("Proc-Type").is_some_and(|kind| kind.contains("ENCRYPTED"));
    let label = parsed.tag().to_owned();
    Ok(Block { label, line, content: parsed.into_contents(), is_encrypted })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate() -> String {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
        made.cert.pem()
    }

    /// The lines that blocks begin in, or the fault.
    fn begins(text: &[u8]) -> Result<Vec<usize>, String> {
        let found = blocks(text).map_err(|fault| fault.to_string())?;
        Ok(found.iter().map(|block| block.line).collect())
    }

    #[test]
    fn each_block_is_found_whatever_the_line_ends_and_the_text_around() {
        let (one, two) = (certificate(), certificate());
        let lines = one.lines().count();
        let plain = [one.clone(), two.clone()].concat();
        let indented: String = plain.lines().map(|line| format!("  {line} \n")).collect();
        let latin: Vec<u8> = [b"subject=CN=M\xfcller - End CA\n", plain.as_bytes()].concat();
        for (text, first) in [
            (plain.clone().into_bytes(), 1),
            (plain.replace('\n', "\r\n").into_bytes(), 1),
            (plain.replace('\n', "\r").into_bytes(), 1),
            (plain.trim_end().to_owned().into_bytes(), 1),
            (indented.into_bytes(), 1),
            (latin, 2),
            (format!("Bag Attributes\n    friendlyName: --- a ---\n{plain}end").into_bytes(), 3),
        ] {
            let shown = String::from_utf8_lossy(&text).into_owned();
            assert_eq!(begins(&text), Ok(vec![first, first + lines]), "{shown}");
            assert_eq!(certificates(&text).expect("two").len(), 2, "{shown}");
        }
        assert_eq!(begins(b""), Ok(Vec::new()));
        assert_eq!(begins(b"MCowBQYDK2VwAyEA\n"), Ok(Vec::new()));
    }

    #[test]
    fn what_is_not_a_whole_block_is_a_fault_with_its_line() {
        let (one, two) = (certificate(), certificate());
        let lines = one.lines().count();
        let both = [one.clone(), two.clone()].concat();
        let cases = [
            // Joined without a newline between them.
            (format!("{}{two}", one.trim_end()), lines, "several of"),
            // A byte order mark, and blanks that are none.
            (format!("\u{feff}{one}"), 1, "nothing invisible"),
            (format!("\u{a0}{one}"), 1, "nothing invisible"),
            (one.replace("-----BEGIN", "----BEGIN"), 1, "five dashes"),
            (one.replace("-----END", "----END"), lines, "five dashes"),
            (one.replacen("CERTIFICATE-----", "CERTIFICATE----", 1), 1, "five dashes"),
            (one.to_lowercase(), 1, "line of their own"),
            (format!("# {one}"), 1, "line of their own"),
            (one.replacen("-----\n", "-----", 1), 1, "line of their own"),
            (one.trim_end().replace("\n-----END", "-----END"), lines - 1, "line of their own"),
            (one.lines().collect(), 1, "several of"),
            (
                both.lines().skip(1).map(|line| format!("{line}\n")).collect(),
                lines - 1,
                "without its",
            ),
            (
                both.lines().take(lines + 3).map(|line| format!("{line}\n")).collect(),
                lines + 1,
                "has no",
            ),
            (
                both.replacen(&format!("{}\n", one.lines().last().expect("a line")), "", 1),
                1,
                "before the next one",
            ),
            (one.replace("-----END CERTIFICATE", "-----END PRIVATE KEY"), 1, "different things"),
            (one.replacen('M', "?", 1), 1, "base64"),
            (
                format!("{one}-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----"),
                lines + 1,
                "base64",
            ),
        ];
        for (text, line, expected) in cases {
            let fault =
                certificates(text.as_bytes()).err().unwrap_or_else(|| panic!("{expected}: {text}"));
            assert_eq!(fault.line, line, "{fault}: {text}");
            let shown = fault.to_string();
            assert!(shown.contains(expected) && shown.contains("; "), "{shown}: {text}");
        }
    }

    #[test]
    fn a_block_that_is_no_certificate_is_a_fault_and_a_key_beside_it_is_none() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
        let (one, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        for text in [[one.clone(), key.clone()].concat(), [key, one.clone()].concat()] {
            assert_eq!(certificates(text.as_bytes()).expect("good").len(), 1);
        }
        let lines = one.lines().count();
        for label in
            ["TRUSTED CERTIFICATE", "X509 CERTIFICATE", "PKCS7", "CERTIFICATE REQUEST", "x"]
        {
            let other = certificate().replace("CERTIFICATE", label);
            let fault = certificates([one.clone(), other].concat().as_bytes()).expect_err(label);
            assert_eq!(fault.line, lines + 1, "{fault}");
        }
        for damaged in [
            &b""[..],
            b"0",
            b"\x30\x00",
            b"\x30\x06\x30\x00\x30\x00\x05\x00",
            &made.cert.der()[..99],
        ] {
            let damaged = pem::encode(&pem::Pem::new("CERTIFICATE", damaged));
            let fault =
                certificates([one.clone(), damaged].concat().as_bytes()).expect_err("damaged");
            assert_eq!(
                (fault.line, fault.to_string().contains("damaged; ")),
                (lines + 1, true),
                "{fault}"
            );
        }
    }
}
