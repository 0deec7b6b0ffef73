//! Owns the table of all keys, in the order in which they are shown. Adding a key is adding an
//! entry here. Comments give the source of a number; the sentences are for administrators.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::Config;
use super::field::{Field, lens, word};
use super::key::{Key, Reload, Unset};

/// Sections in the order in which they are shown, each with what it is about.
pub(super) const SECTIONS: &[(&str, &str)] = &[
    ("auth", "Who may connect: the secret that tokens are signed with, and pages' origins."),
    ("limits", "What one connection, and all of them, may take. None of it can be switched off."),
    ("websocket", "How connections are kept alive and ended."),
    ("log", "What is logged, where and how."),
    ("shutdown", "How a stop goes."),
    ("control", "The socket that philote's own commands talk to. Who may connect may stop it."),
];

const NONE: Unset = Unset::Told { words: "none", example: "[]" };

/// Short enough for tests, and long enough that a typing error ("1ms") shows.
const SHORTEST: Duration = Duration::from_millis(100);
const NOTHING: Duration = Duration::ZERO;

const fn up_to_minutes(shortest: Duration, minutes: u64) -> RangeInclusive<Duration> {
    shortest..=Duration::from_secs(minutes * 60)
}

/// Every key.
pub(super) static KEYS: &[Key] = &[
    Key {
        path: "listen",
        other_variables: &["LISTEN"],
        field: Field::Listen(lens!(listen)),
        unset: Unset::Told {
            words: "127.0.0.1:6380 and [::1]:6380 while the secret is empty, [::]:6380 with one",
            example: "[\"127.0.0.1:6380\", \"[::1]:6380\"]",
        },
        reload: Reload::Listeners,
        doc: "Where to listen: \"ADDRESS:PORT\", with ipv6only after it where an IPv6 address \
              shall leave IPv4 alone, or \"unix:/path mode=0660 group=NAME\". ADDRESS is written \
              in numbers, or is localhost, which is both loopback addresses; without a port it is \
              6380. The variable PORT replaces the port. Listeners given by the service manager \
              replace the whole list.",
    },
    Key {
        path: "workers",
        other_variables: &[],
        // Above the cores a worker only costs; 1024 is what the largest machines have.
        field: Field::Threads(lens!(workers), 1..=1024),
        unset: Unset::Told {
            words: "one a core, within the quota of the control group",
            example: "2",
        },
        reload: Reload::Restart,
        doc: "Threads that serve connections.",
    },
    Key {
        path: "auth.secret",
        other_variables: &["SECRET"],
        field: Field::Secret,
        unset: Unset::Fixed,
        reload: Reload::AtOnce,
        doc: "The secret that tokens are signed with, 32 bytes or more. While it is empty anyone \
              can sign. Better kept in a file of its own, see secret_file; only one of both.",
    },
    Key {
        path: "auth.secret_file",
        other_variables: &["SECRET_FILE"],
        field: Field::SecretFile,
        unset: Unset::Told { words: "none", example: "\"/etc/philote/secret\"" },
        reload: Reload::AtOnce,
        doc: "The file that holds the secret, read again at each reload: a regular file of at \
              most 64 KiB, of which one newline at the end is left out. One that everybody can \
              write is refused.",
    },
    Key {
        path: "auth.previous_secrets",
        other_variables: &[],
        field: Field::PreviousSecrets,
        unset: NONE,
        reload: Reload::AtOnce,
        doc: "Secrets whose tokens stay good while the secret is replaced. Take one out, and \
              whoever still rests on it is closed, see on_withdrawal.",
    },
    Key {
        path: "auth.previous_secret_files",
        other_variables: &[],
        field: Field::PreviousSecretFiles,
        unset: NONE,
        reload: Reload::AtOnce,
        doc: "The same, each in a file of its own.",
    },
    Key {
        path: "auth.allow_empty_secret",
        other_variables: &[],
        field: Field::Switch(lens!(auth.allow_empty_secret)),
        unset: Unset::Fixed,
        reload: Reload::AtOnce,
        doc: "Whether the empty secret is accepted beyond loopback. Anyone who can connect can \
              then sign a token for every channel.",
    },
    Key {
        path: "auth.leeway",
        other_variables: &[],
        // 5 s covers clocks kept by NTP; RFC 7519 speaks of "no more than a few minutes".
        field: Field::Duration(lens!(auth.leeway), up_to_minutes(NOTHING, 5)),
        unset: Unset::Fixed,
        reload: Reload::NewHandshakes,
        doc: "By how much the clock of whoever signs may be ahead, when nbf and iat are judged. \
              exp is judged without it.",
    },
    Key {
        path: "auth.close_at_expiry",
        other_variables: &[],
        field: Field::Switch(lens!(auth.close_at_expiry)),
        unset: Unset::Fixed,
        reload: Reload::NewHandshakes,
        doc: "Whether a connection is closed with 1008 when its token expires. Otherwise exp is \
              judged at the handshake alone.",
    },
    Key {
        path: "auth.on_withdrawal",
        other_variables: &[],
        field: word!(auth.on_withdrawal),
        unset: Unset::Fixed,
        reload: Reload::AtOnce,
        doc: "What happens to connections whose secret is accepted no more after a reload: \
              \"close\" closes them with 1008, \"keep\" leaves them.",
    },
    Key {
        path: "auth.withdrawal_spread",
        other_variables: &[],
        field: Field::Duration(lens!(auth.withdrawal_spread), up_to_minutes(NOTHING, 60)),
        unset: Unset::Fixed,
        reload: Reload::AtOnce,
        doc: "Over how long they are closed, evenly. A reload in that time that accepts the \
              secret again calls the rest off. \"0s\" is at once.",
    },
    Key {
        path: "auth.check_origin",
        other_variables: &["CHECK_ORIGIN"],
        field: Field::Switch(lens!(auth.check_origin)),
        unset: Unset::Told { words: "false; true where allowed_origins is set", example: "false" },
        reload: Reload::NewHandshakes,
        doc: "Whether the Origin that a browser sends must name the host of the request, or stand \
              in allowed_origins.",
    },
    Key {
        path: "auth.allowed_origins",
        other_variables: &[],
        field: Field::Origins(lens!(auth.allowed_origins)),
        unset: NONE,
        reload: Reload::NewHandshakes,
        doc: "Origins that are accepted: \"https://app.example.org\", or \
              \"https://*.example.org\" for every host below.",
    },
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
        path: "limits.max_pending",
        other_variables: &[],
        field: Field::Count(lens!(limits.max_pending), 1..=1_000_000),
        unset: Unset::Fixed,
        reload: Reload::AtOnce,
        doc: "Accepted connections that are no WebSocket, or not yet; at the bound the oldest is \
              closed.",
    },
    Key {
        path: "limits.max_head_size",
        other_variables: &[],
        // 8 KiB is the HTTP library's floor, 1 MiB what Go's server, the old one, allowed.
        field: Field::Size(lens!(limits.max_head_size), 8 << 10..=1 << 20),
        unset: Unset::Fixed,
        reload: Reload::NewConnections,
        doc: "A request's line and headers together. The token stands there, so this bounds how \
              many channels one can name.",
    },
    Key {
        path: "limits.total_queue",
        other_variables: &[],
        field: Field::Size(lens!(limits.total_queue), 64 << 10..=64 << 40),
        unset: Unset::Told {
            words: "a quarter of the memory or of the control group's limit",
            example: "\"1GiB\"",
        },
        reload: Reload::AtOnce,
        doc: "All outbound queues together; at the bound the owner of the longest is the slow \
              consumer.",
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
        doc: "What may wait for one connection. More, while its socket takes nothing, and it is a \
              slow consumer. Twice max_message_size or more.",
    },
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
        reload: Reload::NewConnections,
        doc: "How long a peer may take to answer a close before it is cut.",
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
        reload: Reload::NewConnections,
        doc: "How often a connection is pinged.",
    },
    Key {
        path: "websocket.pong_timeout",
        other_variables: &[],
        // 20 s is what engine.io, the most used of such servers, waits.
        field: Field::Duration(lens!(websocket.pong_timeout), up_to_minutes(SHORTEST, 60)),
        unset: Unset::Fixed,
        reload: Reload::NewConnections,
        doc: "How long a ping may go unanswered.",
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
    Key {
        path: "shutdown.drain_timeout",
        other_variables: &[],
        field: Field::Duration(lens!(shutdown.drain_timeout), up_to_minutes(SHORTEST, 60)),
        unset: Unset::Fixed,
        reload: Reload::AtOnce,
        doc: "How long a stop may take, from the signal on; what is left then is cut. The service \
              manager must wait longer.",
    },
    Key {
        path: "shutdown.delay",
        other_variables: &[],
        field: Field::OptionalDuration(lens!(shutdown.delay), up_to_minutes(SHORTEST, 10)),
        unset: Unset::Fixed,
        reload: Reload::AtOnce,
        doc: "How long connections are left alone first, while /readyz already answers 503. \
              Behind a balancer: three of its probe intervals.",
    },
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
