//! What a test needs of the machine. One that cannot run is skipped, and says so; with `CI=true` a skip is a
//! failure.

use std::io::Write;
use std::path::{Path, PathBuf};

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
