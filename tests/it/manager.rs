//! What the service manager is told, in which datagrams and in which order, and what exit code it gets.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use rustix::process::Signal;

use crate::support::PATIENCE;
use crate::support::dir::Dir;
use crate::support::frame::Out;
use crate::support::http::{free_port, local};
use crate::support::server::{Ended, Server, Setup, file};
use crate::support::stuck::{Held, can_hold};
use crate::support::token::{SECRET, grant};
use crate::support::tools::skip;
use crate::support::until;

/// A datagram's states, of which it has exactly these.
#[track_caller]
fn states<const N: usize>(datagram: &str, names: [&str; N]) -> [String; N] {
    let states: Vec<_> = datagram
        .lines()
        .map(|line| line.split_once('=').unwrap_or_else(|| panic!("no state: {datagram:?}")))
        .collect();
    let given: Vec<_> = states.iter().map(|(name, _)| *name).collect();
    assert_eq!(given, names, "{datagram:?}");
    std::array::from_fn(|number| states[number].1.to_owned())
}

/// The next datagram that is not a mere status or a sign of life, which may come at any time.
fn turn(server: &Server) -> String {
    loop {
        let datagram = server.notice();
        if !datagram.starts_with("STATUS=") && !datagram.starts_with("WATCHDOG=") {
            return datagram;
        }
    }
}

fn now() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock");
    u64::try_from(Duration::from(now).as_micros()).expect("a machine that has not run for ever")
}

#[test]
fn the_first_datagram_is_readiness_and_comes_when_it_listens() {
    for _ in 0..10 {
        let address = local(free_port());
        let server = Setup::of_file(&file(&[&format!("listen = [\"{address}\"]")])).spawn();
        let [ready, status] = states(&server.notice(), ["READY", "STATUS"]);
        std::net::TcpStream::connect(address).expect("it listens when it says so");
        assert_eq!((ready.as_str(), status), ("1", format!("listening on {address}")));
    }
}

#[test]
fn a_reload_good_or_bad_is_one_datagram_at_its_beginning_and_one_at_its_end() {
    let server = Setup::of_file(&file(&[])).start();
    for round in 0..6 {
        let is_good = round % 2 == 0;
        server.reconfigure(&file(&[if is_good { "log.level = \"info\"" } else { "color = 1" }]));
        let before = now();
        server.signal(Signal::HUP);
        let [reloading, since, status] =
            states(&turn(&server), ["RELOADING", "MONOTONIC_USEC", "STATUS"]);
        assert_eq!((reloading.as_str(), status.as_str()), ("1", "reloading"));
        let since: u64 = since.parse().expect("microseconds");
        assert!((before..=now()).contains(&since), "{since} is not between {before} and now");
        // Nothing comes between the two.
        let [ready, status] = states(&server.notice(), ["READY", "STATUS"]);
        assert_eq!(ready, "1");
        assert!(status.starts_with("listening on "), "{status}");
        assert_eq!(status.contains("the last reload failed: "), !is_good, "{status}");
        assert_eq!(status.contains("color"), !is_good, "{status}");
    }
}

/// A line of a status would be another state, such as a readiness that is not true.
#[test]
fn nothing_that_stands_in_a_configuration_becomes_a_state_of_its_own() {
    let server = Setup::of_file(&file(&[])).start();
    for line in [
        "\"a\\nREADY=1\\nMAINPID=1\" = 1",
        "\"a\\r\\nSTOPPING=1\" = 1",
        "log.output = \"/nowhere\\nSTOPPING=1\"",
        "auth.secret_file = \"/nowhere\\nBARRIER=1\"",
        "listen = [\"unix:/nowhere\\nSTOPPING=1\"]",
    ] {
        server.reconfigure(&file(&[line]));
        server.signal(Signal::HUP);
        states(&turn(&server), ["RELOADING", "MONOTONIC_USEC", "STATUS"]);
        states(&server.notice(), ["READY", "STATUS"]);
    }
}

#[test]
fn the_status_says_how_it_is_and_that_the_last_reload_failed() {
    let server = Setup::of_file(&file(&[])).start();
    let _open = [server.subscriber(&["a", "b"]), server.subscriber(&["b"])];
    let status = |what: &dyn Fn(&str) -> bool| loop {
        let datagram = server.notice();
        if let Some(status) = datagram.strip_prefix("STATUS=").filter(|status| what(status)) {
            return status.trim_end().to_owned();
        }
    };
    let now = status(&|status| status.contains("connections: 2,"));
    assert!(now.contains("channels: 2,") && now.contains("messages a second: 0"), "{now}");
    assert!(!now.contains("failed"), "{now}");
    server.reconfigure("color = 1");
    server.reload();
    let _third = server.subscriber(&["c"]);
    let later = status(&|status| status.contains("connections: 3,"));
    assert!(later.contains("the last reload failed: ") && later.contains("color"), "{later}");
}

