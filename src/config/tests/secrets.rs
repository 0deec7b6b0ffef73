//! Secrets: which hold, which are refused, which are warned of, and that none is ever shown.

use super::*;

const LONG: &str = "0123456789abcdef0123456789abcdef";
const FILE: &str = "/run/secrets/philote";

fn with_file(mode: u32, bytes: impl AsRef<[u8]>) -> Fake {
    Fake::new().file(FILE, mode, bytes).env(&[("SECRET_FILE", FILE)])
}

#[test]
fn nothing_configured_and_configured_as_empty_differ() {
    let auth = Fake::new().config().auth;
    assert!(!auth.secret_configured && auth.accepts_empty_key());
    let auth = Fake::new().toml("auth.secret = \"\"").config().auth;
    assert!(auth.secret_configured && auth.accepts_empty_key());
    let auth = Fake::new().toml("auth.previous_secrets = [\"old\"]").config().auth;
    assert!(!auth.secret_configured && !auth.accepts_empty_key());
    assert_eq!(auth.accepted_secrets().collect::<Vec<_>>(), [&Secret::from("old")]);
    let auth = Fake::new().env(&[("SECRET", "s")]).config().auth;
    assert!(auth.secret_configured && !auth.accepts_empty_key());
}

#[test]
fn an_empty_key_beside_another_is_refused_unless_it_is_allowed() {
    let cases = [
        ("secret = \"\"\nprevious_secrets = [\"old\"]", "2:10: auth.secret: empty beside another"),
        (
            "secret = \"new\"\nprevious_secrets = [\"\"]",
            "3:21: auth.previous_secrets: an empty secret",
        ),
        ("previous_secrets = [\"a\", \"\"]", "2:26: auth.previous_secrets: an empty secret"),
        (
            "secret_file = \"/run/secrets/philote\"",
            "2:15: auth.secret_file: \"/run/secrets/philote\": nothing in it",
        ),
        (
            "previous_secret_files = [\"/run/secrets/philote\"]",
            "2:26: auth.previous_secret_files: \"/run/secrets/philote\": nothing in it",
        ),
    ];
    for (text, expected) in cases {
        for blank in ["", "\n", " \r\n\t\n"] {
            let fake = |more| {
                let text = format!("[auth]\n{text}\n{more}listen=[]");
                let text = text.replace("listen=[]", "");
                Fake::new().toml(text).file(FILE, 0o600, blank)
            };
            let faults = fake("").faults();
            assert_eq!(faults.len(), 1, "{faults:?}");
            let expected = format!("/etc/philote/config.toml:{expected}");
            assert!(faults[0].starts_with(&expected), "{}", faults[0]);
            assert!(faults[0].contains("allow_empty_secret = true"), "{}", faults[0]);
            let auth = fake("allow_empty_secret = true\n").config().auth;
            assert!(auth.accepts_empty_key() || blank.len() > 1, "{text}");
        }
    }
}

#[test]
fn secret_and_secret_file_are_one_setting_and_the_highest_layer_wins_whole() {
    let file = format!("auth.secret_file = \"{FILE}\"");
    let fake = || Fake::new().toml(&file).file(FILE, 0o600, LONG);
    assert_eq!(fake().config().auth.secret, LONG.into());
    // The file is not even opened.
    let fake_env = Fake::new().toml(&file).env(&[("SECRET", "from the environment")]);
    let loaded = fake_env.load().expect("it is right");
    assert_eq!(loaded.config.auth.secret, "from the environment".into());
    let shown: Vec<_> = loaded.settings.iter().map(Setting::to_string).collect();
    assert!(
        shown.contains(&"auth.secret = \"********\"  # environment SECRET".into()),
        "{shown:?}"
    );
    assert!(!shown.iter().any(|line| line.starts_with("auth.secret_file")), "{shown:?}");

    let loaded = fake().load().expect("it is right");
    let shown: Vec<_> = loaded.settings.iter().map(Setting::to_string).collect();
    let expected = format!("auth.secret_file = \"{FILE}\"  # /etc/philote/config.toml:1:20");
    assert!(shown.contains(&expected), "{shown:?}");
    assert!(!shown.iter().any(|line| line.starts_with("auth.secret ")), "{shown:?}");

    let fake = fake().file(ENV, 0o600, "SECRET=from the env file\n");
    assert_eq!(fake.config().auth.secret, "from the env file".into());
}

