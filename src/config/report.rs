//! Owns [`Report`]: what has been found wrong or worth knowing so far while loading.

use std::path::Path;
use std::sync::Arc;

use super::fault::{Fault, Origin, Warning};

/// Faults and warnings, in the order in which they were found.
#[derive(Default)]
pub(super) struct Report {
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<Warning>,
    /// Lines whose syntax is broken, so that what was read from them may be anything.
    pub(super) guessed: Vec<(Arc<Path>, usize)>,
}

impl Report {
    pub(super) fn fault(&mut self, origin: &Origin, key: Option<&str>, text: impl Into<String>) {
        self.faults.push(Fault::new(origin.clone(), key, text));
    }

    /// A fault that is a file which cannot be read: exit code 77.
    pub(super) fn unreadable(&mut self, origin: &Origin, key: Option<&str>, text: String) {
        self.faults.push(Fault { unreadable: true, ..Fault::new(origin.clone(), key, text) });
    }

    pub(super) fn warn(&mut self, origin: &Origin, key: Option<&str>, text: impl Into<String>) {
        self.warnings.push(Warning::new(origin.clone(), key, text));
    }

    /// The faults as they are told: file by file, each from top to bottom, without those of keys
    /// in lines that were guessed.
    pub(super) fn into_sorted(mut self) -> Vec<Fault> {
        self.faults.sort_by_cached_key(|fault| match &fault.origin {
            Origin::Environment { .. } => (0, None, None),
            Origin::EnvFile { path, position, .. } => (1, Some(path.clone()), Some(*position)),
            Origin::File { path, position } => (2, Some(path.clone()), *position),
            Origin::Default => (3, None, None),
        });
        let guessed = self.guessed;
        self.faults.retain(|fault| {
            fault.key.is_none() || line_of(fault).is_none_or(|line| !guessed.contains(&line))
        });
        self.faults
    }
}

fn line_of(fault: &Fault) -> Option<(Arc<Path>, usize)> {
    match &fault.origin {
        Origin::File { path, position: Some(position) } => Some((path.clone(), position.line)),
        _ => None,
    }
}
