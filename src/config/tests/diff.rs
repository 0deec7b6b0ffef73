//! What a reload says: what changed, what it takes, and what a file cannot change.

use super::*;

fn changes(old: &Fake, new: &Fake) -> Vec<String> {
    let changes = diff(&old.config(), &new.config());
    changes.iter().map(|change| format!("{change} ({})", change.reload)).collect()
}

#[test]
fn every_key_that_differs_is_told_with_both_values() {
    let old = Fake::new().toml("limits.max_connections = 255");
    assert!(changes(&old, &Fake::new()).is_empty());
    let new = Fake::new().toml(
        "workers = 7\nlimits.max_connections = 300\nwebsocket.ping_interval = \"off\"\n\
         control.group = \"adm\"\nauth.allowed_origins = [\"https://a.example\"]",
    );
    assert_eq!(
        changes(&old, &new),
        [
            "workers: 3 -> 7 (needs a restart)",
            "auth.check_origin: false -> true (new handshakes)",
            "auth.allowed_origins: [] -> [\"https://a.example\"] (new handshakes)",
            "limits.max_connections: 255 -> 300 (at once)",
            "websocket.ping_interval: \"25s\" -> \"off\" (at once)",
            "control.mode: \"0600\" -> \"0660\" (needs a restart)",
            "control.group: none -> \"adm\" (needs a restart)",
        ]
    );
}

#[test]
fn a_secret_is_told_masked_wherever_it_comes_from() {
    let secret = |text: &str| Fake::new().env(&[("SECRET", text), ("LISTEN", "127.0.0.1:1")]);
    assert_eq!(
        changes(&secret("one"), &secret("two")),
        ["auth.secret: \"********\" -> \"********\" (at once)"]
    );
    let file = Fake::new()
        .file("/s", 0o600, "one\n")
        .env(&[("SECRET_FILE", "/s"), ("LISTEN", "127.0.0.1:1")]);
    assert!(changes(&secret("one"), &file).is_empty());
    let rotated = secret("two").env(&[("PHILOTE_AUTH_PREVIOUS_SECRETS", "one")]);
    assert_eq!(
        changes(&secret("one"), &rotated),
        [
            "auth.secret: \"********\" -> \"********\" (at once)",
            "auth.previous_secrets: [] -> [\"********\"] (at once)",
        ]
    );
    assert_eq!(
        changes(&secret(""), &secret("two")),
        ["auth.secret: \"\" -> \"********\" (at once)"]
    );
    let only_previous =
        Fake::new().env(&[("PHILOTE_AUTH_PREVIOUS_SECRETS", "x"), ("LISTEN", "127.0.0.1:1")]);
    assert_eq!(
        changes(&secret(""), &only_previous),
        [
            "auth.secret: \"\" -> none (at once)",
            "auth.previous_secrets: [] -> [\"********\"] (at once)",
        ]
    );
}

#[test]
fn other_default_listeners_wait_for_a_restart_and_named_ones_do_not() {
    let secret = ("SECRET", "0123456789abcdef0123456789abcdef");
    let by_default = Fake::new();
    let with_secret = Fake::new().env(&[secret]);
    assert_eq!(
        changes(&by_default, &with_secret),
        [
            "listen: [\"127.0.0.1:6380\", \"[::1]:6380\"] -> [\"[::]:6380\"] (needs a restart)",
            "auth.secret: \"\" -> \"********\" (at once)",
        ]
    );
    let named = Fake::new().env(&[secret, ("LISTEN", "127.0.0.1:1")]);
    assert_eq!(
        changes(&with_secret, &named),
        ["listen: [\"[::]:6380\"] -> [\"127.0.0.1:1\"] (new listeners are bound, then old ones \
          close)"]
    );
    // Named as they are by default, nothing changes.
    let same = Fake::new().env(&[secret, ("LISTEN", "[::]:6380")]);
    assert!(changes(&with_secret, &same).is_empty());
}

