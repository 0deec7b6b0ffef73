//! Owns [`Report`]: what has been found wrong or worth knowing so far while loading.

use std::collections::HashSet;

use super::fault::{Fault, Origin, Warning};

/// The most faults, and the most warnings, that are reported. Nobody mends more in one go, and each of them costs a line
/// of the log; a file of a MiB can have half a million.
pub(super) const MOST: usize = 100;

/// Faults and warnings, in the order in which they were found, of each the first [`MOST`].
#[derive(Default)]
pub(super) struct Report {
    faults: Vec<Fault>,
    warnings: Vec<Warning>,
    more_faults: usize,
    more_warnings: usize,
    /// Whether a file could not be read that is not among the faults above.
    more_unreadable: bool,
    /// Lines of the TOML file whose syntax is broken, so that what was read from them may be anything.
    guessed: HashSet<usize>,
}

impl Report {
    pub(super) fn fault(&mut self, origin: &Origin, key: Option<&str>, text: impl Into<String>) {
        self.fault_with(origin, key, || text.into());
    }

    /// Like [`Report::fault`], for a text that costs something to make.
    pub(super) fn fault_with(
        &mut self,
        origin: &Origin,
        key: Option<&str>,
        text: impl FnOnce() -> String,
    ) {
        if self.has_room(origin, key) {
            self.faults.push(Fault::new(origin.clone(), key, text()));
        }
    }

    /// A fault of a file's syntax, which no key is known of, and whose place costs something to find.
    pub(super) fn fault_of_file(
        &mut self,
        origin: impl FnOnce() -> Origin,
        text: impl FnOnce() -> String,
    ) {
        if self.faults.len() < MOST {
            self.faults.push(Fault::new(origin(), None, text()));
        } else {
            self.more_faults += 1;
        }
    }

    /// A fault that is a file which cannot be read: exit code 77.
    pub(super) fn unreadable(&mut self, origin: &Origin, key: Option<&str>, text: String) {
        if self.has_room(origin, key) {
            self.faults.push(Fault { unreadable: true, ..Fault::new(origin.clone(), key, text) });
        } else {
            self.more_unreadable = true;
        }
    }

    pub(super) fn warn(&mut self, origin: &Origin, key: Option<&str>, text: impl Into<String>) {
        self.warn_with(origin, key, || text.into());
    }

    /// Like [`Report::warn`], for a text that costs something to make.
    pub(super) fn warn_with(
        &mut self,
        origin: &Origin,
        key: Option<&str>,
        text: impl FnOnce() -> String,
    ) {
        if self.warnings.len() < MOST {
            self.warnings.push(Warning::new(origin.clone(), key, text()));
        } else {
            self.more_warnings += 1;
        }
    }

    /// Of these lines of the TOML file no value is trusted, and what is wrong with one is not reported.
    pub(super) fn guess(&mut self, lines: impl IntoIterator<Item = usize>) {
        self.guessed.extend(lines);
    }

    /// Whether anything is wrong.
    pub(super) fn has_faults(&self) -> bool {
        !self.faults.is_empty()
    }

    /// Whether this holds for a fault, which it may for one that is not reported.
    pub(super) fn may_have(&self, is_such: impl Fn(&Fault) -> bool) -> bool {
        self.more_faults > 0 || self.faults.iter().any(is_such)
    }

    /// The warnings, and how many more there are.
    pub(super) fn into_warnings(mut self) -> Vec<Warning> {
        if self.more_warnings > 0 {
            let text =
                format!("{} more warnings are not shown; mend these first", self.more_warnings);
            self.warnings.push(Warning::new(Origin::Default, None, text));
        }
        self.warnings
    }

    /// The faults as they are told, file by file, each from top to bottom, and how many more there are.
    pub(super) fn into_sorted(mut self) -> Vec<Fault> {
        self.faults.sort_by_cached_key(|fault| match &fault.origin {
            Origin::Environment { .. } => (0, None, None),
            Origin::EnvFile { path, position, .. } => (1, Some(path.clone()), Some(*position)),
            Origin::File { path, position } => (2, Some(path.clone()), *position),
            Origin::Default => (3, None, None),
        });
        if self.more_faults > 0 {
            let text = format!("{} more faults are not shown; mend these first", self.more_faults);
            let fault = Fault::new(Origin::Default, None, text);
            self.faults.push(Fault { unreadable: self.more_unreadable, ..fault });
        }
        self.faults
    }

    /// Whether a fault of `key` at `origin` is reported; one that is not for want of room is counted.
    fn has_room(&mut self, origin: &Origin, key: Option<&str>) -> bool {
        if key.is_some()
            && let Origin::File { position: Some(position), .. } = origin
            && self.guessed.contains(&position.line)
        {
            return false;
        }
        let has_room = self.faults.len() < MOST;
        self.more_faults += usize::from(!has_room);
        has_room
    }
}
