//! Tokens that others sign with a private key: which keys are taken, that each verifies its own
//! algorithm alone, and what a reload that replaces one does.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::dir::Dir;
use crate::support::private_key::{ALGORITHMS, can_sign, public, signed, signed_with_header};
use crate::support::server::{Server, Setup, file};
use crate::support::token::{self, SECRET, grant, with_header};
use crate::support::tools::in_tests;

/// A configuration with these public keys and no secret, unless `more` has one.
fn with_keys(keys: &[&Path], more: &[&str]) -> String {
    let keys = format!("auth.public_keys = {keys:?}");
    let lines = file(&[&[keys.as_str()], more].concat());
    if more.iter().any(|line| line.starts_with("auth.secret")) {
        return lines;
    }
    lines
        .lines()
        .filter(|line| !line.starts_with("auth.secret "))
        .map(|l| format!("{l}\n"))
        .collect()
}

fn all_keys() -> Vec<std::path::PathBuf> {
    ALGORITHMS.iter().map(|(_, name)| public(name)).collect()
}

fn start(keys: &[&Path], more: &[&str]) -> Server {
    Setup::of_file(&with_keys(keys, more)).start()
}

const CLAIMS: &str = r#"{"read":["c"],"write":["c"]}"#;

#[track_caller]
fn is_unauthorized(server: &Server, token: &str) -> String {
    let refusal = server.refuses_token(token);
    assert_eq!(refusal.status, 401, "{refusal:?}");
    refusal.body
}

#[test]
fn tokens_of_each_kind_of_key_open_a_connection_that_works() {
    if !can_sign() {
        return;
    }
    let keys = all_keys();
    let keys: Vec<&Path> = keys.iter().map(AsRef::as_ref).collect();
    let server = start(&keys, &[]);
    for (algorithm, _) in ALGORITHMS {
        let mut reader = server.open(&signed(algorithm, CLAIMS));
        let mut writer = server.open(&signed(algorithm, CLAIMS));
        writer.publish("c", algorithm);
        reader.hears("c", algorithm);
    }
}

