//! The connections of one worker, and what they share: the hub, one read buffer, the settings in force.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use futures_util::FutureExt;
use hashbrown::HashTable;
use uuid::Uuid;

use super::close::CloseReason;
use super::handshake_budget::HandshakeBudget;
use super::keepalive::Rounds;
use super::log_limit::LogLimit;
use super::pressure::LastLook;
use super::survey::NAMES;
use super::{Application, Connection, Ending, Settings, View, run};

use crate::counters::Counters;
use crate::counters::memory::Kind;
use crate::hub::mail::{Mail, WorkerId};
use crate::hub::queue::{OutboundQueue, RingPool};
use crate::hub::{Hub, MemberKey, NotGranted};
use crate::protocol::Publish;

/// The most bytes that one read takes: one buffer a worker, whatever the number of connections.
const READ_BUFFER: usize = 64 * 1024;

/// Connections whose tokens have expired that are closed in one turn: some 0.1 ms.
const EXPIRED_A_TURN: usize = 64;

/// Tasks that wait for something of a member or of an outsider, by its key: there may be thousands of each.
pub(super) type Waiters = HashMap<u32, Waker, foldhash::fast::RandomState>;

/// The connections of one worker.
pub struct Connections {
    pub(super) hub: RefCell<Hub>,
    pub(super) application: Box<dyn Application>,
    pub(super) settings: RefCell<Settings>,
    pub(super) read_buffer: RefCell<Box<[u8]>>,
    /// This worker's figures.
    pub counters: Arc<Counters>,
    /// How often what clients cause is logged.
    pub log_limit: LogLimit,
    /// What handshakes may do in a turn.
    pub handshakes: HandshakeBudget,
    /// Every worker's figures, this one's among them.
    pub(super) everybody: Arc<[Arc<Counters>]>,
    table: RefCell<Vec<Option<Rc<Connection>>>>,
    /// The tick of the ping clock at which the connection of each place was opened.
    pub(super) births: RefCell<Vec<u32>>,
    /// Ticks of the ping clock.
    pub(super) ticks: Cell<u32>,
    /// When tokens expire that close their connections, in seconds since 1970.
    expiring: RefCell<BTreeSet<(u64, MemberKey)>>,
    /// The keys of the connections, by their ids.
    ids: RefCell<HashTable<MemberKey>>,
    /// Outsiders that wait for credit or for receipts.
    pub(super) outside: RefCell<Waiters>,
    /// Handshakes that wait for their member to be open.
    opening: RefCell<Waiters>,
    /// Those whose queues were over their bound at the last look.
    pub(super) behind: RefCell<Vec<MemberKey>>,
    /// When it looked at the bounds on memory.
    pub(super) last_look: LastLook,
    /// Who ends the turn.
    turner: RefCell<Option<Waker>>,
    /// A panic left the hub half changed.
    broken: Cell<bool>,
    draining: Cell<bool>,
    /// What is left of the messages of this turn for whoever comes first.
    pub(super) messages_left: Cell<usize>,
    /// The same of the steps of reading messages.
    pub(super) steps_left: Cell<usize>,
}

impl Connections {
    /// No connections yet. `everybody` has the figures of all workers, `hub`'s own at its place.
    pub fn new(
        hub: Hub,
        me: WorkerId,
        everybody: Arc<[Arc<Counters>]>,
        settings: Settings,
        application: Box<dyn Application>,
    ) -> Rc<Connections> {
        Rc::new(Connections {
            hub: RefCell::new(hub),
            application,
            settings: RefCell::new(settings),
            read_buffer: RefCell::new(vec![0; READ_BUFFER].into()),
            counters: everybody[me.index()].clone(),
            log_limit: LogLimit::default(),
            handshakes: HandshakeBudget::default(),
            everybody,
            table: RefCell::new(Vec::new()),
            births: RefCell::new(Vec::new()),
            ticks: Cell::new(0),
            expiring: RefCell::default(),
            ids: RefCell::default(),
            outside: RefCell::default(),
            opening: RefCell::default(),
            behind: RefCell::default(),
            last_look: LastLook::default(),
            turner: RefCell::new(None),
            broken: Cell::new(false),
            draining: Cell::new(false),
            messages_left: Cell::new(super::MESSAGES_OF_A_TURN),
            steps_left: Cell::new(super::STEPS_OF_A_TURN),
        })
    }

    // ---- what the worker calls

