//! Public keys, and the attacks that RFC 8725 names, against the judgement alone.

use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding,
};
use jsonwebtoken::EncodingKey;

use super::*;
use crate::auth::Claim;
use crate::config::PublicKey;

const SECRET: &[u8] = b"a secret of the tests";
const NOW: u64 = 1_800_000_000;
const POLICY: Policy = Policy {
    issuer: None,
    audience: None,
    leeway: Duration::from_secs(5),
    max_channels: 3,
    max_channel_length: 8,
};

const RSA: &str = include_str!("../../../tests/keys/rsa.pub");
const P256: &str = include_str!("../../../tests/keys/p256.pub");
const ED25519: &str = include_str!("../../../tests/keys/ed25519.pub");
const OTHERS: [&str; 3] = [
    include_str!("../../../tests/keys/rsa-other1.pub"),
    include_str!("../../../tests/keys/rsa-other2.pub"),
    include_str!("../../../tests/keys/rsa-other3.pub"),
];

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn private(pem: &str) -> Vec<u8> {
    pem::parse(pem).expect("a private key").into_contents()
}

fn rsa_key() -> RsaKeyPair {
    RsaKeyPair::from_pkcs8(&private(include_str!("../../../tests/keys/rsa.key"))).expect("a key")
}

fn rsa(message: &str, encoding: &'static dyn RsaEncoding) -> Vec<u8> {
    let key = rsa_key();
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(encoding, &SystemRandom::new(), message.as_bytes(), &mut signature).expect("signed");
    signature
}

fn p256(message: &str) -> Vec<u8> {
    let der = private(include_str!("../../../tests/keys/p256.key"));
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).expect("a key");
    key.sign(&SystemRandom::new(), message.as_bytes()).expect("signed").as_ref().to_vec()
}

fn ed25519(message: &str) -> Vec<u8> {
    let der = private(include_str!("../../../tests/keys/ed25519.key"));
    let key = Ed25519KeyPair::from_pkcs8(&der).expect("a key");
    key.sign(message.as_bytes()).as_ref().to_vec()
}

fn signature(algorithm: &str, message: &str) -> Vec<u8> {
    match algorithm {
        "RS256" => rsa(message, &RSA_PKCS1_SHA256),
        "ES256" => p256(message),
        "EdDSA" => ed25519(message),
        _ => panic!("{algorithm} is not signed with here"),
    }
}

/// A token of any header, signed by this algorithm whatever the header says.
fn with_header(header: &str, algorithm: &str, claims: &str) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = signature(algorithm, &message);
    format!("{message}.{}", encode(signature))
}

fn header(algorithm: &str) -> String {
    format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#)
}

fn token(algorithm: &str, claims: &str) -> String {
    with_header(&header(algorithm), algorithm, claims)
}

fn hmac(header: &str, secret: &[u8]) -> String {
    let message = format!("{}.{}", encode(header), encode("{}"));
    let algorithm = match header {
        header if header.contains("HS384") => jsonwebtoken::Algorithm::HS384,
        header if header.contains("HS512") => jsonwebtoken::Algorithm::HS512,
        _ => jsonwebtoken::Algorithm::HS256,
    };
    let key = EncodingKey::from_secret(secret);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm);
    format!("{message}.{}", signature.expect("signed"))
}

fn public(texts: &[&str]) -> Keys {
    let read =
        |text: &&str| PublicKey::parse(Path::new("/k"), text.as_bytes()).expect("a good key");
    let keys: Vec<PublicKey> = texts.iter().map(read).collect();
    std::iter::empty::<&[u8]>().collect::<Keys>().with_public(&keys)
}

fn with_secret(texts: &[&str]) -> Keys {
    let read =
        |text: &&str| PublicKey::parse(Path::new("/k"), text.as_bytes()).expect("a good key");
    let keys: Vec<PublicKey> = texts.iter().map(read).collect();
    Keys::new(SECRET, &[]).with_public(&keys)
}

fn judge(token: &str, keys: &Keys) -> Result<Grants, AuthError> {
    verify(token, keys, &POLICY, NOW)
}

const ALGORITHMS: [(&str, &str); 3] = [("RS256", RSA), ("ES256", P256), ("EdDSA", ED25519)];