#[test]
fn a_stop_is_told_first_and_asks_for_more_time_each_second() {
    let config = ["websocket.close_timeout = \"60s\"", "shutdown.drain_timeout = \"3500ms\""];
    let server = Setup::of_file(&file(&config)).start();
    let _silent = server.open(&grant(&["c"], &[]));
    server.signal(Signal::TERM);
    let [stopping, status] = states(&turn(&server), ["STOPPING", "STATUS"]);
    assert_eq!((stopping.as_str(), status.as_str()), ("1", "draining"));
    let mut asked = Vec::new();
    loop {
        let datagram = server.notice();
        if datagram == "EXITED=1" {
            break;
        }
        if datagram.starts_with("EXTEND_TIMEOUT_USEC=") {
            let [more] = states(&datagram, ["EXTEND_TIMEOUT_USEC"]);
            let more = Duration::from_micros(more.parse().expect("microseconds"));
            assert!(more > Duration::from_secs(2), "no longer than until it asks again: {more:?}");
            asked.push(Instant::now());
        } else {
            let [status] = states(&datagram, ["STATUS"]);
            assert!(
                status.contains("draining") && status.contains("1 connections left"),
                "{status}"
            );
        }
    }
    assert!((4..=6).contains(&asked.len()), "asked {} times in 3.5 s", asked.len());
    for pair in asked.windows(2) {
        let between = pair[1] - pair[0];
        assert!(between < Duration::from_millis(1900), "{between:?} between two of them");
    }
    let ended = server.ended();
    assert!(ended.status.success(), "{}", ended.status);
}

#[test]
fn a_polite_stop_says_nothing_of_readiness() {
    let server = Setup::of_file(&file(&[])).start();
    server.signal(Signal::TERM);
    let mut all = Vec::new();
    while all.last().is_none_or(|datagram| datagram != "EXITED=1") {
        all.push(server.notice());
    }
    let stopping = all.iter().filter(|datagram| datagram.contains("STOPPING=1")).count();
    assert_eq!(stopping, 1, "{all:?}");
    assert!(all.iter().all(|datagram| !datagram.contains("READY=1")), "{all:?}");
}

// Signals that come before it is ready.

/// A service manager that does not read yet: what it is told waits in its socket, which is full.
struct Busy {
    socket: UnixDatagram,
    dir: Dir,
}

impl Busy {
    fn new() -> Busy {
        let dir = Dir::new();
        let socket = UnixDatagram::bind(dir.path().join("busy")).expect("a socket");
        let filler = UnixDatagram::unbound().expect("a socket");
        filler.set_nonblocking(true).expect("it does not wait");
        let mut count = 0;
        let full = loop {
            match filler.send_to(b"FILLER=1", dir.path().join("busy")) {
                Ok(_) => count += 1,
                Err(error) => break error,
            }
            assert!(count < 100_000, "a socket without a bound");
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Busy { socket, dir }
    }

    /// A server that is about to say that it is ready, and cannot.
    fn server(&self) -> Server {
        let path = self.dir.path().join("busy").display().to_string();
        let server = Setup::of_file(&file(&[])).environment("NOTIFY_SOCKET", &path).spawn();
        server.logs("its readiness", |line| line.contains("event=ready"));
        server
    }

    fn next(&self) -> String {
        let mut datagram = [0; 4096];
        loop {
            let count = self.socket.recv(&mut datagram).expect("a datagram");
            let text = String::from_utf8_lossy(&datagram[..count]).into_owned();
            if text != "FILLER=1" {
                return text;
            }
        }
    }
}

#[test]
fn a_reload_that_is_asked_for_before_it_is_ready_comes_once_and_after_it() {
    let manager = Busy::new();
    let server = manager.server();
    for _ in 0..5 {
        server.signal(Signal::HUP);
    }
    states(&manager.next(), ["READY", "STATUS"]);
    states(&manager.next(), ["RELOADING", "MONOTONIC_USEC", "STATUS"]);
    states(&manager.next(), ["READY", "STATUS"]);
    server.signal(Signal::TERM);
    states(&manager.next(), ["STOPPING", "STATUS"]);
    let ended = server.ended();
    assert!(ended.status.success(), "{}", ended.status);
    assert_eq!(ended.log.matches("event=reload ").count(), 1, "{}", ended.log);
}

#[test]
fn a_stop_that_is_asked_for_before_it_is_ready_is_polite_too() {
    let manager = Busy::new();
    let server = manager.server();
    server.signal(Signal::TERM);
    states(&manager.next(), ["READY", "STATUS"]);
    states(&manager.next(), ["STOPPING", "STATUS"]);
    assert!(server.ended().status.success());
}

// The watchdog.

/// How long the service manager of these tests waits for a sign of life.
const LIMIT: Duration = Duration::from_secs(2);

fn watched() -> Server {
    let limit = LIMIT.as_micros().to_string();
    Setup::of_file(&file(&[])).environment("WATCHDOG_USEC", &limit).start()
}

fn is_alive(datagram: &str) -> bool {
    datagram.lines().any(|line| line == "WATCHDOG=1")
}

/// So many signs of life, none later than the service manager allows.
#[track_caller]
fn shows_life(server: &Server, times: usize) {
    let mut last = Instant::now();
    for _ in 0..times {
        while !is_alive(&server.notice_within(LIMIT).expect("a sign of life")) {
            assert!(last.elapsed() < LIMIT, "no sign of life for {:?}", last.elapsed());
        }
        last = Instant::now();
    }
}

/// Soon there is no more sign of life, so the service manager would end it.
#[track_caller]
fn goes_silent(server: &Server) {
    let begun = Instant::now();
    let mut last = begun;
    while last.elapsed() < LIMIT {
        if server.notice_within(LIMIT - last.elapsed()).is_some_and(|datagram| is_alive(&datagram))
        {
            last = Instant::now();
        }
        assert!(begun.elapsed() < PATIENCE, "it shows life though a worker does not turn");
    }
    server.logs("the worker", |line| line.contains("event=worker_stuck"));
}

#[test]
fn an_idle_server_shows_life_and_calls_no_worker_stuck() {
    let server = watched();
    shows_life(&server, 6);
    assert!(!server.stop().contains("worker_stuck"));
}

#[test]
fn who_asks_for_no_sign_of_life_gets_none() {
    let server = Setup::of_file(&file(&[])).start();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1500) {
        if let Some(datagram) = server.notice_within(Duration::from_millis(100)) {
            assert!(!is_alive(&datagram), "{datagram:?}");
        }
    }
}

