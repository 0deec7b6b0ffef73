//! Members that leave: at once if they have few channels, else some channels a turn, so that a token of thousands of
//! channels holds up nobody when its connection ends, and hundreds of them neither.

use super::member::Subscription;
use super::{Hub, MemberKey};

/// Channels of a member that leaves at once.
const AT_ONCE: usize = if cfg!(test) { 2 } else { 64 };
/// Channels that are left in a turn by all others together: some 0.2 ms.
const A_TURN: usize = 1024;

/// A member that is leaving.
#[derive(Debug)]
pub(super) struct Leaving {
    key: MemberKey,
    /// How many of the channels that it reads it has yet to leave: the first of them.
    reads: usize,
    /// How many of those that it may write.
    writes: usize,
}

impl Hub {
    /// Takes a member out, with what waits for it. Nothing reaches it from now on. Effects may still name its key, which
    /// is not used again before it has left all of its channels.
    pub fn leave(&mut self, key: MemberKey) {
        let member = &mut self.members[key as usize];
        // Sealed, so that no delivery is put there and none counts as one that has reached it.
        let queue = std::mem::take(&mut member.queue);
        member.queue.seal();
        member.dirty = false;
        self.queued -= queue.bytes();
        self.queued_for_closing -= queue.discardable();
        let (reads, writes) = (member.reads.len(), member.writes.len());
        queue.recycle(&mut self.rings);
        let mut leaving = Leaving { key, reads, writes };
        if reads + writes <= AT_ONCE {
            self.leave_channels(&mut leaving, AT_ONCE);
        } else {
            self.leaving.push_back(leaving);
        }
    }

    /// Goes on with those that are leaving; called at the end of each turn.
    pub(super) fn go_on_leaving(&mut self) {
        let mut left = A_TURN;
        while left > 0
            && let Some(mut leaving) = self.leaving.pop_front()
        {
            left -= self.leave_channels(&mut leaving, left);
            if leaving.reads + leaving.writes > 0 {
                self.leaving.push_front(leaving);
            }
        }
    }