#[test]
fn each_kind_of_key_verifies_its_own_algorithm_and_no_other() {
    let all = with_secret(&[RSA, P256, ED25519]);
    for (algorithm, text) in ALGORITHMS {
        let token = token(algorithm, r#"{"read":["a"]}"#);
        let grants = judge(&token, &all).unwrap_or_else(|e| panic!("{algorithm}: {e}"));
        assert_eq!(&*grants.read[0], "a");
        assert!(public(&[text]).accepts(&grants.key) && !public(&OTHERS).accepts(&grants.key));
        for (other, text) in ALGORITHMS {
            let verdict = judge(&token, &public(&[text])).map(drop);
            let expected = if other == algorithm { Ok(()) } else { Err(AuthError::Algorithm) };
            assert_eq!(verdict, expected, "{algorithm} by a key for {other}");
            // What the header says is not what was signed with.
            if other != algorithm {
                let lie = with_header(&header(other), algorithm, "{}");
                assert_eq!(judge(&lie, &all), Err(AuthError::Signature), "{algorithm} as {other}");
            }
        }
    }
}

#[test]
fn keys_of_one_kind_are_tried_in_their_order_until_one_verifies() {
    let [one, two, three] = OTHERS;
    let good = token("RS256", "{}");
    for keys in [[RSA, one, two, three], [one, two, three, RSA]] {
        let keys = public(&keys);
        assert!(judge(&good, &keys).is_ok());
    }
    assert_eq!(judge(&good, &public(&OTHERS)), Err(AuthError::Signature));
    // And their claims are judged by the first that did.
    let expired = token("RS256", r#"{"exp":1}"#);
    assert_eq!(judge(&expired, &public(&[one, RSA])), Err(AuthError::Expired));
    assert_eq!(judge(&expired, &public(&OTHERS)), Err(AuthError::Signature));
}

/// RFC 8725, 2.1: the public text of a key, taken for a shared secret.
#[test]
fn no_form_of_a_public_key_is_a_secret_that_signs() {
    let mut tried = 0;
    for (_, text) in ALGORITHMS {
        let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
        let der = pem::parse(text).expect("a key").into_contents();
        let forms: [&[u8]; 9] = [
            text.as_bytes(),
            text.trim_end().as_bytes(),
            &text.replace('\n', "\r\n").into_bytes(),
            &text.replace('\n', "").into_bytes(),
            &text.replace('\n', "\\n").into_bytes(),
            body.as_bytes(),
            &der,
            // The RSAPublicKey within, the point, the bytes of the key.
            &der[der.len().min(24)..],
            b"",
        ];
        for form in forms {
            for algorithm in ["HS256", "HS384", "HS512"] {
                let forged = hmac(&header(algorithm), form);
                assert_eq!(judge(&forged, &public(&[text])), Err(AuthError::Algorithm));
                assert_eq!(judge(&forged, &with_secret(&[text])), Err(AuthError::Signature));
            }
            for (algorithm, _) in ALGORITHMS {
                let forged = hmac(&header(algorithm), form);
                assert!(judge(&forged, &public(&[text])).is_err(), "{algorithm}");
            }
            tried += 1;
        }
    }
    assert_eq!(tried, 27);
}

#[test]
fn without_a_secret_no_token_signed_with_one_is_accepted() {
    let keys = public(&[RSA, P256, ED25519]);
    for secret in [SECRET, b""] {
        for algorithm in ["HS256", "HS384", "HS512"] {
            assert_eq!(judge(&hmac(&header(algorithm), secret), &keys), Err(AuthError::Algorithm));
        }
    }
    assert!(judge(&hmac(&header("HS256"), SECRET), &with_secret(&[RSA])).is_ok());
}

/// RFC 8725, 2.1 and 3.2.
#[test]
fn every_writing_of_none_and_every_other_algorithm_is_refused() {
    let mut names: Vec<String> = (0..16)
        .map(|cases: u32| {
            let letters = "none".chars().enumerate();
            letters
                .map(|(at, c)| if cases >> at & 1 == 1 { c.to_ascii_uppercase() } else { c })
                .collect()
        })
        .collect();
    names.extend(
        [
            "",
            " none",
            "none ",
            "none\0",
            "n\u{f8}ne",
            "null",
            "RS384",
            "RS512",
            "PS256",
            "PS384",
            "PS512",
            "ES384",
            "ES512",
            "ES256K",
            "Ed25519",
            "Ed448",
            "eddsa",
            "EDDSA",
            "rs256",
            "es256",
            "RS256 ",
            "HS1",
            "RSA1_5",
            "A128KW",
            "dir",
            "ECDH-ES",
            "PBES2-HS256+A128KW",
        ]
        .map(str::to_owned),
    );
    assert_eq!(names.len(), 16 + 27);
    let keys = with_secret(&[RSA, P256, ED25519]);
    for name in names {
        let header = serde_json::json!({ "alg": name }).to_string();
        for (algorithm, _) in ALGORITHMS {
            let token = with_header(&header, algorithm, "{}");
            assert_eq!(judge(&token, &keys), Err(AuthError::Algorithm), "{name:?}");
            let (message, _) = token.rsplit_once('.').expect("three parts");
            for naked in [format!("{message}."), message.to_owned(), format!("{message}..")] {
                assert!(judge(&naked, &keys).is_err(), "{name:?}");
            }
        }
        assert_eq!(judge(&hmac(&header, SECRET), &keys), Err(AuthError::Algorithm), "{name:?}");
    }
}

/// RFC 8725, 3.10: a header that brings its own key, or says where to find one.
#[test]
fn no_header_selects_or_brings_a_key() {
    let keys = with_secret(&[RSA, P256, ED25519]);
    let stranger = Ed25519KeyPair::generate().expect("a key");
    let x = {
        use aws_lc_rs::signature::KeyPair as _;
        encode(stranger.public_key().as_ref())
    };
    let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#);
    let long = format!("\"{}\"", "k".repeat(40_000));
    let members = [
        format!(r#""jwk":{jwk}"#),
        r#""jku":"https://attacker.example/keys.json""#.to_owned(),
        r#""jku":"file:///etc/passwd""#.to_owned(),
        r#""x5u":"https://attacker.example/chain.pem""#.to_owned(),
        r#""x5c":["MIIB"],"x5t":"AAAA","x5t#S256":"AAAA""#.to_owned(),
        r#""kid":"../../../../dev/null""#.to_owned(),
        r#""kid":"/proc/self/environ""#.to_owned(),
        r#""kid":"' OR 1=1; --""#.to_owned(),
        r#""kid":"$(reboot)""#.to_owned(),
        r#""kid":"""#.to_owned(),
        r#""kid":null"#.to_owned(),
        r#""kid":0"#.to_owned(),
        r#""kid":["1","2"]"#.to_owned(),
        r#""kid":{"$ne":""}"#.to_owned(),
        r#""kid":"a","kid":"b""#.to_owned(),
        format!(r#""kid":{long}"#),
        r#""cty":"JWT","zip":"DEF","enc":"A256GCM","epk":{},"p2c":2147483647"#.to_owned(),
    ];
    for member in members {
        let header = format!(r#"{{"alg":"EdDSA",{member}}}"#);
        let shown = &header[..header.len().min(80)];
        // It neither opens for the stranger's key, nor closes for ours.
        let message = format!("{}.{}", encode(&header), encode("{}"));
        let forged = format!("{message}.{}", encode(stranger.sign(message.as_bytes()).as_ref()));
        assert_eq!(judge(&forged, &keys), Err(AuthError::Signature), "{shown}");
        assert!(judge(&with_header(&header, "EdDSA", "{}"), &keys).is_ok(), "{shown}");
    }
}

#[test]
fn a_header_with_two_algorithms_or_a_critical_extension_is_refused_whoever_signed() {
    let keys = with_secret(&[RSA, P256, ED25519]);
    let cases = [
        (r#"{"alg":"EdDSA","alg":"EdDSA"}"#, AuthError::Malformed),
        (r#"{"alg":"HS256","alg":"EdDSA"}"#, AuthError::Malformed),
        (r#"{"alg":"EdDSA","\u0061lg":"none"}"#, AuthError::Malformed),
        (r#"{"alg":"EdDSA","crit":["exp"],"exp":1}"#, AuthError::Critical),
        (r#"{"alg":"EdDSA","crit":["b64"],"b64":false}"#, AuthError::Critical),
        (r#"{"alg":"EdDSA","crit":null}"#, AuthError::Critical),
        ("\u{feff}{\"alg\":\"EdDSA\"}", AuthError::Malformed),
        ("{\"alg\":\"EdDSA\"}\0", AuthError::Malformed),
    ];
    for (header, error) in cases {
        assert_eq!(judge(&with_header(header, "EdDSA", "{}"), &keys), Err(error), "{header}");
    }
}

/// RFC 8725, 3.3: what every implementation of a signature has once got wrong.
#[test]
fn signatures_that_were_accepted_elsewhere_are_refused() {
    let keys = public(&[RSA, P256, ED25519]);
    let with = |algorithm: &str, signature: &[u8]| {
        let message = format!("{}.{}", encode(header(algorithm)), encode("{}"));
        judge(&format!("{message}.{}", encode(signature)), &keys)
    };
    let message = |algorithm| format!("{}.{}", encode(header(algorithm)), encode("{}"));
    // The order of P-256, and one less and more of it: r and s out of range, "psychic" ones.
    let order: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let (zero, mut one) = ([0; 32], [0; 32]);
    one[31] = 1;
    for r in [zero, one, order, [0xff; 32]] {
        for s in [zero, one, order, [0xff; 32]] {
            assert_eq!(with("ES256", &[r, s].concat()), Err(AuthError::Signature));
        }
    }
    let der = private(include_str!("../../../tests/keys/p256.key"));
    let asn1 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &der).expect("a key");
    let asn1 = asn1.sign(&SystemRandom::new(), message("ES256").as_bytes()).expect("signed");
    assert_eq!(with("ES256", asn1.as_ref()), Err(AuthError::Signature));

    let good = ed25519(&message("EdDSA"));
    assert!(with("EdDSA", &good).is_ok());
    // The same with the group's order added to its second half (RFC 8032, 5.1.7).
    let group: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut malleable = good.clone();
    let mut carry = 0;
    for (byte, more) in malleable[32..].iter_mut().zip(group) {
        let sum = u16::from(*byte) + u16::from(more) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    assert_eq!(with("EdDSA", &malleable), Err(AuthError::Signature));

    let text = message("RS256");
    for encoding in [&RSA_PKCS1_SHA512 as &'static dyn RsaEncoding, &RSA_PSS_SHA256] {
        assert_eq!(with("RS256", &rsa(&text, encoding)), Err(AuthError::Signature));
    }
    let good = rsa(&text, &RSA_PKCS1_SHA256);
    assert!(with("RS256", &good).is_ok());
    for bad in [vec![0; 256], vec![0xff; 256], [&[0], &good[..]].concat(), good[1..].to_vec()] {
        assert_eq!(with("RS256", &bad), Err(AuthError::Signature));
    }
    let mut tried = 0;
    for (algorithm, _) in ALGORITHMS {
        let good = signature(algorithm, &message(algorithm));
        for length in [0, 1, 63, 65, 255, 257, 40_000] {
            let mut other = good.clone();
            other.resize(length, 0);
            if length != good.len() {
                assert_eq!(with(algorithm, &other), Err(AuthError::Signature), "{length}");
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 21);
}

#[test]
fn a_part_in_another_base64_is_refused_whoever_signed() {
    for (algorithm, text) in ALGORITHMS {
        let keys = public(&[text]);
        let good = token(algorithm, "{}");
        let (message, tail) = good.rsplit_once('.').expect("three parts");
        assert!(judge(&good, &keys).is_ok());
        let last = tail.chars().last().expect("a signature");
        // 256 and 64 bytes leave 4 bits over, which are nought.
        let above = char::from(last as u8 + 1);
        for other in [
            format!("{good}="),
            format!("{good}=="),
            format!("{good}\n"),
            format!("{message}. {tail}"),
            format!("{message}.{}\n{}", &tail[..40], &tail[40..]),
            format!("{message}.{}{above}", &tail[..tail.len() - 1]),
            format!("{message}.{}", tail.replace('-', "+").replace('_', "/") + "=="),
            format!("{good}.{tail}"),
            format!("{good}.{tail}.{tail}"),
        ] {
            assert!(judge(&other, &keys).is_err(), "{algorithm}: {other}");
        }
        // Signed as it stands, the payload is still no base64url.
        for payload in ["e30=", "e3 0", "e30\n", "e31"] {
            let message = format!("{}.{payload}", encode(header(algorithm)));
            let token = format!("{message}.{}", encode(signature(algorithm, &message)));
            assert_eq!(judge(&token, &keys), Err(AuthError::Malformed), "{payload:?}");
        }
    }
}

#[test]
fn a_huge_token_is_judged_like_any_other_whatever_it_is_signed_with() {
    let keys = with_secret(&[RSA, P256, ED25519]);
    let filler = "x".repeat(60 << 10);
    for (algorithm, _) in ALGORITHMS {
        let claims = format!(r#"{{"read":["a"],"filler":"{filler}"}}"#);
        assert!(judge(&token(algorithm, &claims), &keys).is_ok());
        let header = format!(r#"{{"alg":"{algorithm}","filler":"{filler}"}}"#);
        assert!(judge(&with_header(&header, algorithm, "{}"), &keys).is_ok());
        for deep in
            ["[".repeat(60_000), format!(r#"{{"alg":"{algorithm}","x":{}"#, "[".repeat(60_000))]
        {
            let token = with_header(&deep, algorithm, "{}");
            assert_eq!(judge(&token, &keys), Err(AuthError::Malformed));
        }
        let closed = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
        let header = format!(r#"{{"alg":"{algorithm}","x":{closed}}}"#);
        // However deep, it is only skipped.
        assert!(matches!(
            judge(&with_header(&header, algorithm, "{}"), &keys),
            Ok(_) | Err(AuthError::Malformed)
        ));
    }
}

/// RFC 8725, 3.8 and 3.9.
#[test]
fn an_issuer_and_an_audience_are_demanded_where_they_are_configured() {
    use AuthError::{Audience, Issuer, Repeated, WrongType};
    let keys = public(&[ED25519]);
    let with = |issuer: Option<&str>, audience: Option<&str>| Policy {
        issuer: issuer.map(Box::from),
        audience: audience.map(Box::from),
        ..POLICY
    };
    let issuer = with(Some("https://i/"), None);
    let audience = with(None, Some("philote"));
    let both = with(Some("https://i/"), Some("philote"));
    let cases: &[(&str, &Policy, Result<(), AuthError>)] = &[
        (r#"{"iss":"https://i/"}"#, &issuer, Ok(())),
        (r#"{"iss":"https:\/\/i\u002f"}"#, &issuer, Ok(())),
        (r#"{"iss":"https://i/","aud":7}"#, &issuer, Ok(())),
        ("{}", &issuer, Err(Issuer)),
        (r#"{"iss":null}"#, &issuer, Err(Issuer)),
        (r#"{"iss":""}"#, &issuer, Err(Issuer)),
        (r#"{"iss":"https://i"}"#, &issuer, Err(Issuer)),
        (r#"{"iss":"https://i/ "}"#, &issuer, Err(Issuer)),
        (r#"{"iss":"HTTPS://I/"}"#, &issuer, Err(Issuer)),
        (r#"{"Iss":"https://i/"}"#, &issuer, Err(Issuer)),
        (r#"{"iss":["https://i/"]}"#, &issuer, Err(WrongType(Claim::Iss))),
        (r#"{"iss":7}"#, &issuer, Err(WrongType(Claim::Iss))),
        (r#"{"iss":"https://i/","iss":"https://i/"}"#, &issuer, Err(Repeated(Claim::Iss))),
        (r#"{"iss":"no","iss":"https://i/"}"#, &issuer, Err(Repeated(Claim::Iss))),
        (r#"{"iss":"https://i/\ud800"}"#, &issuer, Err(WrongType(Claim::Iss))),
        (r#"{"aud":"philote"}"#, &audience, Ok(())),
        (r#"{"aud":["philote"]}"#, &audience, Ok(())),
        (r#"{"aud":["a","philote","b"],"iss":[]}"#, &audience, Ok(())),
        ("{}", &audience, Err(Audience)),
        (r#"{"aud":null}"#, &audience, Err(Audience)),
        (r#"{"aud":[]}"#, &audience, Err(Audience)),
        (r#"{"aud":"other"}"#, &audience, Err(Audience)),
        (r#"{"aud":"philote2"}"#, &audience, Err(Audience)),
        (r#"{"aud":["philot","e"]}"#, &audience, Err(Audience)),
        (r#"{"aud":{"philote":true}}"#, &audience, Err(WrongType(Claim::Aud))),
        (r#"{"aud":["philote",7]}"#, &audience, Err(WrongType(Claim::Aud))),
        (r#"{"aud":[["philote"]]}"#, &audience, Err(WrongType(Claim::Aud))),
        (r#"{"aud":"x","aud":"philote"}"#, &audience, Err(Repeated(Claim::Aud))),
        (r#"{"aud":"philote","iss":"https://i/"}"#, &both, Ok(())),
        (r#"{"aud":"philote"}"#, &both, Err(Issuer)),
        (r#"{"iss":"https://i/"}"#, &both, Err(Audience)),
        (r#"{"iss":[],"aud":{},"iss":1,"aud":2}"#, &POLICY, Ok(())),
    ];
    for (claims, policy, expected) in cases {
        let verdict = verify(&token("EdDSA", claims), &keys, policy, NOW).map(drop);
        assert_eq!(verdict, *expected, "{claims}");
        let secret = Keys::new(SECRET, &[]);
        let message = format!("{}.{}", encode(r#"{"alg":"HS256"}"#), encode(claims));
        let key = EncodingKey::from_secret(SECRET);
        let algorithm = jsonwebtoken::Algorithm::HS256;
        let mac = jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm).expect("signed");
        let verdict = verify(&format!("{message}.{mac}"), &secret, policy, NOW).map(drop);
        assert_eq!(verdict, *expected, "{claims}");
    }
}
