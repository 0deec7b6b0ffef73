//! Owns the keys of the section `websocket`.

use super::{SHORTEST, up_to_minutes};
use crate::config::field::Field;
use crate::config::key::{Key, Reload, Unset};
use crate::config::lens::{lens, word};

pub(super) static KEYS: &[Key] = &[
    Key {
        path: "websocket.read_buffer_size",
        other_variables: &["READ_BUFFER_SIZE"],
        field: Field::Reported(lens!(websocket.read_buffer_size)),
        unset: Unset::Fixed,
        reload: Reload::AtOnce,
        doc: "Accepted for old configurations and reported by /api/info; changes nothing.",
    },
    Key {
        path: "websocket.write_buffer_size",
        other_variables: &["WRITE_BUFFER_SIZE"],
        field: Field::Reported(lens!(websocket.write_buffer_size)),
        unset: Unset::Fixed,
        reload: Reload::AtOnce,
        doc: "Accepted for old configurations and reported by /api/info; changes nothing.",
    },
    Key {
        path: "websocket.close_timeout",
        other_variables: &[],
        field: Field::Duration(lens!(websocket.close_timeout), up_to_minutes(SHORTEST, 5)),
        unset: Unset::Fixed,
        reload: Reload::AtOnce,
        doc: "How long a peer may take to answer a close before it is cut; a close under way keeps its time.",
    },
    Key {
        path: "websocket.ping_interval",
        other_variables: &[],
        // 25 s stays below the 30 s after which mobile networks and some proxies forget.
        field: Field::OptionalDuration(
            lens!(websocket.ping_interval),
            up_to_minutes(SHORTEST, 24 * 60),
        ),
        unset: Unset::Fixed,
        reload: Reload::AtOnce,
        doc: "How often a connection is pinged.",
    },
    Key {
        path: "websocket.pong_timeout",
        other_variables: &[],
        // 20 s is what engine.io, the most used of such servers, waits.
        field: Field::Duration(lens!(websocket.pong_timeout), up_to_minutes(SHORTEST, 60)),
        unset: Unset::Fixed,
        reload: Reload::AtOnce,
        doc: "How long a ping may go unanswered. Two in a row end a connection that has answered \
              one before. How long a peer's TCP may take nothing, ping_interval and pong_timeout together, is \
              set when it connects.",
    },
    Key {
        path: "websocket.handshake_timeout",
        other_variables: &[],
        field: Field::Duration(lens!(websocket.handshake_timeout), up_to_minutes(SHORTEST, 5)),
        unset: Unset::Fixed,
        reload: Reload::NewConnections,
        doc: "From the accepted connection to the answered upgrade; then 408.",
    },
    Key {
        path: "websocket.slow_consumer",
        other_variables: &[],
        field: word!(websocket.slow_consumer),
        unset: Unset::Fixed,
        reload: Reload::AtOnce,
        doc: "What happens to a connection that does not keep up: \"disconnect\" closes it with \
              4000, \"drop\" takes the oldest messages from its queue and counts them.",
    },
];
