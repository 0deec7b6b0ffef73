//! Owns [`linked`]: which crates are in the binary, as cargo knows them.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// For what philote is built on such a machine, each of which can tell the crates of the other too.
#[cfg(not(target_os = "macos"))]
const TARGETS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];
#[cfg(target_os = "macos")]
const TARGETS: [&str; 2] = ["x86_64-apple-darwin", "aarch64-apple-darwin"];
/// With the crates that a static binary has beside.
const STATIC: &str = "-Ctarget-feature=+crt-static";

/// A crate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Crate {
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// Its licences, as an expression of SPDX.
    pub(crate) licence: String,
    /// Where it comes from; empty where it does not say.
    pub(crate) repository: String,
    /// Where its source is.
    pub(crate) folder: PathBuf,
}

/// The crates that are linked into the binaries of this system, each once, by their names. What only runs while it is built is
/// not among them.
///
/// # Errors
/// Where cargo fails, or says something that is not understood.
pub(crate) fn linked() -> io::Result<Vec<Crate>> {
    let mut tree = vec!["tree", "--edges", "normal,no-proc-macro", "--prefix", "none"];
    tree.extend(["--format", "{p}"]);
    let mut metadata = vec!["metadata", "--format-version", "1"];
    for target in TARGETS {
        tree.extend(["--target", target]);
        metadata.extend(["--filter-platform", target]);
    }
    let lines = cargo(&tree)?;
    let linked: BTreeSet<(&str, &str)> = lines
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.next()?.strip_prefix('v')?))
        })
        .collect();
    let metadata: Value = serde_json::from_str(&cargo(&metadata)?)?;
    let known = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut crates: Vec<Crate> = known
        .iter()
        // What has no source is here: philote itself.
        .filter(|package| !package["source"].is_null())
        .filter(|package| linked.contains(&(text(&package["name"]), text(&package["version"]))))
        .map(|package| Crate {
            name: text(&package["name"]).to_owned(),
            version: text(&package["version"]).to_owned(),
            licence: text(&package["license"]).to_owned(),
            repository: text(&package["repository"]).to_owned(),
            folder: PathBuf::from(text(&package["manifest_path"])).with_file_name(""),
        })
        .collect();
    crates.sort();
    if crates.len() + 1 != linked.len() {
        let found = crates.len();
        return Err(io::Error::other(format!("{found} crates are known, {} linked", linked.len())));
    }
    Ok(crates)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn cargo(arguments: &[&str]) -> io::Result<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let output = Command::new(cargo)
        .args(arguments)
        .args(["--locked", "--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .env("CARGO_ENCODED_RUSTFLAGS", STATIC)
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(io::Error::other(format!("cargo {}: {said}", arguments.join(" "))));
    }
    String::from_utf8(output.stdout).map_err(io::Error::other)
}
