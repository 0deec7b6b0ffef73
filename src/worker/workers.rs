//! The workers of a server, seen from outside: starting them, and what they can be told.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::{Start, mailbox, run};
use crate::config::MOST_WORKERS;
use crate::connection::load::Load;
use crate::connection::{Application, Settings};
use crate::http::Newcomer;
use crate::http::front::Shared;
use crate::http::inquiry::{self, Everyone};
use crate::http::pending::{Pending, PendingSockets};
use crate::http::rules::Rules;
use crate::hub::mail::{MAX_WORKERS, WorkerId};
use crate::hub::placement::Placement;

/// Commands that may wait for a worker.
const COMMANDS: usize = 1024;
/// Accepted sockets that may wait for a worker. They have a line of their own: one that stands still would otherwise lose
/// what it is told behind them.
const NEWCOMERS: usize = 1024;
/// How long workers have to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked whether a worker has ended.
const LOOK: Duration = Duration::from_millis(1);
/// How often a worker shows that it turns.
pub const BEAT: Duration = Duration::from_secs(1);

const _: () = assert!(MOST_WORKERS.get() <= MAX_WORKERS, "sets of workers hold as many as may be");

/// What a worker is told by the daemon.
#[derive(Debug)]
pub enum Command {
    /// Go by these from now on.
    Configure {
        /// For handshakes.
        rules: Arc<Rules>,
        /// For connections.
        settings: Box<Settings>,
        /// Told, when they are in force, how many connections rest on a key that is accepted no more.
        done: oneshot::Sender<usize>,
    },
    /// How many connections rest on keys that these would not accept.
    CountWithdrawn(Arc<Rules>, oneshot::Sender<usize>),
    /// Close those connections, evenly over this time, unless a later `Configure` accepts their key again.
    Withdraw {
        /// From the first to the last.
        over: Duration,
    },
    /// The server goes down: close every connection with 1001, evenly over this time.
    Drain {
        /// From the first to the last.
        over: Duration,
    },
    /// Cut what is left.
    Cut,
    /// Tell whom there is most to do with.
    Load(oneshot::Sender<Load>),
    /// How many connections read each of these channels.
    Readers(Arc<[Arc<str>]>, oneshot::Sender<Vec<usize>>),
}

/// A socket to serve, with its place among those that are no connections yet.
pub(super) type Arrival = (Newcomer, Pending);

/// Makes the application of a worker, on its thread.
pub type NewApplication = fn() -> Box<dyn Application>;

/// The workers of a server, seen from outside.
#[derive(Debug)]
pub struct Workers {
    commands: Vec<mpsc::Sender<Command>>,
    newcomers: Vec<mpsc::Sender<Arrival>>,
    /// The threads' runtimes.
    runtimes: Vec<Handle>,
    threads: Vec<thread::JoinHandle<()>>,
    next: AtomicUsize,
    shared: Arc<Shared>,
    everyone: Everyone,
}

/// Hears of workers that end.
#[derive(Debug)]
pub struct Broken(mpsc::Receiver<WorkerId>);

impl Broken {
    /// Waits for a worker to end that was not told to; None where all have.
    pub async fn wait(&mut self) -> Option<WorkerId> {
        self.0.recv().await
    }
}

/// Says that a worker has ended, whatever way that was.
struct SayBroken(WorkerId, mpsc::Sender<WorkerId>);

impl Drop for SayBroken {
    fn drop(&mut self) {
        // There is room for every worker; where nobody listens the whole server goes down.
        let _ = self.1.try_send(self.0);
    }
}

