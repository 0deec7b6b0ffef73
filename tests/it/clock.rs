//! Clocks that jump. The wall clock is set, forwards and backwards, under a server that runs (libfaketime stands between it
//! and the kernel's wall clock; the monotonic one is the kernel's). And the server is stopped for many times what a ping may
//! take, as a machine is that is suspended.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::client::{Client, Event};
use crate::support::dir::Dir;
use crate::support::frame::{CLOSE, Frame, Out, PING, PONG, TEXT};
use crate::support::server::{Server, Setup};
use crate::support::token::{seconds_from_now, token};
use crate::support::tools::skip;
use crate::support::{PATIENCE, until};

/// Pings so fast that a second is what a minute and a half is with the defaults.
const PINGS: &str = "[websocket]\nping_interval = \"250ms\"\npong_timeout = \"250ms\"\n";
const INTERVAL: Duration = Duration::from_millis(250);
/// Of the second kind of jump: 16 intervals, where the defaults have 25 seconds each.
const SUSPENDED: Duration = Duration::from_secs(4);
/// What a busy machine may add.
const SLACK: Duration = Duration::from_millis(1500);
const HOUR: i64 = 60 * 60;

/// A token that hears `news` until so many seconds from now.
fn until_in(seconds: i64) -> String {
    token(&format!(r#"{{"read":["news"],"exp":{}}}"#, seconds_from_now(seconds)))
}

/// The next frame that is no ping; those are answered.
#[track_caller]
fn frame(client: &mut Client) -> Frame {
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < PATIENCE, "nothing but pings came within {PATIENCE:?}");
        let frame = client.frame();
        if frame.opcode != PING {
            return frame;
        }
        client.send(&Out::new(PONG, frame.payload));
    }
}

#[track_caller]
fn is_closed(client: &mut Client, code: u16) {
    let frame = frame(client);
    assert_eq!((frame.opcode, frame.close().0), (CLOSE, code));
}

#[track_caller]
fn hears(client: &mut Client, data: &str) {
    let frame = frame(client);
    assert_eq!(frame.opcode, TEXT, "{frame:?}");
    let text = String::from_utf8(frame.payload).expect("a text frame in UTF-8");
    assert!(text.contains(&format!("\"data\":\"{data}\"")), "{text}");
}

// The wall clock is set.

/// A wall clock for a server alone.
struct Clock {
    library: PathBuf,
    dir: Dir,
}

impl Clock {
    /// `None`, told and counted, where the library is missing.
    fn new() -> Option<Clock> {
        let of_architecture = format!("{}-linux-gnu", std::env::consts::ARCH);
        let library = Path::new("/usr/lib").join(of_architecture);
        let library = library.join("faketime/libfaketimeMT.so.1");
        if !library.is_file() {
            skip("libfaketime is missing; to install it: apt install libfaketime");
            return None;
        }
        let clock = Clock { library, dir: Dir::new() };
        clock.set(0);
        Some(clock)
    }

    /// Sets it to so many seconds from what is right.
    fn set(&self, offset: i64) {
        let new = self.dir.write("offset.new", &format!("{offset:+}\n"));
        std::fs::rename(new, self.dir.path().join("offset")).expect("the clock is set");
    }

