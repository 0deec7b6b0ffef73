//! Files that are gone or were cut, as a full disk or half a copy leaves them: neither a reload nor a start opens the
//! server by them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::dir::Dir;
use crate::support::http::Request;
use crate::support::server::{Server, Setup, file};
use crate::support::token::{SECRET, grant, signed};
use crate::support::tools::skip;

fn philote(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_philote"));
    command.args(words).env_clear();
    command
}

#[track_caller]
fn output(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command.output().expect("philote runs");
    (status.code(), String::from_utf8([stdout, stderr].concat()).expect("text"))
}

/// What `check --running` says, and its exit code.
fn check_running(socket: &Path) -> (Option<i32>, String) {
    output(philote(&["check", "--running", "--control"]).arg(socket))
}

/// A server with a control socket whose file says all there is, and what was in that file.
fn server(dir: &Dir, lines: &[&str]) -> (Server, String) {
    let socket = format!("control.socket = {:?}", dir.path().join("control.sock"));
    let text = file(&[&[&*socket], lines].concat());
    (Setup::of_file(&text).start(), text)
}

/// Neither a reload nor what asks for one beforehand takes what stands there now.
#[track_caller]
fn stays_closed(server: &Server, dir: &Dir, expected: &str) {
    let (code, said) = check_running(&dir.path().join("control.sock"));
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains(expected), "{expected:?} in {said}");
    let faults = server.rejects_reload();
    assert!(faults.iter().any(|line| line.contains(expected)), "{expected:?} in {faults:?}");
    let unsigned = signed("HS256", r#"{"read":["c"]}"#, "");
    assert_eq!(server.refuses_token(&unsigned).status, 401);
}

#[test]
fn an_emptied_or_a_vanished_configuration_opens_nothing_and_closes_nobody() {
    let dir = Dir::new();
    let (server, text) = server(&dir, &[]);
    let mut early = server.open(&grant(&["c"], &[]));
    for left in ["", "# Half a copy.\n", "workers = 2\n"] {
        server.reconfigure(left);
        stays_closed(&server, &dir, "auth.secret: neither a file nor the environment names a key");
    }
    server.reconfigure("auth.secret = \"\"\n");
    stays_closed(&server, &dir, "auth.secret: no key is left");
    std::fs::remove_file(server.dir().join("config.toml")).expect("it was there");
    stays_closed(&server, &dir, "there is no such file");
    early.round_trip();
    server.takes(&text);
    early.round_trip();
    server.is_healthy();
}

