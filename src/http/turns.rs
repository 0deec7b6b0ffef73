//! Owns [`Turns`]: long work of a request, a few things a turn, so that no connection waits for all of it.

use tokio::task::yield_now;

/// Counts what a request does in one turn.
#[derive(Debug)]
pub(super) struct Turns {
    most: usize,
    left: usize,
}

impl Turns {
    /// So many things a turn at most.
    pub(super) fn of(most: usize) -> Turns {
        Turns { most, left: most }
    }

    /// Waits for the next turn if this one has had its share; one more thing may be done then.
    pub(super) async fn next(&mut self) {
        if self.left == 0 {
            self.left = self.most;
            yield_now().await;
        }
        self.left -= 1;
    }
}