    /// The clock that pings go by now; None where none are sent.
    pub fn rounds(&self) -> Option<Rounds> {
        let settings = self.settings.borrow();
        Some(Rounds::new(settings.ping_interval?, settings.pong_timeout))
    }

    /// The most bytes of a message.
    pub fn max_message_size(&self) -> usize {
        self.settings.borrow().max_message_size
    }

    /// Puts other settings in force, for those that are open too.
    pub fn configure(&self, settings: Settings) {
        *self.settings.borrow_mut() = settings;
    }

    /// Takes mail from another worker.
    pub fn take_mail(&self, from: WorkerId, mail: impl IntoIterator<Item = Mail>) {
        self.change_hub(|hub| mail.into_iter().for_each(|mail| hub.take(from, mail)));
    }

    /// Has `waker` woken when there is a turn to end: batches to close, mail to post, queues to flush.
    pub fn wait_for_restlessness(&self, waker: &Waker) {
        *self.turner.borrow_mut() = Some(waker.clone());
    }

    /// Whether a panic left the hub half changed, after which this worker must not go on.
    pub fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// Ends the turn up to the mail, and wakes who waited for mail that came.
    pub fn settle(&self) {
        self.messages_left.set(super::MESSAGES_OF_A_TURN);
        self.steps_left.set(super::STEPS_OF_A_TURN);
        let (opened, credited, stirred) = {
            let mut hub = self.hub.borrow_mut();
            hub.settle();
            if hub.has_leaving() {
                // The rest of them in the next turn.
                self.nudge();
            }
            (hub.take_opened(), hub.take_credited(), hub.take_stirred())
        };
        for (waiting, keys) in [(&self.outside, stirred), (&self.opening, opened)] {
            let waiting = &mut *waiting.borrow_mut();
            for waker in keys.iter().filter_map(|key| waiting.remove(key)) {
                waker.wake();
            }
        }
        for key in credited {
            if let Some(connection) = self.get(key) {
                connection.wake();
            }
        }
    }

    /// Whether there is mail to `worker`.
    pub fn has_mail_for(&self, worker: WorkerId) -> bool {
        !self.hub.borrow_mut().outbox(worker).is_empty()
    }

    /// Moves the mail to `worker` out.
    pub fn outbox(&self, worker: WorkerId) -> Vec<Mail> {
        std::mem::take(self.hub.borrow_mut().outbox(worker))
    }

