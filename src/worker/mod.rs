//! One thread, its runtime, its connections; mail between workers; the turn and its flush.
//!
//! A *turn* is what was runnable when the first queue became dirty: the task that ends it is woken then
//! and so stands behind it. It closes the batches, posts the mail to other workers, and flushes each
//! dirty queue once. Nothing waits for a timer; an idle worker flushes at once.

mod mailbox;
#[cfg(test)]
mod tests;
mod turn;

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_local};

use crate::config::MOST_WORKERS;
use crate::connection::keepalive::Rounds;
use crate::connection::socket::{AcceptedSocket, Socket};
use crate::connection::table::Settings;
use crate::connection::{Application, Connections, Peer};
use crate::http::front::Shared;
use crate::http::pending::{Pending, PendingSockets};
use crate::http::rules::Rules;
use crate::http::{self, Front};
use crate::hub::Hub;
use crate::hub::mail::{MAX_WORKERS, WorkerId};
use crate::hub::placement::Placement;
use mailbox::{Envelope, Mailbox};

/// Commands that may wait for a worker. Accepted sockets come this way, so it bounds those too.
const COMMANDS: usize = 1024;

const _: () = assert!(MOST_WORKERS.get() <= MAX_WORKERS, "sets of workers hold as many as may be");

/// What a worker is told by the daemon.
#[derive(Debug)]
pub enum Command {
    /// Serve this socket.
    Accept(AcceptedSocket, Peer, Pending),
    /// Go by these from now on.
    Configure(Arc<Rules>, Box<Settings>),
    /// Close every connection: the server goes down.
    Drain,
    /// Cut what is left.
    Cut,
}

/// Starts an application for each worker, on its thread.
pub type NewApplication = fn() -> Box<dyn Application>;

/// The workers of a server, seen from outside.
pub struct Workers {
    commands: Vec<mpsc::Sender<Command>>,
    threads: Vec<JoinHandle<()>>,
    next: AtomicUsize,
    shared: Arc<Shared>,
}

/// Hears of workers that end.
#[derive(Debug)]
pub struct Broken(mpsc::Receiver<WorkerId>);

impl Broken {
    /// Waits for a worker to end that was not told to.
    pub async fn wait(&mut self) -> Option<WorkerId> {
        self.0.recv().await
    }
}

impl Workers {
    /// Starts as many workers as `shared` was made for.
    ///
    /// # Errors
    /// Where a thread or its runtime cannot be had.
    pub fn start(
        shared: &Arc<Shared>,
        rules: &Arc<Rules>,
        settings: &Settings,
        application: NewApplication,
    ) -> io::Result<(Workers, Broken)> {
        let count = shared.counters.len();
        let placement = Placement::new(count);
        let (mailboxes, mut receivers) = mailbox::mailboxes(count);
        let (broken_tx, broken) = mpsc::channel(count.max(1));
        let mut workers = Workers {
            commands: Vec::with_capacity(count),
            threads: Vec::with_capacity(count),
            next: AtomicUsize::new(0),
            shared: shared.clone(),
        };
        for (number, mailbox) in receivers.drain(..).enumerate() {
            let (commands, told) = mpsc::channel(COMMANDS);
            let me = WorkerId(number as u8);
            let start = Start {
                me,
                placement: placement.clone(),
                shared: shared.clone(),
                rules: rules.clone(),
                settings: settings.clone(),
                application,
                mailboxes: mailboxes.clone(),
                mailbox,
                told,
            };
            let runtime = Builder::new_current_thread();
            let thread = std::thread::Builder::new().name(format!("worker-{number}")).spawn({
                let ended = Ended(me, broken_tx.clone());
                move || {
                    let _ended = ended;
                    run(runtime, start);
                }
            })?;
            workers.commands.push(commands);
            workers.threads.push(thread);
        }
        Ok((workers, Broken(broken)))
    }

    /// Gives a newly accepted socket to the next worker in turn.
    pub async fn accept(&self, socket: AcceptedSocket, peer: Peer) {
        let worker = self.next.fetch_add(1, Ordering::Relaxed) % self.commands.len();
        // Noted here, where they are accepted, so that the oldest is the one that came first.
        let pending = PendingSockets::enter(&self.shared);
        self.tell(worker, Command::Accept(socket, peer, pending)).await;
    }

