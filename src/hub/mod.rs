//! Channels, subscribers and their outbound queues: one worker's part of them, as a state machine.
//!
//! It holds no socket, no sender and no clock, and never awaits. What it changes is called by the worker:
//! [`Hub::open`], [`Hub::publish`], [`Hub::take`] (mail), [`Hub::settle`] (the end of a turn),
//! [`Hub::leave`]. Who publishes without being a member is an [`outsider`]. What is to be done about it stands in its effects: mail in [`Hub::outbox`], queues to
//! flush, members that are open, members that have credit again.
//!
//! # A message's walk
//! Each channel has a *home*, the worker that gives its messages their one order. A message goes to the
//! home (a call, or a mail), is appended to the channel's batch of this turn, and at the turn's end the
//! batch is frozen and shared: one slice for each subscriber here, one mail for each other worker that has
//! subscribers. Every pair of workers has one first-in-first-out line, so every subscriber sees the
//! home's order, and each publisher's messages in it as it sent them.
//!
//! # Opening
//! A member is open when the homes of all its channels know that its worker has subscribers of them. Only
//! then may its handshake be answered: what is published after that, by anybody, reaches it.

mod batch;
mod channel;
pub mod credit;
pub mod held;
mod leaving;
pub mod mail;
mod member;
pub mod outsider;
mod pace;
pub mod placement;
mod publishing;
pub mod queue;
mod receiving;
#[cfg(test)]
mod simulation;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use slab::Slab;

use crate::protocol;
use channel::{Channel, ChannelKey, Reader};
use credit::Unanswered;
use held::Held;
use leaving::Leaving;
use mail::{Answer, Mail, WorkerId, WorkerSet};
use member::{Member, Subscription};
use outsider::{Outsider, OutsiderKey};
use pace::Busy;
pub use pace::BusyChannel;
use placement::Placement;
use queue::{OutboundQueue, RingPool};

/// Tables of no more channels than this are left as they are.
const SMALL_TABLE: usize = 1024;

/// A member's key: small, stable while it lives, used again after.
pub type MemberKey = u32;

/// A publish to a channel that its connection may not write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotGranted;

/// One worker's channels and members.
#[derive(Debug)]
pub struct Hub {
    me: WorkerId,
    placement: Placement,
    names: HashMap<Arc<str>, ChannelKey, foldhash::fast::RandomState>,
    channels: Slab<Box<Channel>>,
    /// The most channels that there have been since its tables were last made smaller.
    most_channels: usize,
    /// Bytes of the heap that channels, their subscribers and the lists of members take, tables aside.
    granted: usize,
    /// Bytes of mail that was posted here, less those of mail that was taken here.
    in_mail: i64,
    /// How many of them have their home here.
    at_home: usize,
    members: Slab<Member>,
    /// Publishers that are no members.
    outsiders: Slab<Outsider>,
    next_serial: u32,
    rings: RingPool,
    /// What the deliveries made here hold.
    held_bytes: Held,
    /// Bytes that wait in all queues together.
    queued: usize,
    /// Those of them that wait for members which are closing and can be discarded.
    queued_for_closing: usize,
    /// Messages put into queues so far.
    delivered: u64,
    /// When the first message of this turn was read.
    since: Option<Instant>,
    busy: Busy,
    /// Channels that have had a batch in this turn, each once.
    batches: Vec<ChannelKey>,
    /// For each worker, bytes of deliveries mailed to it that it has not taken yet.
    mailed: Vec<usize>,
    /// Workers that have been mailed more than they should.
    behind: WorkerSet,
    /// Answers withheld until the workers that their messages went to keep up.
    held: Vec<(WorkerSet, Answer)>,
    /// Effects: for each worker, the mail to it.
    outbox: Vec<Vec<Mail>>,
    /// Effects: members whose queues have something to flush.
    dirty: Vec<MemberKey>,
    /// Effects: members that have become open.
    opened: Vec<MemberKey>,
    /// Effects: members that have credit again.
    credited: Vec<MemberKey>,
    /// Effects: outsiders that have credit again, or their receipts.
    stirred: Vec<OutsiderKey>,
    /// Members that have left and are still among the readers of some of their channels.
    leaving: VecDeque<Leaving>,
}

