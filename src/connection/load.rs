//! What a worker has most to do with, for whoever looks on: its busiest channels and its longest queues.

use super::Peer;
use super::table::Connections;
use crate::hub::BusyChannel;

/// How many of each are told.
pub const MOST: usize = 16;

/// What a worker has most to do with.
#[derive(Debug, Clone, Default)]
pub struct Load {
    /// The channels with most messages in the last whole second, of those whose home this worker is.
    pub busiest: Vec<BusyChannel>,
    /// The connections for which most waits, none of them empty.
    pub longest: Vec<LongQueue>,
}

/// A connection for which something waits.
#[derive(Debug, Clone)]
pub struct LongQueue {
    /// Its id.
    pub id: uuid::Uuid,
    /// Where it comes from.
    pub peer: Peer,
    /// The `sub` of its token.
    pub subject: Option<Box<str>>,
    /// Bytes that wait.
    pub bytes: usize,
    /// Whether it is over its bound, and will be a slow consumer if that lasts.
    pub is_over: bool,
}

impl Connections {
    /// What this worker has most to do with; a few connections a turn.
    pub async fn load(&self) -> Load {
        let busiest = self.hub.borrow().busiest(MOST);
        let mut longest: Vec<LongQueue> = Vec::with_capacity(MOST + 1);
        self.each(|all, connection| {
            let bytes = all.hub.borrow().queue(connection.key).bytes();
            let shortest = longest.get(MOST - 1).map_or(0, |queue| queue.bytes);
            if bytes > shortest {
                let at = longest.partition_point(|queue| queue.bytes >= bytes);
                let queue = LongQueue {
                    id: connection.identity.id,
                    peer: connection.identity.peer,
                    subject: connection.identity.subject.clone(),
                    bytes,
                    is_over: connection.over_since.get().is_some(),
                };
                longest.insert(at, queue);
                longest.truncate(MOST);
            }
        })
        .await;
        Load { busiest, longest }
    }

    /// How many connections here read each of these channels.
    pub fn readers(&self, names: &[std::sync::Arc<str>]) -> Vec<usize> {
        let hub = self.hub.borrow();
        names.iter().map(|name| hub.readers(name)).collect()
    }
}
