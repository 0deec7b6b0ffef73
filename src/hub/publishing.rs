//! A message's way through its worker: to its channel's home, into the turn's batch, into the queues.

use std::sync::Arc;
use std::time::Instant;

use slab::Slab;

use super::channel::ChannelKey;
use super::mail::{Answer, Delivery, Mail, Publisher};
use super::member::Member;
use super::receiving::hold;
use super::{Hub, MemberKey, NotGranted, batch, credit};
use crate::protocol::{self, Publish};

impl Hub {
    /// Whether this member may publish one more message now; else the `credited` effect says when.
    pub fn has_credit(&self, key: MemberKey) -> bool {
        self.members[key as usize].unanswered.has_credit()
    }

    /// Publishes one message of a member, in the name of `issuer`.
    ///
    /// # Errors
    /// [`NotGranted`] where the member may not write the channel: nothing has changed then.
    pub fn publish(
        &mut self,
        key: MemberKey,
        issuer: &str,
        message: &Publish<'_>,
    ) -> Result<(), NotGranted> {
        let channel_key = self.granted(key, &message.channel).ok_or(NotGranted)?;
        let member = &mut self.members[key as usize];
        let publisher = Publisher { worker: self.me, member: key, serial: member.serial };
        let channel = &mut self.channels[channel_key as usize];
        let delivery = protocol::Delivery { issuer, channel: &channel.encoded, data: message.data };
        if channel.home != self.me {
            let bytes = post_publish(
                &mut self.outbox[channel.home.index()],
                &channel.name,
                publisher,
                &delivery,
                self.since,
            );
            member.unanswered.add(1, bytes as u32);
            self.in_mail += bytes as i64;
            return Ok(());
        }
        if !channel.is_heard() {
            return Ok(());
        }
        if !channel.listed {
            channel.listed = true;
            self.batches.push(channel_key);
        }
        let bytes = channel.batch.push(publisher, &delivery);
        if channel.interested.intersects(self.behind) {
            member.unanswered.add(1, bytes as u32);
            hold(
                &mut self.held,
                channel.interested,
                Answer { publisher, messages: 1, bytes: bytes as u32 },
            );
        }
        if channel.batch.len() >= batch::LARGEST {
            self.close_batch(channel_key);
        }
        Ok(())
    }

    /// The channel of this name, if the member may write it.
    pub(super) fn granted(&mut self, key: MemberKey, name: &str) -> Option<ChannelKey> {
        let member = &mut self.members[key as usize];
        if let Some(last) = member.last_written
            && &*self.channels[last as usize].name == name
        {
            return Some(last);
        }
        let channel = *self.names.get(name)?;
        member.writes.binary_search(&channel).ok()?;
        member.last_written = Some(channel);
        Some(channel)
    }

    /// Notes when the first message of this turn was read: asks `clock` where none has been before it.
    #[inline]
    pub fn begin_turn(&mut self, clock: impl FnOnce() -> Instant) {
        self.since.get_or_insert_with(clock);
    }

    /// Has this turn begun at the latest when what another worker sends was read.
    pub(super) fn reach_back_to(&mut self, since: Option<Instant>) {
        self.since = self.since.into_iter().chain(since).min();
    }

    /// When the first message was read that this turn delivers, where that is known; the next turn begins.
    pub fn take_since(&mut self) -> Option<Instant> {
        self.since.take()
    }

    /// Ends the turn: what it brought goes to the queues here and to the other workers' mail.
    pub fn settle(&mut self) {
        while let Some(key) = self.batches.pop() {
            self.channels[key as usize].listed = false;
            self.close_batch(key);
            self.forget_if_idle(key);
        }
        self.go_on_leaving();
    }

    pub(super) fn close_batch(&mut self, key: ChannelKey) {
        let channel = &mut self.channels[key as usize];
        if channel.batch.len() == 0 {
            return;
        }
        let delivery = channel.batch.close(&self.held_bytes, self.since);
        self.busy.count(key, &mut channel.pace, delivery.messages);
        for worker in channel.interested.iter() {
            self.mailed[worker.index()] += delivery.frames.len();
            if self.mailed[worker.index()] > credit::WINDOW {
                self.behind.insert(worker);
            }
            self.outbox[worker.index()]
                .push(Mail::Deliver { channel: channel.name.clone(), delivery: delivery.clone() });
        }
        let others = channel.interested.len();
        self.tell_reached(Some(key), &delivery, Some(others));
        self.deliver(key, &delivery);
    }

    /// Puts a delivery into the queues of the channel's subscribers here.
    pub(super) fn deliver(&mut self, key: ChannelKey, delivery: &Delivery) {
        let me = self.me;
        for segment in delivery.segments.iter().filter(|s| s.publisher.worker == me) {
            mark_publisher(&mut self.members, segment.publisher, true);
        }
        let channel = &self.channels[key as usize];
        let (mut added, mut delivered) = (0, 0);
        for reader in &channel.readers {
            let member = &mut self.members[reader.member as usize];
            let before = member.queue.bytes();
            if member.is_publisher {
                let publisher =
                    Publisher { worker: me, member: reader.member, serial: member.serial };
                for (frames, messages) in delivery.without(publisher) {
                    if member.queue.push(frames, messages, &mut self.rings) {
                        delivered += u64::from(messages);
                    }
                }
            } else if member.queue.push(delivery.frames.whole(), delivery.messages, &mut self.rings)
            {
                delivered += u64::from(delivery.messages);
            }
            let grown = member.queue.bytes() - before;
            added += grown;
            if grown > 0 && !member.dirty {
                member.dirty = true;
                self.dirty.push(reader.member);
            }
        }
        self.queued += added;
        self.delivered += delivered;
        for segment in delivery.segments.iter().filter(|s| s.publisher.worker == me) {
            mark_publisher(&mut self.members, segment.publisher, false);
        }
    }
}

fn mark_publisher(members: &mut Slab<Member>, publisher: Publisher, mark: bool) {
    if let Some(member) = members.get_mut(publisher.member as usize)
        && member.serial == publisher.serial
    {
        member.is_publisher = mark;
    }
}

/// Mails a message to its channel's home, behind others of the same publisher and channel in one piece
/// where they come together; the length of its frame in bytes.
fn post_publish(
    outbox: &mut Vec<Mail>,
    name: &Arc<str>,
    by: Publisher,
    delivery: &protocol::Delivery<'_>,
    since: Option<Instant>,
) -> usize {
    if let Some(Mail::Publish { channel, publisher, wanted: None, frames, messages, .. }) =
        outbox.last_mut()
        && *publisher == by
        && Arc::ptr_eq(channel, name)
    {
        let before = frames.len();
        protocol::encode_delivery(frames, delivery);
        *messages += 1;
        return frames.len() - before;
    }
    let mut frames = Vec::with_capacity(delivery.frame_len());
    protocol::encode_delivery(&mut frames, delivery);
    let bytes = frames.len();
    let channel = name.clone();
    let (publisher, wanted) = (by, None);
    outbox.push(Mail::Publish { channel, publisher, wanted, frames, messages: 1, since });
    bytes
}