    fn server(&self, config: &str) -> Server {
        let path = |path: &Path| path.display().to_string();
        Setup::new(config)
            .environment("LD_PRELOAD", &path(&self.library))
            .environment("FAKETIME_TIMESTAMP_FILE", &path(&self.dir.path().join("offset")))
            .environment("FAKETIME_NO_CACHE", "1")
            .environment("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .environment("NO_FAKE_STAT", "1")
            // Its sign of life, too.
            .environment("WATCHDOG_USEC", "4000000")
            .start()
    }
}

/// These hear what is published, and no worker was taken for stuck.
#[track_caller]
fn goes_on(server: Server, clients: [Client; 2], data: &str) {
    server.publisher(&["news"]).publish("news", data);
    for mut client in clients {
        hears(&mut client, data);
    }
    let log = server.stop();
    assert!(!log.contains("event=worker_stuck"), "{log}");
}

#[test]
fn a_wall_clock_that_is_set_forwards_ends_the_tokens_that_are_over_by_it_and_no_others() {
    let Some(clock) = Clock::new() else { return };
    let server = clock.server(&format!("{PINGS}[auth]\nclose_at_expiry = true"));
    let mut ending = server.open(&until_in(HOUR / 2));
    let lasting = server.open(&until_in(2 * HOUR));
    let endless = server.subscriber(&["news"]);
    clock.set(HOUR);
    is_closed(&mut ending, 1008);
    // So does a handshake, by the same clock.
    assert_eq!(server.refuses_token(&until_in(HOUR / 2)).status, 401);
    goes_on(server, [lasting, endless], "later");
}

#[test]
fn a_wall_clock_that_is_set_backwards_ends_nobody() {
    let Some(clock) = Clock::new() else { return };
    let server = clock.server(&format!("{PINGS}[auth]\nclose_at_expiry = true"));
    let mut lasting = server.open(&until_in(HOUR));
    let mut endless = server.subscriber(&["news"]);
    let issued_now = token(&format!(r#"{{"read":["news"],"iat":{}}}"#, seconds_from_now(0)));
    server.open(&issued_now).round_trip();
    clock.set(-HOUR);
    // For as many beats of the clock that ends tokens as it takes to be sure, and many pings.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        for client in [&mut lasting, &mut endless] {
            match client.event_within(Duration::from_millis(50)) {
                Some(Event::Frame(frame)) if frame.opcode == PING => {
                    client.send(&Out::new(PONG, frame.payload));
                }
                Some(event) => panic!("{event:?}"),
                None => {}
            }
        }
    }
    // By this clock it was issued in the future.
    assert_eq!(server.refuses_token(&issued_now).status, 401);
    goes_on(server, [lasting, endless], "earlier");
}

#[test]
fn pings_keep_their_pace_whatever_the_wall_clock_is_set_to() {
    let Some(clock) = Clock::new() else { return };
    let server = clock.server(PINGS);
    let mut client = server.subscriber(&["news"]);
    let mut last = None;
    for offset in [0, HOUR, -HOUR, 365 * 24 * HOUR] {
        clock.set(offset);
        for _ in 0..3 {
            let ping = client.frame();
            assert_eq!(ping.opcode, PING, "{ping:?}");
            client.send(&Out::new(PONG, ping.payload));
            let gap = last.replace(Instant::now()).map(|last: Instant| last.elapsed());
            let usual = INTERVAL / 4..INTERVAL + SLACK;
            assert!(gap.is_none_or(|gap| usual.contains(&gap)), "{gap:?} at {offset} seconds");
        }
    }
    assert!(!server.stop().contains("event=worker_stuck"));
}

// The machine is suspended.

/// Sets what it is given when it goes.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Stops the server for some time, in which something happens.
fn suspend(server: &Server, act: impl FnOnce()) {
    server.signal(Signal::STOP);
    let begun = Instant::now();
    act();
    while begun.elapsed() < SUSPENDED {
        std::thread::park_timeout(SUSPENDED.saturating_sub(begun.elapsed()));
    }
    server.signal(Signal::CONT);
}

#[test]
fn whoever_answers_is_there_still_after_the_server_was_suspended_and_has_missed_nothing() {
    let server = Setup::new(PINGS).environment("WATCHDOG_USEC", "4000000").start();
    let (over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let answering: Vec<_> = (0..8).map(|_| server.subscriber(&["news"])).collect();
    let mut silent = server.subscriber(&["other"]);
    let mut publisher = server.publisher(&["news"]);
    std::thread::scope(|scope| {
        // Whatever fails here, the others do not go on for ever.
        let _end = End(&over);
        let hearers: Vec<_> = answering
            .into_iter()
            .map(|mut client| {
                let (over, answered) = (&over, &answered);
                scope.spawn(move || {
                    let mut heard = 0;
                    while !over.load(Relaxed) {
                        let Some(event) = client.event_within(INTERVAL) else { continue };
                        let Event::Frame(frame) = event else { panic!("it was dropped") };
                        match frame.opcode {
                            PING => {
                                client.send(&Out::new(PONG, frame.payload));
                                answered.fetch_add(1, Relaxed);
                            }
                            TEXT => {
                                let text = String::from_utf8_lossy(&frame.payload).into_owned();
                                let data = format!("\"data\":\"{heard}\"");
                                assert!(text.contains(&data), "{text} where {data} was due");
                                heard += 1;
                            }
                            _ => panic!("{frame:?}"),
                        }
                    }
                    heard
                })
            })
            .collect();
        let more = |count: usize| {
            let before = answered.load(Relaxed);
            until("pings are answered", || answered.load(Relaxed) >= before + count);
        };
        // It has answered, so it is missed later.
        assert_eq!(silent.frame().opcode, PING);
        silent.send(&Out::new(PONG, ""));
        more(4 * 8);
        for round in 0..2 {
            suspend(&server, || {
                for number in 0..100 {
                    publisher.publish("news", &(round * 100 + number).to_string());
                }
            });
            more(8 * 8);
        }
        // Who does not answer any more is found all the same.
        until("the silent one is gone", || server.info()["connections"] == 8 + 1);
        over.store(true, Relaxed);
        for hearer in hearers {
            assert_eq!(hearer.join().expect("it was not dropped"), 200);
        }
    });
    // Whoever stands still with all of its workers is not the one that is stuck.
    assert!(!server.log().contains("event=worker_stuck"), "{}", server.log());
}

#[test]
fn a_token_that_expired_while_the_server_was_suspended_ends_at_once_and_one_that_did_not_stays() {
    let server = Server::with(&format!("{PINGS}[auth]\nclose_at_expiry = true"));
    let mut ending = server.open(&until_in(2));
    let mut lasting = server.open(&until_in(HOUR));
    suspend(&server, || {});
    let resumed = Instant::now();
    is_closed(&mut ending, 1008);
    assert!(resumed.elapsed() < PATIENCE / 4, "only after {:?}", resumed.elapsed());
    server.publisher(&["news"]).publish("news", "after");
    hears(&mut lasting, "after");
}