impl Hub {
    /// The part of worker `me`, which is one of those that `placement` spreads channels over.
    pub fn new(me: WorkerId, placement: Placement) -> Self {
        let workers = placement.workers();
        Hub {
            me,
            names: HashMap::with_hasher(placement.hasher()),
            placement,
            channels: Slab::new(),
            most_channels: 0,
            granted: 0,
            in_mail: 0,
            at_home: 0,
            members: Slab::new(),
            outsiders: Slab::new(),
            next_serial: 0,
            rings: RingPool::default(),
            held_bytes: Held::default(),
            queued: 0,
            queued_for_closing: 0,
            delivered: 0,
            since: None,
            busy: Busy::default(),
            batches: Vec::new(),
            mailed: vec![0; workers],
            behind: WorkerSet::default(),
            held: Vec::new(),
            outbox: (0..workers).map(|_| Vec::new()).collect(),
            dirty: Vec::new(),
            opened: Vec::new(),
            credited: Vec::new(),
            stirred: Vec::new(),
            leaving: VecDeque::new(),
        }
    }

    /// Counts what the deliveries made here hold in `held`.
    #[must_use]
    pub fn counting(mut self, held: Held) -> Self {
        self.rings = RingPool::counting(held.clone());
        self.held_bytes = held;
        self
    }

    // ---- opening and leaving

    /// Makes a member that reads and writes these channels. Deliveries wait in its queue from when
    /// [`Hub::is_open`] says so, which the `opened` effect announces where it is not at once.
    pub fn open(&mut self, reads: &[Box<str>], writes: &[Box<str>]) -> MemberKey {
        let serial = self.next_serial;
        self.next_serial = self.next_serial.wrapping_add(1);
        let entry = self.members.vacant_entry();
        let key = entry.key() as MemberKey;
        entry.insert(Member {
            serial,
            queue: OutboundQueue::default(),
            reads: Box::default(),
            writes: Box::default(),
            last_written: None,
            opening: 0,
            unanswered: Unanswered::default(),
            dirty: false,
            is_publisher: false,
        });
        let mut written: Vec<ChannelKey> = writes.iter().map(|name| self.channel(name)).collect();
        written.sort_unstable();
        written.dedup();
        for channel in &written {
            self.channels[*channel as usize].writers += 1;
        }
        let mut read: Vec<ChannelKey> = reads.iter().map(|name| self.channel(name)).collect();
        read.sort_unstable();
        read.dedup();
        let mut opening = 0;
        let reads = read
            .into_iter()
            .enumerate()
            .map(|(slot, channel)| {
                let (position, waits) = self.subscribe(key, slot as u32, channel);
                opening += u32::from(waits);
                Subscription { channel, position }
            })
            .collect();
        let member = &mut self.members[key as usize];
        (member.reads, member.writes, member.opening) = (reads, written.into(), opening);
        self.granted += member.lists();
        key
    }

    /// Puts a member among a channel's readers: its position there, and whether its home has yet to hear of it.
    fn subscribe(&mut self, member: MemberKey, slot: u32, key: ChannelKey) -> (u32, bool) {
        let channel = &mut self.channels[key as usize];
        let position = channel.readers.len() as u32;
        let before = channel.readers_memory();
        channel.readers.push(Reader { member, slot });
        self.granted += channel.readers_memory() - before;
        if channel.home == self.me {
            return (position, false);
        }
        if position == 0 {
            channel.unanswered += 1;
            self.outbox[channel.home.index()].push(Mail::Subscribe(channel.name.clone()));
        }
        let waits = channel.unanswered > 0;
        if waits {
            let members = &self.members;
            channel.wait(member, members[member as usize].serial, |key, serial| {
                members.get(key as usize).is_some_and(|member| member.serial == serial)
            });
        }
        (position, waits)
    }

    /// Whether whatever is published from now on reaches this member.
    pub fn is_open(&self, key: MemberKey) -> bool {
        self.members[key as usize].opening == 0
    }