#[test]
fn every_key_has_its_change() {
    // What differs from the default for each kind of value.
    let other = |key: &key::Key| -> String {
        let example = key.example();
        match key.path {
            "limits.max_connections_per_ip"
            | "limits.handshakes_per_second_per_ip"
            | "limits.messages_per_second" => "7".into(),
            "limits.bytes_per_second" => "\"7KiB\"".into(),
            "listen" | "metrics.listen" => "[\"127.0.0.1:1\"]".into(),
            "limits.total_queue" => "\"96KiB\"".into(),
            "limits.memory" => "\"96MiB\"".into(),
            "control.socket" => "\"/p\"".into(),
            // It is on while anybody can sign.
            "http.welcome" => "false".into(),
            "control.group" | "control.mode" => "\"0\"".replace('0', "640"),
            "auth.allowed_origins" => "[\"https://a.example\"]".into(),
            "proxy.trusted" => "[\"unix\"]".into(),
            "proxy.header" => "\"X-Client\"".into(),
            "auth.secret" | "auth.secret_file" => "\"/x\"".into(),
            "auth.previous_secrets" | "auth.previous_secret_files" => "[\"/x\"]".into(),
            "auth.public_keys" => "[\"/x.pub\"]".into(),
            "tls.certificate" | "tls.key" => example,
            _ => match example.as_str() {
                "false" => "true".into(),
                "\"close\"" => "\"keep\"".into(),
                "\"disconnect\"" => "\"drop\"".into(),
                "\"info\"" => "\"debug\"".into(),
                "\"auto\"" => "\"stderr\"".into(),
                "\"text\"" => "\"json\"".into(),
                text if text.contains('B') => "\"32KiB\"".into(),
                text if text.starts_with('"') => "\"7s\"".into(),
                _ => "7".into(),
            },
        }
    };
    let mut changed = 0;
    for key in keys::all() {
        let fake = Fake::new()
            .toml(format!("{} = {}", key.path, other(key)))
            .file("/x", 0o600, "0123456789abcdef0123456789abcdef")
            .file("/x.pub", 0o644, include_str!("../../../tests/keys/ed25519.pub"))
            .env(&[("LISTEN", "127.0.0.1:6380")])
            .beside(key);
        let fake = if key.path == "listen" { Fake { environment: vec![], ..fake } } else { fake };
        let old = Fake::new().env(&[("LISTEN", "127.0.0.1:6380")]).config();
        let told: Vec<_> = diff(&old, &fake.config()).iter().map(|change| change.key).collect();
        let expected = match key.path {
            "auth.secret_file" => "auth.secret",
            "auth.previous_secret_files" => "auth.previous_secrets",
            path => path,
        };
        assert!(told.contains(&expected), "{}: {told:?}", key.path);
        changed += 1;
    }
    assert_eq!(changed, keys::all().count());
}

#[test]
fn a_key_changed_in_a_file_below_the_environment_is_told() {
    let load = |toml: &str, env: &[(&str, &str)]| {
        Fake::new().toml(toml).env(env).load().expect("it is right")
    };
    let told = |old: &Loaded, new: &Loaded| -> Vec<String> {
        reload_warnings(old, new).iter().map(Warning::to_string).collect()
    };
    let env = [("MAX_CONNECTIONS", "5")];
    let old = load("limits.max_connections = 1", &env);
    assert!(told(&old, &load("limits.max_connections = 1", &env)).is_empty());
    let expected = "environment: MAX_CONNECTIONS: limits.max_connections has changed in a file, but \
                    this variable overrides it; take it out of the environment and restart";
    assert_eq!(told(&old, &load("limits.max_connections = 2", &env)), [expected]);
    assert_eq!(told(&old, &load("", &env)), [expected]);
    // Without the environment the file's change is the change.
    let plain = load("limits.max_connections = 1", &[]);
    assert!(told(&plain, &load("limits.max_connections = 2", &[])).is_empty());
}

#[test]
fn a_secret_in_the_environment_cannot_be_replaced_by_a_reload_and_that_is_told() {
    let load = |toml: &str| {
        let fake = Fake::new().toml(toml).env(&[("SECRET", "0123456789abcdef0123456789abcdef")]);
        fake.load().expect("it is right")
    };
    let (old, new) = (load("auth.secret = \"a\""), load("auth.secret_file = \"/s\""));
    let told: Vec<_> = reload_warnings(&old, &new).iter().map(Warning::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("environment: SECRET: the secret comes from"), "{told:?}");
    assert!(told[0].contains("auth.secret_file"), "{told:?}");
    assert!(told[1].contains("auth.secret has changed in a file"), "{told:?}");
    // From the env file it can be, since that is read again.
    let fake = Fake::new().file(ENV, 0o600, "SECRET=x");
    let loaded = fake.load().expect("it is right");
    assert!(reload_warnings(&loaded, &loaded).is_empty());
}
