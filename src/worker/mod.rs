//! One thread, its runtime, its connections; mail between workers; the turn and its flush.
//!
//! A *turn* is what was runnable when the first queue became dirty: the task that ends it is woken then
//! and so stands behind it. It closes the batches, posts the mail to other workers, and flushes each
//! dirty queue once. Nothing waits for a timer; an idle worker flushes at once.
//!
//! - [`workers`]: all of them, seen from outside, and what they can be told.
//! - `turn`: its end. `mailbox`: mail. `paced`: closing many connections, a few at a time.

mod mailbox;
mod paced;
#[cfg(test)]
mod tests;
mod turn;
pub mod workers;

use std::cell::RefCell;
use std::io;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant, SystemTime};

use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::{Builder, Handle, LocalOptions};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet, spawn_local};

use crate::auth::KeyId;
use crate::connection::close::CloseReason;
use crate::connection::keepalive::Rounds;
use crate::connection::{Connection, Connections, Settings};
use crate::http::front::Shared;
use crate::http::inquiry::{self, Everyone, Inquiries};
use crate::http::rules::Rules;
use crate::http::{self, Front};
use crate::hub::Hub;
use crate::hub::mail::WorkerId;
use crate::hub::placement::Placement;
use mailbox::{Envelope, Mailbox};
use paced::Schedule;
use workers::{Arrival, Command, NewApplication};
pub use workers::{Broken, Workers};

/// How many tasks are polled before the runtime looks at the sockets again, if there are as many. With tokio's 61, one
/// connection that always has something to do is polled 61 times before the runtime notices what has come on another
/// socket. Beside a client that sends messages of 1 MiB which are slow to parse, others wait 0.8 ms at the median
/// (`make bench SHAPES=starving-slow-messages`). A look is one system call; throughput is the same as with 61.
const POLLS_BETWEEN_LOOKS: u32 = 4;

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
    everyone: Everyone,
    inquiries: Inquiries,
    told: mpsc::Receiver<Command>,
    arrivals: mpsc::Receiver<Arrival>,
}

/// A worker's thread, from its first step, which is to say what its runtime is, to its last.
fn run(start: Start, say: &SyncSender<io::Result<Handle>>) {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .event_interval(POLLS_BETWEEN_LOOKS)
        .build_local(LocalOptions::default());
    // Whoever started it waits for this word, and there is room for it.
    match runtime {
        Ok(runtime) => {
            let _ = say.try_send(Ok(runtime.handle().clone()));
            // What is still there at the end is dropped with the runtime, which ends it.
            runtime.block_on(live(start));
        }
        Err(error) => drop(say.try_send(Err(error))),
    }
}

async fn live(start: Start) {
    let Start { me, placement, shared, rules, settings, application, told, arrivals, .. } = start;
    let Start { mailboxes, mailbox, everyone, inquiries, .. } = start;
    let connections = Connections::new(
        Hub::new(me, placement).counting(shared.counters[me.index()].held.clone()),
        me,
        shared.counters.clone(),
        settings,
        application(),
    );
    connections.log_limit.share(shared.lines_per_second.clone());
    let started = shared.started;
    let front = Front::new(connections.clone(), shared, everyone, rules);
    // None of them ends but by a panic, in it or in the hub.
    let mut tasks = JoinSet::new();
    tasks.spawn_local(mailbox.take_all(connections.clone()));
    tasks.spawn_local(inquiry::take_all(front.clone(), inquiries));
    tasks.spawn_local(ping(connections.clone()));
    tasks.spawn_local(make_room(connections.clone()));
    tasks.spawn_local(tick(connections.clone(), started));
    // A task of its own, so that it stands in line behind those whose work it ends.
    tasks.spawn_local(turn::end_turns(connections, me, mailboxes));
    tokio::select! {
        _ = tasks.join_next() => {
            tracing::error!(event = "worker_failed", worker = me.0, "a panic left this worker half working");
        }
        () = obey(front, told, arrivals) => {}
    }
}

/// Does what the daemon says, until it has nothing more to say, and serves whom it sends.
async fn obey(
    front: Rc<Front>,
    mut told: mpsc::Receiver<Command>,
    mut arrivals: mpsc::Receiver<Arrival>,
) {
    let withdrawal = Withdrawal::new();
    loop {
        tokio::select! {
            // What it is told first: what stands in the other line may be many.
            biased;
            command = told.recv() => match command {
                Some(command) => follow(&front, &withdrawal, command),
                None => return,
            },
            Some((newcomer, pending)) = arrivals.recv() => {
                spawn_local(http::serve(front.clone(), newcomer, pending));
            }
        }
    }
}