    /// Whether some members are still leaving, for which turns have to be ended.
    pub fn has_leaving(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// Has a member leave so many channels at most; how many it has left. With the last it is gone.
    fn leave_channels(&mut self, leaving: &mut Leaving, most: usize) -> usize {
        let Leaving { key, reads, writes } = leaving;
        let mut done = 0;
        while done < most && *reads + *writes > 0 {
            let member = &self.members[*key as usize];
            if *reads > 0 {
                *reads -= 1;
                let subscription = member.reads[*reads];
                self.unsubscribe(subscription);
            } else {
                *writes -= 1;
                let channel = member.writes[*writes];
                self.channels[channel as usize].writers -= 1;
                self.forget_if_idle(channel);
            }
            done += 1;
        }
        if *reads + *writes == 0 {
            let member = self.members.remove(*key as usize);
            self.granted -= member.lists();
        }
        done
    }

    fn unsubscribe(&mut self, subscription: Subscription) {
        let channel = &mut self.channels[subscription.channel as usize];
        let position = subscription.position as usize;
        channel.readers.swap_remove(position);
        if let Some(moved) = channel.readers.get(position) {
            let reads = &mut self.members[moved.member as usize].reads;
            reads[moved.slot as usize].position = subscription.position;
        }
        if channel.readers.len() * 4 < channel.readers.capacity() {
            let before = channel.readers_memory();
            channel.readers.shrink_to(channel.readers.len() * 2);
            self.granted -= before - channel.readers_memory();
        }
        if channel.readers.is_empty() && channel.home != self.me {
            self.outbox[channel.home.index()].push(super::Mail::Leave(channel.name.clone()));
        }
        self.forget_if_idle(subscription.channel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::mail::{Mail, WorkerId};
    use crate::hub::placement::Placement;
    use crate::protocol::Publish;

    fn names(range: std::ops::Range<usize>) -> Vec<Box<str>> {
        range.map(|number| format!("channel {number}").into()).collect()
    }

    #[test]
    fn members_of_thousands_of_channels_leave_some_of_them_a_turn() {
        let mut hub = Hub::new(WorkerId(0), Placement::new(1));
        let leavers: Vec<MemberKey> = (0..3)
            .map(|number| hub.open(&names(number * 5000..number * 5000 + 4096), &names(0..4096)))
            .collect();
        let stays = hub.open(&names(4000..4096), &names(4000..4096));
        let all = hub.channels();
        for key in &leavers {
            hub.leave(*key);
        }
        assert_eq!(hub.channels(), all, "nothing is done at once");
        let (mut turns, mut before) = (0, all);
        while hub.has_leaving() {
            let message = Publish { channel: "channel 4000".into(), data: b"\"x\"" };
            hub.publish(stays, "i", &message).expect("granted");
            hub.settle();
            assert!(before - hub.channels() <= A_TURN, "{} in a turn", before - hub.channels());
            before = hub.channels();
            turns += 1;
        }
        assert!(turns >= 3 * 2 * 4096 / A_TURN, "{turns} turns");
        assert_eq!((hub.channels(), hub.members(), hub.delivered()), (96, 1, 0));
        // Its keys are free again, and a new member receives what is published then.
        let again = hub.open(&names(4000..4001), &[]);
        assert!(leavers.contains(&again));
        hub.publish(stays, "i", &Publish { channel: "channel 4000".into(), data: b"\"x\"" })
            .expect("granted");
        hub.settle();
        assert_eq!(hub.queue(again).messages(), 1);
    }

    #[test]
    fn what_channels_take_counts_and_goes_with_them() {
        let placement = Placement::new(2);
        let mut hubs = [0, 1].map(|number| Hub::new(WorkerId(number), placement.clone()));
        let stays = hubs[0].open(&names(0..4), &names(0..4));
        let settle = |hubs: &mut [Hub; 2]| loop {
            hubs.iter_mut().for_each(Hub::settle);
            let [one, other] = hubs;
            let there = std::mem::take(one.outbox(WorkerId(1)));
            let back = std::mem::take(other.outbox(WorkerId(0)));
            if there.is_empty() && back.is_empty() && !one.has_leaving() && !other.has_leaving() {
                return;
            }
            there.into_iter().for_each(|mail| other.take(WorkerId(0), mail));
            back.into_iter().for_each(|mail| one.take(WorkerId(1), mail));
        };
        settle(&mut hubs);
        let memory = |hubs: &[Hub; 2]| hubs.iter().map(Hub::channel_memory).sum::<usize>();
        let before = memory(&hubs);
        let members: Vec<MemberKey> = (0..20)
            .map(|number| {
                let names = names(number * 5000..number * 5000 + 4096);
                hubs[1].open(&names, &names)
            })
            .collect();
        settle(&mut hubs);
        // At least the names twice, and eight bytes for each list that it stands in.
        let least = 20 * 4096 * (2 * 32 + 2 * 8);
        assert!(memory(&hubs) - before > least, "{} bytes", memory(&hubs) - before);
        members.into_iter().for_each(|key| hubs[1].leave(key));
        settle(&mut hubs);
        assert!(memory(&hubs) < before + (100 << 10), "{} bytes stay", memory(&hubs) - before);
        assert_eq!(hubs[0].grants(stays), (4, 4));
        hubs[0].leave(stays);
        settle(&mut hubs);
        assert_eq!(hubs.map(|hub| hub.granted), [0, 0]);
    }

    #[test]
    fn a_storm_of_handshakes_on_one_channel_leaves_nothing_behind_while_its_home_says_nothing() {
        let placement = Placement::new(2);
        let mut hub = Hub::new(WorkerId(0), placement);
        let name = (0..)
            .map(|number| format!("channel {number}"))
            .find(|name| hub.home(name) == WorkerId(1))
            .expect("one of them is at home there");
        let name: Box<str> = name.into();
        let first = hub.open(std::slice::from_ref(&name), &[]);
        for _ in 0..10_000 {
            let key = hub.open(std::slice::from_ref(&name), &[]);
            assert!(!hub.is_open(key));
            hub.leave(key);
            let waiting = hub.channels.iter().map(|(_, channel)| channel.waiting.len()).max();
            assert!(waiting <= Some(70), "{waiting:?} wait");
        }
        let last = hub.open(std::slice::from_ref(&name), &[]);
        hub.take(WorkerId(1), Mail::Subscribed((*name).into()));
        assert!(hub.is_open(first) && hub.is_open(last));
        let mut opened = hub.take_opened();
        opened.sort_unstable();
        assert_eq!(opened, [first, last]);
    }
}
