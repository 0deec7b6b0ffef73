//! What one connection may do in a turn, counted in bytes, frames and steps.

use std::cell::Cell;
use std::io::{ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::task::Waker;

use super::super::client_frame::masked;
use super::super::relay::Relay;
use super::super::tests::{Alone, run_local, sockets};
use super::super::{Application, MESSAGES_OF_A_TURN, STEPS_A_TURN, STEPS_OF_A_TURN};
use super::*;
use crate::config::Config;

const TEXT: u8 = 0x81;

/// Relays, and adds up the steps that this takes.
#[derive(Default)]
struct Counting {
    relay: Relay,
    steps: Rc<Cell<usize>>,
}

impl Application for Counting {
    fn message(
        &self,
        all: &Connections,
        connection: &Connection,
        text: bool,
        payload: &[u8],
        work: Work<'_>,
    ) -> Result<Progress, CloseReason> {
        let Work { steps, parser } = work;
        let before = *steps;
        let progress = self.relay.message(all, connection, text, payload, Work { steps, parser });
        self.steps.set(self.steps.get() + before - *steps);
        progress
    }
}

/// A connection without a task, whose turns the test takes.
struct Driven {
    alone: Alone,
    connection: Connection,
    peer: UnixStream,
    unsent: Vec<u8>,
    steps: Rc<Cell<usize>>,
    /// The worker's turn goes on: others are still to come.
    same_turn: bool,
}

/// What was done in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Done {
    bytes: usize,
    messages: usize,
    steps: usize,
}

impl Driven {
    fn new(config: &Config, sends: Vec<u8>) -> Driven {
        let steps = Rc::default();
        let application = Counting { steps: Rc::clone(&steps), ..Counting::default() };
        let alone = Alone::with(1, config, Box::new(application));
        let (socket, peer) = sockets();
        // Never dropped, so that its member stays.
        let reservation = std::mem::ManuallyDrop::new(alone.reserve(&[], &["c"]));
        let connection = Connection::new(reservation.key(), alone.identity(), socket, &[]);
        Driven { alone, connection, peer, unsent: sends, steps, same_turn: false }
    }

