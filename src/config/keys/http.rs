//! Owns the keys of the section `http`.

use super::{SHORTEST, up_to_minutes};
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
        path: "http.keep_alive",
        other_variables: &[],
        // nginx keeps idle connections to a server for 60 s, Caddy for 2 min, Go's client for 90 s; nginx itself
        // keeps its clients' for 75 s.
        field: Field::OptionalDuration(lens!(http.keep_alive), up_to_minutes(SHORTEST, 60)),
        unset: Unset::Fixed,
        reload: Reload::AtOnce,
        doc: "How long a connection may be idle between two requests; longer than the proxies in front \
              keep theirs, or now and then a request meets its end. \"off\" ends each connection with its \
              answer. After a reload it holds for each connection from its next answer on.",
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
