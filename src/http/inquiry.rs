//! What one request asks of other workers, or of all: each answers for its own connections, in its own time. And how
//! a request that came elsewhere, at the control socket, is served by a worker.
//!
//! Nobody waits for room in a line for longer than for an answer; a worker that is gone or stuck is an answer that
//! does not come.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::answer::Answer;
use super::api::{self, Action, Caller};
use super::front::Front;
use crate::connection::View;
use crate::connection::close::CloseReason;
use crate::connection::survey::{ChannelPart, ChannelSelection, Part, Selection};
use crate::hub::mail::Publisher;

/// Inquiries that may wait for a worker.
const INQUIRIES: usize = 64;
/// How long workers have to answer.
const PATIENCE: Duration = Duration::from_secs(5);

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
    Serve(Box<Errand>, oneshot::Sender<Answer>),
    /// Its part of a page of connections.
    Connections(Arc<Selection>, oneshot::Sender<Part<View, Uuid>>),
    /// Its part of a page of channels.
    Channels(Arc<ChannelSelection>, oneshot::Sender<ChannelPart>),
    /// Close the connection of this id with 4002; whether it was here.
    Close(Uuid, oneshot::Sender<bool>),
    /// Close the connections of this subject with 4002; how many that were.
    CloseSubject(Arc<str>, oneshot::Sender<usize>),
    /// Which of these connections are here, as publishers.
    Publishers(Arc<[Uuid]>, oneshot::Sender<Vec<(Uuid, Publisher)>>),
}

/// A worker has not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silent;

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
    /// How many workers there are.
    pub fn count(&self) -> usize {
        self.lines.len()
    }

    /// Asks every worker, and waits for all answers together.
    ///
    /// # Errors
    /// Where one does not answer in time.
    pub async fn ask_all<T>(
        &self,
        inquiry: impl Fn(oneshot::Sender<T>) -> Inquiry,
    ) -> Result<Vec<T>, Silent> {
        let deadline = Instant::now() + PATIENCE;
        let mut answers = Vec::with_capacity(self.lines.len());
        for line in &*self.lines {
            let (answer, answered) = oneshot::channel();
            // The answer tells whether it arrived.
            let _ = timeout_at(deadline, line.send(inquiry(answer))).await;
            answers.push(answered);
        }
        let mut given = Vec::with_capacity(answers.len());
        for answered in answers {
            match timeout_at(deadline, answered).await {
                Ok(Ok(answer)) => given.push(answer),
                _ => return Err(Silent),
            }
        }
        Ok(given)
    }

    /// Has one of the workers, each in its turn, serve a request of the control socket; None where it has gone.
    pub async fn serve(&self, errand: Errand) -> Option<Answer> {
        let worker = self.next.fetch_add(1, Ordering::Relaxed) % self.lines.len();
        let (answer, answered) = oneshot::channel();
        self.lines[worker].send(Inquiry::Serve(Box::new(errand), answer)).await.ok()?;
        answered.await.ok()
    }
}

/// Takes a worker's inquiries as they come.
pub async fn take_all(front: Rc<Front>, mut inquiries: Inquiries) {
    let all = &front.connections;
    while let Some(inquiry) = inquiries.recv().await {
        // Whoever asked may have gone; then nobody needs the answer.
        match inquiry {
            Inquiry::Serve(errand, answer) => {
                spawn_local(serve(front.clone(), *errand, answer));
            }
            Inquiry::Close(id, answer) => {
                let found = all.find(id);
                if let Some(connection) = &found {
                    all.close(connection, CloseReason::Administrator);
                }
                let _ = answer.send(found.is_some());
            }
            Inquiry::Publishers(ids, answer) => {
                let front = front.clone();
                spawn_local(async move {
                    let _ = answer.send(front.connections.publishers(&ids).await);
                });
            }
            survey => {
                spawn_local(look(front.clone(), survey));
            }
        }
    }
}

/// Looks at all of a worker's connections or channels. One such look goes on at a time, so that however many ask,
/// everybody else has as much of each turn.
async fn look(front: Rc<Front>, survey: Inquiry) {
    let _one = front.survey.lock().await;
    let all = &front.connections;
    match survey {
        Inquiry::Connections(selection, answer) if !answer.is_closed() => {
            let _ = answer.send(all.select(&selection).await);
        }
        Inquiry::Channels(selection, answer) if !answer.is_closed() => {
            let _ = answer.send(all.select_channels(&selection).await);
        }
        Inquiry::CloseSubject(subject, answer) => {
            let _ = answer.send(all.close_subject(&subject).await);
        }
        _ => {}
    }
}

async fn serve(front: Rc<Front>, errand: Errand, answer: oneshot::Sender<Answer>) {
    let Errand { action, segment, request } = errand;
    let _ = answer.send(api::answer(&front, Caller::Control, action, &segment, request).await);
}