    /// Tells every worker.
    pub async fn tell_all(&self, command: impl Fn() -> Command) {
        for worker in 0..self.commands.len() {
            self.tell(worker, command()).await;
        }
    }

    async fn tell(&self, worker: usize, command: Command) {
        // A worker that is gone has been noticed by [`Broken`].
        let _ = self.commands[worker].send(command).await;
    }

    /// Ends the workers, with whatever is left on them.
    pub fn stop(self) {
        drop(self.commands);
        for thread in self.threads {
            // A panic in it has been logged where it was.
            let _ = thread.join();
        }
    }
}

/// Tells of a worker's end, a panic of its thread too.
struct Ended(WorkerId, mpsc::Sender<WorkerId>);

impl Drop for Ended {
    fn drop(&mut self) {
        // There is room for every worker. Nobody listens any more where the whole server goes down.
        let _ = self.1.try_send(self.0);
    }
}

/// What a worker begins with.
struct Start {
    me: WorkerId,
    placement: Placement,
    shared: Arc<Shared>,
    rules: Arc<Rules>,
    settings: Settings,
    application: NewApplication,
    mailboxes: Vec<mpsc::Sender<Envelope>>,
    mailbox: Mailbox,
    told: mpsc::Receiver<Command>,
}

fn run(mut runtime: Builder, start: Start) {
    let runtime = match runtime.enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(event = "worker_failed", %error, "no runtime for a worker");
            return;
        }
    };
    runtime.block_on(live(start));
    // What is still there is dropped with the runtime, which ends it.
}

async fn live(start: Start) {
    let Start { me, placement, shared, rules, settings, application, mailboxes, mailbox, told } =
        start;
    let connections = Connections::new(
        Hub::new(me, placement),
        me,
        shared.counters.clone(),
        settings,
        application(),
    );
    let front = Front::new(connections.clone(), shared, rules);
    // None of them ends but by a panic, in it or in the hub.
    let mut tasks = JoinSet::new();
    tasks.spawn_local(mailbox.take_all(connections.clone()));
    tasks.spawn_local(ping(connections.clone()));
    tasks.spawn_local(expire(connections.clone()));
    // A task of its own, so that it stands in line behind those whose work it ends.
    tasks.spawn_local(turn::end_turns(connections.clone(), me, mailboxes));
    tokio::select! {
        _ = tasks.join_next() => {
            tracing::error!(event = "worker_failed", worker = me.0, "a panic left this worker half working");
        }
        () = obey(front, told) => {}
    }
}

/// Does what the daemon says, until it has nothing more to say.
async fn obey(front: Rc<Front>, mut told: mpsc::Receiver<Command>) {
    let connections = front.connections.clone();
    while let Some(command) = told.recv().await {
        match command {
            Command::Accept(accepted, peer, pending) => match Socket::from_accepted(accepted) {
                Ok(socket) => {
                    spawn_local(http::serve(front.clone(), socket, peer, pending));
                }
                Err(error) => {
                    tracing::warn!(event = "accept_failed", %error, "a socket could not be served");
                }
            },
            Command::Configure(rules, settings) => {
                front.configure(rules);
                connections.configure(*settings);
            }
            Command::Drain => connections.drain(),
            Command::Cut => {
                for connection in connections.snapshot() {
                    connections.cut(&connection);
                }
            }
        }
    }
}

/// Ends connections with their tokens, where that is configured: looks at the wall clock once a second.
async fn expire(connections: Rc<Connections>) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        connections.expire(now.map_or(0, |since| since.as_secs()));
    }
}

/// The clock of all pings.
async fn ping(connections: Rc<Connections>) {
    loop {
        let rounds = connections.rounds();
        tokio::time::sleep(rounds.map_or(Rounds::COARSEST, |rounds| rounds.tick)).await;
        if let Some(rounds) = rounds {
            connections.tick(&rounds);
        }
    }
}
