//! The chapter for administrators, followed on a machine of its own with a real systemd.

use std::path::Path;
use std::process::{Command, Stdio};

use super::text::block;
use crate::support::dir::Dir;
use crate::support::tools::{in_tests, require_tool, skip};

/// What of the README the machine is given, and what it is called there.
const BLOCKS: [(&str, &str); 11] = [
    ("sh service", "service.sh"),
    ("sh activate", "activate.sh"),
    ("sh deactivate", "deactivate.sh"),
    ("sh instances", "instances.sh"),
    ("sh checking", "checking.sh"),
    ("toml rotation", "rotation.toml"),
    ("sh prepare", "prepare.sh"),
    ("sh rotate", "rotate.sh"),
    ("sh withdraw", "withdraw.sh"),
    ("sh journal", "journal.sh"),
    ("text logrotate", "logrotate"),
];

/// What `make install` installs for systemd, and what it runs then.
const INSTALLED: [&str; 6] = [
    "packaging/config.toml",
    "packaging/settle",
    "systemd/philote.service",
    "systemd/philote.socket",
    "systemd/philote.sysusers",
    "systemd/philote@.service",
];

#[test]
fn on_a_machine_with_systemd_it_all_works_as_it_stands() {
    for tool in ["systemd-nspawn", "debootstrap"] {
        if require_tool(tool, "make test-deps, as root").is_none() {
            return;
        }
    }
    if !rustix::process::geteuid().is_root() {
        return skip("booting a machine needs root");
    }
    let dir = Dir::new();
    let blocks = BLOCKS.map(|(info, name)| dir.write(name, &block(info)));
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(project.join("packaging/tests/booted-debian"))
        .arg("trixie")
        .arg(in_tests("it/readme/machine"))
        .arg(env!("CARGO_BIN_EXE_philote"))
        .args(INSTALLED.map(|file| project.join(file)))
        .args(blocks)
        .stdin(Stdio::null())
        .output()
        .expect("a machine is booted");
    let said = [output.stdout, output.stderr].map(|out| String::from_utf8_lossy(&out).into_owned());
    assert!(output.status.success(), "{}:\n{}", output.status, said.concat());
    assert!(said[0].contains("it all works"), "{}", said.concat());
}
