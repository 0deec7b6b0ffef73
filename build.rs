//! Tells the crate which commit and which target it is built of, for `philote --version`, and which directories
//! it looks into by default.
//!
//! `PHILOTE_COMMIT` says the commit where there is no repository: in a package's build. `PHILOTE_SYSCONFDIR`
//! and `PHILOTE_RUNSTATEDIR` are other directories than `/etc` and `/run`.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PHILOTE_COMMIT");
    let given = std::env::var("PHILOTE_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = given.or_else(|| {
        // Its log changes with every commit and checkout; HEAD itself does not.
        if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"])
            && std::path::Path::new(&log).exists()
        {
            println!("cargo::rerun-if-changed={log}");
        }
        git(&["rev-parse", "--short=12", "HEAD"])
    });
    println!("cargo::rustc-env=PHILOTE_BUILT_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
    let commit = commit.map_or("unknown commit".into(), |commit| format!("commit {commit}"));
    println!("cargo::rustc-env=PHILOTE_BUILT_OF={commit}");
    let target = std::env::var("TARGET").expect("cargo names the target");
    println!("cargo::rustc-env=PHILOTE_BUILT_FOR={target}");
    for (variable, default) in [("PHILOTE_SYSCONFDIR", "/etc"), ("PHILOTE_RUNSTATEDIR", "/run")] {
        println!("cargo::rerun-if-env-changed={variable}");
        let given = std::env::var(variable).ok().filter(|directory| !directory.is_empty());
        let directory = given.unwrap_or_else(|| default.into());
        assert!(directory.starts_with('/'), "{variable} is {directory}: write an absolute path");
        // They are joined to names, printed, and filled into other files.
        let directory = match directory.trim_end_matches('/') {
            "" => "/",
            directory => directory,
        };
        println!("cargo::rustc-env={variable}={directory}");
    }
}

/// What git says; `None` without git, without a repository, and inside somebody else's.
fn git(arguments: &[&str]) -> Option<String> {
    let here = std::env::var("CARGO_MANIFEST_DIR").ok()?;
    let ask = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(&here).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        (output.status.success() && !text.is_empty()).then_some(text)
    };
    let top = ask(&["rev-parse", "--show-toplevel"])?;
    let is_ours = std::fs::canonicalize(top).ok()? == std::fs::canonicalize(&here).ok()?;
    if is_ours { ask(arguments) } else { None }
}
