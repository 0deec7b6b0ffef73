//! Tokens and the keys that verify them. What is accepted has a good signature of an accepted key and says what was
//! granted, in time; what has such a signature and such claims is accepted. An input is one of:
//!
//! - `t` TOKEN: a token as it came.
//! - `s` KEY DAMAGE POLICY newline HEADER newline CLAIMS: signed here, by one of [`SIGNERS`], and perhaps damaged.
//! - `k` TEXT: the file of a public key.

#![no_main]

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use libfuzzer_sys::fuzz_target;
use philote::auth::{self, AuthError, Grants, Keys, Policy, UnverifiedGrants};
use philote::config::PublicKey;
use philote_fuzz::{SECRET, json};
use serde_json::Value;
use sha2::{Sha256, Sha384, Sha512};

const PREVIOUS: &[u8] = b"the secret before that";
const UNKNOWN: &[u8] = b"the secret of somebody else";
const RSA: &str = include_str!("../../tests/keys/rsa.pub");
const P256: &str = include_str!("../../tests/keys/p256.pub");
const ED25519: &str = include_str!("../../tests/keys/ed25519.pub");
/// When tokens are judged, in seconds since 1970.
const TIMES: [u64; 4] = [1_800_000_000, 0, i64::MAX as u64, u64::MAX];
const LEEWAY: i64 = 5;

/// Who signs, by the letter in the input: `a` and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signer {
    Secret(&'static str),
    Previous(&'static str),
    Stranger(&'static str),
    Rsa,
    P256,
    Ed25519,
    /// HMAC with the text, or the DER, of a public key for its secret (RFC 8725, 2.1).
    PublicText,
    PublicDer,
}

const SIGNERS: [Signer; 12] = [
    Signer::Secret("HS256"),
    Signer::Secret("HS384"),
    Signer::Secret("HS512"),
    Signer::Previous("HS256"),
    Signer::Previous("HS512"),
    Signer::Stranger("HS256"),
    Signer::Stranger("HS512"),
    Signer::Rsa,
    Signer::P256,
    Signer::Ed25519,
    Signer::PublicText,
    Signer::PublicDer,
];

struct Fixture {
    keys: Keys,
    public: Vec<PublicKey>,
    rsa: RsaKeyPair,
    p256: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
    random: SystemRandom,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let public: Vec<PublicKey> = [RSA, P256, ED25519]
        .map(|text| PublicKey::parse(Path::new("/key"), text.as_bytes()).expect("a good key"))
        .into();
    let rsa = der(include_str!("../../tests/keys/rsa.key"));
    let p256 = der(include_str!("../../tests/keys/p256.key"));
    let ed25519 = der(include_str!("../../tests/keys/ed25519.key"));
    Fixture {
        keys: Keys::new(SECRET.as_bytes(), &[PREVIOUS]).with_public(&public),
        public,
        rsa: RsaKeyPair::from_pkcs8(&rsa).expect("a key"),
        p256: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &p256).expect("a key"),
        ed25519: Ed25519KeyPair::from_pkcs8(&ed25519).expect("a key"),
        random: SystemRandom::new(),
    }
});

/// What stands in a file of PEM.
fn der(pem: &str) -> Vec<u8> {
    let lines: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(lines).expect("base64")
}

fuzz_target!(|data: &[u8]| {
    match data.split_first() {
        Some((b't', token)) => raw(&String::from_utf8_lossy(token)),
        Some((b's', rest)) => signed(rest),
        Some((b'k', text)) => key(text),
        _ => {}
    }
});

fn policy(choice: u8) -> Policy {
    Policy {
        issuer: (choice & 1 != 0).then(|| "me".into()),
        audience: (choice & 2 != 0).then(|| "you".into()),
        leeway: Duration::from_millis(LEEWAY as u64 * 1000 - 1),
        max_channels: 3,
        max_channel_length: 8,
    }
}

/// Whatever is accepted has the signature of a key that is.
fn raw(token: &str) {
    let judged = auth::verify(token, &FIXTURE.keys, &policy(0), TIMES[0]);
    // Whoever holds a token can look into it.
    let looked = UnverifiedGrants::of(token);
    let Ok(grants) = judged else { return };
    assert_eq!(looked.map(|looked| looked.read), Some(grants.read));
    let (message, signature) = token.rsplit_once('.').expect("three parts");
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    let verified =
        [SECRET.as_bytes(), PREVIOUS].iter().any(|secret| {
            ["HS256", "HS384", "HS512"].iter().any(|alg| hmac(alg, secret, message) == signature)
        }) || FIXTURE.public.iter().any(|key| key.verifies(message.as_bytes(), &signature));
    assert!(verified, "nobody has signed it");
}

fn hmac(algorithm: &str, secret: &[u8], message: &str) -> Vec<u8> {
    macro_rules! with {
        ($hash:ty) => {{
            let mut mac = Hmac::<$hash>::new_from_slice(secret).expect("any length");
            mac.update(message.as_bytes());
            mac.finalize().into_bytes().to_vec()
        }};
    }
    match algorithm {
        "HS256" => with!(Sha256),
        "HS384" => with!(Sha384),
        _ => with!(Sha512),
    }
}

