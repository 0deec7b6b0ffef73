//! What one request asks of other workers, or of all: each answers for its own connections, in its own time. And how
//! a request that came elsewhere, at the control socket, is served by a worker.
//!
//! Nobody waits for room in a line for longer than for an answer; a worker that is gone or stuck is an answer that
//! does not come.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::Request;
use hyper::body::Incoming;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_local;

use super::answer::Answer;
use super::api::{self, Action, Caller};
use super::front::Front;

/// Inquiries that may wait for a worker.
const INQUIRIES: usize = 64;

/// A request that is served by a worker on behalf of another socket than a listener's.
#[derive(Debug)]
pub struct Errand {
    /// What is asked.
    pub action: Action,
    /// What stands for the `*` of its route.
    pub segment: String,
    /// The request, its body still to come.
    pub request: Request<Incoming>,
}

/// What a worker is asked by others.
#[derive(Debug)]
pub enum Inquiry {
    /// Serve this, for the control socket.
    Serve(Errand, oneshot::Sender<Answer>),
}

/// The lines to all workers.
#[derive(Debug, Clone)]
pub struct Everyone {
    lines: Arc<[mpsc::Sender<Inquiry>]>,
    next: Arc<AtomicUsize>,
}

/// Where a worker's inquiries arrive.
pub type Inquiries = mpsc::Receiver<Inquiry>;

/// The lines to so many workers, and their other ends.
pub fn lines(workers: usize) -> (Everyone, Vec<Inquiries>) {
    let (lines, ends): (Vec<_>, Vec<_>) = (0..workers).map(|_| mpsc::channel(INQUIRIES)).unzip();
    (Everyone { lines: lines.into(), next: Arc::default() }, ends)
}

impl Everyone {
    /// Has one of the workers, each in its turn, serve a request of the control socket; None where it has gone.
    pub async fn serve(&self, errand: Errand) -> Option<Answer> {
        let worker = self.next.fetch_add(1, Ordering::Relaxed) % self.lines.len();
        let (answer, answered) = oneshot::channel();
        self.lines[worker].send(Inquiry::Serve(errand, answer)).await.ok()?;
        answered.await.ok()
    }
}

/// Takes a worker's inquiries as they come.
pub async fn take_all(front: Rc<Front>, mut inquiries: Inquiries) {
    while let Some(inquiry) = inquiries.recv().await {
        match inquiry {
            Inquiry::Serve(errand, answer) => {
                spawn_local(serve(front.clone(), errand, answer));
            }
        }
    }
}

async fn serve(front: Rc<Front>, errand: Errand, answer: oneshot::Sender<Answer>) {
    let Errand { action, segment, request } = errand;
    // Whoever asked may have gone.
    let _ = answer.send(api::answer(&front, Caller::Control, action, &segment, request).await);
}