/// Workers that did not answer in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("worker {0:?} did not answer within {PATIENCE:?}")]
pub struct Unanswered(Vec<usize>);

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
        let mut threads = Vec::new();
        let (mut workers, broken) =
            Workers::start_by(shared, rules, settings, application, |start, end| {
                let name = format!("worker-{}", start.me.0);
                let (say, said) = std::sync::mpsc::sync_channel(1);
                threads.push(thread::Builder::new().name(name).spawn(move || {
                    let _end = end;
                    run(start, &say);
                })?);
                said.recv().unwrap_or(Err(io::ErrorKind::BrokenPipe.into()))
            })?;
        workers.threads = threads;
        Ok((workers, broken))
    }

    /// The same, all of them on this thread and its local runtime.
    #[cfg(fuzzing)]
    pub fn start_here(
        shared: &Arc<Shared>,
        rules: &Arc<Rules>,
        settings: &Settings,
        application: NewApplication,
    ) -> (Workers, Broken) {
        let here = |start, end| {
            tokio::task::spawn_local(async move {
                let _end = end;
                super::live(start).await;
            });
            Ok(Handle::current())
        };
        Workers::start_by(shared, rules, settings, application, here)
            .expect("no thread is asked for")
    }

    /// Starts each of them by `spawn`, which says on what runtime it is.
    fn start_by(
        shared: &Arc<Shared>,
        rules: &Arc<Rules>,
        settings: &Settings,
        application: NewApplication,
        mut spawn: impl FnMut(Start, SayBroken) -> io::Result<Handle>,
    ) -> io::Result<(Workers, Broken)> {
        let count = shared.counters.len();
        let placement = Placement::new(count);
        let (mailboxes, receivers) = mailbox::mailboxes(count);
        let (everyone, ends) = inquiry::lines(count);
        let (say_broken, broken) = mpsc::channel(count.max(1));
        let mut workers = Workers {
            commands: Vec::with_capacity(count),
            newcomers: Vec::with_capacity(count),
            runtimes: Vec::with_capacity(count),
            threads: Vec::new(),
            next: AtomicUsize::new(0),
            shared: shared.clone(),
            everyone: everyone.clone(),
        };
        for (number, (mailbox, inquiries)) in receivers.into_iter().zip(ends).enumerate() {
            let (commands, told) = mpsc::channel(COMMANDS);
            let (newcomers, arrivals) = mpsc::channel(NEWCOMERS);
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
                everyone: everyone.clone(),
                inquiries,
                told,
                arrivals,
            };
            let end = SayBroken(me, say_broken.clone());
            workers.runtimes.push(spawn(start, end)?);
            workers.commands.push(commands);
            workers.newcomers.push(newcomers);
        }
        Ok((workers, Broken(broken)))
    }

    /// The lines by which requests ask them.
    pub fn everyone(&self) -> &Everyone {
        &self.everyone
    }

    /// Runs a task of the daemon's on the first worker's thread, between its turns.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.runtimes[0].spawn(task)
    }

    /// Gives a newly accepted socket to the next worker in turn; waits where more come than can go.
    pub async fn accept(&self, newcomer: Newcomer) {
        let worker = self.next.fetch_add(1, Ordering::Relaxed) % self.commands.len();
        // Noted here, where they are accepted, so that their order is that in which they came.
        let pending = PendingSockets::enter(&self.shared, newcomer.peer).await;
        // A worker that is gone has been noticed by [`Broken`].
        let _ = self.newcomers[worker].send((newcomer, pending)).await;
    }

    /// Puts rules and settings in force everywhere, which calls off what is left of a withdrawal: how many
    /// connections rest on keys that are accepted no more.
    ///
    /// # Errors
    /// Where workers do not answer in time; they will go by them when they do.
    pub async fn configure(
        &self,
        rules: &Arc<Rules>,
        settings: &Settings,
    ) -> Result<usize, Unanswered> {
        let command = |done| Command::Configure {
            rules: rules.clone(),
            settings: Box::new(settings.clone()),
            done,
        };
        Ok(self.ask_all(command).await?.into_iter().sum())
    }

    /// How many connections rest on keys that these rules would not accept.
    ///
    /// # Errors
    /// Where workers do not answer in time.
    pub async fn count_withdrawn(&self, rules: &Arc<Rules>) -> Result<usize, Unanswered> {
        let command = |answer| Command::CountWithdrawn(rules.clone(), answer);
        Ok(self.ask_all(command).await?.into_iter().sum())
    }

    /// Closes the connections that rest on keys which are accepted no more, evenly over this time.
    pub async fn withdraw(&self, over: Duration) {
        let deadline = Instant::now() + PATIENCE;
        for worker in 0..self.commands.len() {
            // One that is stuck does not hold up the others, nor the daemon.
            let _ = timeout_at(deadline, self.tell(worker, Command::Withdraw { over })).await;
        }
    }

    /// Closes every connection with 1001, evenly over this time, and each that is still to come at once.
    pub async fn drain(&self, over: Duration) {
        for worker in 0..self.commands.len() {
            self.tell(worker, Command::Drain { over }).await;
        }
    }

    /// Cuts what is left. A worker that is stuck is not waited for.
    pub fn cut(&self) {
        for commands in &self.commands {
            let _ = commands.try_send(Command::Cut);
        }
    }

    /// Whom each worker has most to do with.
    ///
    /// # Errors
    /// Where workers do not answer in time.
    pub async fn load(&self) -> Result<Vec<Load>, Unanswered> {
        self.ask_all(Command::Load).await
    }

    /// How many connections read each of these channels, over all workers.
    ///
    /// # Errors
    /// Where workers do not answer in time.
    pub async fn readers(&self, names: Arc<[Arc<str>]>) -> Result<Vec<usize>, Unanswered> {
        let mut sum = vec![0; names.len()];
        for readers in self.ask_all(|answer| Command::Readers(names.clone(), answer)).await? {
            sum.iter_mut().zip(readers).for_each(|(sum, readers)| *sum += readers);
        }
        Ok(sum)
    }

    /// Waits for the threads to end after the last command. One that is stuck is left behind after this time.
    pub async fn stop(self, patience: Duration) {
        drop((self.commands, self.newcomers));
        let deadline = Instant::now() + patience;
        for thread in self.threads {
            while !thread.is_finished() {
                if Instant::now() >= deadline {
                    return;
                }
                tokio::time::sleep(LOOK).await;
            }
            // A panic in it has been logged where it was.
            let _ = thread.join();
        }
    }

    async fn tell(&self, worker: usize, command: Command) {
        // A worker that is gone has been noticed by [`Broken`].
        let _ = self.commands[worker].send(command).await;
    }

    /// Asks every worker, and waits for all answers together.
    async fn ask_all<T>(
        &self,
        command: impl Fn(oneshot::Sender<T>) -> Command,
    ) -> Result<Vec<T>, Unanswered> {
        let deadline = Instant::now() + PATIENCE;
        let mut answers = Vec::with_capacity(self.commands.len());
        for commands in &self.commands {
            let (answer, answered) = oneshot::channel();
            // The answer tells whether it arrived.
            let _ = timeout_at(deadline, commands.send(command(answer))).await;
            answers.push(answered);
        }
        let mut given = Vec::with_capacity(answers.len());
        let mut missing = Vec::new();
        for (worker, answered) in answers.into_iter().enumerate() {
            match timeout_at(deadline, answered).await {
                Ok(Ok(answer)) => given.push(answer),
                _ => missing.push(worker),
            }
        }
        if missing.is_empty() { Ok(given) } else { Err(Unanswered(missing)) }
    }
}
