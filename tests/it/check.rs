//! `philote check` as root, of a configuration whose service runs as somebody else.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use crate::support::dir::Dir;
use crate::support::server::{NOBODY, Setup, file};
use crate::support::token::SECRET;
use crate::support::tools::skip;

/// What it warns of.
#[track_caller]
fn warnings(config: &Path) -> Vec<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_philote"));
    command.arg("check").arg("--config").arg(config).env_clear();
    let done = command.output().expect("philote runs");
    let said = String::from_utf8(done.stderr).expect("text");
    assert!(done.status.success(), "{said}");
    said.lines().filter(|line| line.starts_with("warning: ")).map(str::to_owned).collect()
}

/// What would keep a server from starting though its file is right: told by `check`, and by a reload, which changes
/// nothing then.
#[test]
fn what_this_machine_lacks_for_a_start_is_told_before_it() {
    let dir = Dir::new();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let taken = dir.write("taken", "").display().to_string();
    let _socket = UnixListener::bind(at("listens")).expect("a socket");
    std::os::unix::fs::symlink(at("circle"), at("circle")).expect("a link");
    let cases = [
        (format!("log.output = {:?}", at("listens")), "; it is a socket, or a pipe", 78),
        (format!("log.output = {:?}", at("circle")), "; its symbolic links lead in a circle", 78),
        // Whoever starts it may make the directory.
        (format!("log.output = {:?}", at("none/philote.log")), "warning: log.output: ", 0),
        (
            format!("log.output = {:?}", dir.path().display().to_string()),
            "; it is a directory; name a file in it",
            78,
        ),
        (
            format!("log.output = {:?}", format!("{taken}/philote.log")),
            "; a part of the path that has to be a directory is none",
            78,
        ),
        (format!("control.socket = {taken:?}"), "there is something else that is no socket", 78),
        (
            format!("control = {{ socket = {:?}, group = \"nosuch\" }}", at("control")),
            "control.group: no group nosuch in /etc/group; write the name",
            78,
        ),
        (
            format!("listen = [\"unix:{} group=nosuch\"]", at("socket")),
            "no group nosuch in /etc/group; write the name or the number of a group that exists",
            78,
        ),
        (
            format!("listen = [\"unix:{taken}\"]"),
            "there is something else that is no socket; choose another path",
            78,
        ),
        (format!("metrics.listen = [\"unix:{taken}\"]"), "metrics.listen: unix:", 78),
    ];
    let server = Setup::of_file(&file(&[])).start();
    for (line, expected, code) in cases {
        let text = match line.starts_with("listen") {
            true => format!("{line}\nauth.secret = {SECRET:?}\n"),
            false => file(&[&line]),
        };
        let config = dir.write("config.toml", &text);
        let mut command = Command::new(env!("CARGO_BIN_EXE_philote"));
        command.arg("check").arg("--config").arg(config).env_clear();
        let done = command.output().expect("philote runs");
        let said = String::from_utf8(done.stderr).expect("text");
        assert_eq!(done.status.code(), Some(code), "{line}: {said}");
        assert!(said.contains(expected), "{line}: {said}");
        assert_eq!(said.contains("is good"), code == 0, "{line}: {said}");
        // It tells the truth: a start does end over it, with the same words.
        let ended = Setup::of_file(&text).fails();
        assert_eq!(ended.status.code(), Some(78), "{line}: {}", ended.log);
        let told = said.lines().rfind(|line| !line.ends_with("is good")).expect("a line");
        let told = told.trim_start_matches("warning: ").to_owned();
        assert!(ended.log.contains(&told), "{line}: {told} in {}", ended.log);
        server.reconfigure(&text);
        let faults = server.rejects_reload();
        assert!(faults.iter().any(|fault| fault.contains(&told)), "{line}: {told} in {faults:?}");
    }
    server.is_healthy();
}

#[test]
fn a_file_that_cannot_be_read_has_the_remedy_of_its_own_error() {
    let dir = Dir::new();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let _socket = UnixListener::bind(at("listens")).expect("a socket");
    std::os::unix::fs::symlink(at("circle"), at("circle")).expect("a link");
    dir.write("file", "");
    let cases = [
        (at("listens"), "is not a regular file; ", 78),
        (at("circle"), "; its symbolic links lead in a circle", 77),
        (at("file/secret"), "; a part of the path that has to be a directory is none", 77),
        (at(&"x".repeat(300)), "; the path is too long", 77),
        (at("none"), "there is no such file; make it", 78),
    ];
    for (path, expected, code) in cases {
        let text = format!("auth.secret_file = {path:?}\n");
        let mut command = Command::new(env!("CARGO_BIN_EXE_philote"));
        command.arg("check").arg("--config").arg(dir.write("config.toml", &text)).env_clear();
        let done = command.output().expect("philote runs");
        let said = String::from_utf8(done.stderr).expect("text");
        assert_eq!(done.status.code(), Some(code), "{path}: {said}");
        assert!(said.contains(expected), "{path}: {said}");
    }
}

#[test]
fn root_is_told_which_files_the_user_of_the_running_server_cannot_read() {
    if !rustix::process::geteuid().is_root() {
        return skip("to read what another user cannot, it needs root");
    }
    let control = Dir::new();
    let socket = control.path().join("control");
    chown(control.path(), Some(NOBODY), Some(NOBODY)).expect("nobody's directory");
    let line = format!("control.socket = {:?}\n", socket.display().to_string());
    let Some(setup) = Setup::new(&line).run_by_nobody() else { return };
    let server = setup.start();
    let dir = Dir::new();
    let allows = |path: &Path, mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, mode).expect("its mode");
    };
    allows(dir.path(), 0o755);
    let secret = dir.write("secret", SECRET);
    let named = format!("{line}auth.secret_file = {:?}\n", secret.display().to_string());
    let config = dir.write("config.toml", &named);
    allows(&config, 0o644);
    let told = warnings(&config);
    assert_eq!(told.len(), 1, "{told:?}");
    let (file, reason) =
        (format!("{secret:?}: nobody, whom the service runs as, "), "mode 0600, 0:0");
    assert!(
        told[0].contains(&format!("{file}cannot read it")) && told[0].contains(reason),
        "{told:?}"
    );
    // Let in by its group, and by itself.
    chown(&secret, Some(0), Some(NOBODY)).expect("its group");
    allows(&secret, 0o640);
    assert_eq!(warnings(&config), [""; 0]);
    chown(&secret, Some(NOBODY), Some(0)).expect("its owner");
    allows(&secret, 0o600);
    assert_eq!(warnings(&config), [""; 0]);
    // A directory in the way is told once a file, of both of them here.
    allows(dir.path(), 0o700);
    let told = warnings(&config);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().all(|line| line.contains("cannot come to it: ")), "{told:?}");
    // Whose service it is, nobody says any more.
    server.stop();
    assert_eq!(warnings(&config), [""; 0]);
}
