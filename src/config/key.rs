//! Owns [`Key`]: everything that is known of one key, and [`Reload`].

use std::fmt;

use super::Config;
use super::field::Field;
use super::keys::{self, SECTIONS};

/// What it takes for a changed key to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// A reload; for everything that is there.
    AtOnce,
    /// A reload; connections that are open keep the old value.
    NewConnections,
    /// A reload; grants that are given keep the old value.
    NewHandshakes,
    /// A restart.
    Restart,
    /// A reload that binds the new listeners and closes the old ones; open connections stay.
    Listeners,
}

impl fmt::Display for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtOnce => "at once",
            Self::NewConnections => "new connections",
            Self::NewHandshakes => "new handshakes",
            Self::Restart => "needs a restart",
            Self::Listeners => "new listeners are bound, then old ones close",
        })
    }
}

/// One key of the configuration.
pub(super) struct Key {
    /// `section.name`, or `name` at the top.
    pub(super) path: &'static str,
    /// Variables beside `PHILOTE_SECTION_NAME`, without a prefix.
    pub(super) other_variables: &'static [&'static str],
    pub(super) field: Field,
    pub(super) unset: Unset,
    pub(super) reload: Reload,
    /// Sentences for whoever sets it, without the range and the default.
    pub(super) doc: &'static str,
}

/// What holds where a key is not set.
pub(super) enum Unset {
    /// What [`Config::default`] has.
    Fixed,
    /// Something that depends on the machine or on other keys: in words, with an example in TOML.
    Told { words: &'static str, example: &'static str },
}

impl Key {
    /// The key with this path.
    pub(super) fn find(path: &str) -> Option<&'static Self> {
        keys::all().find(|key| key.path == path)
    }

    /// The path's section, empty at the top, and the name in it.
    pub(super) fn split(&self) -> (&'static str, &'static str) {
        self.path.split_once('.').unwrap_or(("", self.path))
    }

    /// `PHILOTE_SECTION_NAME`.
    pub(super) fn variable(&self) -> String {
        format!("PHILOTE_{}", self.path.replace('.', "_").to_ascii_uppercase())
    }

    /// Every variable that sets the key.
    pub(super) fn variables(&self) -> Vec<String> {
        let mut names = vec![self.variable()];
        names.extend(self.other_variables.iter().map(|name| (*name).to_owned()));
        names
    }

    /// The default, in words or as TOML.
    pub(super) fn default_text(&self) -> String {
        match self.unset {
            Unset::Told { words, .. } => words.to_owned(),
            Unset::Fixed => self.field.show(&Config::default()).unwrap_or_default(),
        }
    }

    /// A value to start from, as TOML.
    pub(super) fn example(&self) -> String {
        match self.unset {
            Unset::Told { example, .. } => example.to_owned(),
            Unset::Fixed => self.default_text(),
        }
    }
}

/// Whether there is such a section.
pub(super) fn is_section(name: &str) -> bool {
    SECTIONS.iter().any(|section| section.name == name)
}

/// Bytes of a name that may be a slip; the longest variable has half as many.
const LONGEST_SLIP: usize = 100;

/// Of `names` the one that was most likely meant by `written`.
pub(super) fn nearest<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Comparing costs letters times letters, and nobody writes so much by a slip.
    if written.len() > LONGEST_SLIP {
        return None;
    }
    // A third of the letters wrong, three at most, is a slip; more is another word.
    names
        .map(|name| (strsim::osa_distance(written, name), name))
        .filter(|(distance, name)| *distance <= (name.len() / 3).clamp(1, 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}