#[test]
fn no_sign_of_life_is_shown_while_a_worker_is_held() {
    if !can_hold() {
        return;
    }
    let server = watched();
    shows_life(&server, 2);
    let held = Held::workers(&server, &[1]);
    goes_silent(&server);
    drop(held);
    shows_life(&server, 3);
    server.stop();
}

/// It always wants a processor, and gets it.
#[cfg(target_arch = "x86_64")]
#[test]
fn no_sign_of_life_is_shown_while_a_worker_turns_in_circles() {
    if !can_hold() {
        return;
    }
    let server = watched();
    shows_life(&server, 2);
    Held::workers(&server, &[0]).spin(&server);
    goes_silent(&server);
}

// A service manager that cannot be told.

#[test]
fn without_anybody_to_tell_it_goes_on_and_says_so_once() {
    let nobody = format!("@philote-test-{}", std::process::id());
    for socket in [nobody.as_str(), "/nowhere/notify", "nonsense"] {
        let server = Setup::of_file(&file(&[])).environment("NOTIFY_SOCKET", socket).spawn();
        server.logs("the fault", |line| {
            line.contains(" WARN ") && line.contains("event=notify_failed")
        });
        let ready = server.logs("its readiness", |line| line.contains("event=ready"));
        let address = ready.split("listening on ").nth(1).and_then(|rest| rest.split(' ').next());
        let address = address.and_then(|text| text.parse().ok()).expect("an address");
        let request = crate::support::http::Request::upgrade_with(&grant(&["c"], &["c"]));
        let mut client =
            crate::support::client::Client::open(address, &request).expect("it serves");
        client.round_trip();
        server.signal(Signal::HUP);
        server.logs("a reload", |line| line.contains("event=reload "));
        client.round_trip();
        client.send(&Out::close(1000, ""));
        let log = server.stop();
        assert_eq!(log.matches("event=notify_failed").count(), 1, "{log}");
    }
}

// Exit codes.

#[track_caller]
fn fails_with(code: i32, setup: Setup, what: &str) -> Ended {
    let ended = setup.fails();
    assert_eq!(ended.status.code(), Some(code), "{}; log:\n{}", ended.status, ended.log);
    assert!(ended.log.contains(what), "{what:?} is not told in:\n{}", ended.log);
    ended
}

#[test]
fn bad_usage_is_64() {
    fails_with(64, Setup::of_file(&file(&[])).argument("--colour"), "--colour");
    fails_with(64, Setup::of_file(&file(&[])).argument("now"), "now");
}

