//! The stop: everybody is told, what has been read is delivered, nobody waits longer than they must.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::config::Shutdown;
use crate::http::front::Shared;
use crate::worker::Workers;

/// How many connections a second are closed at least: a hundred close in a second, three at once.
const A_SECOND: u32 = 100;
/// How long what has been read has to get from worker to worker before the first connection is closed: it takes
/// a fraction of a millisecond on a machine that is not overloaded.
const ON_THE_WAY: Duration = Duration::from_millis(100);
/// How long sockets that are no connections have for their request and its answer.
const ANSWERING: Duration = Duration::from_millis(500);
/// How often the end is looked for.
const LOOK: Duration = Duration::from_millis(10);

/// What is left to do, in its order.
///
/// From the signal on newcomers are turned away; those whom the tasks that are `leaving` have still accepted are not
/// missed. After `delay` connections are closed with 1001 at an even
/// rate, over the shorter of half of what is left and their number / [`A_SECOND`] seconds; until its close each
/// works as before. Ends when all have gone, or at `drain_timeout` from the signal, when the rest are cut:
/// how many that were.
pub(super) async fn drain(
    shutdown: Shutdown,
    shared: Arc<Shared>,
    workers: Arc<Workers>,
    leaving: Vec<JoinHandle<()>>,
) -> usize {
    let deadline = Instant::now() + shutdown.drain_timeout;
    // Those that do not answer their Close are cut on the way.
    let cut_so_far = || shared.sum(|counters| counters.cut.get());
    let cut_before = cut_so_far();
    // Places, so that handshakes under way count: they become connections yet, and are told.
    let open = || shared.taken.load(Ordering::Relaxed);
    // Requests under way are finished, and who was accepted just now is answered; a socket that stays
    // silent is not waited for any longer than that.
    let silent = Instant::now() + ANSWERING;
    let gone = async {
        for task in leaving {
            // On a worker that is stuck it stays.
            let _ = timeout_at(silent, task).await;
        }
        let answering = || shared.requests.load(Ordering::Relaxed) > 0;
        while open() > 0 || answering() || !(shared.pending.is_empty() || Instant::now() >= silent)
        {
            sleep(LOOK).await;
        }
    };
    let told = async {
        if let Some(delay) = shutdown.delay {
            sleep(delay).await;
        }
        sleep(ON_THE_WAY).await;
        let left = deadline.saturating_duration_since(Instant::now());
        let number = u32::try_from(open()).unwrap_or(u32::MAX);
        let over = (left / 2).min(Duration::from_secs(1) * number / A_SECOND);
        workers.drain(over).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = gone => {}
        () = told => {}
        () = sleep_until(deadline) => {}
    }
    let on_the_way = (cut_so_far() - cut_before) as usize;
    on_the_way + cut(&shared, &workers)
}

/// Cuts what is left: how many those were.
pub(super) fn cut(shared: &Shared, workers: &Workers) -> usize {
    let left = shared.taken.load(Ordering::Relaxed);
    if left > 0 {
        workers.cut();
    }
    left
}