#[test]
fn who_allows_the_empty_secret_may_reload_to_it() {
    let dir = Dir::new();
    let (server, text) = server(&dir, &["auth.on_withdrawal = \"keep\""]);
    server.takes(
        &text.replace(SECRET, "").replace("workers", "auth.allow_empty_secret = true\nworkers"),
    );
    let unsigned = signed("HS256", r#"{"read":["c"]}"#, "");
    server.open(&unsigned).round_trip();
}

#[test]
fn a_cut_file_takes_no_guard_away_where_the_environment_has_the_secret() {
    let dir = Dir::new();
    let guards = [
        ("auth.issuer = \"login.example\"", true),
        ("auth.allowed_origins = [\"https://app.example\"]", true),
        ("limits.max_connections = 7", false),
        ("proxy.trusted = [\"10.0.0.1\"]", false),
    ];
    for (guard, always) in guards {
        let socket = format!("control.socket = {:?}", dir.path().join("control.sock"));
        let text = format!("listen = [\"127.0.0.1:0\"]\n{socket}\n{guard}\n");
        let server = Setup::of_file(&text).environment("SECRET", SECRET).start();
        let key = guard.split(' ').next().expect("a key");
        let rest = text.strip_suffix(&format!("{guard}\n")).expect("it stands at the end");
        for left in ["", rest].into_iter().take(1 + usize::from(always)) {
            server.reconfigure(left);
            stays_closed(&server, &dir, key);
        }
        server.reconfigure(&format!(
            "listen = [\"127.0.0.1:0\"]\n{socket}\n# Nothing more is meant.\n"
        ));
        assert!(!server.reload().contains("failed"), "{guard}");
        server.stop();
    }
}

#[test]
fn an_env_file_that_is_cut_or_gone_opens_nothing() {
    let dir = Dir::new();
    let line = format!("SECRET={SECRET}\n");
    let env = dir.write("env", &line);
    let socket = format!("control.socket = {:?}", dir.path().join("control.sock"));
    let server = Setup::of_file(&format!("listen = [\"127.0.0.1:0\"]\n{socket}\n"))
        .argument("--env-file")
        .argument(&format!("-{}", env.display()))
        .start();
    dir.write("env", "");
    stays_closed(&server, &dir, "auth.secret: neither a file nor the environment names a key");
    std::fs::remove_file(&env).expect("it was there");
    stays_closed(&server, &dir, "auth.secret: neither a file nor the environment names a key");
    dir.write("env", &format!("SECRET={}\n", &SECRET[..9]));
    stays_closed(&server, &dir, "the beginning of a secret in force");
    dir.write("env", &line);
    assert!(!server.reload().contains("failed"));
}

#[test]
fn a_secrets_file_that_is_cut_is_no_secret() {
    let dir = Dir::new();
    let secret = dir.write("secret", &format!("{SECRET}\n"));
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).expect("a mode");
    let (server, _) = server(&dir, &[&format!("auth.secret_file = {secret:?}"), "#auth.secret"]);
    for (left, expected) in [
        ("", "nothing in it"),
        ("\n", "nothing in it"),
        (&SECRET[..3], "the beginning of a secret in force"),
    ] {
        dir.write("secret", left);
        stays_closed(&server, &dir, expected);
    }
    dir.write("secret", &format!("{SECRET}\n"));
    server.reload();
    server.is_healthy();
}

#[test]
fn a_start_with_a_file_that_names_no_key_is_refused_unless_none_is_meant() {
    let dir = Dir::new();
    for text in ["", "# Half a copy.\n", "workers = 2\n", "auth.allow_empty_secret = true\n"] {
        let text = format!("{text}#\n");
        let ended = Setup::of_file(&text).fails();
        assert_eq!(ended.status.code(), Some(78), "{text:?}: {}", ended.log);
        assert!(ended.log.contains("write secret = \"\" under [auth]"), "{}", ended.log);
        let config = dir.write("config.toml", &text);
        for words in [&["check"][..], &["token", "--api"]] {
            let (code, said) = output(philote(words).arg("--config").arg(&config));
            assert_eq!(code, Some(78), "{words:?} {text:?}: {said}");
        }
        let (code, said) =
            output(philote(&["check", "--config"]).arg(&config).env("SECRET", SECRET));
        assert_eq!(code, Some(0), "{said}");
    }
    let unsigned = Request::upgrade_with(&signed("HS256", "{}", ""));
    let listen = "listen = [\"127.0.0.1:0\"]\n";
    for setup in [
        Setup::of_file(&format!("{listen}auth.secret = \"\"\n")),
        Setup::of_file(listen).environment("SECRET", ""),
        Setup::of_file(listen).environment("PHILOTE_AUTH_SECRET", ""),
    ] {
        setup.start().open_with(&unsigned).round_trip();
    }
    let server = Setup::of_file(listen).environment("SECRET", SECRET).start();
    server.is_healthy();
}

#[test]
fn a_machine_without_any_file_starts_without_a_secret() {
    // The file that is looked for by default may be there on this machine, so that one is named that is not.
    if Path::new("/etc/philote/config.toml").exists() {
        return skip("this machine has a configuration in /etc/philote");
    }
    let (code, said) = output(&mut philote(&["check"]));
    assert_eq!(code, Some(0), "{said}");
    let empty = "warning: auth.secret: empty";
    assert!(said.contains(empty), "{said}");
}
