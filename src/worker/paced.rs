//! Closing many connections, a few at a time: nobody's clients all come back in the same instant.

use std::rc::Weak;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::connection::close::CloseReason;
use crate::connection::{Connection, Connections};

/// The shortest rest between two closes; those that are due meanwhile go together.
const REST: Duration = Duration::from_millis(5);

/// Closes these connections for `reason`, evenly over `over`, the first at once; those that have gone by then
/// or of which `still` says no are passed over.
pub(super) async fn close(
    all: &Connections,
    connections: Vec<Weak<Connection>>,
    over: Duration,
    reason: CloseReason,
    still: impl Fn(&Connection) -> bool,
) {
    let start = Instant::now();
    let count = connections.len() as u32;
    for (number, connection) in connections.into_iter().enumerate() {
        let due = start + over * number as u32 / count;
        if due > Instant::now() + REST {
            sleep_until(due).await;
        }
        if let Some(connection) = connection.upgrade()
            && still(&connection)
        {
            all.close(&connection, reason);
        }
    }
}