impl Signer {
    fn sign(self, message: &str) -> Vec<u8> {
        let Fixture { rsa, p256, ed25519, random, public, .. } = &*FIXTURE;
        match self {
            Signer::Secret(algorithm) => hmac(algorithm, SECRET.as_bytes(), message),
            Signer::Previous(algorithm) => hmac(algorithm, PREVIOUS, message),
            Signer::Stranger(algorithm) => hmac(algorithm, UNKNOWN, message),
            Signer::Rsa => {
                let mut signature = vec![0; rsa.public_modulus_len()];
                let signed =
                    rsa.sign(&RSA_PKCS1_SHA256, random, message.as_bytes(), &mut signature);
                signed.expect("signed");
                signature
            }
            Signer::P256 => {
                p256.sign(random, message.as_bytes()).expect("signed").as_ref().to_vec()
            }
            Signer::Ed25519 => ed25519.sign(message.as_bytes()).as_ref().to_vec(),
            Signer::PublicText => hmac("HS256", RSA.as_bytes(), message),
            Signer::PublicDer => hmac("HS256", public[0].info(), message),
        }
    }

    /// The algorithm under which the server accepts this signature.
    fn accepted_as(self) -> Option<&'static str> {
        match self {
            Signer::Secret(algorithm) | Signer::Previous(algorithm) => Some(algorithm),
            Signer::Rsa => Some("RS256"),
            Signer::P256 => Some("ES256"),
            Signer::Ed25519 => Some("EdDSA"),
            Signer::Stranger(_) | Signer::PublicText | Signer::PublicDer => None,
        }
    }
}

fn signed(input: &[u8]) {
    let Some((&[signer, damage, choice, _], rest)) = input.split_first_chunk() else { return };
    let signer = SIGNERS[usize::from(signer.wrapping_sub(b'a')) % SIGNERS.len()];
    let mut parts = rest.splitn(2, |byte| *byte == b'\n');
    let (header, claims) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let mut signature = signer.sign(&message);
    let whole = damage == b'-';
    match damage {
        b'-' => {}
        b'0' => signature.clear(),
        b'1' => signature.truncate(signature.len() / 2),
        b'2' => signature.push(0),
        b'3' => signature.fill(0),
        bit => {
            let at = usize::from(bit) % signature.len();
            signature[at] ^= 1 << (bit % 8);
        }
    }
    let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(&signature));
    let (policy, now) = (policy(choice), TIMES[usize::from(choice >> 2) % TIMES.len()]);
    let judged = auth::verify(&token, &FIXTURE.keys, &policy, now);

    let text = std::str::from_utf8(header).ok();
    let named = text.and_then(json::Members::of).map(|header| algorithm_of(&header));
    let accepted = signer.accepted_as().filter(|_| whole);
    match (&judged, named) {
        (Ok(_), Some(named)) => assert_eq!((accepted.is_some(), named), (true, accepted)),
        (Ok(_), None) => assert!(accepted.is_some() && text.is_some_and(json::is_object)),
        (Err(fault), Some(named)) if accepted.is_some() && named == accepted => {
            assert!(!matches!(fault, AuthError::Signature | AuthError::Algorithm), "{fault}");
            assert!(!matches!(fault, AuthError::Malformed | AuthError::Critical), "{fault}");
        }
        // Claims are judged, and named, only behind a good signature.
        (Err(fault), _) if accepted.is_none() => assert!(
            matches!(
                fault,
                AuthError::Signature
                    | AuthError::Algorithm
                    | AuthError::Malformed
                    | AuthError::Critical
            ),
            "{fault}"
        ),
        (Err(_), _) => {}
    }
    let is_signed = accepted.is_some() && named == Some(accepted);
    judge_claims(&judged, is_signed, claims, &policy, now);
    raw(&token);
}

/// What a header says that the signature is, where that is understood.
fn algorithm_of(header: &json::Members) -> Option<&'static str> {
    if !header.named("crit").is_empty() {
        return None;
    }
    let [algorithm] = header.named("alg")[..] else { return None };
    let known = ["HS256", "HS384", "HS512", "RS256", "ES256", "EdDSA"];
    known.into_iter().find(|known| algorithm == known)
}

fn judge_claims(
    judged: &Result<Grants, AuthError>,
    is_signed: bool,
    claims: &[u8],
    policy: &Policy,
    now: u64,
) {
    let text = std::str::from_utf8(claims).ok();
    if judged.is_ok() {
        assert!(text.is_some_and(json::is_object), "claims are a JSON object");
    }
    let Some(members) = text.and_then(json::Members::of) else { return };
    let expected = expected(&members, policy, now);
    match (judged, expected) {
        (Ok(grants), Some(expected)) => {
            let names = |names: &[Box<str>]| -> Vec<String> {
                names.iter().map(|name| String::from(&**name)).collect()
            };
            let granted = Expected {
                read: names(&grants.read),
                write: names(&grants.write),
                api: grants.api,
                manage: grants.manage,
                subject: grants.subject.as_deref().map(String::from),
                expires: grants.expires,
            };
            assert_eq!(granted, expected);
        }
        (Ok(_), None) => panic!("its claims do not admit: {members:?}"),
        (Err(fault), Some(expected)) => {
            assert!(!is_signed, "{fault}, though signed: {expected:?}");
        }
        (Err(_), None) => {}
    }
}

