//! What the service manager hears, datagram by datagram (sd_notify(3)).

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::server::{Server, Setup, file};
use crate::support::stuck::{Held, can_hold};

/// The next datagram that is not just a status renewed, as its lines.
fn told(server: &Server) -> Vec<String> {
    loop {
        let lines: Vec<String> = server.notice().lines().map(str::to_owned).collect();
        if lines.len() > 1 || !lines[0].starts_with("STATUS=") {
            return lines;
        }
    }
}

#[test]
fn a_reload_is_told_in_one_datagram_and_its_end_in_another_whatever_came_of_it() {
    let server = Setup::of_file(&file(&[])).start();
    for (config, came_of_it) in [("limits.max_connections = 7", false), ("no = toml = 1", true)] {
        server.reconfigure(&file(&[config]));
        server.signal(Signal::HUP);
        let begun = told(&server);
        assert_eq!(begun.len(), 3, "{begun:?}");
        assert_eq!((&*begun[0], &*begun[2]), ("RELOADING=1", "STATUS=reloading"));
        let clock = begun[1].strip_prefix("MONOTONIC_USEC=").expect("the clock");
        assert!(clock.parse::<u64>().is_ok_and(|now| now > 0), "{clock}");
        let ended = told(&server);
        assert_eq!((ended.len(), &*ended[0]), (2, "READY=1"), "{ended:?}");
        assert!(ended[1].starts_with("STATUS=listening on 127.0.0.1:"), "{ended:?}");
        assert_eq!(ended[1].contains("the last reload failed: "), came_of_it, "{ended:?}");
    }
}

#[test]
fn a_stop_is_told_first_and_asks_for_more_time_each_second() {
    let server = Server::with("websocket.close_timeout = \"2500ms\"");
    let mute = server.subscriber(&["c"]);
    server.signal(Signal::TERM);
    assert_eq!(told(&server), ["STOPPING=1", "STATUS=draining"]);
    let begun = Instant::now();
    let mut asked = 0;
    while asked < 3 {
        let lines = told(&server);
        assert!(lines[0].starts_with("EXTEND_TIMEOUT_USEC="), "{lines:?}");
        asked += 1;
    }
    assert!(begun.elapsed() > Duration::from_millis(900), "one a second, the first at once");
    drop(mute);
}

#[test]
fn the_status_is_renewed_with_figures() {
    let server = Server::start();
    let _open = server.subscriber(&["c"]);
    loop {
        let status = server.notice();
        if status.contains("connections: 1, channels: 1, messages a second: ") {
            break;
        }
        assert!(status.starts_with("STATUS=listening on "), "{status}");
    }
}

#[test]
fn the_watchdog_is_fed_only_while_every_worker_turns() {
    if !can_hold() {
        return;
    }
    // Looked at each 1.25 seconds.
    let server = Setup::new("").environment("WATCHDOG_USEC", "5000000").start();
    let is_fed_within = |limit: Duration| {
        let begun = Instant::now();
        while let Some(left) = limit.checked_sub(begun.elapsed()) {
            match server.notice_within(left) {
                Some(told) if told.contains("WATCHDOG=1") => return true,
                _ => {}
            }
        }
        false
    };
    assert!(is_fed_within(Duration::from_secs(5)));
    let held = Held::workers(&server, &[1]);
    // One look may fall on a beat from before.
    is_fed_within(Duration::from_millis(2500));
    assert!(!is_fed_within(Duration::from_secs(4)), "fed while a worker stands still");
    drop(held);
    assert!(is_fed_within(Duration::from_secs(5)), "fed again when it turns");
}
