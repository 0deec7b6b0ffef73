//! Owns the keys of the section `log`.

use crate::config::field::Field;
use crate::config::key::{Key, Reload, Unset};
use crate::config::lens::{lens, word};

pub(super) static KEYS: &[Key] = &[
    Key {
        path: "log.level",
        other_variables: &["LOGLEVEL"],
        field: word!(log.level),
        unset: Unset::Fixed,
        reload: Reload::AtOnce,
        doc: "The least grave event that is logged. LOGLEVEL also takes warning, fatal and panic.",
    },
    Key {
        path: "log.output",
        other_variables: &[],
        field: Field::Output(lens!(log.output)),
        unset: Unset::Fixed,
        reload: Reload::Restart,
        doc: "Where to. \"auto\" is the journal where stderr is connected to it, otherwise \
              stderr. A file is appended to, and opened again on SIGUSR1.",
    },
    Key {
        path: "log.format",
        other_variables: &[],
        field: word!(log.format),
        unset: Unset::Fixed,
        reload: Reload::Restart,
        doc: "How a line on stderr or in a file looks.",
    },
];
