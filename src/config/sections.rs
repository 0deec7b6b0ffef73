//! Owns the plain sections of the configuration: limits, websocket, proxy, log, metrics, shutdown,
//! http, control.
//! Units, ranges and documentation of each key stand in `keys.rs`, once.

use std::path::PathBuf;
use std::time::Duration;

use super::word::words;
use super::{ListenAddress, TrustedProxies};

/// The section `limits`; sizes in bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// WebSocket connections at once.
    pub max_connections: usize,
    /// WebSocket connections of one address at once; `None` is any number.
    pub max_connections_per_ip: Option<usize>,
    /// Handshakes of one address in a second; `None` is any number.
    pub handshakes_per_second_per_ip: Option<usize>,
    /// Accepted sockets that are no WebSocket (yet) at once.
    pub max_pending: usize,
    /// Bytes of a request's head.
    pub max_head_size: usize,
    /// Bytes of everything that clients can make grow, all outbound queues among it.
    pub memory: usize,
    /// Bytes in all outbound queues together.
    pub total_queue: usize,
    /// Bytes of one message from a client.
    pub max_message_size: usize,
    /// Channels of one grant, `read` and `write` each.
    pub max_channels: usize,
    /// Bytes of one channel's name.
    pub max_channel_length: usize,
    /// Bytes in the outbound queue of one connection.
    pub outbound_queue: usize,
    /// Messages that one connection sends in a second; `None` is any number.
    pub messages_per_second: Option<usize>,
    /// Bytes that one connection sends in a second; `None` is any number.
    pub bytes_per_second: Option<usize>,
}

impl Default for Limits {
    /// `memory` is 512 MiB here and `total_queue` 256 MiB, which also holds where the memory cannot be told.
    fn default() -> Self {
        Self {
            max_connections: 255,
            max_connections_per_ip: None,
            handshakes_per_second_per_ip: None,
            max_pending: 1024,
            max_head_size: 64 << 10,
            memory: 512 << 20,
            total_queue: 256 << 20,
            max_message_size: 1 << 20,
            max_channels: 4096,
            max_channel_length: 1 << 10,
            outbound_queue: 4 << 20,
            messages_per_second: None,
            bytes_per_second: None,
        }
    }
}

/// The section `websocket`.
#[derive(Clone, Debug, PartialEq)]
pub struct WebSocket {
    /// Reported by `/api/info`; changes nothing.
    pub read_buffer_size: u32,
    /// Reported by `/api/info`; changes nothing.
    pub write_buffer_size: u32,
    /// How long a peer may take to answer a close.
    pub close_timeout: Duration,
    /// How long a connection is silent before it is pinged; `None` is never.
    pub ping_interval: Option<Duration>,
    /// How long a ping may go unanswered. Two in a row end a connection that has answered one before.
    pub pong_timeout: Duration,
    /// From accept to the answered upgrade.
    pub handshake_timeout: Duration,
    /// What happens to a connection whose outbound queue is over its bound.
    pub slow_consumer: SlowConsumer,
}

impl Default for WebSocket {
    fn default() -> Self {
        Self {
            read_buffer_size: 1024,
            write_buffer_size: 1024,
            close_timeout: Duration::from_secs(5),
            ping_interval: Some(Duration::from_secs(25)),
            pong_timeout: Duration::from_secs(20),
            handshake_timeout: Duration::from_secs(10),
            slow_consumer: SlowConsumer::Disconnect,
        }
    }
}

/// What happens to a slow consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowConsumer {
    /// It is closed with 4000.
    Disconnect,
    /// It loses the oldest messages of its queue, counted.
    Drop,
}

words!(SlowConsumer { Disconnect = "disconnect", Drop = "drop" });

/// The section `proxy`.
#[derive(Clone, Debug, PartialEq)]
pub struct Proxy {
    /// Who is believed.
    pub trusted: TrustedProxies,
    /// The name of the header that they say it in.
    pub header: String,
}

impl Default for Proxy {
    fn default() -> Self {
        Self { trusted: TrustedProxies::default(), header: "X-Forwarded-For".into() }
    }
}

/// The section `log`.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// What is written.
    pub level: LogLevel,
    /// Where to.
    pub output: LogOutput,
    /// In which shape, where it is not the journal.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: LogLevel::Info, output: LogOutput::Auto, format: LogFormat::Text }
    }
}

/// The least grave event that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Faults alone.
    Error,
    /// And what needs attention.
    Warn,
    /// And the life of the process.
    Info,
    /// And each connection.
    Debug,
    /// And everything else.
    Trace,
}

words!(LogLevel {
    Error = "error",
    Warn = "warn",
    Info = "info",
    Debug = "debug",
    Trace = "trace",
});

/// Where the log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogOutput {
    /// To the journal where stderr is connected to it, else to stderr.
    Auto,
    /// To the journal.
    Journald,
    /// To stderr.
    Stderr,
    /// Appended to the file at this absolute path.
    File(PathBuf),
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

words!(LogFormat { Text = "text", Json = "json" });

/// The section `metrics`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// Where they are read; nowhere where it is empty.
    pub listen: Vec<ListenAddress>,
}

/// The section `shutdown`.
#[derive(Clone, Debug, PartialEq)]
pub struct Shutdown {
    /// How long a stop may take, from the signal on.
    pub drain_timeout: Duration,
    /// How long connections are left alone first; `None` is not at all.
    pub delay: Option<Duration>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { drain_timeout: Duration::from_secs(20), delay: None }
    }
}

/// The section `http`.
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    /// Bytes of a request's body.
    pub max_body: usize,
    /// How long a connection may be idle between two requests; None is not at all.
    pub keep_alive: Option<Duration>,
    /// Whether people are shown a page at `/`, where that is said.
    pub welcome: Option<bool>,
}

impl Default for Http {
    fn default() -> Self {
        Self { max_body: 16 << 20, keep_alive: Some(Duration::from_secs(75)), welcome: None }
    }
}

/// The section `control`.
#[derive(Clone, Debug, PartialEq)]
pub struct Control {
    /// The control socket; `None` is none.
    pub socket: Option<PathBuf>,
    /// Its permission bits.
    pub mode: u32,
    /// Its group, a name or a number.
    pub group: Option<String>,
}

impl Default for Control {
    fn default() -> Self {
        Self { socket: None, mode: 0o600, group: None }
    }
}
