//! Owns [`History`]: what the server has said of itself, second by second, and what it did in between.

use std::collections::VecDeque;
use std::time::Instant;

use crate::daemon::ask::Status;

/// How far back: more columns than a terminal has.
const MOST: usize = 600;

/// The last answers.
#[derive(Debug, Default)]
pub(super) struct History {
    last: Option<(Instant, Status)>,
    seconds: VecDeque<Second>,
}

/// What happened between two answers, for each second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Second {
    /// At the end of it.
    pub(super) connections: f64,
    /// Handshakes that became connections.
    pub(super) opened: f64,
    pub(super) messages_in: f64,
    pub(super) messages_out: f64,
    pub(super) bytes_in: f64,
    pub(super) bytes_out: f64,
    /// How long 99 of 100 deliveries took at most, in seconds; 0 where there were none.
    pub(super) fanout: f64,
    /// At the end of it, in bytes.
    pub(super) queued: f64,
}

impl History {
    /// Adds an answer of this moment. One of another process begins anew.
    pub(super) fn add(&mut self, at: Instant, status: Status) {
        match self.last.take() {
            Some((before, old)) if old.pid == status.pid => {
                let seconds = at.duration_since(before).as_secs_f64().max(0.001);
                self.seconds.push_back(second(&old, &status, seconds));
                if self.seconds.len() > MOST {
                    self.seconds.pop_front();
                }
            }
            _ => self.seconds.clear(),
        }
        self.last = Some((at, status));
    }

    /// The last answer.
    pub(super) fn status(&self) -> Option<&Status> {
        self.last.as_ref().map(|(_, status)| status)
    }

    /// What happened before it.
    pub(super) fn last_second(&self) -> Second {
        self.seconds.back().copied().unwrap_or_default()
    }

    /// One figure of each second, the oldest first.
    pub(super) fn figures(&self, figure: fn(&Second) -> f64) -> Vec<f64> {
        self.seconds.iter().map(figure).collect()
    }
}

fn second(old: &Status, new: &Status, seconds: f64) -> Second {
    let rate =
        |figure: fn(&Status) -> u64| figure(new).saturating_sub(figure(old)) as f64 / seconds;
    let counts = new.fanout.counts.iter().zip(&old.fanout.counts);
    let counts: Vec<u64> = counts.map(|(new, old)| new.saturating_sub(*old)).collect();
    Second {
        connections: new.connections as f64,
        opened: rate(|status| status.connections_opened),
        messages_in: rate(|status| status.messages_in),
        messages_out: rate(|status| status.messages_out),
        bytes_in: rate(|status| status.bytes_in),
        bytes_out: rate(|status| status.bytes_out),
        fanout: quantile(0.99, &new.fanout.bounds_seconds, &counts),
        queued: new.queued_bytes as f64,
    }
}

/// What so large a part of the things does not exceed, taken to lie evenly in their bucket; 0 without any. The last
/// bucket has no end, so what lies there is told as its beginning.
fn quantile(part: f64, bounds: &[f64], counts: &[u64]) -> f64 {
    let wanted = counts.iter().sum::<u64>() as f64 * part;
    let (mut below, mut begin) = (0.0, 0.0);
    for (index, count) in counts.iter().enumerate() {
        let end = bounds.get(index).copied().unwrap_or(begin);
        let count = *count as f64;
        if count > 0.0 && below + count >= wanted {
            return begin + (end - begin) * (wanted - below) / count;
        }
        (below, begin) = (below + count, end);
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_lies_in_its_bucket() {
        let bounds = [0.1, 0.2];
        assert_eq!(quantile(0.99, &bounds, &[0, 0, 0]), 0.0);
        assert_eq!(quantile(0.5, &bounds, &[10, 0, 0]), 0.05);
        assert!((quantile(0.99, &bounds, &[0, 100, 0]) - 0.199).abs() < 1e-9);
        assert_eq!(quantile(0.99, &bounds, &[0, 0, 7]), 0.2);
        assert_eq!(quantile(0.99, &[], &[]), 0.0);
    }
}