/// What claims grant.
#[derive(Debug, PartialEq, Eq)]
struct Expected {
    read: Vec<String>,
    write: Vec<String>,
    api: bool,
    manage: bool,
    subject: Option<String>,
    expires: Option<u64>,
}

/// The contract, once more. `None` where they admit nobody.
fn expected(claims: &json::Members, policy: &Policy, now: u64) -> Option<Expected> {
    let once = |name| match claims.named(name)[..] {
        [] | [Value::Null] => Some(None),
        [value] => Some(Some(value)),
        _ => None,
    };
    let names = |name| -> Option<Vec<String>> {
        let mut names: Vec<String> = Vec::new();
        let array = match once(name)? {
            None => return Some(names),
            Some(value) => value.as_array()?,
        };
        for item in array {
            let item = item.as_str()?;
            if !names.iter().any(|name| name == item) {
                names.push(item.to_owned());
            }
        }
        Some(names)
    };
    let flag = |name| once(name)?.map_or(Some(false), Value::as_bool);
    let time = |name| match once(name)? {
        None => Some(None),
        Some(Value::Number(number)) => Some(Some(seconds(number))),
        Some(_) => None,
    };
    let (read, write) = (names("read")?, names("write")?);
    let (api, manage) = (flag("api")?, flag("manage")?);
    let (exp, nbf, iat) = (time("exp")?, time("nbf")?, time("iat")?);
    if let Some(issuer) = &policy.issuer
        && once("iss")?.and_then(Value::as_str) != Some(&**issuer)
    {
        return None;
    }
    if let Some(audience) = &policy.audience {
        let is = |value: &Value| value.as_str() == Some(&**audience);
        let held = match once("aud")? {
            Some(Value::Array(all)) => all.iter().all(Value::is_string) && all.iter().any(is),
            other => other.is_some_and(is),
        };
        held.then_some(())?;
    }
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let begins = now.saturating_add(LEEWAY);
    let in_time = exp.is_none_or(|exp| exp > now)
        && nbf.is_none_or(|nbf| nbf <= begins)
        && iat.is_none_or(|iat| iat <= begins);
    let within = [&read, &write].into_iter().all(|names| {
        names.len() <= policy.max_channels
            && names.iter().all(|name| name.len() <= policy.max_channel_length)
    });
    let subject = claims.named("sub").last().and_then(|value| value.as_str()).map(String::from);
    let expires = exp.map(i64::unsigned_abs);
    (in_time && within).then_some(Expected { read, write, api, manage, subject, expires })
}

fn seconds(number: &serde_json::Number) -> i64 {
    match (number.as_i64(), number.as_u64(), number.as_f64()) {
        (Some(seconds), ..) => seconds,
        (_, Some(_), _) => i64::MAX,
        (.., Some(seconds)) => seconds.floor() as i64,
        _ => unreachable!("a number is one of them"),
    }
}

/// A key that is taken is the same wherever it is written down; one that is refused is not told about.
fn key(text: &[u8]) {
    let file = Path::new("/key");
    match PublicKey::parse(file, text) {
        Ok(key) => {
            let shown = String::from_utf8_lossy(text);
            let begins = shown.split("-----BEGIN ").skip(1);
            let mut private = begins.filter(|rest| rest.starts_with("PRIVATE KEY-----"));
            assert_eq!(private.next(), None, "a private key is taken");
            let pem = format!(
                "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
                STANDARD.encode(key.info())
            );
            let again = PublicKey::parse(file, pem.as_bytes()).expect("written down");
            assert_eq!((&again, again.algorithm()), (&key, key.algorithm()));
            for signature in [&[0xff; 64][..], &[0xff; 256], &[]] {
                assert!(!key.verifies(b"m", signature), "no number that a signature can be");
            }
            // Nothing that it did not sign opens anything.
            let keys = Keys::new(UNKNOWN, &[]).with_public([&key]);
            let token = philote_fuzz::TOKEN;
            assert!(auth::verify(token, &keys, &policy(0), TIMES[0]).is_err());
        }
        Err(said) => {
            assert!(!said.is_empty() && said.is_ascii(), "{said}");
            let lossy = String::from_utf8_lossy(text);
            // Of what is said, a word of more than 20 bytes would have to be out of the key.
            let told = lossy
                .lines()
                .map(str::trim)
                .find(|line| line.len() > 20 && !line.contains([' ', '-']) && said.contains(*line));
            assert_eq!(told, None, "{said}");
        }
    }
}
