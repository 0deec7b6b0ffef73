//! Owns the keys of the section `http`.

use crate::config::field::Field;
use crate::config::key::{Key, Reload, Unset};
use crate::config::lens::lens;

pub(super) static KEYS: &[Key] = &[
    Key {
        path: "http.max_body",
        other_variables: &[],
        // Below 1 KiB one message hardly fits; the whole body is in memory while it is published.
        field: Field::Size(lens!(http.max_body), 1 << 10..=1 << 30),
        unset: Unset::Fixed,
        reload: Reload::AtOnce,
        doc: "The body of a request, such as a batch of messages to publish; a larger one is answered \
              413.",
    },
    Key {
        path: "http.welcome",
        other_variables: &[],
        field: Field::OptionalSwitch(lens!(http.welcome)),
        unset: Unset::Told {
            words: "true while the secret is empty and allow_empty_secret is not set, false otherwise",
            example: "false",
        },
        reload: Reload::AtOnce,
        doc: "Whether a browser that asks for / gets a page that tells what this server is, \
              whether it is ready, and has a console to try a token with.",
    },
];
