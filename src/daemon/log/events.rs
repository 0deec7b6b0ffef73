//! Every event that philote logs, in one table: what the man page says of them, and what a test holds the
//! code against.
//!
//! A name is a promise: filters and alarms are written against it, so it outlives the words of its message.

use tracing::Level;

/// An event.
#[derive(Debug)]
pub struct EventKind {
    /// Its name: `event` in text and JSON, `PHILOTE_EVENT` in the journal.
    pub name: &'static str,
    /// How grave it is.
    pub level: Level,
    /// The fields that it may have; in the journal in capitals, with `PHILOTE_` in front.
    pub fields: &'static [&'static str],
    /// When it happens.
    pub meaning: &'static str,
    /// The journal's `MESSAGE_ID` (a UUID without hyphens), for the turns in the life of the process.
    pub message_id: Option<&'static str>,
}

/// The `MESSAGE_ID` of an event.
pub(super) fn message_id(name: &str) -> Option<&'static str> {
    EVENTS.iter().find(|event| event.name == name)?.message_id
}

const fn event(
    level: Level,
    name: &'static str,
    fields: &'static [&'static str],
    meaning: &'static str,
) -> EventKind {
    EventKind { name, level, fields, meaning, message_id: None }
}

impl EventKind {
    const fn known_as(mut self, message_id: &'static str) -> EventKind {
        self.message_id = Some(message_id);
        self
    }
}

