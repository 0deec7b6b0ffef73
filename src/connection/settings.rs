//! What of the configuration connections go by.

use std::time::Duration;

use super::pace::Rates;
use crate::config::{Config, SlowConsumer};

/// What of the configuration connections go by.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The most bytes of a message.
    pub max_message_size: usize,
    /// How fast they are read from, where that is limited.
    pub rates: Option<Rates>,
    /// The most bytes that may wait for a socket that takes no more.
    pub outbound_queue: usize,
    /// The most bytes that may wait in all queues of all workers together.
    pub total_queue: usize,
    /// The most bytes of memory that all workers hold of everything that peers can make grow.
    pub memory: usize,
    /// What becomes of one that does not keep up.
    pub slow_consumer: SlowConsumer,
    /// How long a peer has to answer a Close.
    pub close_timeout: Duration,
    /// Time between two pings; none are sent where it is None.
    pub ping_interval: Option<Duration>,
    /// How long a ping's answer may take.
    pub pong_timeout: Duration,
}

impl From<&Config> for Settings {
    fn from(config: &Config) -> Settings {
        Settings {
            max_message_size: config.limits.max_message_size,
            rates: Rates::of(&config.limits),
            outbound_queue: config.limits.outbound_queue,
            total_queue: config.limits.total_queue,
            memory: config.limits.memory,
            slow_consumer: config.websocket.slow_consumer,
            close_timeout: config.websocket.close_timeout,
            ping_interval: config.websocket.ping_interval,
            pong_timeout: config.websocket.pong_timeout,
        }
    }
}