#[test]
fn secret_and_secret_file_in_one_layer_are_refused() {
    let text = format!("[auth]\nsecret = \"{LONG}\"\nsecret_file = \"{FILE}\"");
    let fake = Fake::new().toml(text).file(FILE, 0o600, LONG);
    let expected = "/etc/philote/config.toml:3:15: auth.secret_file: set beside auth.secret, and \
                    only one can hold; keep one of both";
    assert_eq!(fake.faults(), [expected]);
    let fake = with_file(0o600, LONG).env(&[("SECRET", LONG)]);
    assert_eq!(fake.faults().len(), 1);
}

#[test]
fn previous_secrets_are_read_from_both_keys_of_the_highest_layer() {
    let text = format!(
        "auth.secret = \"{LONG}\"\nauth.previous_secrets = [\"a\", \"b\"]\n\
         auth.previous_secret_files = [\"{FILE}\"]"
    );
    let fake = || Fake::new().toml(&text).file(FILE, 0o600, "c\n");
    let previous = |fake: Fake| {
        let auth = fake.config().auth;
        let texts = auth
            .previous_secrets
            .iter()
            .map(|secret| String::from_utf8(secret.as_bytes().to_vec()).expect("they are text"));
        texts.collect::<Vec<_>>()
    };
    assert_eq!(previous(fake()), ["a", "b", "c"]);
    assert_eq!(previous(fake().env(&[("PHILOTE_AUTH_PREVIOUS_SECRETS", "d")])), ["d"]);
    let five = [("PHILOTE_AUTH_PREVIOUS_SECRETS", "a,b,c,d,e")];
    let expected = "environment: PHILOTE_AUTH_PREVIOUS_SECRETS: 5 previous secrets, each tried for \
                    each token; keep at most 4";
    assert_eq!(fake().env(&five).faults(), [expected]);
    let shown = fake().load().expect("it is right").settings;
    let shown: Vec<_> = shown.iter().map(|setting| (setting.key, &*setting.value)).collect();
    assert!(shown.contains(&("auth.previous_secrets", "[\"********\", \"********\"]")));
    assert!(shown.contains(&("auth.previous_secret_files", &format!("[\"{FILE}\"]"))));
}

#[test]
fn one_newline_at_the_end_of_a_file_is_left_out() {
    let cases: [(&[u8], &[u8]); 7] = [
        (b"s", b"s"),
        (b"s\n", b"s"),
        (b"s\r\n", b"s"),
        (b"s\n\n", b"s\n"),
        (b" s ", b" s "),
        (b"s\r", b"s\r"),
        (b"\xff\x00\n", b"\xff\x00"),
    ];
    for (content, expected) in cases {
        assert_eq!(with_file(0o600, content).config().auth.secret.as_bytes(), expected);
    }
}

#[test]
fn what_is_easily_missed_in_a_secret_stays_and_is_warned_of_wherever_it_comes_from() {
    let place = |text: String| Fake::silent().toml(text);
    let cases = [
        (with_file(0o600, format!("\u{feff}{LONG}\n")), "a byte order mark at its beginning"),
        (with_file(0o600, format!("{LONG}\n\n")), "a newline at its end"),
        (with_file(0o600, format!("{LONG}\r\r\n")), "a carriage return at its end"),
        (with_file(0o600, format!("{LONG} \n")), "a blank at its end"),
        (with_file(0o600, format!("\"{LONG}\"\n")), "quotes around it"),
        (Fake::new().env(&[("SECRET", &format!("{LONG}\n"))]), "a newline at its end"),
        (Fake::new().env(&[("SECRET", &format!("'{LONG}'"))]), "quotes around it"),
        (Fake::new().file(ENV, 0o600, format!("SECRET='{LONG} '\n")), "a blank at its end"),
        (place(format!("auth.secret = \"{LONG}\\n\"")), "a newline at its end"),
        (place(format!("auth.previous_secrets = [\" {LONG}\"]")), "a blank at its beginning"),
        (
            place(format!("auth.previous_secret_files = [{FILE:?}]")).file(
                FILE,
                0o600,
                format!("{LONG}\t"),
            ),
            "a tab at its end",
        ),
    ];
    for (fake, expected) in cases {
        for loaded in [fake.load(), fake.reload()] {
            let loaded = loaded.unwrap_or_else(|faults| panic!("{faults}"));
            let told: Vec<_> = loaded.warnings.iter().map(Warning::to_string).collect();
            let told: Vec<_> = told.iter().filter(|line| line.contains("easily missed")).collect();
            assert_eq!(told.len(), 1, "{expected}: {told:?}");
            assert!(told[0].contains(expected), "{expected}: {told:?}");
            assert!(!told[0].contains(LONG), "{told:?}");
            let secrets = loaded.config.auth.accepted_secrets();
            let longest = secrets.map(|secret| secret.as_bytes().len()).max();
            assert!(longest > Some(LONG.len()), "{expected}: the bytes are the key");
        }
    }
    for fake in [with_file(0o600, format!("{LONG}\n")), with_file(0o600, format!("{LONG}\r\n"))] {
        assert_eq!(fake.warnings(), [""; 0]);
    }
}

