//! Where a value came from, and what is wrong with it.
//!
//! Owns [`Origin`], [`Fault`], [`Faults`] and [`Warning`]: one line of text each, in the shape
//! `PATH:LINE:COL: KEY: what; how to mend it`. Never holds the value of a secret.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A place in a text: line and column, both from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
}

/// Where a value was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: the default holds.
    Default,
    /// In the TOML file.
    File {
        /// The file as it was named.
        path: Arc<Path>,
        /// Where in it; `None` where the file as a whole is meant.
        position: Option<Position>,
    },
    /// In the file given by `--env-file`.
    EnvFile {
        /// The file as it was named.
        path: Arc<Path>,
        /// Where the line of the variable starts.
        position: Position,
        /// The variable's name.
        variable: String,
    },
    /// In the environment that the process was started with.
    Environment {
        /// The variable's name.
        variable: String,
    },
}

impl Origin {
    /// The file at `path` as a whole.
    pub(super) fn whole(path: &Path) -> Self {
        Self::File { path: path.into(), position: None }
    }

    /// The variable that set the value, where one did.
    pub fn variable(&self) -> Option<&str> {
        match self {
            Self::EnvFile { variable, .. } | Self::Environment { variable } => Some(variable),
            Self::Default | Self::File { .. } => None,
        }
    }
}

/// `default`, `PATH:LINE:COL`, `PATH:LINE:COL VARIABLE` or `environment VARIABLE`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => write!(f, "default"),
            Self::File { path, position: None } => write!(f, "{}", path.display()),
            Self::File { path, position: Some(Position { line, column }) } => {
                write!(f, "{}:{line}:{column}", path.display())
            }
            Self::EnvFile { path, position: Position { line, column }, variable } => {
                write!(f, "{}:{line}:{column} {}", path.display(), shown(variable))
            }
            Self::Environment { variable } => write!(f, "environment {}", shown(variable)),
        }
    }
}

/// One thing that is wrong, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it stands.
    pub origin: Origin,
    /// The key it is about, where there is one; a variable's name is in the origin.
    pub key: Option<String>,
    /// `what; how to mend it`.
    pub text: String,
    /// Whether a file could not be read: exit code 77 instead of 78.
    pub unreadable: bool,
}

impl Fault {
    pub(super) fn new(origin: Origin, key: Option<&str>, text: impl Into<String>) -> Self {
        let text = shortened(text.into());
        Self { origin, key: key.map(str::to_owned), text, unreadable: false }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, &self.origin, self.key.as_deref(), &self.text)
    }
}

/// Something to know that does not keep the daemon from starting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where it stands.
    pub origin: Origin,
    /// The key it is about, where there is one; a variable's name is in the origin.
    pub key: Option<String>,
    /// `what; how to mend it`.
    pub text: String,
}

impl Warning {
    pub(super) fn new(origin: Origin, key: Option<&str>, text: impl Into<String>) -> Self {
        Self { origin, key: key.map(str::to_owned), text: shortened(text.into()) }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, &self.origin, self.key.as_deref(), &self.text)
    }
}

/// A name can be anything but `=`, line breaks and escapes of a terminal included.
fn shown(variable: &str) -> impl fmt::Display {
    variable.escape_debug()
}

/// A text of which the middle is left out if it is longer than a line that anybody reads: what a file of a MiB quotes may
/// be as long. Both ends stay: what is wrong, and how to mend it.
fn shortened(text: String) -> String {
    /// Characters of each end.
    const END: usize = 300;
    if text.len() <= 9 * END {
        return text;
    }
    let at = |found: Option<(usize, char)>| found.map_or(0, |(at, _)| at);
    let (start, end) = (at(text.char_indices().nth(END)), at(text.char_indices().rev().nth(END)));
    format!("{} ... {}", &text[..start], &text[end..])
}

fn line(f: &mut fmt::Formatter<'_>, origin: &Origin, key: Option<&str>, text: &str) -> fmt::Result {
    match origin {
        Origin::Default => {}
        Origin::File { .. } => write!(f, "{origin}: ")?,
        Origin::EnvFile { path, position: Position { line, column }, variable } => {
            write!(f, "{}:{line}:{column}: {}: ", path.display(), shown(variable))?;
        }
        Origin::Environment { variable } => write!(f, "environment: {}: ", shown(variable))?,
    }
    match key {
        // The variable stands for the key.
        Some(key) if origin.variable().is_none() => write!(f, "{key}: {text}"),
        _ => write!(f, "{text}"),
    }
}

/// Everything that is wrong, never empty. Displays as one line a fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// 77 where a file could not be read (what else is wrong may come from that), otherwise 78.
    pub fn exit_code(&self) -> u8 {
        if self.0.iter().any(|fault| fault.unreadable) { 77 } else { 78 }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}
