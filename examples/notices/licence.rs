//! Owns [`texts`]: which of a crate's files have to go with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::crates::Crate;

/// What begins the name of a file that has to go with a crate.
const NAMES: [&str; 6] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];
/// What is in the name of one that does not, where a crate may be had under MIT.
const OTHERS: [&str; 5] = ["APACHE", "UNLICENSE", "ISC", "ZLIB", "BSD"];

/// The texts of a crate's licence and its notices, also of what it has taken in from elsewhere.
///
/// # Errors
/// Where there are none, or files cannot be read.
pub(crate) fn texts(of: &Crate) -> io::Result<Vec<String>> {
    let mut files = BTreeMap::new();
    look(&of.folder, &of.folder, &mut files)?;
    let is_mit = |path: &PathBuf| name(path).contains("MIT");
    if may_be_mit(&of.licence) && files.keys().any(is_mit) {
        files.retain(|path, _| {
            path.components().count() > 1 || !OTHERS.iter().any(|other| name(path).contains(other))
        });
    }
    if files.is_empty() {
        return Err(io::Error::other(format!("{} {} has no licence", of.name, of.version)));
    }
    Ok(files.into_values().collect())
}

/// Whether it is enough to keep to the MIT licence.
fn may_be_mit(expression: &str) -> bool {
    !expression.contains(['(', ')'])
        && !expression.contains(" AND ")
        && expression.split(" OR ").any(|licence| licence == "MIT")
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().to_uppercase()
}

/// Adds the files below a folder, by their paths from the root on.
fn look(root: &Path, folder: &Path, files: &mut BTreeMap<PathBuf, String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = name(&path);
        if path.is_dir() {
            look(root, &path, files)?;
        } else if NAMES.iter().any(|wanted| name.starts_with(wanted)) && !name.ends_with(".RS") {
            let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
            let place = path.strip_prefix(root).map_err(io::Error::other)?.to_owned();
            files.insert(place, tidy(&text));
        }
    }
    Ok(())
}

/// The same lines, each with the same end.
fn tidy(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}