fn der(text: &str) -> Vec<u8> {
    PublicKey::parse(Path::new("/k"), text.as_bytes()).expect("a good key").info().to_vec()
}

#[test]
fn a_secret_that_is_a_key_in_pem_or_der_is_refused() {
    let pem = "-----BEGIN PUBLIC KEY-----\nMIIB\n";
    let cases = [
        with_file(0o600, pem),
        with_file(0o600, format!("\n{pem}")),
        Fake::new().env(&[("SECRET", pem)]),
        Fake::new().toml("auth.previous_secrets = [\"-----BEGIN RSA PUBLIC KEY-----\"]"),
        Fake::new().toml("auth.allow_empty_secret = true").env(&[("SECRET", pem)]),
        with_file(0o600, format!("the key of the application: {pem}")),
        with_file(0o600, der(include_str!("../../../tests/keys/rsa.pub"))),
        with_file(0o600, der(include_str!("../../../tests/keys/ed25519.pub"))),
    ];
    for fake in cases {
        let faults = fake.faults();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].contains("holds a key of its own kind"), "{faults:?}");
        assert!(!faults[0].contains("MIIB"), "{faults:?}");
    }
}

#[test]
fn short_secrets_are_one_warning() {
    let told = |fake: Fake| -> Vec<String> {
        fake.warnings().into_iter().filter(|line| line.contains("guessed")).collect()
    };
    assert!(told(Fake::new().env(&[("SECRET", LONG)])).is_empty());
    assert!(told(Fake::new()).is_empty());
    let expected = "environment: SECRET: a secret shorter than 32 bytes can be guessed \
                    (auth.secret); use a longer one (openssl rand -hex 32)";
    assert_eq!(told(Fake::new().env(&[("SECRET", &LONG[1..])])), [expected]);
    let fake =
        Fake::new().toml("auth.previous_secrets = [\"a\", \"b\"]").env(&[("SECRET", "short")]);
    let warnings = told(fake);
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("(auth.secret, auth.previous_secrets)"), "{warnings:?}");
}

#[test]
fn a_file_that_everybody_can_write_is_refused_and_one_that_others_read_is_warned_of() {
    let cases = [
        (0o600, true, None, None),
        (0o640, true, None, None),
        (0o660, true, None, None),
        (0o660, false, None, Some("a group that is not ours can write it; chmod g-w")),
        (0o644, true, None, Some("everybody can read it; chmod o-r")),
        (0o444, false, None, Some("everybody can read it; chmod o-r")),
        (0o602, true, Some("everybody can write it; chmod o-w"), None),
        (0o666, true, Some("everybody can write it; chmod o-w"), None),
    ];
    for (mode, own_group, fault, warning) in cases {
        let mut fake = Fake::new().env(&[("SECRET_FILE", FILE)]);
        let content = FileContent { bytes: LONG.into(), mode, own_group };
        fake.files.insert(FILE.into(), Ok(content));
        let line = |what| format!("environment: SECRET_FILE: {FILE:?}: {what} {FILE:?}");
        match (fault, warning) {
            (Some(fault), _) => assert_eq!(fake.faults(), [line(fault)], "{mode:o}"),
            (None, Some(warning)) => assert_eq!(fake.warnings(), [line(warning)], "{mode:o}"),
            (None, None) => assert!(fake.warnings().is_empty(), "{mode:o}"),
        }
    }
}

