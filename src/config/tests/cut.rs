//! What a reload refuses that is well formed: a file that is gone or was cut loosens nothing.

use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const WHOLE: &str = "\
# The configuration.
workers = 2
[auth]
secret_file = \"/s\"
[websocket]
ping_interval = \"10s\"
";

fn whole(text: impl AsRef<[u8]>) -> Fake {
    Fake::silent().toml(text).file("/s", 0o600, format!("{SECRET}\n"))
}

/// What a reload says that finds `new` where `old` is in force.
#[track_caller]
fn refused(old: &Fake, new: &Fake) -> Vec<String> {
    let old = old.load().unwrap_or_else(|faults| panic!("{faults}"));
    let lines = |faults: &[Fault]| faults.iter().map(Fault::to_string).collect();
    match new.reload() {
        Ok(new) => lines(&refused_by_reload(&old, &new)),
        Err(faults) => lines(&faults.0),
    }
}

#[test]
fn a_reload_from_a_key_to_none_is_refused_unless_that_is_allowed() {
    let old = whole(WHOLE);
    for text in ["", "workers = 2", "auth.secret = \"\"", "[auth]\nsecret = \"\"\n"] {
        let faults = refused(&old, &whole(text));
        let told = |line: &String| line.contains("auth.secret: ");
        assert!(faults.iter().any(told), "{text:?}: {faults:?}");
    }
    for text in
        ["auth.allow_empty_secret = true", "auth.secret = \"\"\nauth.allow_empty_secret = true"]
    {
        assert_eq!(refused(&old, &whole(text)), [""; 0], "{text:?}");
    }
    // The environment asks for it where no file names a key, and yet somebody has to mean it now.
    let faults = refused(&whole(WHOLE), &whole("workers = 2").env(&[("SECRET", "")]));
    assert!(faults[0].contains("no key is left"), "{faults:?}");
    // The mode was in force before.
    assert_eq!(refused(&whole("auth.secret = \"\""), &whole("auth.secret = ''")), [""; 0]);
}

#[test]
fn a_public_key_or_a_previous_secret_is_a_key_that_cannot_be_lost() {
    let key = include_str!("../../../tests/keys/p256.pub");
    let none = Fake::silent().toml("auth.secret = \"\"");
    for text in [
        "auth.public_keys = [\"/k\"]".to_owned(),
        format!("auth.previous_secrets = [\"{SECRET}\"]"),
    ] {
        let faults = refused(&Fake::silent().toml(text).file("/k", 0o644, key), &none);
        assert!(faults[0].contains("no key is left"), "{faults:?}");
    }
}

#[test]
fn a_file_that_is_gone_is_refused_although_the_environment_has_the_secret() {
    let with = |fake: Fake| fake.env(&[("SECRET", SECRET)]);
    let old = with(Fake::silent().toml("auth.issuer = \"a\""));
    let expected =
        format!("{TOML}: was read before and is gone; put it back, or restart to do without it");
    assert_eq!(refused(&old, &with(Fake::silent())), [expected]);
    // A file of variables may be absent, as long as that lets nobody in.
    let old = with(Fake::silent().file(ENV, 0o640, "PHILOTE_AUTH_ISSUER=a\n"));
    let faults = refused(&old, &with(Fake::silent()));
    assert!(faults[0].starts_with(&format!("{ENV}: nothing is left of it")), "{faults:?}");
    let old = with(Fake::silent().file(ENV, 0o640, "MAX_CONNECTIONS=6\n"));
    assert_eq!(refused(&old, &with(Fake::silent())), [""; 0]);
    // One that comes is no loss.
    assert_eq!(refused(&with(Fake::silent()), &with(Fake::silent().toml("workers = 2"))), [""; 0]);
}

/// Values that keep somebody or something out, and whether a file is taken of which that line alone is gone: whoever
/// edits a file may lift a limit.
const VALUES: [(&str, bool); 12] = [
    ("listen = [\"127.0.0.1:6380\"]", false),
    ("auth.issuer = \"a\"", false),
    ("auth.audience = \"a\"", false),
    ("auth.check_origin = true", false),
    ("auth.allowed_origins = [\"https://a.example\"]", false),
    ("auth.close_at_expiry = true", false),
    ("limits.max_connections = 10", true),
    ("limits.max_connections_per_ip = 10", true),
    ("limits.max_message_size = \"4KiB\"", true),
    ("proxy.trusted = [\"10.0.0.1\"]", true),
    ("http.welcome = false", true),
    ("metrics.listen = [\"127.0.0.1:9638\"]", true),
];

