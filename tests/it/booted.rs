//! The daemon as a service of a real systemd, in the two releases of Debian that it is for.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::tools::{require_tool, skip};

fn is_a_good_service_in(suite: &str) {
    for tool in ["systemd-nspawn", "debootstrap"] {
        if require_tool(tool, "make test-deps, as root").is_none() {
            return;
        }
    }
    if !rustix::process::geteuid().is_root() {
        return skip("booting a machine needs root");
    }
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/tests");
    let output = Command::new(tests.join("booted-debian"))
        .arg(suite)
        .args([tests.join("service"), env!("CARGO_BIN_EXE_philote").into()])
        .stdin(Stdio::null())
        .output()
        .expect("a machine is booted");
    let said = [output.stdout, output.stderr].map(|out| String::from_utf8_lossy(&out).into_owned());
    assert!(output.status.success(), "{}:\n{}", output.status, said.concat());
    assert!(said[0].contains("the service does it all"), "{}", said.concat());
}

#[test]
fn systemd_of_debian_12_starts_reloads_stops_restarts_and_watches_it() {
    is_a_good_service_in("bookworm");
}

#[test]
fn systemd_of_debian_13_starts_reloads_stops_restarts_and_watches_it() {
    is_a_good_service_in("trixie");
}
