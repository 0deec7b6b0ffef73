//! What philote does with a message: publish it, if its connection may.

use super::close::CloseReason;
use super::table::Connections;
use super::{Application, Connection, Progress, Work};

/// Characters of a refused channel's name that are logged: the name is as long as the client likes.
const SHOWN: usize = 100;

/// Reads messages as publishes and hands them to the hub.
#[derive(Debug, Default)]
pub struct Relay;

impl Application for Relay {
    #[inline]
    fn message(
        &self,
        all: &Connections,
        connection: &Connection,
        _text: bool,
        payload: &[u8],
        work: Work<'_>,
    ) -> Result<Progress, CloseReason> {
        let Some(read) = work.parser.read(payload, work.steps) else {
            return Ok(Progress::Unfinished);
        };
        let message = read?;
        if all.publish(connection, &message).is_err() {
            all.counters.not_granted.add(1);
            log_refused(all, connection, &message.channel);
        }
        Ok(Progress::Taken)
    }
}

fn log_refused(all: &Connections, connection: &Connection, channel: &str) {
    let peer = connection.identity.peer;
    if all.log_limit.admits("publish_refused", peer) {
        let channel = channel.char_indices().nth(SHOWN).map_or(channel, |(end, _)| &channel[..end]);
        tracing::info!(
            event = "publish_refused",
            connection = %connection.identity.id,
            %peer,
            channel,
            "publish refused: the token does not grant writing this channel"
        );
    }
}
