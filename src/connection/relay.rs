//! What philote does with a message: publish it, if its connection may.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::close::CloseReason;
use super::table::Connections;
use super::{Application, Connection};
use crate::protocol;

/// Lines a second about publishes that were not granted; each is counted all the same.
const LINES: u32 = 10;
/// Characters of such a channel's name that are logged: the name is as long as the client likes.
const SHOWN: usize = 100;

/// Reads messages as publishes and hands them to the hub.
#[derive(Debug, Default)]
pub struct Relay {
    since: Cell<Option<Instant>>,
    lines: Cell<u32>,
}

impl Application for Relay {
    #[inline]
    fn message(
        &self,
        all: &Connections,
        connection: &Connection,
        _text: bool,
        payload: &[u8],
    ) -> Result<(), CloseReason> {
        let message = protocol::parse(payload)?;
        if all.publish(connection, &message).is_err() {
            all.counters.not_granted.add(1);
            self.log_refused(connection, &message.channel);
        }
        Ok(())
    }
}

impl Relay {
    fn log_refused(&self, connection: &Connection, channel: &str) {
        let now = Instant::now();
        let fresh = self
            .since
            .get()
            .is_none_or(|since| now.duration_since(since) >= Duration::from_secs(1));
        if fresh {
            self.since.set(Some(now));
            self.lines.set(0);
        }
        self.lines.set(self.lines.get() + 1);
        if self.lines.get() <= LINES {
            let shown =
                channel.char_indices().nth(SHOWN).map_or(channel, |(end, _)| &channel[..end]);
            tracing::info!(
                event = "publish_refused",
                connection = %connection.identity.id,
                peer = %connection.identity.peer,
                // Debug: a name can hold anything, line ends and terminal controls among it.
                channel = ?shown,
                "publish refused: the token does not grant writing this channel"
            );
        }
    }
}