#[test]
fn an_address_that_is_in_use_or_not_there_is_69_and_all_are_told() {
    let taken = [0, 0].map(|_| TcpListener::bind("127.0.0.1:0").expect("a port"));
    let taken = [&taken[0], &taken[1]].map(|taken| taken.local_addr().expect("its address"));
    let free = local(free_port());
    let listen = format!("listen = [\"{free}\", \"{}\", \"{}\"]", taken[0], taken[1]);
    let ended = fails_with(69, Setup::of_file(&file(&[&listen])), &taken[0].to_string());
    assert!(ended.log.contains(&taken[1].to_string()), "{}", ended.log);
    assert!(ended.log.matches(" ERROR ").count() == 2, "{}", ended.log);
    // An address for documentation, which no machine has.
    let elsewhere = "listen = [\"203.0.113.7:6380\"]";
    fails_with(69, Setup::of_file(&file(&[elsewhere])), "203.0.113.7:6380");
    let dir = Dir::new();
    let path = dir.path().join("socket");
    let _live = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    let listen = format!("listen = [\"unix:{}\"]", path.display());
    fails_with(69, Setup::of_file(&file(&[&listen])), &path.display().to_string());
}

#[test]
fn what_is_not_permitted_is_77() {
    let dir = Dir::new();
    let secret = dir.write("secret", SECRET);
    let named = format!("auth.secret_file = {secret:?}");
    let unreadable = || Setup::of_file(&file(&[&named])).run_by_nobody();
    let Some(setup) = unreadable() else { return };
    // Where we are nobody ourselves, our own files are closed to us by their mode.
    use std::os::unix::fs::PermissionsExt;
    let closed = std::fs::Permissions::from_mode(0o000);
    std::fs::set_permissions(&secret, closed).expect("a mode");
    fails_with(77, setup, &secret.display().to_string());
    let mine = format!("listen = [\"unix:{}/socket\"]", dir.path().display());
    let locked = std::fs::Permissions::from_mode(0o500);
    std::fs::set_permissions(dir.path(), locked).expect("a mode");
    fails_with(77, Setup::of_file(&file(&[&mine])).run_by_nobody().expect("as before"), "socket");
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    if first.is_ok_and(|first| first.trim().parse().is_ok_and(|first: u16| first > 7)) {
        let low = "listen = [\"127.0.0.1:7\"]";
        let setup = Setup::of_file(&file(&[low])).run_by_nobody().expect("as before");
        fails_with(77, setup, "127.0.0.1:7");
    } else {
        skip("every port is free to every user here");
    }
}

#[test]
fn a_configuration_that_is_wrong_is_78_and_starts_nothing() {
    let address = local(free_port());
    let listen = format!("listen = [\"{address}\"]");
    let ended =
        fails_with(78, Setup::of_file(&file(&[&listen, "color = 1", "colour = 1"])), "color");
    assert!(ended.log.contains("colour"), "all at once: {}", ended.log);
    assert!(TcpListener::bind(address).is_ok());
    let open = "listen = [\"0.0.0.0:0\"]";
    fails_with(78, Setup::of_file(open), "empty secret");
}

/// What is told after the last datagram is its exit, and before the first nothing was.
#[test]
fn a_start_that_fails_is_never_ready() {
    for config in [file(&["color = 1"]), file(&["listen = [\"203.0.113.7:1\"]"])] {
        let server = Setup::of_file(&config).spawn();
        assert_eq!(server.notice(), "EXITED=1");
        until("it has ended", || server.notice_within(Duration::ZERO).is_none());
        assert!(!server.ended().status.success());
    }
}

/// A name without a file, as container managers give one.
#[test]
fn a_service_manager_with_an_abstract_socket_is_told_the_same() {
    use std::os::linux::net::SocketAddrExt as _;
    let name = format!("philote-test-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).expect("a name");
    let manager = UnixDatagram::bind_addr(&address).expect("the name is free");
    manager.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let next = |wanted: &str| loop {
        let mut datagram = [0; 4096];
        let count =
            manager.recv(&mut datagram).unwrap_or_else(|error| panic!("no {wanted}: {error}"));
        let text = String::from_utf8_lossy(&datagram[..count]).into_owned();
        if text.lines().any(|line| line == wanted) {
            return text;
        }
    };
    let server = Setup::new("").environment("NOTIFY_SOCKET", &format!("@{name}")).spawn();
    let [_, status] = states(&next("READY=1"), ["READY", "STATUS"]);
    assert!(status.starts_with("listening on 127.0.0.1:"), "{status}");
    server.signal(Signal::HUP);
    next("RELOADING=1");
    next("READY=1");
    server.signal(Signal::TERM);
    next("STOPPING=1");
    let ended = server.ended();
    assert!(ended.status.success(), "{}", ended.log);
    assert!(!ended.log.contains("notify_failed"), "{}", ended.log);
}
