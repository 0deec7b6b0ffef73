//! Certificates: what is good for TLS and not for browsers is told at a start, at a reload and by `check`.

use super::*;

const KEY: &str = include_str!("../../../tests/keys/p256.key");

fn with(certificate: &str) -> Fake {
    let toml = "auth.secret = \"\"\n[tls]\ncertificate = \"/c\"\nkey = \"/k\"\n";
    Fake::new().toml(toml).file("/c", 0o644, certificate).file("/k", 0o600, KEY)
}

#[test]
fn a_certificate_that_browsers_refuse_is_a_warning_with_its_file_and_the_reason() {
    let told = |loaded: Result<Loaded, Faults>| -> Vec<String> {
        let warnings = loaded.unwrap_or_else(|faults| panic!("{faults}")).warnings;
        let told = warnings.iter().map(Warning::to_string);
        told.filter(|line| line.contains("browsers refuse it")).collect()
    };
    let good = with(include_str!("../../../tests/keys/browsers/good.pem"));
    assert_eq!(told(good.load()), [""; 0]);
    let old = with(include_str!("../../../tests/keys/browsers/sha1.pem"));
    for loaded in [old.load(), old.reload()] {
        let told = told(loaded);
        assert_eq!(told.len(), 1, "{told:?}");
        let start = format!(
            "{TOML}:3:15: tls.certificate: \"/c\": browsers refuse it: its signature is neither "
        );
        assert!(told[0].starts_with(&start), "{told:?}");
    }
}