    /// The channel of this name, made where there is none.
    fn channel(&mut self, name: &str) -> ChannelKey {
        if let Some(key) = self.names.get(name) {
            return *key;
        }
        let shared: Arc<str> = name.into();
        let channel =
            Channel::new(shared.clone(), protocol::encode_name(name), self.placement.home(name));
        self.at_home += usize::from(channel.home == self.me);
        self.granted += channel.memory();
        let key = self.channels.insert(Box::new(channel)) as ChannelKey;
        self.names.insert(shared, key);
        self.most_channels = self.most_channels.max(self.channels.len());
        key
    }

    fn forget_if_idle(&mut self, key: ChannelKey) {
        if self.channels[key as usize].is_idle() {
            let channel = self.channels.remove(key as usize);
            self.at_home -= usize::from(channel.home == self.me);
            self.names.remove(&channel.name);
            self.granted -= channel.memory() + channel.readers_memory();
            self.shrink_tables();
        }
    }

    /// Gives back what the tables of channels have room for, once most of the channels have gone.
    fn shrink_tables(&mut self) {
        let channels = self.channels.len();
        // The last few may be in the way of the rest before: looked at until they have gone.
        let few = channels <= self.most_channels / 4 || channels <= 16;
        if few && self.channels.capacity() > SMALL_TABLE {
            self.most_channels = channels;
            self.names.shrink_to(channels * 2);
            self.channels.shrink_to_fit();
        }
    }

    // ---- queues

    /// The keys of all members.
    pub fn keys(&self) -> impl Iterator<Item = MemberKey> {
        self.members.iter().map(|(key, _)| key as MemberKey)
    }

    /// The members for which something waits, with their queues.
    pub fn waiting(&self) -> impl Iterator<Item = (MemberKey, &OutboundQueue)> {
        let all = self.members.iter();
        let waiting = all.map(|(key, member)| (key as MemberKey, &member.queue));
        waiting.filter(|(_, queue)| !queue.is_empty())
    }

    /// What waits for a member's socket.
    pub fn queue(&self, key: MemberKey) -> &OutboundQueue {
        &self.members[key as usize].queue
    }

    /// Changes what waits for a member's socket.
    #[inline]
    pub fn with_queue<T>(
        &mut self,
        key: MemberKey,
        change: impl FnOnce(&mut OutboundQueue, &mut RingPool) -> T,
    ) -> T {
        let queue = &mut self.members[key as usize].queue;
        let (before, closing_before) = (queue.bytes(), queue.discardable());
        let result = change(queue, &mut self.rings);
        self.queued = self.queued + queue.bytes() - before;
        self.queued_for_closing = self.queued_for_closing + queue.discardable() - closing_before;
        result
    }

    /// Puts a member on the list of those to flush, where something waits for it.
    pub fn touch(&mut self, key: MemberKey) {
        let member = &mut self.members[key as usize];
        if !member.dirty && !member.queue.is_empty() {
            member.dirty = true;
            self.dirty.push(key);
        }
    }

    /// Bytes that wait in all queues together; a frame shared by many counts once a queue.
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Those of them that wait for members which are closing and can be discarded.
    pub fn queued_for_closing(&self) -> usize {
        self.queued_for_closing
    }

    /// Bytes of the heap that the entries of all queues take.
    pub fn entries(&self) -> usize {
        self.rings.bytes()
    }

    /// Bytes of the heap that channels take, their names, tables, subscribers and writers.
    pub fn channel_memory(&self) -> usize {
        // One byte of control for each bucket, of which seven in eight are used at most.
        let bucket = size_of::<(Arc<str>, ChannelKey)>() + 1;
        let names = (self.names.capacity() * 8 / 7).next_power_of_two() * bucket;
        // The slab marks the empty slots.
        let slots = self.channels.capacity() * 2 * size_of::<usize>();
        self.granted + names + slots
    }

    /// Bytes of the heap that mail takes which this hub has posted, less those of the mail that it has taken: the sum
    /// over all hubs is what is on its way.
    pub fn mail_memory(&self) -> i64 {
        self.in_mail
    }

