//! Publishers that are no members: a request publishes some messages, hears how many subscribers each has reached,
//! and is gone.
//!
//! # A receipt's walk
//! What an outsider publishes is numbered, from 0. Where a message gets its place in its channel's order it is noted
//! beside the batch whom to tell ([`Owed`]); with the delivery that goes to each worker that has subscribers, and each
//! tells the outsider's worker how many it has ([`Receipt`]). The home's own word says how many others there are, so
//! that it is known when all have spoken, in whatever order they come.

use super::credit::{self, Unanswered};
use super::mail::{Answer, Delivery, Mail, Owed, Publisher, Receipt, Wanted};
use super::receiving::hold;
use super::{Hub, MemberKey, batch};
use crate::protocol;

/// An outsider's key: small, stable while it lives, used again after.
pub type OutsiderKey = u32;

/// Set in the `member` of a [`Publisher`] that is an outsider: no hub has half as many members.
const OUTSIDER: u32 = 1 << 31;
/// Words that are owed for a message while its home has not said how many workers have subscribers.
const HOME: u32 = 1 << 16;

/// A message of an outsider.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The channel's name.
    pub channel: &'a str,
    /// The same as [`protocol::encode_name`] made it.
    pub encoded: &'a str,
    /// The data as JSON text, or empty.
    pub data: &'a str,
    /// The member that does not hear it, on whatever worker.
    pub left_out: Option<Publisher>,
}

/// One who publishes without being a member.
#[derive(Debug)]
pub(super) struct Outsider {
    serial: u32,
    unanswered: Unanswered,
    messages: Vec<Reach>,
    /// Messages that words are still owed for.
    owed: usize,
}

/// How far a message has come.
#[derive(Debug, Clone, Copy)]
struct Reach {
    subscribers: u32,
    /// Workers that have yet to say how many they have.
    owed: u32,
}

impl Hub {
    /// Lets somebody in who publishes and is no member.
    pub fn enter(&mut self) -> OutsiderKey {
        let serial = self.next_serial;
        self.next_serial = self.next_serial.wrapping_add(1);
        let outsider =
            Outsider { serial, unanswered: Unanswered::default(), messages: Vec::new(), owed: 0 };
        self.outsiders.insert(outsider) as OutsiderKey
    }

    /// Takes an outsider out again; what it has published takes its way. Effects may still name its key.
    pub fn exit(&mut self, key: OutsiderKey) {
        self.outsiders.remove(key as usize);
    }

    /// Whether an outsider may publish one more message now; else the `stirred` effect says when.
    pub fn outsider_has_credit(&self, key: OutsiderKey) -> bool {
        self.outsiders[key as usize].unanswered.has_credit()
    }

    /// How many subscribers each message of an outsider has reached, in the order in which they were published; None
    /// while that is not known of all, and the `stirred` effect says when it is.
    pub fn reached(&self, key: OutsiderKey) -> Option<Vec<u32>> {
        let outsider = &self.outsiders[key as usize];
        (outsider.owed == 0)
            .then(|| outsider.messages.iter().map(|reach| reach.subscribers).collect())
    }

    /// A member as others may name it, on whatever worker.
    pub fn publisher(&self, key: MemberKey) -> Publisher {
        Publisher { worker: self.me, member: key, serial: self.members[key as usize].serial }
    }

    /// Publishes one message of an outsider, in nobody's name. Whether it may is its caller's affair.
    pub fn publish_from_outside(&mut self, key: OutsiderKey, message: &Message<'_>) {
        let outsider = &mut self.outsiders[key as usize];
        let by = Publisher { worker: self.me, member: key | OUTSIDER, serial: outsider.serial };
        let number = outsider.messages.len() as u32;
        outsider.messages.push(Reach { subscribers: 0, owed: HOME });
        outsider.owed += 1;
        let left_out = message.left_out.unwrap_or(by);
        let delivery = protocol::Delivery {
            issuer: "",
            channel: message.encoded,
            data: message.data.as_bytes(),
        };
        let known = self.names.get(message.channel).copied();
        let home = self.placement.home(message.channel);
        if home != self.me {
            let name = match known {
                Some(channel) => self.channels[channel as usize].name.clone(),
                None => message.channel.into(),
            };
            let outbox = &mut self.outbox[home.index()];
            let bytes = match outbox.last_mut() {
                Some(Mail::Publish {
                    channel,
                    publisher,
                    wanted: Some(wanted),
                    frames,
                    messages,
                    ..
                }) if *publisher == by
                    && **channel == *name
                    && wanted.left_out == left_out
                    && wanted.first + *messages == number =>
                {
                    let before = frames.len();
                    protocol::encode_delivery(frames, &delivery);
                    *messages += 1;
                    frames.len() - before
                }
                _ => {
                    let mut frames = Vec::with_capacity(delivery.frame_len());
                    protocol::encode_delivery(&mut frames, &delivery);
                    let bytes = frames.len();
                    outbox.push(Mail::Publish {
                        channel: name,
                        publisher: by,
                        wanted: Some(Box::new(Wanted { left_out, first: number })),
                        frames,
                        messages: 1,
                        since: self.since,
                    });
                    bytes
                }
            };
            outsider.unanswered.add(1, bytes as u32);
            self.in_mail += bytes as i64;
            return;
        }
        let owed = Owed { to: by, left_out, first: number, messages: 1 };
        let heard = known.filter(|channel| self.channels[*channel as usize].is_heard());
        let Some(channel_key) = heard else {
            self.tell(owed, 0, Some(0));
            return;
        };
        let channel = &mut self.channels[channel_key as usize];
        if !channel.listed {
            channel.listed = true;
            self.batches.push(channel_key);
        }
        let bytes = channel.batch.push(left_out, &delivery);
        channel.batch.owe(owed);
        if channel.interested.intersects(self.behind) {
            outsider.unanswered.add(1, bytes as u32);
            let answer = Answer { publisher: by, messages: 1, bytes: bytes as u32 };
            hold(&mut self.held, channel.interested, answer);
        }
        if channel.batch.len() >= batch::LARGEST {
            self.close_batch(channel_key);
        }
    }

