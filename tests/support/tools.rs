//! Tools that the machine may lack. A test that needs one is skipped where it is missing, and
//! says so; with `CI=true` a skip is a failure.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The path of `tool`, or `None`, told and counted, where it is missing. `install` is the
/// command that would bring it.
pub(crate) fn require_tool(tool: &str, install: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(tool)).find(|path| path.is_file());
    if found.is_none() {
        skip(&format!("{tool} is missing; to install it: {install}"));
    }
    found
}

/// Says that this test cannot run here, and leaves a note in `target/tmp/skipped/` for whoever
/// counts. With `CI=true` it fails instead.
pub(crate) fn skip(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test").to_owned();
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{test} cannot run: {why}");
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("skipped");
    std::fs::create_dir_all(&dir).expect("a directory for notes");
    std::fs::write(dir.join(test.replace("::", ".")), format!("{test}: {why}\n"))
        .expect("a note is left");
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}

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
