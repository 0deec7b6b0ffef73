//! Public keys: which hold, which are refused, and that a reload tells what changed.

use super::*;

const RSA: &str = include_str!("../../../tests/keys/rsa.pub");
const P256: &str = include_str!("../../../tests/keys/p256.pub");
const PRIVATE: &str = include_str!("../../../tests/keys/p256.key");
const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn with(toml: &str) -> Fake {
    Fake::new().toml(toml).file("/rsa.pub", 0o644, RSA).file("/p256.pub", 0o644, P256).file(
        "/p256.key",
        0o600,
        PRIVATE,
    )
}

#[test]
fn public_keys_alone_leave_no_secret_in_force() {
    let config = with("auth.public_keys = [\"/rsa.pub\", \"/p256.pub\"]").config();
    let names: Vec<_> = config.auth.public_keys.iter().map(|key| key.algorithm().name()).collect();
    assert_eq!(names, ["RS256", "ES256"]);
    assert_eq!(config.auth.accepted_secrets().count(), 0);
    assert_eq!(config.auth.signing_secret(), None);
    // A key is needed, so the default is no longer loopback.
    let listen: Vec<_> = config.listen_addresses().iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["[::]:6380"]);
    let both = with("auth.public_keys = [\"/rsa.pub\"]").env(&[("SECRET", SECRET)]).config();
    assert_eq!(both.auth.accepted_secrets().count(), 1);
}

#[test]
fn an_empty_secret_beside_a_public_key_is_refused_unless_it_is_allowed() {
    let text = "auth.secret = \"\"\nauth.public_keys = [\"/rsa.pub\"]\n";
    let expected = "/etc/philote/config.toml:1:15: auth.secret: empty beside another key, so anyone \
                    could sign a token; leave it out, and only the others hold, or set \
                    auth.allow_empty_secret = true";
    assert_eq!(with(text).faults(), [expected]);
    let allowed = with(&format!("{text}auth.allow_empty_secret = true")).config();
    assert!(allowed.auth.accepts_empty_key());
}

#[test]
fn a_file_that_is_no_public_key_is_told_with_its_place_and_how_to_mend_it() {
    let cases = [
        (
            "[\"/rsa.pub\", \"/p256.key\"]",
            "1:33: auth.public_keys: \"/p256.key\": holds a private key",
        ),
        ("[\"/none\"]", "1:21: auth.public_keys: \"/none\": there is no such file; make it"),
        ("[\"rsa.pub\"]", "1:21: auth.public_keys: no absolute path"),
        ("\"/rsa.pub\"", "1:20: auth.public_keys: a string where an array is wanted"),
        ("[7]", "1:21: auth.public_keys: an integer where a string is wanted"),
        (
            "[\"/rsa.pub\", \"/rsa.pub\", \"/rsa.pub\", \"/rsa.pub\", \"/rsa.pub\"]",
            "1:20: auth.public_keys: 5 public keys, each tried for a token; keep at most 4",
        ),
    ];
    for (value, expected) in cases {
        let faults = with(&format!("auth.public_keys = {value}")).faults();
        assert_eq!(faults.len(), 1, "{faults:?}");
        let expected = format!("/etc/philote/config.toml:{expected}");
        assert!(faults[0].starts_with(&expected), "{}", faults[0]);
        let private = PRIVATE.lines().nth(1).expect("a line");
        assert!(faults[0].contains("; ") && !faults[0].contains(private), "{}", faults[0]);
    }
    let unreadable = with("auth.public_keys = [\"/x\"]").failing("/x", ReadError::Denied);
    assert_eq!(unreadable.load().expect_err("it cannot be read").exit_code(), 77);
}

#[test]
fn a_key_that_everybody_can_write_is_refused_and_one_that_everybody_can_read_is_not_told() {
    let text = "auth.public_keys = [\"/x\"]";
    let faults = with(text).file("/x", 0o666, RSA).faults();
    assert_eq!(faults.len(), 1);
    assert!(faults[0].contains("everybody can write it; chmod o-w"), "{}", faults[0]);
    assert!(with(text).file("/x", 0o644, RSA).warnings().is_empty());
}

#[test]
fn a_higher_layer_names_all_of_them() {
    let fake = with("auth.public_keys = [\"/rsa.pub\", \"/p256.pub\"]")
        .env(&[("PHILOTE_AUTH_PUBLIC_KEYS", "/p256.pub")]);
    let loaded = fake.load().expect("it is right");
    assert_eq!(loaded.config.auth.public_keys.len(), 1);
    let shown: Vec<_> = loaded.settings.iter().map(Setting::to_string).collect();
    let expected = "auth.public_keys = [\"/p256.pub\"]  # environment PHILOTE_AUTH_PUBLIC_KEYS";
    assert!(shown.contains(&expected.into()), "{shown:?}");
}

#[test]
fn a_key_that_was_replaced_in_its_file_is_a_change_that_shows() {
    let text = "auth.public_keys = [\"/x\"]";
    let old = with(text).file("/x", 0o644, RSA).config();
    let new = with(text).file("/x", 0o644, P256).config();
    assert!(diff(&old, &old).is_empty());
    let changes = diff(&old, &new);
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert!(changes[0].old.starts_with("[\"/x (RS256 "), "{}", changes[0]);
    assert!(changes[0].new.starts_with("[\"/x (ES256 "), "{}", changes[0]);
    assert_eq!(changes[0].reload, Reload::AtOnce);
}

#[test]
fn an_issuer_and_an_audience_are_text_that_is_not_empty() {
    let text = "auth.issuer = \"https://i/\"\nauth.audience = \"philote\"";
    let auth = Fake::new().toml(text).config().auth;
    assert_eq!(
        (auth.issuer.as_deref(), auth.audience.as_deref()),
        (Some("https://i/"), Some("philote"))
    );
    for value in ["\"\"", "7", "[\"a\"]"] {
        for key in ["issuer", "audience"] {
            let faults = Fake::new().toml(format!("auth.{key} = {value}")).faults();
            assert_eq!(faults.len(), 1, "{faults:?}");
        }
    }
}