#[test]
fn where_only_public_keys_are_configured_no_secret_opens_not_even_the_text_of_a_key() {
    let keys = all_keys();
    let keys: Vec<&Path> = keys.iter().map(AsRef::as_ref).collect();
    let server = start(&keys, &[]);
    let mut secrets = vec![String::new(), SECRET.to_owned()];
    for key in &keys {
        let text = std::fs::read_to_string(key).expect("a key");
        secrets.extend([text.trim_end().to_owned(), text]);
    }
    for secret in &secrets {
        for algorithm in ["HS256", "HS384", "HS512"] {
            let said = is_unauthorized(&server, &token::signed(algorithm, CLAIMS, secret));
            assert!(said.contains("an algorithm that is not accepted here"), "{said}");
        }
        for (algorithm, _) in ALGORITHMS {
            let header = format!(r#"{{"alg":"{algorithm}"}}"#);
            is_unauthorized(&server, &with_header(&header, "HS256", CLAIMS, secret));
        }
    }
    assert_eq!(secrets.len(), 8);
    is_unauthorized(&server, &with_header(r#"{"alg":"none"}"#, "none", CLAIMS, ""));
}

#[test]
fn a_secret_beside_public_keys_signs_its_own_algorithms_and_they_theirs() {
    if !can_sign() {
        return;
    }
    let rsa = public("rsa");
    let server = start(&[&rsa], &[&format!("auth.secret = {SECRET:?}")]);
    server.open(&grant(&["c"], &[])).close();
    server.open(&signed("RS256", CLAIMS)).close();
    let text = std::fs::read_to_string(&rsa).expect("a key");
    for secret in [&text, text.trim_end()] {
        let said = is_unauthorized(&server, &token::signed("HS256", CLAIMS, secret));
        assert!(said.contains("signature does not verify"), "{said}");
    }
    for (algorithm, signs) in [("HS256", "RS256"), ("ES256", "RS256"), ("EdDSA", "RS256")] {
        let header = format!(r#"{{"alg":"{algorithm}"}}"#);
        is_unauthorized(&server, &signed_with_header(&header, signs, CLAIMS));
    }
    is_unauthorized(&server, &signed("ES256", CLAIMS));
}

#[test]
fn a_header_that_names_a_key_or_brings_one_chooses_nothing() {
    if !can_sign() {
        return;
    }
    let (rsa, ed25519) = (public("rsa-other1"), public("ed25519"));
    let server = start(&[&rsa, &ed25519], &[]);
    for member in [
        r#""kid":"/etc/passwd""#,
        r#""kid":"' OR 1=1 --""#,
        r#""kid":{"$ne":1}"#,
        r#""jku":"http://127.0.0.1:1/keys""#,
        r#""jwk":{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        r#""x5u":"http://127.0.0.1:1/chain","x5c":["MIIB"]"#,
    ] {
        let header = format!(r#"{{"alg":"EdDSA",{member}}}"#);
        server.open(&signed_with_header(&header, "EdDSA", CLAIMS)).close();
        let header = format!(r#"{{"alg":"RS256",{member}}}"#);
        is_unauthorized(&server, &signed_with_header(&header, "RS256", CLAIMS));
    }
    let critical = r#"{"alg":"EdDSA","crit":["b64"],"b64":false}"#;
    is_unauthorized(&server, &signed_with_header(critical, "EdDSA", CLAIMS));
    let (mut reader, mut writer) =
        (server.open(&signed("EdDSA", CLAIMS)), server.open(&signed("EdDSA", CLAIMS)));
    writer.publish("c", "still here");
    reader.hears("c", "still here");
}

#[test]
fn an_issuer_and_an_audience_are_demanded_where_they_are_configured() {
    if !can_sign() {
        return;
    }
    let p256 = public("p256");
    let asks = ["auth.issuer = \"https://login.example.org/\"", "auth.audience = \"philote\""];
    let server = start(&[&p256], &asks);
    for (claims, reason) in [
        (r#"{"iss":"https://login.example.org/","aud":"philote"}"#, None),
        (r#"{"iss":"https://login.example.org/","aud":["shop","philote"]}"#, None),
        (r#"{"aud":"philote"}"#, Some("auth.issuer")),
        (r#"{"iss":"https://login.example.org","aud":"philote"}"#, Some("auth.issuer")),
        (r#"{"iss":"https://login.example.org/"}"#, Some("auth.audience")),
        (r#"{"iss":"https://login.example.org/","aud":["shop"]}"#, Some("auth.audience")),
        (
            r#"{"iss":"https://login.example.org/","aud":["philote",1]}"#,
            Some("aud is not a string"),
        ),
    ] {
        let token = signed("ES256", claims);
        match reason {
            None => server.open(&token).close(),
            Some(reason) => {
                let said = is_unauthorized(&server, &token);
                assert!(said.contains(reason), "{claims}: {said}");
            }
        }
    }
    // From then on neither is demanded. The comment shows that the file was not cut.
    server.takes(&with_keys(&[&p256], &["# No issuer, no audience."]));
    server.open(&signed("ES256", "{}")).close();
}

#[test]
fn a_public_key_that_is_withdrawn_closes_whoever_rests_on_it_and_nobody_else() {
    if !can_sign() {
        return;
    }
    let dir = Dir::new();
    let (rsa, p256) = (public("rsa"), public("p256"));
    let app = dir.write("app.pub", &std::fs::read_to_string(&rsa).expect("a key"));
    let more = ["auth.withdrawal_spread = \"0s\""];
    let server = start(&[&app, &p256], &more);
    let go = server.open(&signed("RS256", CLAIMS));
    let mut stays = server.open(&signed("ES256", CLAIMS));
    // The same key from another file withdraws nothing.
    server.takes(&with_keys(&[&rsa, &p256], &more));
    server.takes(&with_keys(&[&p256, &app], &more));
    assert!(!server.log().contains("closed within"), "{}", server.log());
    // Another key in the file of the old one withdraws that.
    let other = std::fs::read_to_string(public("rsa-other1")).expect("a key");
    std::fs::write(&app, other).expect("a key");
    server.reload();
    let reason = go.closed_with(1008);
    assert!(reason.contains("withdrawn"), "{reason:?}");
    server.logs("both keys of the file", |line| {
        line.contains("auth.public_keys: ") && line.matches("app.pub (RS256 ").count() == 2
    });
    is_unauthorized(&server, &signed("RS256", CLAIMS));
    stays.round_trip();
    // A file that is no key any more leaves everything as it was.
    std::fs::write(&app, "-----BEGIN PUBLIC KEY-----\n").expect("half a key");
    let faults = server.rejects_reload();
    assert!(faults[0].contains("app.pub") && faults[0].contains("PEM is broken"), "{faults:?}");
    stays.round_trip();
}

#[test]
fn a_configuration_with_a_key_that_must_not_be_there_does_not_start_and_says_how_to_mend_it() {
    let dir = Dir::new();
    let writable = dir.write("open.pub", &std::fs::read_to_string(public("rsa")).expect("a key"));
    std::fs::set_permissions(&writable, Permissions::from_mode(0o666)).expect("a mode");
    let mut refused = 0;
    for (path, says) in [
        (in_tests("keys/ed25519.key"), "-pubout"),
        (in_tests("keys/refused/rsa-private-pkcs1.pem"), "-pubout"),
        (in_tests("keys/refused/rsa1024.pub"), "fewer than 2048 bits"),
        (in_tests("keys/refused/P-384.pub"), "RSA of 2048 to 8192 bits, P-256 or Ed25519"),
        (in_tests("keys/refused/certificate.pem"), "openssl x509"),
        (writable, "chmod o-w"),
        (in_tests("keys/none.pub"), "there is no such file"),
    ] {
        let ended = Setup::of_file(&with_keys(&[&path], &[])).fails();
        assert_eq!(ended.status.code(), Some(78), "{}", ended.log);
        let name = path.display().to_string();
        assert!(ended.log.contains(says) && ended.log.contains(&name), "{says}: {}", ended.log);
        assert!(
            !ended.log.contains("MC4CAQ") && !ended.log.contains("MIIEpAIBAA"),
            "{}",
            ended.log
        );
        refused += 1;
    }
    assert_eq!(refused, 7);
    for (secret, says) in [
        (std::fs::read_to_string(public("rsa")).expect("a key"), "holds a key of its own kind"),
        (String::new(), "empty beside another key"),
    ] {
        let line = format!("auth.secret = {secret:?}");
        let ended = Setup::of_file(&with_keys(&[&public("rsa")], &[&line])).fails();
        assert_eq!(ended.status.code(), Some(78), "{}", ended.log);
        assert!(ended.log.contains(says), "{}", ended.log);
    }
}
