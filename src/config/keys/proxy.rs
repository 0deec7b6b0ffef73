//! Owns the keys of the section `proxy`.

use super::NONE;
use crate::config::field::Field;
use crate::config::key::{Key, Reload, Unset};
use crate::config::lens::lens;

pub(super) static KEYS: &[Key] = &[
    Key {
        path: "proxy.trusted",
        other_variables: &[],
        field: Field::Proxies(lens!(proxy.trusted)),
        unset: NONE,
        reload: Reload::NewHandshakes,
        doc: "The proxies that are believed when they say whom they speak for: addresses, \
              networks such as \"10.0.0.0/8\", and unix, which is whoever comes by a Unix socket. \
              Nobody else's headers are read, and a listener with the word proxy serves nobody \
              else.",
    },
    Key {
        path: "proxy.header",
        other_variables: &[],
        field: Field::Header(lens!(proxy.header)),
        unset: Unset::Fixed,
        reload: Reload::NewHandshakes,
        doc: "The header in which they say it: addresses with commas between them, read from the \
              right; the first that is not trusted is the client's.",
    },
];