    // ---- effects

    /// The mail to a worker, taken out.
    pub fn outbox(&mut self, worker: WorkerId) -> &mut Vec<Mail> {
        &mut self.outbox[worker.index()]
    }

    /// Takes out the members to flush, in exchange for an empty list. Those that left are not among them.
    pub fn take_dirty(&mut self, into: &mut Vec<MemberKey>) {
        std::mem::swap(&mut self.dirty, into);
        into.retain(|key| match self.members.get_mut(*key as usize) {
            Some(member) => std::mem::replace(&mut member.dirty, false),
            None => false,
        });
    }

    /// Takes out the members that have become open.
    pub fn take_opened(&mut self) -> Vec<MemberKey> {
        std::mem::take(&mut self.opened)
    }

    /// Takes out the members that have credit again.
    pub fn take_credited(&mut self) -> Vec<MemberKey> {
        std::mem::take(&mut self.credited)
    }

    // ---- figures

    /// How many members there are, those whose handshake is under way among them.
    pub fn members(&self) -> usize {
        self.members.len()
    }

    /// How many channels a member reads and may write.
    pub fn grants(&self, key: MemberKey) -> (usize, usize) {
        let member = &self.members[key as usize];
        (member.reads.len(), member.writes.len())
    }

    /// The channels that a member reads, and those that it may write.
    pub fn names_of(&self, key: MemberKey) -> (Vec<Box<str>>, Vec<Box<str>>) {
        let member = &self.members[key as usize];
        let name = |channel: ChannelKey| Box::from(&*self.channels[channel as usize].name);
        let reads = member.reads.iter().map(|subscription| name(subscription.channel));
        (reads.collect(), member.writes.iter().map(|channel| name(*channel)).collect())
    }

    /// The same, of each so many at most, in no order, shared with the hub.
    pub fn some_names_of(&self, key: MemberKey, most: usize) -> (Vec<Arc<str>>, Vec<Arc<str>>) {
        let member = &self.members[key as usize];
        let name = |channel: ChannelKey| self.channels[channel as usize].name.clone();
        let reads = member.reads.iter().take(most).map(|read| name(read.channel));
        (reads.collect(), member.writes.iter().take(most).map(|channel| name(*channel)).collect())
    }

    /// Whether a member reads a channel or may write it.
    pub fn is_granted(&self, key: MemberKey, name: &str) -> bool {
        let member = &self.members[key as usize];
        self.names.get(name).is_some_and(|channel| {
            member.writes.binary_search(channel).is_ok() || member.is_reading(*channel)
        })
    }

    /// How many slots for channels there are, of which some are empty.
    pub fn channel_slots(&self) -> usize {
        self.channels.capacity()
    }

    /// The channel in a slot and how many subscribers it has here, where it has some.
    pub fn subscribed(&self, slot: usize) -> Option<(&Arc<str>, usize)> {
        let channel = self.channels.get(slot)?;
        Some((&channel.name, channel.readers.len())).filter(|(_, readers)| *readers > 0)
    }

    /// Messages put into queues so far, each once a queue.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Numbers the seconds for [`Hub::busiest`]; called once in each.
    pub fn next_second(&mut self) {
        self.busy.turn();
    }

    /// Of the channels whose home this is, those with most messages in the last whole second.
    pub fn busiest(&self, most: usize) -> Vec<BusyChannel> {
        self.busy.busiest(&self.channels, most)
    }

    /// How many members here read a channel.
    pub fn readers(&self, name: &str) -> usize {
        self.names.get(name).map_or(0, |key| self.channels[*key as usize].readers.len())
    }

    /// How many channels have their home here: over all workers, each that has subscribers once.
    pub fn channels_at_home(&self) -> usize {
        self.at_home
    }

    /// The home of a channel.
    #[cfg(test)]
    pub(crate) fn home(&self, name: &str) -> WorkerId {
        self.placement.home(name)
    }

    /// How many channels are known here.
    pub fn channels(&self) -> usize {
        self.channels.len()
    }
}
