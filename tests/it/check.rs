//! `philote check` as root, of a configuration whose service runs as somebody else.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use crate::support::dir::Dir;
use crate::support::server::{NOBODY, Setup};
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