/// The connections that are closed since their keys are accepted no more.
struct Withdrawal {
    schedule: Rc<RefCell<Schedule<KeyId, Weak<Connection>>>>,
    task: RefCell<Option<AbortHandle>>,
}

impl Withdrawal {
    fn new() -> Self {
        Withdrawal { schedule: Rc::new(RefCell::new(Schedule::new())), task: RefCell::default() }
    }

    /// Calls off what these rules do not ask for. The rest goes on by the clock that it has.
    fn judge(&self, rules: &Rules) {
        let is_over = |key| !rules.withdraws || rules.keys.accepts(&key);
        self.schedule.borrow_mut().call_off(is_over);
    }

    /// Closes the connections whose keys the rules in force do not accept, over this time since that began.
    fn begin(&self, front: &Front, over: Duration) {
        let withdrawn = withdrawn(&front.connections, &front.rules());
        self.schedule.borrow_mut().add(Instant::now().into(), over, withdrawn);
        let reason = CloseReason::KeyWithdrawn;
        let closing = paced::close(front.connections.clone(), self.schedule.clone(), reason);
        // The one before may sleep for too long now.
        if let Some(earlier) = self.task.replace(Some(spawn_local(closing).abort_handle())) {
            earlier.abort();
        }
    }
}

/// Does one thing that the daemon says.
fn follow(front: &Rc<Front>, withdrawal: &Withdrawal, command: Command) {
    let connections = front.connections.clone();
    match command {
        Command::Configure { rules, settings, done } => {
            withdrawal.judge(&rules);
            front.configure(rules);
            connections.configure(*settings);
            // Whoever asked may have given up.
            let _ = done.send(withdrawn(&connections, &front.rules()).len());
        }
        Command::Withdraw { over } => withdrawal.begin(front, over),
        Command::CountWithdrawn(rules, answer) => {
            let _ = answer.send(withdrawn(&connections, &rules).len());
        }
        Command::Drain { over } => {
            connections.drain();
            let mut all = Vec::new();
            connections.for_each(|connection| all.push(((), Rc::downgrade(connection))));
            let mut schedule = Schedule::new();
            schedule.add(Instant::now().into(), over, all);
            let schedule = Rc::new(RefCell::new(schedule));
            spawn_local(paced::close(connections, schedule, CloseReason::ShuttingDown));
        }
        Command::Cut => connections.for_each(|connection| connections.cut(connection)),
        Command::Load(answer) => {
            // Whoever asked may have given up.
            spawn_local(async move { drop(answer.send(connections.load().await)) });
        }
        Command::Readers(names, answer) => {
            let _ = answer.send(connections.readers(&names));
        }
    }
}

/// The connections whose key these rules do not accept, each with that key.
fn withdrawn(connections: &Connections, rules: &Rules) -> Vec<(KeyId, Weak<Connection>)> {
    let mut withdrawn = Vec::new();
    connections.for_each(|connection| {
        if let Some(key) = connection.identity.key
            && !rules.keys.accepts(&key)
            && connection.is_open()
        {
            withdrawn.push((key, Rc::downgrade(connection)));
        }
    });
    withdrawn
}

/// Once a second: shows that this worker turns, says what the log has left out, and ends connections with
/// their tokens where that is configured. By the wall clock, read anew each time.
async fn tick(connections: Rc<Connections>, started: Instant) {
    loop {
        let due = Instant::now() + workers::BEAT;
        tokio::time::sleep(workers::BEAT).await;
        let counters = &connections.counters;
        counters.beat_late.set(nanoseconds(due.elapsed()));
        counters.beat_at.set(nanoseconds(started.elapsed()));
        let cpu = clock_gettime(ClockId::ThreadCPUTime);
        counters.cpu.set((cpu.tv_sec * 1_000_000_000 + cpu.tv_nsec) as u64);
        counters.tasks.set(Handle::current().metrics().num_alive_tasks() as u64);
        counters.beats.add(1);
        connections.change_hub(Hub::next_second);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        connections.expire(now.map_or(0, |since| since.as_secs())).await;
        connections.log_limit.turn();
        connections.look_at_slow_consumers();
        // A turn, though nothing may have happened: the figure of what waits is then right, by which workers
        // know whose queues are too long.
        connections.nudge();
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Looks at the bounds on memory whenever another worker asks for it.
async fn make_room(connections: Rc<Connections>) {
    loop {
        connections.counters.memory_is_short.notified().await;
        connections.look_at_memory();
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
