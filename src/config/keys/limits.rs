//! Owns the keys of the section `limits`.

use crate::config::field::Field;
use crate::config::key::{Key, Reload, Unset};
use crate::config::lens::lens;

pub(super) static KEYS: &[Key] = &[
    Key {
        path: "limits.max_connections",
        other_variables: &["MAX_CONNECTIONS"],
        // 255 is the old server's. A million sockets is what one machine has been seen to hold.
        field: Field::Count(lens!(limits.max_connections), 1..=1_000_000),
        unset: Unset::Fixed,
        reload: Reload::AtOnce,
        doc: "WebSocket connections at once; more are answered 503. Nobody is thrown out when it \
              is lowered.",
    },
    Key {
        path: "limits.max_connections_per_ip",
        other_variables: &[],
        field: Field::OptionalCount(lens!(limits.max_connections_per_ip), 1..=1_000_000),
        unset: Unset::Fixed,
        reload: Reload::AtOnce,
        doc: "WebSocket connections of one address at once, of an IPv6 address those of its whole /64; \
              more are answered 429. Many people can share one address: leave room for them. Behind a \
              proxy set proxy.trusted first; what is trusted there is not limited itself.",
    },
    Key {
        path: "limits.handshakes_per_second_per_ip",
        other_variables: &[],
        field: Field::OptionalCount(lens!(limits.handshakes_per_second_per_ip), 1..=1_000_000),
        unset: Unset::Fixed,
        reload: Reload::AtOnce,
        doc: "Handshakes of one address, or /64, in a second; after a silence so many may come at once. \
              More are answered 429 before their token is looked at. Requests to /api whose token is \
              refused count too; one with a good token is always answered. With TLS it is the handshake of that which counts, and one too many is \
              closed before it.",
    },
    Key {
        path: "limits.max_pending",
        other_variables: &[],
        field: Field::Count(lens!(limits.max_pending), 1..=1_000_000),
        unset: Unset::Fixed,
        reload: Reload::AtOnce,
        doc: "Accepted connections that are no WebSocket, or not yet. At the bound one is closed for each \
              that comes: first those without a request, of the address that has most, then idle ones, and \
              one that is being answered last.",
    },
    Key {
        path: "limits.max_head_size",
        other_variables: &[],
        // 8 KiB is the HTTP library's floor, 1 MiB what Go's server, the old one, allowed.
        field: Field::Size(lens!(limits.max_head_size), 8 << 10..=1 << 20),
        unset: Unset::Fixed,
        reload: Reload::NewConnections,
        doc: "A request's line and headers together; a longer head, or more than 100 headers, is answered 431. The token stands there, so this bounds how \
              many channels one can name. \
              A lower one holds from the next request on, for connections that are open too.",
    },
    Key {
        path: "limits.memory",
        other_variables: &[],
        field: Field::Size(lens!(limits.memory), 1 << 20..=64 << 40),
        unset: Unset::Told {
            words: "half of the memory or of the control group's limit, 512MiB where neither can be told; \
                    twice total_queue if that is more",
            example: "\"2GiB\"",
        },
        reload: Reload::AtOnce,
        doc: "What clients can make grow, all together: queues, messages of which a part has come, \
              channels, connections, requests. From three quarters on, the connection with the largest part \
              of a message is closed with 1013; from seven eighths on, handshakes are answered 503; at \
              the bound, bodies of requests too, and the owner of the longest queue is the slow \
              consumer. Leave as much again to the machine: the process takes more than it counts here.",
    },
    Key {
        path: "limits.total_queue",
        other_variables: &[],
        field: Field::Size(lens!(limits.total_queue), 64 << 10..=64 << 40),
        unset: Unset::Told {
            words: "a quarter of the memory or of the control group's limit, 256MiB where neither can be told; \
                    half of limits.memory if that is less",
            example: "\"1GiB\"",
        },
        reload: Reload::AtOnce,
        doc: "The part of limits.memory that all outbound queues together may take, where a message for \
              many counts once; at the bound the owner of the longest is the slow consumer.",
    },
    Key {
        path: "limits.max_message_size",
        other_variables: &[],
        // Below 64 bytes not even the names of the members leave room for data.
        field: Field::Size(lens!(limits.max_message_size), 64..=1 << 30),
        unset: Unset::Fixed,
        reload: Reload::AtOnce,
        doc: "One message from a client; a larger one ends its connection with 1009.",
    },
    Key {
        path: "limits.max_channels",
        other_variables: &[],
        field: Field::Count(lens!(limits.max_channels), 1..=1_000_000),
        unset: Unset::Fixed,
        reload: Reload::NewHandshakes,
        doc: "Channels in read, and in write, of one token; one with more is answered 403.",
    },
    Key {
        path: "limits.max_channel_length",
        other_variables: &[],
        field: Field::Size(lens!(limits.max_channel_length), 1..=64 << 10),
        unset: Unset::Fixed,
        reload: Reload::NewHandshakes,
        doc: "One channel's name in a token; one with a longer is answered 403.",
    },
    Key {
        path: "limits.outbound_queue",
        other_variables: &[],
        // A message on its way out is longer than it was on its way in: issuer, escapes.
        field: Field::Size(lens!(limits.outbound_queue), 1 << 10..=1 << 30),
        unset: Unset::Fixed,
        reload: Reload::AtOnce,
        doc: "What may wait for one connection whose socket takes nothing. More than that for a \
              second, or sixteen times as much at once, and it is a slow consumer. Twice \
              max_message_size or more.",
    },
    Key {
        path: "limits.messages_per_second",
        other_variables: &[],
        field: Field::OptionalCount(lens!(limits.messages_per_second), 1..=1_000_000),
        unset: Unset::Fixed,
        reload: Reload::AtOnce,
        doc: "Messages, pings and pongs from one connection in a second, every 16 frames of a message \
              as one; after a silence so many may come at once. Who sends more is read from no faster, and closed with 4001 once it has \
              been held up for 10 s in any 30.",
    },
    Key {
        path: "limits.bytes_per_second",
        other_variables: &[],
        // A GiB is more than one worker reads.
        field: Field::OptionalSize(lens!(limits.bytes_per_second), 64..=1 << 30),
        unset: Unset::Fixed,
        reload: Reload::AtOnce,
        doc: "Bytes from one connection in a second, likewise. A message that is longer takes as many \
              seconds to be read; one that takes 10 s ends its connection.",
    },
];
