//! The shipped units, drop-ins and configurations of the packages, held against the daemon, against each other and
//! against the oldest systemd that they are for. What they do is tested in booted machines: `packaging/tests/service`.

use std::path::{Path, PathBuf};
use std::process::Command;

use philote::config::reference;

use crate::support::dir::Dir;
use crate::support::tools::require_tool;

/// The release of systemd in Ubuntu 22.04.
const OLDEST: u32 = 249;

/// Every directive that is used, with the release that brought it; systemd's manual pages say so of each that came
/// after 183, and "before 183" is 0 here.
const DIRECTIVES: [(&str, u32); 55] = [
    ("After", 0),
    ("AmbientCapabilities", 229),
    ("BindReadOnlyPaths", 233),
    ("CapabilityBoundingSet", 0),
    ("Description", 0),
    ("DevicePolicy", 208),
    ("Documentation", 201),
    ("ExecReload", 0),
    ("ExecStart", 0),
    ("FileDescriptorName", 227),
    ("LimitCORE", 0),
    ("LimitNOFILE", 0),
    ("ListenStream", 0),
    ("LockPersonality", 235),
    ("LogsDirectory", 235),
    ("LogsDirectoryMode", 235),
    ("MemoryDenyWriteExecute", 231),
    ("MemoryHigh", 231),
    ("MemoryMax", 231),
    ("NoNewPrivileges", 187),
    ("PrivateDevices", 209),
    ("PrivateTmp", 0),
    ("PrivateUsers", 232),
    ("ProcSubset", 247),
    ("ProtectClock", 245),
    ("ProtectControlGroups", 232),
    // "tmpfs" since 238.
    ("ProtectHome", 238),
    ("ProtectHostname", 242),
    ("ProtectKernelLogs", 244),
    ("ProtectKernelModules", 232),
    ("ProtectKernelTunables", 232),
    ("ProtectProc", 247),
    // "strict" since 232.
    ("ProtectSystem", 232),
    ("ReadWritePaths", 231),
    ("RemoveIPC", 232),
    ("Restart", 0),
    ("RestartPreventExitStatus", 189),
    ("RestartSec", 0),
    ("RestrictAddressFamilies", 211),
    ("RestrictNamespaces", 233),
    ("RestrictRealtime", 231),
    ("RestrictSUIDSGID", 242),
    ("RuntimeDirectory", 211),
    ("StartLimitIntervalSec", 230),
    ("SupplementaryGroups", 0),
    ("SystemCallArchitectures", 209),
    ("SystemCallErrorNumber", 209),
    // "@system-service" since 239.
    ("SystemCallFilter", 239),
    ("TimeoutStopSec", 188),
    ("Type", 0),
    ("UMask", 0),
    ("User", 0),
    ("WantedBy", 0),
    ("Wants", 0),
    ("WatchdogSec", 0),
];

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text(path: &str) -> String {
    std::fs::read_to_string(project(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files of a directory whose names end like this.
fn files(directory: &str, end: &str) -> Vec<String> {
    let entries = std::fs::read_dir(project(directory)).expect("the directory");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string());
    let mut names: Vec<String> = names.map(|name| name.expect("a name")).collect();
    names.retain(|name| name.ends_with(end));
    names.sort();
    assert!(!names.is_empty(), "no {end} in {directory}");
    names
}

/// What a setting of the unit is set to.
#[track_caller]
fn setting(unit: &str, name: &str) -> String {
    let line = unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    line.unwrap_or_else(|| panic!("no {name}=")).to_owned()
}

fn seconds(value: &str) -> u64 {
    value.trim_matches('"').trim_end_matches('s').parse().expect("seconds")
}

#[test]
fn no_directive_is_newer_than_the_oldest_systemd() {
    let units = files("systemd", "").into_iter().filter(|name| !name.ends_with(".sysusers"));
    let units = units.map(|name| format!("systemd/{name}"));
    let examples = files("packaging/examples", ".conf");
    let examples = examples.into_iter().map(|name| format!("packaging/examples/{name}"));
    let mut used = std::collections::BTreeSet::new();
    for path in units.chain(examples) {
        for line in
            text(&path).lines().filter(|line| !line.starts_with(['#', '[']) && !line.is_empty())
        {
            let (directive, _) = line.split_once('=').unwrap_or_else(|| panic!("{path}: {line}"));
            let known = DIRECTIVES.iter().find(|(name, _)| *name == directive);
            let (name, since) = known.unwrap_or_else(|| {
                panic!("{path}: {directive}: look up since when there is such a directive")
            });
            assert!(*since <= OLDEST, "{path}: {directive} came with systemd {since}");
            used.insert(*name);
        }
    }
    assert_eq!(used, DIRECTIVES.iter().map(|(name, _)| *name).collect());
}

#[test]
fn the_unit_goes_with_the_defaults_and_the_exit_codes() {
    let unit = text("systemd/philote.service");
    let drain = reference().into_iter().find(|entry| entry.key == "shutdown.drain_timeout");
    let drain = drain.expect("the key").default;
    assert!(seconds(&setting(&unit, "TimeoutStopSec")) > seconds(&drain), "{drain}");
    // Wrong arguments, not permitted, a wrong configuration; what may heal, 69, is tried again.
    assert_eq!(setting(&unit, "RestartPreventExitStatus"), "64 77 78");
    assert_eq!(setting(&unit, "StartLimitIntervalSec"), "0");
    // Neither of the two that go wrong.
    assert_eq!(setting(&unit, "Type"), "notify");
    assert!(!unit.contains("kill") && !unit.contains("\nEnvironment"), "{unit}");
}

#[test]
fn the_template_is_the_unit_with_names_of_its_own() {
    let unit = text("systemd/philote.service")
        .replace(
            "publish/subscribe server\n",
            "publish/subscribe server, with /etc/philote/%i.toml\n",
        )
        .replace(
            "serve --env-file=-/etc/default/philote",
            "serve --config /etc/philote/%i.toml --env-file=-/etc/default/philote-%i",
        )
        .replace("%t/philote/control.sock", "%t/philote-%i/control.sock")
        .replace("RuntimeDirectory=philote", "RuntimeDirectory=philote-%i");
    assert_eq!(text("systemd/philote@.service"), unit);
}

#[test]
fn the_units_are_as_systemd_wants_them_without_a_word() {
    if require_tool("systemd-analyze", "apt install systemd").is_none() {
        return;
    }
    let dir = Dir::new();
    for name in ["philote.service", "philote.socket", "philote@.service"] {
        let unit = text(&format!("systemd/{name}"));
        dir.write(name, &unit.replace("/usr/bin/philote", env!("CARGO_BIN_EXE_philote")));
    }
    let verified = Command::new("systemd-analyze")
        .current_dir(dir.path())
        .args(["verify", "--man=no", "philote.service", "philote.socket", "philote@.service"])
        .output()
        .expect("systemd-analyze runs");
    let said = [&verified.stdout, &verified.stderr].map(|out| String::from_utf8_lossy(out));
    assert!(verified.status.success() && said.concat().is_empty(), "{}", said.concat());
}

#[test]
fn every_drop_in_is_told_of_where_somebody_looks_and_started_by_a_test() {
    let (page, debian) = (text("docs/operating.md"), text("packaging/deb/README.Debian"));
    for name in files("packaging/examples", ".conf") {
        assert!(page.contains(&format!("| `{name}` | ")), "docs/operating.md: {name}");
        assert!(debian.contains(&format!("\n  {name} ")), "README.Debian: {name}");
        let name = name.trim_end_matches(".conf");
        let tested = format!("dropped_in {name}\n");
        assert!(
            text("packaging/tests/service").contains(&tested),
            "packaging/tests/service: {name}"
        );
    }
}

#[test]
fn the_package_has_the_version_of_the_program() {
    let first = text("packaging/deb/changelog").lines().next().expect("an entry").to_owned();
    let version = format!("philote ({}-", env!("CARGO_PKG_VERSION"));
    assert!(first.starts_with(&version), "packaging/deb/changelog begins with {first}");
}

#[test]
fn the_packaged_configuration_is_short_and_names_the_secret_and_the_limit_on_connections() {
    let configuration = text("packaging/config.toml");
    assert_eq!(configuration.lines().count(), 15);
    let set: Vec<&str> =
        configuration.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let expected =
        ["[auth]", "secret_file = \"/etc/philote/secret\"", "[limits]", "max_connections = 10000"];
    assert_eq!(set, expected);
}