    /// Shows each connection, those that are closing too, to `look`, which must not open or end one. No list of
    /// them is handed out: it would keep the sockets and places of those that go meanwhile.
    pub fn for_each(&self, look: impl FnMut(&Rc<Connection>)) {
        self.table.borrow().iter().flatten().for_each(look);
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.counters.connections.get() as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Closes a connection for a reason of the server's, if it is still there.
    pub fn close(&self, connection: &Connection, reason: CloseReason) {
        connection.close(self, reason);
        self.nudge();
    }

    /// Closes each connection that is still to come, since the server goes down.
    pub fn drain(&self) {
        self.draining.set(true);
    }

    /// The connection of this id.
    pub fn find(&self, id: Uuid) -> Option<Rc<Connection>> {
        let table = self.table.borrow();
        let has_id = |key: &MemberKey| id_of(&table, *key) == Some(id);
        let key = *self.ids.borrow().find(hash_of(id), has_id)?;
        table[key as usize].clone()
    }

    /// The connections in so many places from this one on, and how many places there are.
    pub(super) fn slice(&self, from: usize, most: usize) -> (Vec<Rc<Connection>>, usize) {
        let table = self.table.borrow();
        let end = table.len().min(from + most);
        (table[from.min(end)..end].iter().flatten().cloned().collect(), table.len())
    }

    /// Describes a connection; None where it has gone meanwhile.
    pub fn view(&self, connection: &Rc<Connection>) -> Option<View> {
        self.holds(connection).then_some(())?;
        let hub = self.hub.borrow();
        let (reads, writes) = hub.grants(connection.key);
        let (read, write) = hub.some_names_of(connection.key, NAMES);
        Some(View {
            id: connection.identity.id,
            peer: connection.identity.peer,
            subject: connection.identity.subject.clone(),
            since: connection.since,
            reads,
            writes,
            read,
            write,
            bytes_in: connection.bytes_in.get(),
            bytes_out: connection.bytes_out.get(),
            queued: hub.queue(connection.key).bytes(),
            open: connection.is_open(),
        })
    }

    /// Closes the connections whose tokens have expired by `now`, in seconds since 1970: looked at again
    /// and again by the wall clock, so a clock that is set does no harm.
    pub async fn expire(&self, now: u64) {
        let mut closed = 0;
        loop {
            let next = self.expiring.borrow().first().copied();
            let Some((time, key)) = next.filter(|(time, _)| *time <= now) else { return };
            self.expiring.borrow_mut().remove(&(time, key));
            if let Some(connection) = self.get(key) {
                self.close(&connection, CloseReason::TokenExpired);
            }
            // Thousands of tokens may expire in the same second.
            closed += 1;
            if closed % EXPIRED_A_TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Ends a connection at once.
    pub fn cut(&self, connection: &Connection) {
        self.counters.cut.add(1);
        connection.end(Ending::Lost);
    }

    // ---- what an application calls

    /// Publishes a message in the name of a connection.
    ///
    /// # Errors
    /// [`NotGranted`] where it may not write that channel.
    pub fn publish(
        &self,
        connection: &Connection,
        message: &Publish<'_>,
    ) -> Result<(), NotGranted> {
        let mut text = Uuid::encode_buffer();
        let issuer = connection.identity.id.hyphenated().encode_lower(&mut text);
        self.change_hub(|hub| {
            hub.begin_turn(Instant::now);
            hub.publish(connection.key, issuer, message)
        })
    }

    /// Sends one whole frame to a connection, behind what waits for it.
    pub fn send(&self, connection: &Connection, frame: Vec<u8>) {
        self.change_queue(connection.key, |queue, pool| queue.push(pool.frame(frame), 1, pool));
    }

    // ---- what connections call

    /// Changes the hub, and has the turn ended if there is something to do then.
    pub(crate) fn change_hub<T>(&self, change: impl FnOnce(&mut Hub) -> T) -> T {
        let result = self.in_hub(change);
        self.nudge();
        result
    }

    /// Changes the hub. Whatever task panics in it, the worker is broken then: half of a change is done.
    pub(super) fn in_hub<T>(&self, change: impl FnOnce(&mut Hub) -> T) -> T {
        let half_done = HalfDone(self);
        let result = change(&mut self.hub.borrow_mut());
        std::mem::forget(half_done);
        result
    }

    /// Changes a member's queue, and has it flushed at the turn's end.
    pub(super) fn change_queue<T>(
        &self,
        key: MemberKey,
        change: impl FnOnce(&mut OutboundQueue, &mut RingPool) -> T,
    ) -> T {
        self.change_hub(|hub| {
            let result = hub.with_queue(key, change);
            hub.touch(key);
            result
        })
    }

    /// Notes that reading a connection's messages took so many steps of this turn.
    pub(super) fn take_steps(&self, steps: usize) {
        let left = self.steps_left.get().saturating_sub(steps);
        self.steps_left.set(left);
        if left == 0 {
            // There may be nothing to flush that ends the turn.
            self.nudge();
        }
    }

    pub(super) fn has_credit(&self, key: MemberKey) -> bool {
        self.hub.borrow().has_credit(key)
    }

    /// Has the turn ended, when what is ready now has run.
    pub(crate) fn nudge(&self) {
        if let Some(waker) = self.turner.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Runs a connection's task so that a panic in it is its own end only, unless it was in the hub.
    ///
    /// # Errors
    /// Where it panicked. What the panic carried is forgotten: it can hold what a client sent.
    pub(super) async fn guard<T>(&self, task: impl Future<Output = T>) -> Result<T, Panicked> {
        match AssertUnwindSafe(task).catch_unwind().await {
            Ok(done) => Ok(done),
            Err(_) => Err(Panicked),
        }
    }

    /// The connection of this key.
    pub(super) fn get(&self, key: MemberKey) -> Option<Rc<Connection>> {
        self.table.borrow().get(key as usize)?.clone()
    }

    /// Waits until what is published reaches this member.
    pub(super) fn poll_open(&self, key: MemberKey, cx: &mut Context<'_>) -> Poll<()> {
        if self.hub.borrow().is_open(key) {
            return Poll::Ready(());
        }
        self.opening.borrow_mut().insert(key, cx.waker().clone());
        Poll::Pending
    }

    /// Takes a member that never became a connection out again.
    pub(super) fn abandon(&self, key: MemberKey) {
        self.opening.borrow_mut().remove(&key);
        if !self.broken.get() {
            self.change_hub(|hub| hub.leave(key));
        }
    }

    /// Whether a connection is one of these.
    pub(super) fn holds(&self, connection: &Rc<Connection>) -> bool {
        self.get(connection.key).is_some_and(|present| Rc::ptr_eq(&present, connection))
    }

    /// Takes a connection out of everything.
    pub(super) fn forget(&self, connection: &Connection) {
        let hash = hash_of(connection.identity.id);
        if let Ok(entry) = self.ids.borrow_mut().find_entry(hash, |key| *key == connection.key) {
            entry.remove();
        }
        self.table.borrow_mut()[connection.key as usize] = None;
        if let Some(time) = connection.identity.closes_at {
            self.expiring.borrow_mut().remove(&(time, connection.key));
        }
        self.counters.connections.set(self.counters.connections.get() - 1);
        self.counters.memory.change(Kind::Connections, -(connection.memory as i64));
        self.counters.memory.change(Kind::Messages, -(connection.counted.take() as i64));
        if !self.broken.get() {
            let waited = self.hub.borrow().queue(connection.key).messages();
            self.counters.abandoned.add(waited);
            self.change_hub(|hub| hub.leave(connection.key));
        }
    }

    /// Puts a connection in its place and starts its task.
    pub(super) fn start(self: &Rc<Self>, connection: Connection) -> Rc<Connection> {
        let key = connection.key as usize;
        let connection = Rc::new(connection);
        {
            let mut table = self.table.borrow_mut();
            if table.len() <= key {
                table.resize(key + 1, None);
                self.births.borrow_mut().resize(key + 1, 0);
            }
            table[key] = Some(connection.clone());
            self.births.borrow_mut()[key] = self.ticks.get();
            let hash = hash_of(connection.identity.id);
            let of_key = |key: &MemberKey| id_of(&table, *key).map_or(0, hash_of);
            self.ids.borrow_mut().insert_unique(hash, connection.key, of_key);
        }
        if let Some(time) = connection.identity.closes_at {
            self.expiring.borrow_mut().insert((time, connection.key));
        }
        self.counters.opened.add(1);
        self.counters.connections.add(1);
        self.counters.memory.change(Kind::Connections, connection.memory as i64);
        self.change_hub(|hub| hub.touch(connection.key));
        if self.hub.borrow().queue(connection.key).is_sealed() {
            connection.is_closed_already(self, CloseReason::SlowConsumer);
        }
        if self.draining.get() {
            // Its handshake was under way when the others were told.
            connection.close(self, CloseReason::ShuttingDown);
        }
        let leaving = Leaving { all: self.clone(), connection: connection.clone() };
        let (all, running) = (self.clone(), connection.clone());
        tokio::task::spawn_local(async move {
            let _leaving = leaving;
            run(all, running).await;
        });
        connection
    }
}

fn id_of(table: &[Option<Rc<Connection>>], key: MemberKey) -> Option<Uuid> {
    table[key as usize].as_ref().map(|connection| connection.identity.id)
}

/// An id is random, and the server's own choice: any part of it is a hash.
fn hash_of(id: Uuid) -> u64 {
    let (high, low) = id.as_u64_pair();
    // In each half some bits say that it is one, in different places.
    high ^ low
}

/// Dropped by a panic in the middle of a change of the hub.
struct HalfDone<'a>(&'a Connections);

impl Drop for HalfDone<'_> {
    fn drop(&mut self) {
        self.0.broken.set(true);
        self.0.nudge();
    }
}

/// A task ended by a panic.
#[derive(Debug, Clone, Copy)]
pub(super) struct Panicked;

/// Takes a connection out of everything when its task ends, whatever way that is.
struct Leaving {
    all: Rc<Connections>,
    connection: Rc<Connection>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        let Leaving { all, connection } = self;
        if all.holds(connection) {
            all.forget(connection);
        }
        connection.note_end(all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::connection::relay::Relay;
    use crate::hub::placement::Placement;

    #[test]
    fn a_panic_in_a_change_of_the_hub_breaks_the_worker_whichever_task_it_was_in() {
        let hub = Hub::new(WorkerId(0), Placement::new(1));
        let settings = Settings::from(&Config::default());
        let counters = Arc::new([Arc::default()]);
        let all = Connections::new(hub, WorkerId(0), counters, settings, Box::<Relay>::default());
        let unwound = std::panic::catch_unwind(AssertUnwindSafe(|| {
            all.take_mail(WorkerId(1), std::iter::repeat_with(|| panic!("half way")));
        }));
        assert!(unwound.is_err() && all.is_broken());
    }
}
