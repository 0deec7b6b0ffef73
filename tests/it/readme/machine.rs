//! The chapter for administrators, followed on a machine of its own with a real systemd.

use std::path::Path;
use std::process::{Command, Stdio};

use super::text::{block, table};
use crate::support::dir::Dir;
use crate::support::tools::{in_tests, require_tool, skip};

/// What of the README the machine is given, and what it is called there.
const BLOCKS: [(&str, &str); 15] = [
    ("sh package", "package.sh"),
    ("sh service", "service.sh"),
    ("sh install", "install.sh"),
    ("toml service", "service.toml"),
    ("sh dropin", "dropin.sh"),
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

#[test]
fn on_a_machine_with_systemd_it_all_works_as_it_stands() {
    for tool in ["systemd-nspawn", "debootstrap", "dpkg-shlibdeps"] {
        if require_tool(tool, "make test-deps, as root").is_none() {
            return;
        }
    }
    if !rustix::process::geteuid().is_root() {
        return skip("booting a machine needs root");
    }
    let dir = Dir::new();
    let mut given = BLOCKS.map(|(info, name)| dir.write(name, &block(info))).to_vec();
    let files: Vec<String> = table("file").into_iter().map(|row| row[0].replace('`', "")).collect();
    given.push(dir.write("files", &format!("{}\n", files.join("\n"))));
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let binary = env!("CARGO_BIN_EXE_philote");
    let built = Command::new(project.join("packaging/deb/build"))
        .args([Path::new(binary), dir.path()])
        .output()
        .expect("a package is made");
    assert!(built.status.success(), "{built:?}");
    given.push(String::from_utf8_lossy(&built.stdout).trim().into());
    given.extend([binary.into(), project.join("systemd"), project.join("packaging")]);
    let output = Command::new(project.join("packaging/tests/booted-debian"))
        .arg("trixie")
        .arg(in_tests("it/readme/machine"))
        .args(given)
        .stdin(Stdio::null())
        .output()
        .expect("a machine is booted");
    let said = [output.stdout, output.stderr].map(|out| String::from_utf8_lossy(&out).into_owned());
    assert!(output.status.success(), "{}:\n{}", output.status, said.concat());
    assert!(said[0].contains("it all works"), "{}", said.concat());
}
