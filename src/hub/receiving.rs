//! Mail from other workers: subscriptions, messages that want their place in an order, deliveries, answers.

use super::mail::{Answer, Mail, Owed, Publisher, Wanted, WorkerId, WorkerSet};
use super::{Hub, batch, credit};

impl Hub {
    /// Takes one piece of mail from another worker.
    pub fn take(&mut self, from: WorkerId, mail: Mail) {
        match mail {
            Mail::Subscribe(name) => {
                let key = self.channel(&name);
                self.channels[key as usize].interested.insert(from);
                self.outbox[from.index()].push(Mail::Subscribed(name));
            }
            Mail::Leave(name) => {
                if let Some(key) = self.names.get(&name).copied() {
                    self.channels[key as usize].interested.remove(from);
                    self.forget_if_idle(key);
                }
            }
            Mail::Subscribed(name) => self.confirmed(&name),
            Mail::Publish { channel, publisher, wanted, frames, messages, since } => {
                self.reach_back_to(since);
                self.in_mail -= frames.len() as i64;
                self.sequence(&channel, publisher, wanted, frames, messages);
            }
            Mail::Deliver { channel, delivery } => {
                self.reach_back_to(delivery.since);
                let key = self.names.get(&channel).copied();
                self.tell_reached(key, &delivery, None);
                if let Some(key) = key {
                    self.deliver(key, &delivery);
                }
                let bytes = delivery.frames.len();
                let outbox = &mut self.outbox[from.index()];
                match outbox.last_mut() {
                    Some(Mail::Taken(sum)) => *sum += bytes,
                    _ => outbox.push(Mail::Taken(bytes)),
                }
            }
            Mail::Taken(bytes) => self.caught_up(from, bytes),
            Mail::Answer(answer) => self.answered(answer),
            Mail::Receipt(receipt) => self.told(&receipt),
        }
    }

    fn confirmed(&mut self, name: &str) {
        let Some(key) = self.names.get(name).copied() else { return };
        let channel = &mut self.channels[key as usize];
        channel.unanswered = channel.unanswered.saturating_sub(1);
        if channel.unanswered > 0 {
            return;
        }
        for (waiting, serial) in std::mem::take(&mut channel.waiting) {
            // Others have left meanwhile.
            if let Some(member) = self.members.get_mut(waiting as usize)
                && member.serial == serial
            {
                member.opening -= 1;
                if member.opening == 0 {
                    self.opened.push(waiting);
                }
            }
        }
        self.forget_if_idle(key);
    }

    /// Gives frames from another worker their place in their channel's order.
    fn sequence(
        &mut self,
        name: &str,
        publisher: Publisher,
        wanted: Option<Box<Wanted>>,
        frames: Vec<u8>,
        messages: u32,
    ) {
        let bytes = frames.len() as u32;
        let left_out = wanted.as_ref().map_or(publisher, |wanted| wanted.left_out);
        let owed = wanted.map(|wanted| {
            let Wanted { left_out, first } = *wanted;
            Owed { to: publisher, left_out, first, messages }
        });
        let answer = Answer { publisher, messages, bytes };
        let mut waits_for = WorkerSet::default();
        let known = self.names.get(name).copied();
        let heard = known.filter(|key| self.channels[*key as usize].is_heard());
        if let Some(key) = heard {
            let channel = &mut self.channels[key as usize];
            if channel.interested.intersects(self.behind) {
                waits_for = channel.interested;
            }
            if !channel.listed {
                channel.listed = true;
                self.batches.push(key);
            }
            channel.batch.extend(left_out, frames, messages);
            if let Some(owed) = owed {
                channel.batch.owe(owed);
            }
            if channel.batch.len() >= batch::LARGEST {
                self.close_batch(key);
            }
        } else if let Some(owed) = owed {
            self.tell(owed, 0, Some(0));
        }
        if waits_for.is_empty() {
            self.answer(answer);
        } else {
            hold(&mut self.held, waits_for, answer);
        }
    }

    fn answer(&mut self, answer: Answer) {
        if answer.publisher.worker == self.me {
            self.answered(answer);
            return;
        }
        let outbox = &mut self.outbox[answer.publisher.worker.index()];
        match outbox.last_mut() {
            Some(Mail::Answer(last)) if last.publisher == answer.publisher => {
                last.messages += answer.messages;
                last.bytes += answer.bytes;
            }
            _ => outbox.push(Mail::Answer(answer)),
        }
    }

    fn answered(&mut self, answer: Answer) {
        if self.answered_outside(answer) {
            return;
        }
        let Publisher { member: key, serial, .. } = answer.publisher;
        if let Some(member) = self.members.get_mut(key as usize)
            && member.serial == serial
            && member.unanswered.subtract(answer.messages, answer.bytes)
        {
            self.credited.push(key);
        }
    }

    fn caught_up(&mut self, worker: WorkerId, bytes: usize) {
        let mailed = &mut self.mailed[worker.index()];
        *mailed = mailed.saturating_sub(bytes);
        // Nobody waits for a worker that is not behind.
        if *mailed > credit::WINDOW / 2 || !self.behind.contains(worker) {
            return;
        }
        self.behind.remove(worker);
        let behind = self.behind;
        let (waiting, free): (Vec<_>, Vec<_>) = std::mem::take(&mut self.held)
            .into_iter()
            .partition(|(workers, _)| workers.intersects(behind));
        self.held = waiting;
        for (_, answer) in free {
            self.answer(answer);
        }
    }
}

/// Withholds an answer, or adds it to the one of the same publisher that is withheld already.
pub(super) fn hold(held: &mut Vec<(WorkerSet, Answer)>, workers: WorkerSet, answer: Answer) {
    match held.last_mut() {
        Some((same, last)) if *same == workers && last.publisher == answer.publisher => {
            last.messages += answer.messages;
            last.bytes += answer.bytes;
        }
        _ => held.push((workers, answer)),
    }
}
