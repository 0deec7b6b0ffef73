//! How much of a request with many messages is done in one turn.

use std::cell::Cell;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::auth::{Algorithm, Claims, sign};
use crate::config::Config;
use crate::connection::relay::Relay;
use crate::connection::{Connections, Settings};
use crate::counters::Counters;
use crate::http::front::Shared;
use crate::http::rules::Rules;
use crate::http::{handshake, inquiry};
use crate::hub::Hub;
use crate::hub::mail::WorkerId;
use crate::hub::placement::Placement;

fn front() -> std::rc::Rc<Front> {
    let config = Config::default();
    let shared = Arc::new(Shared::new(1));
    let counters: Arc<[Arc<Counters>]> = shared.counters.clone();
    let hub = Hub::new(WorkerId(0), Placement::new(1));
    let settings = Settings::from(&config);
    let all = Connections::new(hub, WorkerId(0), counters, settings, Box::<Relay>::default());
    Front::new(all, shared, inquiry::lines(1).0, Arc::new(Rules::from(&config)))
}

/// What a future comes to, and for each of its turns how much `done` grew.
fn turns<T>(future: impl Future<Output = T>, done: impl Fn() -> usize) -> (T, Vec<usize>) {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    let mut turns = Vec::new();
    loop {
        let before = done();
        let polled = future.as_mut().poll(&mut cx);
        turns.push(done() - before);
        if let Poll::Ready(result) = polled {
            return (result, turns);
        }
    }
}

/// A body of so many messages, each for another channel.
fn body(count: usize) -> String {
    (0..count).map(|number| format!("{{\"channel\":\"{number}\"}}\n")).collect()
}

#[test]
fn the_messages_of_a_request_are_read_judged_and_reported_some_a_turn() {
    let front = front();
    let count = items::MOST;
    let body = body(count);
    let (parsed, reading) = turns(items::parse(body.as_bytes(), true), || 0);
    let (form, items) = parsed.expect("messages");
    assert!(reading.len() >= count / A_TURN, "read in {} turns", reading.len());

    let looked_up = Cell::new(0);
    let may_write = |channel: &str| {
        looked_up.set(looked_up.get() + 1);
        channel.ends_with('7')
    };
    let (outcomes, judging) = turns(judge(&front, &items, may_write), || looked_up.get());
    assert_eq!(looked_up.get(), count);
    assert!(judging.iter().all(|turn| *turn <= A_TURN), "{judging:?}");
    let taken = outcomes.iter().filter(|outcome| **outcome == Outcome::Taken).count();
    assert_eq!(taken, count / 10);

    let (_, reporting) = turns(report(form, &outcomes, &vec![0; taken]), || 0);
    assert!(reporting.len() >= count / A_TURN, "reported in {} turns", reporting.len());
    let ids: Vec<Uuid> = (0..count).map(|_| Uuid::new_v4()).collect();
    let (found, looking) = turns(front.connections.publishers(&ids), || 0);
    assert!(found.is_empty() && looking.len() >= count / 512, "{} turns", looking.len());
}

#[test]
fn a_channel_is_looked_up_among_those_that_are_granted() {
    let granted = |names: Vec<String>| {
        let claims = Claims { read: vec!["r".into()], write: names, ..Claims::default() };
        let token = sign(&claims, b"", Algorithm::Hs256).expect("signed");
        Rights::Granted(handshake::granted(&front(), &token).expect("a good token"))
    };
    let rights = granted((0..4096).map(|number| format!("c{number}")).collect());
    let writes = rights.writes();
    for (channel, is) in
        [("c0", true), ("c4095", true), ("c4096", false), ("r", false), ("", false)]
    {
        assert_eq!(writes.contains(channel), is, "{channel}");
    }
    assert!(granted(vec![String::new()]).writes().contains(""));
    assert!(Rights::All.writes().contains("anything"));
}
