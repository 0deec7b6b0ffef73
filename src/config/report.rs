//! Owns [`Report`]: what has been found wrong or worth knowing so far while loading.

use std::path::Path;
use std::sync::Arc;

use super::fault::{Fault, Origin, Warning};

/// Faults and warnings, in the order in which they were found.
#[derive(Default)]
pub(super) struct Report {
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<Warning>,
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

    /// The faults as they are told: file by file, each from top to bottom. Of a line whose syntax
    /// is broken only the first fault of the syntax is told, since after it the parser guesses.
    pub(super) fn into_sorted(mut self) -> Vec<Fault> {
        self.faults.sort_by_cached_key(|fault| match &fault.origin {
            Origin::Environment { .. } => (0, None, None),
            Origin::EnvFile { path, position, .. } => (1, Some(path.clone()), Some(*position)),
            Origin::File { path, position } => (2, Some(path.clone()), *position),
            Origin::Default => (3, None, None),
        });
        let mut broken = Vec::new();
        for fault in &self.faults {
            if let (None, Some(line)) = (&fault.key, line_of(fault)) {
                broken.push(line);
            }
        }
        let mut told = Vec::new();
        self.faults.retain(|fault| match line_of(fault) {
            Some(line) if fault.key.is_none() && !told.contains(&line) => {
                told.push(line);
                true
            }
            Some(line) => !broken.contains(&line),
            None => true,
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