#[test]
fn a_configuration_that_holds_a_secret_and_that_everybody_can_read_is_warned_of() {
    let text = format!("auth.secret = \"{LONG}\"");
    let told = |fake: Fake| -> Vec<String> {
        fake.warnings().into_iter().filter(|line| line.contains("everybody")).collect()
    };
    assert!(told(Fake::new().file(TOML, 0o640, &text)).is_empty());
    assert!(told(Fake::new().file(TOML, 0o644, "workers = 1")).is_empty());
    assert!(told(Fake::new().file(TOML, 0o644, "auth.secret = \"\"")).is_empty());
    let expected = "/etc/philote/config.toml:1:15: auth.secret: everybody can read this file, \
                    which holds a secret; chmod o-r \"/etc/philote/config.toml\"";
    assert_eq!(told(Fake::new().file(TOML, 0o644, &text)), [expected]);
    let previous = "auth.previous_secrets = [\"x\"]";
    assert_eq!(told(Fake::new().file(TOML, 0o644, previous)).len(), 1);
    let env = format!("\nSECRET={LONG}\n");
    let expected = "/etc/default/philote:2:1: SECRET: everybody can read this file, which holds a \
                    secret; chmod o-r \"/etc/default/philote\"";
    assert_eq!(told(Fake::new().file(ENV, 0o644, env)), [expected]);
}

#[test]
fn a_secret_file_that_cannot_be_read_is_told_with_its_exit_code() {
    let cases = [
        (ReadError::Absent, 78, "there is no such file"),
        (ReadError::Denied, 77, "cannot be read: permission denied"),
        (ReadError::NotRegular, 78, "is not a regular file"),
        (ReadError::TooLarge, 78, "is too large; use a file of at most 64 KiB"),
    ];
    for (error, code, text) in cases {
        let fake = Fake::new().failing(FILE, error).env(&[("SECRET_FILE", FILE)]);
        let faults = fake.load().expect_err("it cannot be read");
        assert_eq!(faults.exit_code(), code, "{text}");
        assert!(faults.to_string().contains(&format!("{FILE:?}: {text}")), "{faults}");
    }
    let large = with_file(0o600, vec![b'x'; (64 << 10) + 1]).faults();
    assert!(large[0].contains("too large"), "{large:?}");
    assert_eq!(with_file(0o600, vec![b'x'; 64 << 10]).config().auth.secret.as_bytes().len(), 65536);
    let relative = Fake::new().env(&[("SECRET_FILE", "hunter2")]).faults();
    assert_eq!(relative, ["environment: SECRET_FILE: no absolute path; start it with /"]);
}

#[test]
fn no_secret_is_ever_shown() {
    const HIDDEN: &str = "hunter2-hunter2";
    let texts = [
        format!("auth.secret = \"{HIDDEN}\"\nauth.previous_secrets = [\"{HIDDEN}\"]"),
        format!("auth.secret = \"{HIDDEN}\"\nauth.secret_file = \"{HIDDEN}\""),
        format!("auth.secret = [\"{HIDDEN}\"]"),
        format!("auth.secret = {HIDDEN}"),
        format!("auth.secret = \"{HIDDEN}"),
        format!("auth.secret \"{HIDDEN}\""),
        format!("auth.previous_secrets = \"{HIDDEN}\""),
        format!("auth.previous_secrets = [{HIDDEN}]"),
        format!("auth.previous_secret_files = [\"{HIDDEN}\"]"),
        format!("auth.secret_flie = \"{HIDDEN}\""),
        format!("auth.secrets.x = \"{HIDDEN}\""),
        format!("auth = \"{HIDDEN}\""),
    ];
    let files =
        ["SECRET={}", "export SECRET='{}' x", "SECRET='{}", "PHILOTE_X={}", "SECRET {}", "{}"];
    let mut looked_at = 0;
    let fakes = texts
        .iter()
        .map(|text| Fake::new().toml(text))
        .chain(files.iter().map(|line| Fake::new().file(ENV, 0o644, line.replace("{}", HIDDEN))))
        .chain(
            ["SECRET", "SECRET_FILE", "PHILOTE_AUTH_PREVIOUS_SECRETS", "PHILOTE_SECRET", "PORT"]
                .map(|name| Fake::new().env(&[(name, HIDDEN)])),
        );
    for fake in fakes {
        let shown = match fake.load() {
            Ok(loaded) => format!("{loaded:?} {:?}", diff(&Config::default(), &loaded.config)),
            Err(faults) => format!("{faults} {faults:?}"),
        };
        let is_port = fake.environment.iter().any(|(name, _)| name == "PORT");
        assert!(is_port || !shown.contains("hunter2"), "{shown}");
        looked_at += 1;
    }
    assert_eq!(looked_at, 23);
}
