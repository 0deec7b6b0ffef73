//! Publishing without a connection: what a request says to the hub, within the bounds that a connection keeps to.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use super::MESSAGES_A_TURN;
use super::table::Connections;
use crate::hub::mail::Publisher;
use crate::hub::outsider::{Message, OutsiderKey};

/// Ids of connections that are looked up in one turn: some 50 µs.
const IDS_A_TURN: usize = 512;

/// Somebody who publishes and hears nothing. Dropped, it is forgotten; what it has published takes its way.
pub struct Outsider {
    all: Rc<Connections>,
    key: OutsiderKey,
    /// Messages that it may still publish in this turn.
    left: usize,
    /// Bytes likewise.
    bytes: usize,
}

impl Outsider {
    /// One who has published nothing yet.
    pub fn new(all: &Rc<Connections>) -> Outsider {
        let key = all.change_hub(|hub| hub.enter());
        Outsider { all: all.clone(), key, left: 0, bytes: 0 }
    }

    /// Publishes one message as soon as it may: it takes from a turn what one connection may take, and waits for
    /// credit where the channel's home has not taken in what came before.
    pub async fn publish(&mut self, message: &Message<'_>) {
        if self.left == 0 || self.bytes == 0 {
            if self.bytes > 0 || self.left > 0 {
                // Behind all that is ready, the flush of what it published first.
                tokio::task::yield_now().await;
            }
            self.left = MESSAGES_A_TURN.max(self.all.messages_left.get());
            self.bytes = super::BYTES_A_TURN;
        }
        if !self.all.hub.borrow().outsider_has_credit(self.key) {
            poll_fn(|cx| {
                self.wait(cx, self.all.hub.borrow().outsider_has_credit(self.key).then_some(()))
            })
            .await;
        }
        self.left -= 1;
        self.bytes = self.bytes.saturating_sub(message.data.len());
        self.all.messages_left.set(self.all.messages_left.get().saturating_sub(1));
        self.all.change_hub(|hub| {
            hub.begin_turn(Instant::now);
            hub.publish_from_outside(self.key, message);
        });
    }

    /// How many subscribers each message has reached, in the order in which they were published, over all workers.
    pub async fn reached(&self) -> Vec<u32> {
        poll_fn(|cx| self.wait(cx, self.all.hub.borrow().reached(self.key))).await
    }

    fn wait<T>(&self, cx: &mut Context<'_>, ready: Option<T>) -> Poll<T> {
        match ready {
            Some(ready) => Poll::Ready(ready),
            None => {
                self.all.outside.borrow_mut().insert(self.key, cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Outsider {
    fn drop(&mut self) {
        self.all.outside.borrow_mut().remove(&self.key);
        if !self.all.is_broken() {
            self.all.change_hub(|hub| hub.exit(self.key));
        }
    }
}

impl Connections {
    /// The connection of this id as a publisher whom deliveries can leave out.
    fn publisher(&self, id: uuid::Uuid) -> Option<Publisher> {
        let connection = self.find(id)?;
        Some(self.hub.borrow().publisher(connection.key))
    }

    /// Those of these ids that are here, likewise; a few a turn.
    pub async fn publishers(&self, ids: &[uuid::Uuid]) -> Vec<(uuid::Uuid, Publisher)> {
        let mut found = Vec::new();
        for some in ids.chunks(IDS_A_TURN) {
            found.extend(some.iter().filter_map(|id| Some((*id, self.publisher(*id)?))));
            if some.len() == IDS_A_TURN {
                tokio::task::yield_now().await;
            }
        }
        found
    }
}
