//! Help, version and wrong arguments.

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
    ] {
        assert!(help.contains(command), "{help}");
        let own = run(&mut philote(&[command, "--help"])).quietly();
        assert!(own.contains(&format!("Usage: philote {command}")), "{own}");
    }
    let version = run(&mut philote(&["--version"])).quietly();
    assert!(version.starts_with(concat!("philote ", env!("CARGO_PKG_VERSION"), " (")), "{version}");
    assert_eq!(version.lines().count(), 1, "{version}");
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
