//! `philote check`.

use crate::dir::Dir;
use crate::program::{SECRET, philote, run};

#[test]
fn a_good_configuration_is_said_to_be_good() {
    let dir = Dir::new();
    let config = dir.write("config.toml", "[limits]\nmax_connections = 7\n").display().to_string();
    let done = run(&mut philote(&["check", "--config", &config]));
    assert_eq!((done.code, &*done.out), (Some(0), ""), "{done:?}");
    assert_eq!(done.err, format!("{config}: the configuration is good\n"));
}

#[test]
fn all_faults_are_told_at_once_by_whatever_reads_the_configuration() {
    let dir = Dir::new();
    let text = "[limits]\nmax_connections = 0\nmax_conections = 7\n";
    let config = dir.write("config.toml", text).display().to_string();
    for arguments in [&["check"][..], &["check", "--print"], &["serve"], &[], &["token", "--api"]] {
        let said = run(philote(arguments).args(["--config", &config])).failed(78);
        assert_eq!(said.lines().count(), 2, "{said}");
        for (line, place) in said.lines().zip([":2:", ":3:"]) {
            assert!(line.starts_with(&format!("{config}{place}")), "{said}");
        }
    }
}

#[test]
fn what_holds_is_printed_with_its_origin_and_without_secrets() {
    let dir = Dir::new();
    let config = dir.write("config.toml", "[limits]\nmax_connections = 7\n").display().to_string();
    let env_file = dir.write("env", "LOGLEVEL=debug\n").display().to_string();
    let arguments = ["--config", &config, "check", "--print", "--env-file", &env_file];
    let done = run(&mut philote(&arguments));
    assert_eq!(done.code, Some(0), "{done:?}");
    let line = |key: &str| {
        let start = format!("{key} = ");
        let mut lines = done.out.lines().filter(|line| line.starts_with(&start));
        lines.next().unwrap_or_else(|| panic!("no {key} in {}", done.out)).to_owned()
    };
    assert!(line("limits.max_connections").ends_with(&format!("= 7  # {config}:2:19")), "{done:?}");
    assert!(line("log.level").contains(&env_file), "{done:?}");
    assert!(line("auth.secret").ends_with("# environment SECRET"), "{done:?}");
    assert!(line("limits.max_message_size").ends_with("# default"), "{done:?}");
    assert!(!done.out.contains(SECRET) && !done.err.contains(SECRET), "{done:?}");
}

#[test]
fn an_env_file_that_may_be_absent_is_marked_so() {
    let done = run(&mut philote(&["check", "--env-file", "-/nonexistent/env"]));
    assert_eq!(done.code, Some(0), "{done:?}");
    let said = run(&mut philote(&["check", "--env-file=/nonexistent/env"]));
    assert_ne!(said.code, Some(0), "{said:?}");
}

#[test]
fn what_is_worth_knowing_is_said() {
    let done = run(philote(&["check"]).env("SECRET", ""));
    assert_eq!((done.code, &*done.out), (Some(0), ""), "{done:?}");
    assert!(done.err.starts_with("warning: "), "{done:?}");
}
