//! Tools that the machine may lack, and what is made of them.

use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) use super::required::{require_tool, skip};

/// A Python with the packages of `tests/python/requirements.txt`, made once in `target/tmp` and
/// shared by the tests; `PHILOTE_TEST_PYTHON` names another. `None`, told and counted, where
/// none can be had.
pub(crate) fn python() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("PHILOTE_TEST_PYTHON") {
        return Some(path.into());
    }
    let system = require_tool("python3", "apt install python3 python3-venv")?;
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let requirements = in_tests("python/requirements.txt");
    let wanted = std::fs::read_to_string(&requirements).expect("requirements.txt");
    let lock = std::fs::File::create(tmp.join("python.lock")).expect("a lock file");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).expect("a lock");
    let home = tmp.join("python");
    let python = home.join("bin/python");
    let mark = home.join("made-of");
    if std::fs::read_to_string(&mark).is_ok_and(|made_of| made_of == wanted) {
        return Some(python);
    }
    let made =
        run(Command::new(&system).args(["-m", "venv", "--clear"]).arg(&home)).and_then(|()| {
            run(Command::new(&python)
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
                .arg(&requirements))
        });
    if let Err(why) = made {
        skip(&format!("no Python with {}: {why}; apt install python3-venv", wanted.trim()));
        return None;
    }
    std::fs::write(mark, wanted).expect("the mark is written");
    Some(python)
}

/// A Node of version 22, whose `WebSocket` is built in: npm's package `tests/node/package.json` names, installed once
/// in `target/tmp` and shared by the tests; `PHILOTE_TEST_NODE` names another. `None`, told and counted, where none can
/// be had.
pub(crate) fn node_22() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("PHILOTE_TEST_NODE") {
        return Some(path.into());
    }
    let npm = require_tool("npm", "apt install npm")?;
    let wanted = in_tests("node/package.json");
    let text = std::fs::read_to_string(&wanted).expect("package.json");
    let home = shared_dir("node");
    let lock = std::fs::File::create(home.join("lock")).expect("a lock file");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).expect("a lock");
    let node = home.join("node_modules/node/bin/node");
    let mark = home.join("made-of");
    if std::fs::read_to_string(&mark).is_ok_and(|made_of| made_of == text) {
        return Some(node);
    }
    std::fs::copy(&wanted, home.join("package.json")).expect("a copy");
    let install = ["install", "--no-audit", "--no-fund", "--no-package-lock", "--prefix"];
    let made = run(Command::new(&npm).args(install).arg(&home))
        .and_then(|()| run(Command::new(&node).arg("--version")));
    if let Err(why) = made {
        skip(&format!("npm cannot install Node 22: {why}"));
        return None;
    }
    std::fs::write(mark, text).expect("the mark is written");
    Some(node)
}

/// A directory of this name that the tests share, also those of a later run.
pub(crate) fn shared_dir(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&dir).expect("a directory");
    dir
}

/// A file below `tests/`.
pub(crate) fn in_tests(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(path)
}

/// Runs a command to its end; what it said, where it failed.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{}: {}", output.status, said.trim()))
}