/// All of them: the life of the process, then its surroundings, then what clients cause, then the log.
pub static EVENTS: &[EventKind] = &[
    event(Level::INFO, "start", &["version"], "The process begins; its configuration is good.")
        .known_as("4e842b34ce3945fab505052108b66c1b"),
    event(
        Level::INFO,
        "ready",
        &["version", "workers"],
        "Connections are accepted on the addresses that the message names.",
    )
    .known_as("916248dbb75d4e3ab1492b1782583b05"),
    event(
        Level::INFO,
        "reload",
        &["changes", "withdrawn"],
        "The configuration was read again and is in force, with so many changes; so many connections \
         rest on keys that were withdrawn by it.",
    )
    .known_as("d26ee4cd8aca49a4bc965bc1411f151f"),
    event(
        Level::ERROR,
        "reload_failed",
        &["faults"],
        "The configuration was read again and has so many faults; the old one stays in force, whole.",
    )
    .known_as("f16825ae38a849bf96abd612939774f0"),
    event(
        Level::INFO,
        "reload_change",
        &[],
        "A reload has changed a key: the message says which, from what and to what.",
    ),
    event(
        Level::WARN,
        "reload_waits",
        &[],
        "A changed key, as the message says, waits for a restart.",
    ),
    event(
        Level::ERROR,
        "reload_fault",
        &[],
        "Why a reload failed: one line for each fault in the configuration.",
    ),
    event(
        Level::INFO,
        "drain",
        &["connections"],
        "The server was told to stop and closes its connections, so many of them.",
    )
    .known_as("5111d3df23524e7aacfdd524e96e4be3"),
    event(
        Level::INFO,
        "stopped",
        &["cut"],
        "The process ends; so many connections had to be cut, since they did not close in time.",
    )
    .known_as("9537203c0e544c04b89711cdd1884fd9"),
    event(
        Level::INFO,
        "status",
        &["connections", "channels", "messages_in", "messages_out", "log_lines_lost"],
        "Asked for by SIGUSR1: connections and channels now, the rest since the start.",
    ),
    event(Level::INFO, "signal_ignored", &["signal"], "A signal came that nothing is bound to."),
    event(
        Level::WARN,
        "configuration_warning",
        &[],
        "Something in the configuration is worth a look; the message says where and why.",
    ),
    event(
        Level::ERROR,
        "bind_failed",
        &[],
        "An address cannot be listened on; the message says which and why.",
    ),
    event(
        Level::ERROR,
        "empty_secret",
        &[],
        "The secret is empty and the service manager's listeners can be reached from elsewhere: the \
         server does not start.",
    ),
    event(
        Level::INFO,
        "family_lacking",
        &["address"],
        "An address of localhost is left out, or 0.0.0.0 takes the place of [::], since the machine lacks IPv4 or IPv6.",
    ),
    event(
        Level::WARN,
        "descriptor_limit",
        &["error"],
        "The limit on open files is too low for limits.max_connections, or cannot be raised.",
    ),
    event(
        Level::WARN,
        "accept_failed",
        &["address", "error"],
        "New connections cannot be accepted for now, mostly for want of descriptors.",
    ),
    event(
        Level::WARN,
        "control_accept_failed",
        &["error"],
        "Tools cannot connect to the control socket for now, mostly for want of descriptors.",
    ),
    event(
        Level::INFO,
        "control_reload",
        &["uid", "pid"],
        "A process of that user asked for a reload, over the control socket.",
    ),
    event(
        Level::INFO,
        "control_drain",
        &["uid", "pid"],
        "A process of that user asked for the stop, over the control socket.",
    ),
    event(
        Level::INFO,
        "control_disconnect",
        &["uid", "pid", "connection", "subject"],
        "A process of that user asked for a connection, or all of a subject, to be closed, over the control socket.",
    ),
    event(
        Level::INFO,
        "api_disconnect",
        &["peer", "connection", "subject"],
        "A client whose token has manage asked for a connection, or all of a subject, to be closed. Ten lines a minute, peer and worker.",
    ),
    event(
        Level::WARN,
        "notify_failed",
        &["error"],
        "The service manager could not be told of the server's state.",
    ),
    event(
        Level::WARN,
        "dumpable",
        &["error"],
        "The system does not let the process keep its memory from core dumps and other processes.",
    ),
    event(
        Level::ERROR,
        "worker_stuck",
        &["worker"],
        "A worker does not turn; while that is so the service manager's watchdog is not fed.",
    ),
    event(
        Level::ERROR,
        "worker_failed",
        &["error", "worker"],
        "A worker could not start or has ended; so does the process, to be restarted whole.",
    ),
    event(
        Level::ERROR,
        "panic",
        &["place", "thread"],
        "A fault in the server, with its place in the code.",
    ),
    event(
        Level::INFO,
        "handshake_refused",
        &["peer", "reason"],
        "A client was not let in. The reason is one of a fixed set; both stand in the message too. Ten lines a \
         minute, peer and worker.",
    ),
    event(
        Level::INFO,
        "pending_evicted",
        &["peer", "kind"],
        "A socket was closed to make room for another, as limits.max_pending has it: no_request, idle, or answering. \
         Ten lines a minute, kind, peer and worker.",
    ),
    event(
        Level::WARN,
        "certificate_expires",
        &[],
        "The certificate of tls.certificate expires within 14 days, or has expired, when the message says. Told at the \
         start, at each reload and once a day.",
    ),
    event(
        Level::WARN,
        "proxy_not_trusted",
        &[],
        "Nearly all connections come from one private address, most likely a proxy's, and no proxy is trusted. Told \
         once.",
    ),
    event(
        Level::INFO,
        "publish_refused",
        &["connection", "peer", "channel"],
        "A connection published to a channel that its token does not grant. Ten lines a minute, \
         peer and worker.",
    ),
    event(
        Level::INFO,
        "lines_left_out",
        &["of", "lines"],
        "So many more events of this name happened in the last minute than one worker has logged: beside the lines a \
         minute and peer there are at most 100 a second of an event that clients cause, of all peers and workers.",
    ),
    event(
        Level::DEBUG,
        "connection_opened",
        &["connection", "peer"],
        "A handshake was answered with 101.",
    ),
    event(
        Level::DEBUG,
        "connection_closed",
        &["connection", "peer", "reason", "code", "seconds"],
        "A connection is over, after so many seconds, with this close code, where there was one.",
    ),
    event(
        Level::DEBUG,
        "messages_dropped",
        &["connection", "peer", "dropped"],
        "A slow consumer lost its oldest messages, as websocket.slow_consumer has it.",
    ),
    event(
        Level::WARN,
        "journal_absent",
        &["error"],
        "The journal cannot be reached at the start; the log goes to stderr.",
    ),
    event(Level::INFO, "log_reopened", &["path"], "The log file was opened anew, on SIGUSR1."),
    event(
        Level::ERROR,
        "log_reopen_failed",
        &["path", "error"],
        "The log file could not be opened anew; the old one is written on.",
    ),
    event(
        Level::WARN,
        "log_lines_lost",
        &["lines"],
        "So many lines are missing: they could not be written, or came faster than they could be.",
    ),
];

#[cfg(test)]
mod tests;
