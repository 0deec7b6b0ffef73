//! Help, version and wrong arguments.

use philote::paths;

use crate::program::{philote, run};

#[test]
fn help_and_version_are_data() {
    let help = run(&mut philote(&["--help"])).quietly();
    assert!(help.contains("Usage: philote") && help.contains("Examples:"), "{help}");
    assert!(!help.contains('\u{1b}'), "{help:?}");
    for command in [
        "serve",
        "check",
        "reload",
        "status",
        "connections",
        "disconnect",
        "drain",
        "health",
        "token",
        "publish",
        "subscribe",
        "console",
        "completions",
    ] {
        assert!(help.contains(command), "{help}");
        let own = run(&mut philote(&[command, "--help"])).quietly();
        assert!(own.contains(&format!("Usage: philote {command}")), "{own}");
    }
    let version = run(&mut philote(&["--version"])).quietly();
    assert!(version.starts_with(concat!("philote ", env!("CARGO_PKG_VERSION"), " (")), "{version}");
    assert!(version.contains("commit") && version.contains(std::env::consts::ARCH), "{version}");
    assert_eq!(version.lines().count(), 1, "{version}");
    let short = run(&mut philote(&["-V"])).quietly();
    assert_eq!(short, version);
}

#[test]
fn the_version_tells_the_paths_that_are_built_in_where_it_is_asked_to() {
    let version = run(&mut philote(&["--version"])).quietly();
    let verbose = run(&mut philote(&["--version", "--verbose"])).quietly();
    let paths = verbose.strip_prefix(&*version).expect("the version first");
    let expected = format!(
        "sysconfdir: {}\nrunstatedir: {}\nconfiguration: {}\ncontrol socket: {}\n",
        paths::SYSCONFDIR,
        paths::RUNSTATEDIR,
        paths::configuration().display(),
        paths::control_socket().display()
    );
    assert_eq!(paths, expected);
    run(&mut philote(&["--verbose"])).failed(64);
}

#[test]
fn wrong_usage_is_exit_code_64_with_advice_on_standard_error() {
    let cases: [(&[&str], &str); 6] = [
        (&["chek"], "check"),
        (&["--confg", "x"], "--config"),
        (&["publish"], "<CHANNEL>"),
        (&["subscribe"], "<CHANNEL>"),
        (&["subscribe", "c", "--count", "0"], "--count"),
        (&["publish", "c", "d", "e"], "'e'"),
    ];
    for (arguments, advice) in cases {
        let said = run(&mut philote(arguments)).failed(64);
        assert!(said.contains(advice), "{said}");
    }
}

#[test]
fn help_that_nobody_reads_is_no_fault() {
    use std::process::Stdio;
    for arguments in [&["--help"][..], &["check", "--print"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = philote(arguments);
        command.stdout(Stdio::from(writer)).stderr(Stdio::piped());
        let output = command.spawn().and_then(|child| child.wait_with_output()).expect("it runs");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
}
