//! A connection as those who ask about it see it.

use std::sync::Arc;
use std::time::Instant;

use super::Peer;

/// What can be told of a connection.
#[derive(Debug, Clone)]
pub struct View {
    /// Its id.
    pub id: uuid::Uuid,
    /// Where it comes from.
    pub peer: Peer,
    /// The `sub` of its token.
    pub subject: Option<Box<str>>,
    /// Since when it is open.
    pub since: Instant,
    /// How many channels it reads.
    pub reads: usize,
    /// How many it may write.
    pub writes: usize,
    /// The names of those that it reads, the first [`super::survey::NAMES`] of them.
    pub read: Vec<Arc<str>>,
    /// The names of those that it may write, likewise.
    pub write: Vec<Arc<str>>,
    /// Bytes that have come from its peer.
    pub bytes_in: u64,
    /// Bytes that its socket has taken.
    pub bytes_out: u64,
    /// Bytes that wait for its socket.
    pub queued: usize,
    /// Whether neither side has closed it.
    pub open: bool,
}
