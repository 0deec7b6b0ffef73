//! Owns the keys of the section `control`.

use crate::config::field::Field;
use crate::config::key::{Key, Reload, Unset};
use crate::config::lens::lens;

pub(super) static KEYS: &[Key] = &[
    Key {
        path: "control.socket",
        other_variables: &[],
        field: Field::Socket(lens!(control.socket)),
        unset: Unset::Told {
            words: "$RUNTIME_DIRECTORY/control.sock where that is set, otherwise \"off\"",
            example: "\"/run/philote/control.sock\"",
        },
        reload: Reload::Restart,
        doc: "The socket for reload, status, drain and the like.",
    },
    Key {
        path: "control.mode",
        other_variables: &[],
        field: Field::Mode(lens!(control.mode)),
        unset: Unset::Told { words: "\"0600\"; \"0660\" where group is set", example: "\"0600\"" },
        reload: Reload::Restart,
        doc: "Its permission bits, in octal.",
    },
    Key {
        path: "control.group",
        other_variables: &[],
        field: Field::Group(lens!(control.group)),
        unset: Unset::Told { words: "none", example: "\"adm\"" },
        reload: Reload::Restart,
        doc: "Its group. Not the one that may read the secret: to stop the server is another \
              right.",
    },
];
