//! What a worker has most to do with, for whoever looks on: its busiest channels and its longest queues.

use std::rc::Rc;

use super::table::Connections;
use super::{Connection, Peer};
use crate::hub::BusyChannel;

/// How many of each are told.
pub const MOST: usize = 16;
/// Connections that are looked at in one go, before everybody else has a turn: some ten microseconds.
const A_TURN: usize = 512;

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
    pub async fn load(self: &Rc<Self>) -> Load {
        let busiest = self.hub.borrow().busiest(MOST);
        let mut longest: Vec<(usize, Rc<Connection>)> = Vec::new();
        for some in self.snapshot().chunks(A_TURN) {
            longest.extend(some.iter().filter_map(|connection| {
                let bytes = self.waiting_for(connection)?;
                (bytes > 0).then(|| (bytes, connection.clone()))
            }));
            longest.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
            longest.truncate(MOST);
            tokio::task::yield_now().await;
        }
        let longest = longest.into_iter().map(|(bytes, connection)| LongQueue {
            id: connection.identity.id,
            peer: connection.identity.peer,
            subject: connection.identity.subject.clone(),
            bytes,
            is_over: connection.over_since.get().is_some(),
        });
        Load { busiest, longest: longest.collect() }
    }

    /// How many connections here read each of these channels.
    pub fn readers(&self, names: &[std::sync::Arc<str>]) -> Vec<usize> {
        let hub = self.hub.borrow();
        names.iter().map(|name| hub.readers(name)).collect()
    }

    /// Bytes that wait for a connection; None where it has gone.
    fn waiting_for(&self, connection: &Rc<Connection>) -> Option<usize> {
        self.holds(connection).then(|| self.hub.borrow().queue(connection.key).bytes())
    }
}
