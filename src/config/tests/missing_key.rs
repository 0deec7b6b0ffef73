//! The mode without a secret: where it is asked for, and where a file that names no key is refused.

use super::*;

const KEY: &str = include_str!("../../../tests/keys/p256.pub");
const MISSING: &str = "auth.secret: neither a file nor the environment names a key";

#[test]
fn a_machine_without_any_file_needs_no_secret() {
    assert!(Fake::silent().config().auth.accepts_empty_key());
}

#[test]
fn a_file_without_a_key_is_refused_however_little_is_left_of_it() {
    let texts = [
        "",
        "\n",
        "# A comment.\n",
        "workers = 2\n",
        "[auth]\n",
        "auth.allow_empty_secret = true\n",
        "auth.public_keys = []\n",
        "auth.previous_secrets = []\nauth.previous_secret_files = []\n",
        "[auth]\nissuer = \"a\"\nallowed_origins = [\"https://a.example\"]\n",
    ];
    for text in texts {
        let faults = Fake::silent().toml(text).load().expect_err("it is refused");
        assert_eq!(faults.exit_code(), 78, "{text:?}");
        let expected = format!("{TOML}: {MISSING}");
        assert_eq!(faults.0.len(), 1, "{text:?}: {faults}");
        assert!(faults.to_string().starts_with(&expected), "{text:?}: {faults}");
        assert!(faults.to_string().contains("write secret = \"\""), "{faults}");
    }
    // A file of variables may be cut as well.
    for text in ["", "LOGLEVEL=debug\n"] {
        let faults = Fake::silent().file(ENV, 0o640, text).faults();
        assert!(faults[0].starts_with(&format!("{ENV}: {MISSING}")), "{faults:?}");
    }
}

#[test]
fn a_key_from_any_layer_is_enough_and_so_is_saying_that_none_is_meant() {
    let file = || Fake::silent().toml("workers = 2\n").file("/k", 0o640, KEY);
    let long = "0123456789abcdef0123456789abcdef";
    let keyed = [
        file().env(&[("SECRET", long)]),
        file().env(&[("PHILOTE_AUTH_SECRET", long)]),
        file().env(&[("PHILOTE_AUTH_PREVIOUS_SECRETS", long)]),
        file().env(&[("PHILOTE_AUTH_PUBLIC_KEYS", "/k")]),
        file().file("/s", 0o600, long).env(&[("SECRET_FILE", "/s")]),
        file().file(ENV, 0o640, format!("SECRET={long}\n")),
        file().toml("auth.public_keys = [\"/k\"]"),
        file().toml(format!("auth.previous_secrets = [\"{long}\"]")),
        Fake::silent().toml("").env(&[("SECRET", long)]),
    ];
    for fake in keyed {
        assert!(!fake.config().auth.accepts_empty_key());
    }
    let asked = [
        file().toml("auth.secret = \"\""),
        file().env(&[("SECRET", "")]),
        file().env(&[("PHILOTE_AUTH_SECRET", "")]),
        file().file(ENV, 0o640, "SECRET=\n"),
        Fake::silent().file(ENV, 0o640, include_str!("../../../.env.sample")),
    ];
    for fake in asked {
        assert!(fake.config().auth.accepts_empty_key());
    }
    // A variable that is set to nothing blanks no key of a file.
    let fake = Fake::silent().toml(format!("auth.secret = \"{long}\"")).env(&[("SECRET", "")]);
    assert_eq!(fake.config().auth.secret, long.into());
}

#[test]
fn only_the_secrets_variable_says_that_none_is_meant() {
    for name in ["SECRET_FILE", "PHILOTE_AUTH_SECRET_FILE", "PHILOTE_AUTH_PUBLIC_KEYS", "PORT"] {
        let faults = Fake::silent().toml("").env(&[(name, "")]).faults();
        assert!(faults[0].contains(MISSING), "{name}: {faults:?}");
    }
}

#[test]
fn a_key_that_cannot_be_read_is_not_told_to_be_missing() {
    let texts = [
        "auth.secret_file = \"/none\"",
        "auth.public_keys = [\"/none\"]",
        "auth.secret = 7",
        "color = 1",
        "[auth\nsecret = \"x\"",
    ];
    for text in texts {
        let faults = Fake::silent().toml(text).faults();
        assert!(!faults.iter().any(|line| line.contains(MISSING)), "{text}: {faults:?}");
    }
}

#[test]
fn a_reload_with_the_permission_takes_what_a_start_would_not_and_warns() {
    let fake = Fake::silent().toml("auth.allow_empty_secret = true");
    assert!(fake.load().is_err());
    let loaded = fake.reload().unwrap_or_else(|faults| panic!("{faults}"));
    let warned = |warning: &Warning| {
        warning.to_string().contains("a start would fail now: neither a file nor")
    };
    assert!(loaded.warnings.iter().any(warned), "{:?}", loaded.warnings);
    assert!(Fake::silent().toml("").reload().is_err());
}