#[test]
fn a_file_cut_within_a_line_changes_nothing_and_one_cut_behind_a_line_takes_no_guard_away() {
    let with = |fake: Fake| fake.env(&[("SECRET", SECRET)]);
    let mut refusals = 0;
    for (line, may_go) in VALUES {
        let whole = format!("# Mine.\nworkers = 2\n{line}\n");
        let old = with(Fake::silent().toml(&whole));
        let key = line.split(' ').next().expect("a key");
        for length in 0..whole.len() {
            let (cut, rest) = whole.split_at(length);
            let new = with(Fake::silent().toml(cut));
            let faults = refused(&old, &new);
            let ends_a_line = cut.ends_with('\n') || rest.starts_with('\n');
            if !faults.is_empty() {
                refusals += 1;
            } else if !(may_go && ends_a_line) {
                let [before, after] = [&old, &new].map(|fake| fake.config());
                assert_eq!(before, after, "{line} cut to {length}");
            }
        }
        let without = refused(&old, &with(Fake::silent().toml("# Mine.\nworkers = 2\n")));
        let is_told = without.iter().any(|fault| {
            fault.starts_with(&format!("{TOML}: the beginning alone is left of it"))
                && fault.contains(key)
        });
        assert_eq!(is_told, !may_go, "{line}: {without:?}");
        // Somebody has taken the line out, and written something else.
        let edited = with(Fake::silent().toml("# Mine.\nworkers = 2\n# Without it.\n"));
        assert_eq!(refused(&old, &edited), [""; 0], "{line}");
    }
    assert!(refusals > 100, "{refusals}");
}

#[test]
fn an_env_file_cut_anywhere_takes_no_guard_away() {
    let with = |text: &str| {
        let fake = Fake::silent().file(ENV, 0o640, text).env(&[("SECRET", SECRET)]);
        fake.file("/c", 0o640, "auth.audience = \"a\"\n")
    };
    let old = with("LOGLEVEL=info\nPHILOTE_AUTH_ISSUER=a\n");
    for text in ["", "LOGLEVEL=info\n"] {
        let faults = refused(&old, &with(text));
        assert!(faults[0].contains("auth.issuer"), "{text:?}: {faults:?}");
    }
    // What named the configuration.
    let old = with("LOGLEVEL=info\nPHILOTE_CONFIG=/c\n");
    let beside = |text| with(text).toml("workers = 2\n");
    for new in [with("LOGLEVEL=info\n"), beside("LOGLEVEL=info\n")] {
        let faults = refused(&old, &new);
        assert!(!faults.is_empty());
    }
    assert_eq!(refused(&old, &beside("PHILOTE_CONFIG=/etc/philote/config.toml\n")), [""; 0]);
}

#[test]
fn an_empty_file_is_refused_whatever_it_has_set_and_the_end_of_a_file_may_go_that_guards_nothing() {
    let with = |text: &str| Fake::silent().toml(text).env(&[("SECRET", SECRET)]);
    let old = with("log.level = \"debug\"\nwebsocket.ping_interval = \"10s\"\n");
    let faults = refused(&old, &with(" \n"));
    assert_eq!(refused(&old, &with("")).len(), 1);
    assert_eq!(faults, [""; 0], "nothing of the old file is left of that");
    assert_eq!(refused(&old, &with("log.level = \"debug\"\n")), [""; 0]);
    let old = with("# Rotation.\nauth.previous_secrets = [\"old\"]\n");
    assert_eq!(refused(&old, &with("# Rotation.\n")), [""; 0]);
    assert_eq!(refused(&with("# Nothing is set.\n"), &with("")), [""; 0]);
}

#[test]
fn a_secret_that_is_the_beginning_of_the_one_in_force_is_refused() {
    let with =
        |bytes: &str| Fake::silent().toml("auth.secret_file = \"/s\"").file("/s", 0o600, bytes);
    let old = with(&format!("{SECRET}\n"));
    for length in 0..SECRET.len() {
        let faults = refused(&old, &with(&SECRET[..length]));
        assert_eq!(faults.len(), 1, "{length}: {faults:?}");
        assert!(!faults[0].contains("0123"), "{faults:?}");
    }
    for same in [SECRET.to_owned(), format!("{SECRET}\n"), "another secret of this server".into()] {
        assert_eq!(refused(&old, &with(&same)), [""; 0], "{same:?}");
    }
    // Who mends a second newline has not cut anything.
    assert_eq!(refused(&with(&format!("{SECRET}\n\n")), &with(SECRET)), [""; 0]);
    let previous =
        |text: &str| Fake::silent().toml(format!("auth.previous_secrets = [\"{text}\"]"));
    assert_eq!(refused(&previous(SECRET), &previous(&SECRET[..3])).len(), 1);
    assert_eq!(refused(&previous(SECRET), &previous("other")), [""; 0]);
}