    /// Tells how many subscribers here a delivery reaches, to those who want to know, before it is put into their
    /// queues. `others` is how many other workers have some, where this is the channel's home.
    pub(super) fn tell_reached(
        &mut self,
        channel: Option<super::ChannelKey>,
        delivery: &Delivery,
        others: Option<u32>,
    ) {
        let Some(all_owed) = &delivery.owed else { return };
        let readers = channel.map_or(&[][..], |key| &self.channels[key as usize].readers);
        let takes = |member: u32| !self.members[member as usize].queue.is_sealed();
        let subscribers = readers.iter().filter(|reader| takes(reader.member)).count() as u32;
        let tellings: Vec<(Owed, u32)> = all_owed
            .iter()
            .map(|owed| {
                let Publisher { worker, member, serial } = owed.left_out;
                let left_out = worker == self.me
                    && self.members.get(member as usize).is_some_and(|found| {
                        found.serial == serial
                            && takes(member)
                            && channel.is_some_and(|channel| found.is_reading(channel))
                    });
                (*owed, subscribers - u32::from(left_out))
            })
            .collect();
        for (owed, subscribers) in tellings {
            self.tell(owed, subscribers, others);
        }
    }

    /// Tells how many subscribers some messages of an outsider have reached here.
    pub(super) fn tell(&mut self, owed: Owed, subscribers: u32, others: Option<u32>) {
        let Owed { to, first, messages, .. } = owed;
        let receipt = Receipt { to, first, messages, subscribers, others };
        if to.worker == self.me {
            self.told(&receipt);
        } else {
            self.outbox[to.worker.index()].push(Mail::Receipt(receipt));
        }
    }

    /// Takes a receipt.
    pub(super) fn told(&mut self, receipt: &Receipt) {
        let Some(outsider) = outsider(&mut self.outsiders, receipt.to) else { return };
        let first = receipt.first as usize;
        for reach in &mut outsider.messages[first..first + receipt.messages as usize] {
            reach.subscribers += receipt.subscribers;
            reach.owed = match receipt.others {
                Some(others) => reach.owed + others - HOME,
                None => reach.owed - 1,
            };
            outsider.owed -= usize::from(reach.owed == 0);
        }
        if outsider.owed == 0 {
            self.stirred.push(receipt.to.member & !OUTSIDER);
        }
    }

    /// Takes an answer to an outsider; false where it is not to one.
    pub(super) fn answered_outside(&mut self, answer: Answer) -> bool {
        if answer.publisher.member & OUTSIDER == 0 {
            return false;
        }
        if let Some(outsider) = outsider(&mut self.outsiders, answer.publisher)
            && outsider.unanswered.subtract(answer.messages, answer.bytes)
        {
            self.stirred.push(answer.publisher.member & !OUTSIDER);
        }
        true
    }

    /// Takes out the outsiders that have credit again, or have heard how many all of their messages reached.
    pub fn take_stirred(&mut self) -> Vec<OutsiderKey> {
        std::mem::take(&mut self.stirred)
    }
}

/// The outsider of this name, if it is still there.
fn outsider(outsiders: &mut slab::Slab<Outsider>, name: Publisher) -> Option<&mut Outsider> {
    outsiders
        .get_mut((name.member & !OUTSIDER) as usize)
        .filter(|outsider| outsider.serial == name.serial)
}

const _: () = assert!(credit::MESSAGES < HOME, "never as many words are owed as workers");