    /// Has the peer send what its socket takes, and the connection take its turn.
    async fn turn(&mut self) -> Done {
        while !self.unsent.is_empty() {
            match self.peer.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        // So that the runtime looks at the sockets.
        tokio::task::yield_now().await;
        let counters = &self.alone.all.counters;
        let so_far = || Done {
            bytes: self.connection.bytes_in.get() as usize,
            messages: counters.messages_in.get() as usize,
            steps: self.steps.get(),
        };
        let before = so_far();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(self.connection.turn(&self.alone.all, &mut cx).is_pending(), "it is over");
        let after = so_far();
        if !self.same_turn {
            self.alone.end_turn();
        }
        Done {
            bytes: after.bytes - before.bytes,
            messages: after.messages - before.messages,
            steps: after.steps - before.steps,
        }
    }

    /// Takes turns until so many messages have been taken; the most that was done in one of each, and in how many.
    async fn until(&mut self, messages: u64) -> (Done, usize) {
        let (mut most, mut turns) = (Done { bytes: 0, messages: 0, steps: 0 }, 0);
        let taken = |all: &Connections, connection: &Connection| {
            all.counters.messages_in.get() == messages && connection.inbound.borrow().held() == 0
        };
        while !taken(&self.alone.all, &self.connection) {
            let done = self.turn().await;
            most.bytes = most.bytes.max(done.bytes);
            most.messages = most.messages.max(done.messages);
            most.steps = most.steps.max(done.steps);
            turns += 1;
            assert!(turns < 100_000, "{} messages", self.alone.all.counters.messages_in.get());
        }
        (most, turns)
    }
}

/// A message of so many bytes, of which `part` is the most.
fn message(part: &str, length: usize) -> Vec<u8> {
    let inner = part.repeat(length / part.len());
    format!("{{{}}}", inner.trim_end_matches(',')).into_bytes()
}

#[test]
fn a_turn_reads_no_more_than_its_budget_whatever_its_buffer_has_held_before() {
    run_local(async {
        let long = format!(r#"{{"channel":"c","data":"{}"}}"#, "x".repeat(1_000_000));
        let sends = masked(TEXT, long.as_bytes(), [1, 2, 3, 4]).repeat(4);
        let all = sends.len();
        let mut driven = Driven::new(&Config::default(), sends);
        let (most, turns) = driven.until(4).await;
        assert!(most.bytes <= BYTES_A_TURN, "{most:?}");
        assert!(turns >= all / BYTES_A_TURN, "{turns} turns for {all} bytes");
    });
}

#[test]
fn a_message_that_is_slow_to_read_takes_many_turns_and_no_more_of_each_than_others() {
    run_local(async {
        let slow = [r#""\n":0,"#, r#""x":[],"#, r#""channel":"\ud800","#];
        for part in slow {
            let slow = message(part, 1_000_000);
            let mut sends = masked(TEXT, &slow, [9, 0, 7, 1]).repeat(2);
            sends.extend(masked(TEXT, br#"{"channel":"c","data":"last"}"#, [0; 4]));
            let mut driven = Driven::new(&Config::default(), sends);
            let listener = driven.alone.reserve(&["c"], &[]);
            let (most, turns) = driven.until(3).await;
            assert!(
                most.steps <= STEPS_OF_A_TURN && most.bytes <= BYTES_A_TURN,
                "{part}: {most:?}"
            );
            let all = driven.steps.get();
            assert!(
                turns >= all / STEPS_OF_A_TURN && all > 4 * STEPS_OF_A_TURN,
                "{turns} for {all}"
            );
            assert!(driven.connection.is_open(), "{part}");
            let heard = driven.alone.all.hub.borrow().queue(listener.key()).messages();
            assert_eq!(heard, 1, "{part}: what stands behind it is taken too");
        }
    });
}

#[test]
fn of_many_who_send_what_is_slow_to_read_only_the_first_has_much_of_a_turn() {
    run_local(async {
        let slow = masked(TEXT, &message(r#""\n":0,"#, 1_000_000), [5; 4]);
        let mut driven = Driven::new(&Config::default(), slow);
        while driven.connection.inbound.borrow().reading.is_none() {
            driven.turn().await;
        }
        driven.same_turn = true;
        assert_eq!(driven.turn().await.steps, STEPS_OF_A_TURN);
        // Whoever comes after it in the same turn.
        for _ in 0..10 {
            assert_eq!(driven.turn().await.steps, STEPS_A_TURN);
        }
        driven.alone.end_turn();
        assert_eq!(driven.turn().await.steps, STEPS_OF_A_TURN);
    });
}

#[test]
fn a_slow_message_that_is_none_is_refused_as_ever_and_one_under_way_at_a_close_is_given_up() {
    run_local(async {
        let mut bad = message(r#""\n":0,"#, 500_000);
        bad.pop();
        let mut driven = Driven::new(&Config::default(), masked(TEXT, &bad, [3; 4]));
        while driven.connection.is_open() {
            driven.turn().await;
        }
        assert_eq!(driven.connection.phase.get(), Phase::Discarding);

        let slow = message(r#""\n":0,"#, 500_000);
        let mut driven = Driven::new(&Config::default(), masked(TEXT, &slow, [3; 4]));
        while driven.connection.inbound.borrow().reading.is_none() {
            driven.turn().await;
        }
        driven.connection.close(&driven.alone.all, CloseReason::TooFast);
        let before = driven.steps.get();
        while driven.connection.inbound.borrow().reading.is_some() {
            driven.turn().await;
        }
        let after = driven.steps.get();
        match driven.connection.phase.get() {
            Phase::Closing => assert!(after > before, "what was under way still counts"),
            _ => assert_eq!(after, before, "nothing of it is read any more"),
        }
    });
}

#[test]
fn fragments_count_against_the_rate_of_messages_sixteen_frames_as_one() {
    run_local(async {
        let mut config = Config::default();
        config.limits.messages_per_second = Some(10);
        // Nine messages of sixteen frames each are as many messages.
        let mut frames = Vec::new();
        for _ in 0..9 {
            frames.extend(masked(0x01, b"{", [0; 4]));
            frames.extend(masked(0x00, b" ", [0; 4]).repeat(14));
            frames.extend(masked(0x80, b"}", [0; 4]));
        }
        let mut driven = Driven::new(&config, frames);
        let (_, turns) = driven.until(9).await;
        assert!(turns > 0 && !driven.connection.is_held_up());

        // Frames without end, of one message: after a burst of ten times sixteen it is held up.
        let mut frames = masked(0x01, b"", [0; 4]);
        frames.extend(masked(0x00, b"", [0; 4]).repeat(10_000));
        let size = masked(0x00, b"", [0; 4]).len();
        let mut driven = Driven::new(&config, frames);
        for _ in 0..100 {
            driven.turn().await;
        }
        let waits = driven.connection.inbound.borrow().held();
        let taken = (driven.connection.bytes_in.get() as usize - waits) / size;
        assert!(driven.connection.is_held_up(), "{taken} frames were taken");
        // Some come by while the test takes its time.
        assert!((160..1_000).contains(&taken), "{taken} frames were taken");
    });
}

#[test]
fn a_turn_takes_a_number_of_frames_whatever_they_are() {
    run_local(async {
        let frames = masked(0x8a, b"", [0; 4]).repeat(20_000);
        let size = masked(0x8a, b"", [0; 4]).len();
        let mut driven = Driven::new(&Config::default(), frames);
        let mut before = 0;
        loop {
            driven.turn().await;
            let waits = driven.connection.inbound.borrow().held();
            let taken = (driven.connection.bytes_in.get() as usize - waits) / size;
            assert!(taken - before <= MESSAGES_OF_A_TURN, "{} in one turn", taken - before);
            before = taken;
            if taken == 20_000 {
                break;
            }
        }
    });
}
