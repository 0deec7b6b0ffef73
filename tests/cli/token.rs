//! `philote token`.

use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use philote::auth::{Grants, Keys, Policy, verify};

use crate::dir::Dir;
use crate::program::{SECRET, philote, run};

/// `nobody`, on any Unix.
const NOBODY: u32 = 65534;

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

#[track_caller]
fn judged(out: &str, secret: &str, at: u64) -> Grants {
    let token = out.strip_suffix('\n').expect("a line");
    assert!(token.bytes().all(|byte| byte.is_ascii_graphic()), "{out:?}");
    let policy = Policy {
        issuer: None,
        audience: None,
        leeway: Duration::ZERO,
        max_channels: 9,
        max_channel_length: 99,
    };
    verify(token, &Keys::new(secret.as_bytes(), &[]), &policy, at).expect("a good token")
}

#[test]
fn it_grants_what_is_asked_for_for_an_hour() {
    let arguments = ["token", "--read", "a", "--read", "b", "--write", "é", "--subject", "jo"];
    let grants = judged(&run(&mut philote(&arguments)).quietly(), SECRET, now());
    assert_eq!(grants.read.iter().map(|name| &**name).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(&*grants.write[0], "é");
    assert_eq!(grants.subject.as_deref(), Some("jo"));
    assert!(!grants.api);
    let left = grants.expires.expect("it expires") - now();
    assert!((3500..=3600).contains(&left), "{left}");
}

#[test]
fn how_long_it_is_good_can_be_said() {
    for (expires, seconds) in [("90s", 90), ("2m", 120), ("7d", 604_800)] {
        let arguments = ["token", "--api", "--expires", expires];
        let grants = judged(&run(&mut philote(&arguments)).quietly(), SECRET, now());
        assert!(grants.api);
        let left = grants.expires.expect("it expires") - now();
        assert!((seconds - 30..=seconds).contains(&left), "{left}");
    }
    let for_ever = run(&mut philote(&["token", "--api", "--expires", "never"])).quietly();
    assert_eq!(judged(&for_ever, SECRET, 1 << 40).expires, None);
    for wrong in ["", "0s", "1", "tomorrow", "1y"] {
        run(&mut philote(&["token", "--api", "--expires", wrong])).failed(64);
    }
}

#[test]
fn a_token_that_grants_nothing_is_not_made() {
    for arguments in [&["token"][..], &["token", "--subject", "jo"]] {
        run(&mut philote(arguments)).failed(64);
    }
}

#[test]
fn a_token_that_the_server_would_refuse_is_not_made() {
    let mut command = philote(&["token", "--read", "a", "--read", "b"]);
    let said = run(command.env("PHILOTE_LIMITS_MAX_CHANNELS", "1")).failed(78);
    assert!(said.contains("limits.max_channels"), "{said}");
}

#[test]
fn it_is_from_the_issuer_and_for_the_audience_that_the_server_asks_for() {
    let mut command = philote(&["token", "--read", "a"]);
    command.env("PHILOTE_AUTH_ISSUER", "https://i/").env("PHILOTE_AUTH_AUDIENCE", "philote");
    let out = run(&mut command).quietly();
    let with = |issuer: &str, audience: &str| Policy {
        issuer: Some(issuer.into()),
        audience: Some(audience.into()),
        leeway: Duration::ZERO,
        max_channels: 9,
        max_channel_length: 99,
    };
    let keys = Keys::new(SECRET.as_bytes(), &[]);
    assert!(verify(out.trim(), &keys, &with("https://i/", "philote"), now()).is_ok());
    assert!(verify(out.trim(), &keys, &with("https://other/", "philote"), now()).is_err());
    assert!(verify(out.trim(), &keys, &with("https://i/", "other"), now()).is_err());
}

#[test]
fn keys_that_only_verify_sign_none() {
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/p256.pub");
    let mut command = philote(&["token", "--read", "a"]);
    let said = run(command.env("SECRET", "").env("PHILOTE_AUTH_PUBLIC_KEYS", key)).failed(78);
    assert!(said.contains("no secret to sign a token with, only keys that verify"), "{said}");
}

#[test]
fn the_secret_comes_from_the_configuration() {
    let dir = Dir::new();
    let secret = dir.write("secret", "0123456789abcdef0123456789abcdef\n");
    let text = format!("[auth]\nsecret_file = \"{}\"\n", secret.display());
    let config = dir.write("config.toml", &text).display().to_string();
    let mut command = philote(&["token", "--api", "--config", &config]);
    let out = run(command.env("SECRET", "")).quietly();
    judged(&out, "0123456789abcdef0123456789abcdef", now());
}

#[test]
fn a_configuration_that_cannot_be_read_is_77_and_never_the_empty_secret() {
    let dir = Dir::new();
    // A copy, since the build's directory may be nobody's business.
    let program = dir.path().join("philote");
    std::fs::copy(env!("CARGO_BIN_EXE_philote"), &program).expect("a copy");
    let config =
        dir.write("config.toml", "[auth]\nsecret = \"out of sight, out of sight, out of\"\n");
    let secret = dir.write("secret", "out of sight, out of sight, out of\n");
    if !rustix::process::geteuid().is_root() {
        for file in [&config, &secret] {
            let nothing = std::os::unix::fs::PermissionsExt::from_mode(0o000);
            std::fs::set_permissions(file, nothing).expect("its mode");
        }
    }
    let unprivileged = |program: &std::path::Path| {
        let mut command = Command::new(program);
        command.env_clear();
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    };
    for file in [&config, &secret] {
        let cat = unprivileged("/bin/cat".as_ref()).arg(file).output().expect("cat runs");
        assert!(!cat.status.success(), "whoever runs this can read everything");
    }
    let config = config.display().to_string();
    for arguments in [
        &["token", "--api"][..],
        &["check"],
        &["publish", "c", "x"],
        &["subscribe", "c", "--url", "ws://127.0.0.1:1"],
    ] {
        let mut command = unprivileged(&program);
        let said = run(command.args(arguments).args(["--config", &config])).failed(77);
        assert!(said.contains(&config) && said.contains("permission denied"), "{said}");
        let said =
            run(unprivileged(&program).args(arguments).env("SECRET_FILE", &secret)).failed(77);
        assert!(said.contains("permission denied"), "{said}");
    }
}
