//! How busy channels are: messages of the second that runs and of the last whole one, counted at a channel's home,
//! once a batch. Seconds are numbered by whoever drives the hub; here is no clock.

use slab::Slab;

use super::channel::{Channel, ChannelKey};

/// What a channel's batches brought of late.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    /// The second in which it last had a batch.
    second: u32,
    /// Messages in that second.
    messages: u32,
    /// Messages in the second before it.
    before: u32,
}

/// The channels of a hub that have had a batch of late.
#[derive(Debug)]
pub(super) struct Busy {
    second: u32,
    /// Those of this second, each once.
    now: Vec<ChannelKey>,
    /// Those of the second before. Some of them may be gone, or others in their place.
    before: Vec<ChannelKey>,
}

/// A channel and how busy it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusyChannel {
    /// Its name.
    pub name: std::sync::Arc<str>,
    /// Messages published on it in the last whole second.
    pub messages: u32,
}

impl Default for Busy {
    /// The first second is not the one that a channel begins with, in which it has had nothing.
    fn default() -> Self {
        Busy { second: 1, now: Vec::new(), before: Vec::new() }
    }
}

impl Busy {
    /// Counts a batch.
    #[inline]
    pub(super) fn count(&mut self, key: ChannelKey, pace: &mut Pace, messages: u32) {
        if pace.second != self.second {
            let before = if pace.second.wrapping_add(1) == self.second { pace.messages } else { 0 };
            *pace = Pace { second: self.second, messages: 0, before };
            self.now.push(key);
        }
        pace.messages = pace.messages.saturating_add(messages);
    }

    /// The next second begins.
    pub(super) fn turn(&mut self) {
        self.second = self.second.wrapping_add(1);
        std::mem::swap(&mut self.now, &mut self.before);
        self.now.clear();
        // What a burst has grown is given back.
        self.now.shrink_to(self.before.len());
    }

    /// The busiest of the last whole second, the busiest first.
    pub(super) fn busiest(&self, channels: &Slab<Box<Channel>>, most: usize) -> Vec<BusyChannel> {
        let last = self.second.wrapping_sub(1);
        let messages = |pace: &Pace| match pace.second {
            second if second == self.second => pace.before,
            second if second == last => pace.messages,
            _ => 0,
        };
        let known = self.before.iter().filter_map(|key| channels.get(*key as usize));
        let mut busy: Vec<(u32, &Channel)> = known
            .map(|channel| (messages(&channel.pace), &**channel))
            .filter(|(n, _)| *n > 0)
            .collect();
        let order = |one: &(u32, &Channel), other: &(u32, &Channel)| {
            other.0.cmp(&one.0).then_with(|| one.1.name.cmp(&other.1.name))
        };
        if busy.len() > most {
            busy.select_nth_unstable_by(most, order);
            busy.truncate(most);
        }
        busy.sort_unstable_by(order);
        // One that has gone and come again stands in the list twice.
        busy.dedup_by(|one, other| std::ptr::eq(one.1, other.1));
        busy.into_iter()
            .map(|(messages, channel)| BusyChannel { name: channel.name.clone(), messages })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Hub;
    use super::super::mail::WorkerId;
    use super::super::placement::Placement;
    use crate::protocol::Publish;

    fn busiest(hub: &Hub, most: usize) -> Vec<(String, u32)> {
        let busy = hub.busiest(most);
        busy.into_iter().map(|channel| (channel.name.to_string(), channel.messages)).collect()
    }

    #[test]
    fn the_busiest_are_those_of_the_last_whole_second() {
        let mut hub = Hub::new(WorkerId(0), Placement::new(1));
        let names: Vec<Box<str>> = (0..40).map(|n| format!("c{n:02}").into()).collect();
        hub.open(&names, &[]);
        let key = hub.open(&[], &names);
        let publish = |hub: &mut Hub, name: &str, times: u32| {
            for _ in 0..times {
                hub.publish(key, "me", &Publish { channel: name.into(), data: b"1" })
                    .expect("granted");
                hub.settle();
            }
        };
        for n in 0..40 {
            publish(&mut hub, &names[n as usize], n);
        }
        assert!(busiest(&hub, 3).is_empty(), "that second runs still");
        hub.next_second();
        publish(&mut hub, "c01", 50);
        let expected = [("c39".into(), 39), ("c38".into(), 38), ("c37".into(), 37)];
        assert_eq!(busiest(&hub, 3), expected);
        assert_eq!(busiest(&hub, 100).len(), 39, "one has had nothing");
        hub.next_second();
        assert_eq!(busiest(&hub, 3), [("c01".into(), 50)]);
        hub.next_second();
        assert!(busiest(&hub, 3).is_empty());
    }

    #[test]
    fn a_channel_that_has_gone_is_not_among_them_and_whoever_took_its_place_has_its_own_figure() {
        let mut hub = Hub::new(WorkerId(0), Placement::new(1));
        let reader = hub.open(&["a".into()], &[]);
        let writer = hub.open(&[], &["a".into()]);
        hub.publish(writer, "me", &Publish { channel: "a".into(), data: b"1" }).expect("granted");
        hub.settle();
        hub.leave(reader);
        hub.leave(writer);
        hub.open(&["b".into()], &[]);
        hub.next_second();
        assert!(busiest(&hub, 3).is_empty());
    }
}
