//! A reload: all or nothing, at once where it can be, and nobody's connection is dropped by it.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::client::Client;
use crate::support::dir::Dir;
use crate::support::frame::PING;
use crate::support::http::{Request, Response, free_port, local};
use crate::support::server::{NOBODY, Server, Setup, addresses, file};
use crate::support::stuck::{Held, can_hold};
use crate::support::token::{SECRET, grant, signed};
use crate::support::until;

/// A count that the environment can raise for a longer run.
fn count(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a count"))
}

fn refuses(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_err()
}

/// A connection at this address instead of the server's first.
pub(crate) fn open_at(address: SocketAddr, token: &str) -> Client {
    Client::open(address, &Request::upgrade_with(token)).expect("admitted")
}

// What a reload does to connections: nothing.

/// Publishes numbers to `channel` until it is told to stop, then `end`; how many those were.
fn publish_numbers(mut publisher: Client, channel: &'static str, stop: &AtomicBool) -> usize {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..10 {
            publisher.publish(channel, &number.to_string());
            number += 1;
        }
        publisher.round_trip();
        // At a pace, since what is measured is order and not bounds.
        std::thread::park_timeout(Duration::from_millis(10));
    }
    publisher.publish(channel, "end");
    publisher.close();
    number
}

/// Every number from 0 on, each once and in order, then `end`; how many those were.
fn hear_numbers(mut subscriber: Client, channel: &str) -> usize {
    let mut next = 0;
    loop {
        let heard = subscriber.delivery();
        assert_eq!(heard.channel, channel);
        if heard.data == "end" {
            subscriber.close();
            return next;
        }
        assert_eq!(heard.data, next.to_string(), "after {next} messages in order");
        next += 1;
    }
}

#[test]
fn two_hundred_connections_lose_nothing_through_reloads_good_and_bad() {
    const CHANNELS: [&str; 4] = ["north", "east", "south", "west"];
    let reloads = count("PHILOTE_TEST_RELOADS", 200);
    let server = Setup::of_file(&file(&[])).start();
    let stop = Arc::new(AtomicBool::new(false));
    let mut subscribers = Vec::new();
    for _ in 0..49 {
        for channel in CHANNELS {
            let client = server.subscriber(&[channel]);
            subscribers.push(std::thread::spawn(move || hear_numbers(client, channel)));
        }
    }
    let publishers = CHANNELS.map(|channel| {
        let (client, stop) = (server.publisher(&[channel]), stop.clone());
        std::thread::spawn(move || publish_numbers(client, channel, &stop))
    });
    assert_eq!(server.info()["connections"], 200);
    for round in 0..reloads {
        let most = 300 + round;
        let most = format!("limits.max_connections = {most}");
        match round % 4 {
            0 | 2 => drop(server.takes(&file(&[&most, "log.level = \"warn\""]))),
            1 => {
                server.reconfigure(&file(&[&most, "limits.max_conections = 1"]));
                assert!(!server.reload().is_empty());
            }
            _ => {
                server.reconfigure("this is no configuration");
                assert!(!server.reload().is_empty());
            }
        }
    }
    stop.store(true, Ordering::Relaxed);
    let published = publishers.map(|publisher| publisher.join().expect("a publisher"));
    assert!(published.iter().all(|count| *count > 0), "{published:?}");
    for (number, subscriber) in subscribers.into_iter().enumerate() {
        assert_eq!(subscriber.join().expect("a subscriber"), published[number % 4]);
    }
    server.takes(&file(&[]));
    server.stop();
}

#[test]
fn many_reloads_leave_memory_and_descriptors_where_they_were() {
    let reloads = count("PHILOTE_TEST_MANY_RELOADS", 300);
    let ports = [free_port(), free_port()];
    let config = |round: usize| {
        // Listeners that go are given a moment, so they move now and then only.
        let listen = format!("listen = [\"127.0.0.1:{}\"]", ports[round / 50 % 2]);
        let most = format!("limits.max_connections = {}", 100 + round % 7);
        file(&[&listen, &most, "log.level = \"error\""])
    };
    let server = Setup::of_file(&config(0)).start();
    let mut lasting = server.open(&grant(&["c"], &["c"]));
    let descriptors = || {
        let path = format!("/proc/{}/fd", server.pid());
        std::fs::read_dir(path).expect("the server's descriptors").count()
    };
    let round = |number: usize| {
        if number % 5 == 4 {
            server.reconfigure("listen = 1");
            server.reload();
        } else {
            server.takes(&config(number));
        }
    };
    (0..100).for_each(round);
    let (memory, open) = (server.resident(), descriptors());
    (0..reloads).for_each(round);
    let grown = server.resident().saturating_sub(memory);
    assert!(grown < 1024, "{grown} KiB more after {reloads} reloads");
    until("old listeners are closed", || descriptors() <= open);
    lasting.round_trip();
}

#[test]
fn signals_that_come_together_merge_and_the_last_state_holds() {
    let server = Setup::of_file(&file(&[])).start();
    for number in 1..=50 {
        server.reconfigure(&file(&[&format!("limits.max_connections = {number}")]));
        server.signal(Signal::HUP);
    }
    until("the last one holds", || server.info()["max_connections"] == 50);
    let log = server.stop();
    let done = log.lines().filter(|line| line.contains("event=reload ")).count();
    assert!((1..=50).contains(&done), "{done} reloads in:\n{log}");
}

#[test]
fn a_reload_that_comes_while_draining_is_ignored_and_logged() {
    let server = Setup::of_file(&file(&["websocket.close_timeout = \"30s\""])).start();
    let mut lasting = server.open(&grant(&["c"], &["c"]));
    lasting.round_trip();
    server.signal(Signal::TERM);
    lasting.close_frame(1001);
    server.reconfigure("this is no configuration");
    server.signal(Signal::HUP);
    server.logs("the signal", |line| {
        line.contains("event=signal_ignored") && line.contains("SIGHUP")
    });
    drop(lasting);
    let ended = server.ended();
    assert!(ended.status.success());
    assert!(!ended.log.contains("event=reload"), "{}", ended.log);
}

// All or nothing.

/// A reload of `config` is rejected for one reason that names `what`, and nothing has changed.
#[track_caller]
fn rejected(server: &Server, config: &str, what: &str) -> String {
    server.reconfigure(config);
    still_as_before(server, what)
}

#[track_caller]
fn still_as_before(server: &Server, what: &str) -> String {
    let mut witness = server.open(&grant(&["c"], &["c"]));
    let faults = server.rejects_reload();
    let [fault] = &faults[..] else { panic!("one message was expected: {faults:?}") };
    assert!(fault.contains(what), "{what:?} is not told in {fault:?}");
    assert!(fault.contains(" ERROR "), "{fault}");
    assert_eq!(
        server.info()["max_connections"],
        7,
        "what else the file said has been put in force"
    );
    witness.round_trip();
    witness.close();
    server.is_healthy();
    fault.clone()
}

/// Seven connections are the sign of the old configuration; every bad file asks for another number.
const BEFORE: &str = "limits.max_connections = 7";
const OTHERWISE: &str = "limits.max_connections = 3";

#[test]
fn a_bad_configuration_changes_nothing_and_says_what_and_where() {
    let server = Setup::of_file(&file(&[BEFORE])).start();
    let path = server.dir().join("config.toml").display().to_string();
    for (line, what) in [
        ("limits.max_conections = 3", "did you mean max_connections?"),
        ("limits.max_message_size = \"1 furlong\"", "limits.max_message_size"),
        ("websocket.ping_timeout = 25", "websocket.ping_timeout"),
        ("[limits", ""),
    ] {
        let fault = rejected(&server, &file(&[OTHERWISE, line]), what);
        assert!(fault.contains(&format!("{path}:6:")), "{fault}");
    }
    server.takes(&file(&["limits.max_connections = 8"]));
    assert_eq!(server.info()["max_connections"], 8);
}

#[test]
fn all_faults_of_a_configuration_are_told_at_once() {
    let server = Setup::of_file(&file(&[BEFORE])).start();
    server.reconfigure(&file(&[
        "limits.max_connections = 0",
        "log.level = \"loud\"",
        "color = true",
    ]));
    let faults = server.rejects_reload();
    assert_eq!(faults.len(), 3, "{faults:?}");
    for what in ["limits.max_connections", "log.level", "color"] {
        assert!(faults.iter().any(|fault| fault.contains(what)), "{what}: {faults:?}");
    }
}

#[test]
fn a_configuration_that_has_vanished_changes_nothing() {
    let server = Setup::of_file(&file(&[BEFORE])).start();
    let path = server.dir().join("config.toml");
    std::fs::remove_file(&path).expect("it is removed");
    still_as_before(&server, &path.display().to_string());
    server.takes(&file(&[OTHERWISE]));
    assert_eq!(server.info()["max_connections"], 3);
}

#[test]
fn a_secret_file_that_has_vanished_or_is_empty_changes_nothing() {
    let dir = Dir::new();
    let secret = dir.write("secret", SECRET);
    let named = format!("auth.secret_file = {secret:?}");
    let server = Setup::of_file(&file(&[BEFORE, &named])).start();
    let name = secret.display().to_string();
    for text in [Some(""), Some("\n"), Some(" \t\r\n\n"), None] {
        match text {
            Some(text) => drop(dir.write("secret", text)),
            None => std::fs::remove_file(&secret).expect("it is removed"),
        }
        rejected(&server, &file(&[OTHERWISE, &named]), &name);
    }
}

#[test]
fn what_the_daemon_may_not_read_changes_nothing() {
    let dir = Dir::new();
    let secret = dir.write("secret", SECRET);
    std::os::unix::fs::chown(&secret, Some(NOBODY), Some(NOBODY)).expect("nobody's file");
    let named = format!("auth.secret_file = {secret:?}");
    let Some(setup) = Setup::of_file(&file(&[BEFORE, &named])).run_by_nobody() else { return };
    let server = setup.start();
    assert_ne!(server.user(), 0, "root may read everything");
    let close = |path: &Path, mode| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
    };
    close(&secret, 0);
    rejected(&server, &file(&[OTHERWISE, &named]), &secret.display().to_string());
    close(&secret, 0o600);
    let config = server.dir().join("config.toml");
    close(&config, 0);
    still_as_before(&server, &config.display().to_string());
    close(&config, 0o600);
    server.takes(&file(&["limits.max_connections = 8", &named]));
}

#[test]
fn an_address_that_is_taken_changes_nothing_and_leaves_no_other_bound() {
    let taken = local(free_port());
    let own = local(free_port()).to_string();
    let server = Setup::of_file(&file(&[BEFORE, &format!("listen = [{own:?}]")])).start();
    let holder = TcpListener::bind(taken).expect("the port is held");
    let free = local(free_port());
    let both = format!("listen = [\"{free}\", \"{taken}\"]");
    rejected(&server, &file(&[OTHERWISE, &both]), &taken.to_string());
    assert!(refuses(free), "{free} was bound by a reload that was rejected");
    drop(holder);
    server.takes(&file(&[OTHERWISE, &both]));
    open_at(free, &grant(&["c"], &[])).close();
}

#[test]
fn a_reload_that_would_let_anyone_sign_tokens_beyond_loopback_is_rejected() {
    let wide = "listen = [\"0.0.0.0:0\"]";
    let server = Setup::of_file(&file(&[BEFORE, wide])).start();
    rejected(&server, &format!("{wide}\n{OTHERWISE}\n"), "empty secret");
    // Bound by default, which the configuration alone does not show.
    let port = free_port().to_string();
    let server = Setup::of_file(&format!("auth.secret = {SECRET:?}\n{BEFORE}\n"))
        .environment("PORT", &port)
        .start();
    assert!(server.addresses()[0].ip().is_unspecified(), "{:?}", server.addresses());
    rejected(&server, &format!("{OTHERWISE}\n"), "empty secret");
}

// What holds at once, and what waits for a restart.

#[test]
fn the_most_connections_change_at_once_and_throw_nobody_out() {
    let server = Setup::of_file(&file(&["limits.max_connections = 3"])).start();
    let token = grant(&["c"], &["c"]);
    let mut open = [server.open(&token), server.open(&token), server.open(&token)];
    assert_eq!(server.refuses_token(&token).status, 503);
    server.takes(&file(&["limits.max_connections = 1"]));
    open.iter_mut().for_each(Client::round_trip);
    assert_eq!(server.refuses_token(&token).status, 503);
    server.takes(&file(&["limits.max_connections = 4"]));
    server.open(&token).round_trip();
    open.iter_mut().for_each(Client::round_trip);
}

#[test]
fn the_size_of_messages_changes_at_once_for_open_connections() {
    let server = Setup::of_file(&file(&[])).start();
    let mut subscriber = server.subscriber(&["c"]);
    let mut publisher = server.publisher(&["c"]);
    let long = "x".repeat(4000);
    publisher.publish("c", &long);
    subscriber.hears("c", &long);
    server.takes(&file(&["limits.max_message_size = \"2KiB\""]));
    publisher.publish("c", "short");
    subscriber.hears("c", "short");
    publisher.publish("c", &long);
    publisher.closed_with(1009);
}

/// A peer that reads nothing does not answer a Close either.
const HASTY: &str = "websocket.close_timeout = \"100ms\"";

/// Messages of 50 KB, with which `reader` keeps up.
fn publish_long(publisher: &mut Client, reader: &mut Client, count: usize) {
    let long = "x".repeat(50_000);
    for _ in 0..count {
        publisher.publish("c", &long);
        reader.hears("c", &long);
    }
}

#[test]
fn the_outbound_queue_changes_at_once_for_open_connections() {
    let server = Setup::of_file(&file(&["limits.outbound_queue = \"64MiB\"", HASTY])).start();
    let lazy = server.lazy_subscriber(&["c"]);
    let mut reader = server.subscriber(&["c"]);
    let mut publisher = server.publisher(&["c"]);
    // 8 MB, of which the kernels keep a part.
    publish_long(&mut publisher, &mut reader, 160);
    assert_eq!(server.info()["connections"], 3);
    server.takes(&file(&["limits.outbound_queue = \"64KiB\"", HASTY]));
    publish_long(&mut publisher, &mut reader, 2);
    server.until_connections(2);
    drop(lazy);
}

#[test]
fn what_becomes_of_slow_consumers_changes_at_once() {
    let small = "limits.outbound_queue = \"64KiB\"";
    let drop_oldest = "websocket.slow_consumer = \"drop\"";
    let server = Setup::of_file(&file(&[small, drop_oldest, HASTY])).start();
    let lazy = server.lazy_subscriber(&["c"]);
    let mut reader = server.subscriber(&["c"]);
    let mut publisher = server.publisher(&["c"]);
    publish_long(&mut publisher, &mut reader, 160);
    assert_eq!(server.info()["connections"], 3);
    server.takes(&file(&[small, HASTY]));
    publish_long(&mut publisher, &mut reader, 4);
    server.until_connections(2);
    drop(lazy);
}

#[test]
fn pings_begin_and_end_with_a_reload() {
    let server = Setup::of_file(&file(&[])).start();
    let mut early = server.open(&grant(&["c"], &["c"]));
    early.round_trip();
    server.takes(&file(&["websocket.ping_interval = \"200ms\""]));
    let mut late = server.open(&grant(&["c"], &["c"]));
    assert_eq!(late.frame().opcode, PING);
    server.takes(&file(&[]));
    let mut last = server.open(&grant(&["c"], &["c"]));
    assert!(last.event_within(Duration::from_millis(600)).is_none(), "pinged after all");
}

#[test]
fn limits_of_handshakes_change_at_once() {
    let server = Setup::of_file(&file(&[])).start();
    let token = grant(&["one", "two"], &[]);
    let from = |origin| Request::upgrade_with(&token).header("Origin", origin);
    server.open(&token).close();
    server.open_with(&from("https://elsewhere.example")).close();
    server.takes(&file(&["limits.max_channels = 1"]));
    assert_eq!(server.refuses_token(&token).status, 403);
    server.takes(&file(&["limits.max_channel_length = 2"]));
    assert_eq!(server.refuses_token(&token).status, 403);
    server.takes(&file(&["auth.allowed_origins = [\"https://app.example\"]"]));
    assert_eq!(server.refuses(&from("https://elsewhere.example")).status, 403);
    server.open_with(&from("https://app.example")).close();
    server.takes(&file(&["limits.max_head_size = \"8KiB\""]));
    let long = Request::upgrade_with(&token).header("X-Padding", &"x".repeat(20_000));
    assert_eq!(server.refuses(&long).status, 431);
    server.takes(&file(&[]));
    server.open_with(&long).close();
    server.open_with(&from("https://elsewhere.example")).close();
}

#[test]
fn the_level_of_the_log_changes_at_once() {
    let server = Setup::of_file(&file(&[])).start();
    let token = grant(&["c"], &[]);
    server.open(&token).close();
    server.takes(&file(&["log.level = \"debug\""]));
    server.open(&token).close();
    server.logs("a connection", |line| line.contains("event=connection_opened"));
    server.until_connections(0);
    server.takes(&file(&[]));
    let before = server.log().matches("event=connection_opened").count();
    assert_eq!(before, 1, "{}", server.log());
    server.open(&token).close();
    let log = server.stop();
    assert_eq!(log.matches("event=connection_opened").count(), 1, "{log}");
}

#[test]
fn the_time_that_a_stop_may_take_changes_at_once() {
    let long = ["websocket.close_timeout = \"60s\"", "shutdown.drain_timeout = \"60s\""];
    let server = Setup::of_file(&file(&long)).start();
    server.takes(&file(&[long[0], "shutdown.drain_timeout = \"300ms\""]));
    let mut silent = server.open(&grant(&["c"], &["c"]));
    silent.round_trip();
    let begun = Instant::now();
    server.stop();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn each_change_is_one_line_with_the_old_and_the_new_value_and_no_secret() {
    let server = Setup::of_file(&file(&[])).start();
    let other = "another secret, of more than thirty-two bytes";
    let secret = format!("auth.secret = {other:?}");
    server.takes(&file(&[
        "limits.max_connections = 9",
        "limits.outbound_queue = \"3MiB\"",
        &secret,
    ]));
    let log = server.stop();
    let changes: Vec<_> = log.lines().filter(|line| line.contains("event=reload_change")).collect();
    assert_eq!(changes.len(), 3, "{log}");
    for what in [
        "limits.max_connections: 255 -> 9",
        "limits.outbound_queue: \"4MiB\" -> \"3MiB\"",
        "auth.secret: ",
    ] {
        assert!(changes.iter().any(|line| line.contains(what)), "{what} in {changes:#?}");
    }
    assert!(!log.contains(other) && !log.contains(SECRET), "{log}");
}

#[test]
fn what_needs_a_restart_is_named_and_the_rest_is_put_in_force() {
    let server = Setup::of_file(&file(&[])).start();
    let socket = server.dir().join("control.sock");
    let output = server.dir().join("log");
    server.takes(&file(&[
        "workers = 3",
        "log.format = \"json\"",
        &format!("log.output = {output:?}"),
        &format!("control.socket = {socket:?}"),
        "control.mode = \"0666\"",
        "limits.max_connections = 9",
    ]));
    assert_eq!(server.info()["max_connections"], 9);
    assert!(!output.exists() && !socket.exists());
    let log = server.stop();
    let waits: Vec<_> = log.lines().filter(|line| line.contains("event=reload_waits")).collect();
    assert_eq!(waits.len(), 5, "{waits:#?}");
    for what in [
        "workers: 2 -> 3; restart",
        "log.format: \"text\" -> \"json\"; restart",
        "log.output: \"auto\" -> ",
        "control.socket: ",
        "control.mode: \"0600\" -> \"0666\"; restart",
    ] {
        assert!(waits.iter().any(|line| line.contains(what)), "{what} in {waits:#?}");
    }
    assert!(waits.iter().all(|line| line.contains(" WARN ")), "{waits:#?}");
    assert!(!log.contains('{'), "the format has changed without a restart: {log}");
}

// Where it listens.

/// Asks for `/healthz` again and again, each time on a connection of its own; fails at the first
/// that is refused, reset or unanswered. How many that were.
pub(crate) struct ConnectLoop {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

impl ConnectLoop {
    pub(crate) fn start(address: SocketAddr) -> ConnectLoop {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::new(AtomicUsize::new(0));
        let thread = std::thread::spawn({
            let (stop, asked) = (stop.clone(), asked.clone());
            move || {
                while !stop.load(Ordering::Relaxed) {
                    use std::io::Write;
                    let number = asked.fetch_add(1, Ordering::Relaxed);
                    let mut stream = TcpStream::connect(address)
                        .unwrap_or_else(|error| panic!("connection {number}: {error}"));
                    let request = Request::get("/healthz").bytes();
                    stream.write_all(&request).unwrap_or_else(|error| panic!("{number}: {error}"));
                    let (answer, _) = Response::read(&mut stream, "GET");
                    let answer = answer.unwrap_or_else(|| panic!("{number} was not answered"));
                    assert_eq!(answer.status, 200, "{answer:?}");
                }
            }
        });
        ConnectLoop { stop, asked, thread }
    }

    /// Waits until so many more have been answered.
    pub(crate) fn answers(&self, more: usize) {
        let goal = self.asked.load(Ordering::Relaxed) + more;
        until("newcomers are answered", || {
            self.thread.is_finished() || self.asked.load(Ordering::Relaxed) > goal
        });
    }

    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("nobody was refused");
    }
}

#[test]
fn listening_moves_to_another_port_and_open_connections_stay() {
    let (here, there) = (local(free_port()), local(free_port()));
    let listen = |address: SocketAddr| file(&[&format!("listen = [\"{address}\"]")]);
    let server = Setup::of_file(&listen(here)).start();
    let token = grant(&["c"], &["c"]);
    let mut old = open_at(here, &token);
    let status = server.takes(&listen(there));
    assert_eq!(addresses(&status), Some(vec![there]));
    let mut new = open_at(there, &token);
    until("the old address is closed", || refuses(here));
    new.publish("c", "hello");
    old.hears("c", "hello");
    old.round_trip();
    server.logs("the change", |line| {
        line.contains("event=reload_change") && line.contains("listen: ")
    });
}

/// It is the first worker that accepts.
#[test]
fn listening_moves_also_where_every_worker_is_stuck() {
    if !can_hold() {
        return;
    }
    let dir = Dir::new();
    let (here, there) = (local(free_port()), local(free_port()));
    let old_file = dir.path().join("old");
    let listen = |entries: &[String]| file(&[&format!("listen = {entries:?}")]);
    let old = [here.to_string(), format!("unix:{}", old_file.display())];
    let server = Setup::of_file(&file(&[])).start();
    server.takes(&listen(&old));
    let held = Held::workers(&server, &[0, 1]);
    server.takes(&listen(&[there.to_string()]));
    assert!(refuses(here));
    assert!(!old_file.exists());
    // Those who come are served when the workers turn again.
    let newcomer = TcpStream::connect(there).expect("it listens");
    drop((held, newcomer));
    open_at(there, &grant(&["c"], &[])).close();
    server.stop();
}

#[test]
fn listening_moves_between_overlapping_addresses_of_one_port_and_refuses_nobody() {
    let port = free_port();
    let listen = |address: &str| file(&[&format!("listen = [\"{address}:{port}\"]")]);
    let wide = "0.0.0.0";
    let server = Setup::of_file(&listen("127.0.0.1")).start();
    let mut lasting = server.open(&grant(&["c"], &["c"]));
    let newcomers = ConnectLoop::start(local(port));
    for address in [wide, "127.0.0.1", "[::]", "127.0.0.1", "[::]", wide, "[::]"] {
        newcomers.answers(20);
        let status = server.takes(&listen(address));
        assert_eq!(
            addresses(&status),
            Some(vec![format!("{address}:{port}").parse().expect("an address")])
        );
        newcomers.answers(20);
        // Only during the swap could another have joined.
        let second = Setup::of_file(&listen("127.0.0.1")).fails();
        assert_eq!(second.status.code(), Some(69), "{address}: {}", second.log);
    }
    newcomers.stop();
    lasting.round_trip();
    lasting.close();
    server.stop();
}

#[test]
fn a_reload_that_is_rejected_after_all_draws_nobody_away_from_those_that_stay() {
    let port = free_port();
    let dir = Dir::new();
    let listen = |entries: &[String]| file(&[&format!("listen = {entries:?}")]);
    let server = Setup::of_file(&listen(&[format!("0.0.0.0:{port}")])).start();
    let newcomers: Vec<_> = (0..3).map(|_| ConnectLoop::start(local(port))).collect();
    // What newcomers would rather come to than to the wildcard, much that takes a while, and an address that the
    // machine does not have.
    let mut entries = vec![format!("127.0.0.1:{port}")];
    entries.extend((0..50).map(|number| format!("unix:{}/{number}", dir.path().display())));
    entries.push("192.0.2.1:1".to_owned());
    server.reconfigure(&listen(&entries));
    for _ in 0..20 {
        newcomers.iter().for_each(|newcomers| newcomers.answers(5));
        let faults = server.rejects_reload();
        assert!(faults[0].contains("192.0.2.1"), "{faults:?}");
    }
    newcomers.into_iter().for_each(ConnectLoop::stop);
}

/// A Unix listener with a full queue, of somebody who does not accept.
fn full(path: &Path) -> (socket2::Socket, Vec<socket2::Socket>) {
    let make = || {
        socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).expect("a socket")
    };
    let address = socket2::SockAddr::unix(path).expect("a path");
    let listener = make();
    listener.bind(&address).and_then(|()| listener.listen(1)).expect("it listens");
    let waiting = std::iter::from_fn(|| {
        let socket = make();
        socket.set_nonblocking(true).expect("non-blocking");
        socket.connect(&address).ok().map(|()| socket)
    });
    let waiting = waiting.collect();
    (listener, waiting)
}

#[test]
fn a_unix_socket_of_somebody_who_does_not_accept_holds_up_neither_start_nor_reload() {
    let dir = Dir::new();
    let path = dir.path().join("taken");
    let _somebody = full(&path);
    let listen = format!("listen = [\"unix:{}\"]", path.display());
    let ended = Setup::of_file(&file(&[&listen])).fails();
    assert_eq!(ended.status.code(), Some(69), "{}", ended.log);
    let server = Setup::of_file(&file(&[BEFORE])).start();
    rejected(&server, &file(&[&listen, OTHERWISE]), "is another server running?");
    server.stop();
}

/// It was behind newcomers in one line, and was lost when that was full.
#[test]
fn what_a_stuck_worker_is_told_waits_for_it_however_many_come_meanwhile() {
    if !can_hold() {
        return;
    }
    let with = |secret: &str| {
        file(&[
            &format!("auth.secret = {secret:?}"),
            "auth.withdrawal_spread = \"1s\"",
            "limits.max_pending = 8000",
        ])
    };
    let (old, new) = ("o".repeat(40), "n".repeat(40));
    let server = Setup::of_file(&with(&old)).start();
    let token = |secret: &str| signed("HS256", r#"{"read":["c"]}"#, secret);
    let (gone, good) = (token(&old), token(&new));
    // As many at one worker as at the other.
    let before: Vec<_> = (0..4).map(|_| server.open(&gone)).collect();
    let held = Held::workers(&server, &[1]);
    let address = server.address();
    let newcomers: Vec<_> = (0..2600).map(|_| TcpStream::connect(address).expect("room")).collect();
    server.takes(&with(&new));
    drop((newcomers, held));
    for client in before {
        client.closed_with(1008);
    }
    for _ in 0..10 {
        assert_eq!(server.refuses_token(&gone).status, 401);
        server.open(&good).close();
    }
    server.stop();
}

#[test]
fn of_several_listeners_those_that_stay_are_not_touched() {
    let ports = [free_port(), free_port(), free_port()];
    let listen = |ports: &[u16]| {
        let list: Vec<_> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        file(&[&format!("listen = {list:?}")])
    };
    let server = Setup::of_file(&listen(&ports[..2])).start();
    let stays = ConnectLoop::start(local(ports[1]));
    for ports in [&ports[1..], &[ports[1], ports[0]], &ports[..2]] {
        server.takes(&listen(ports));
        for port in ports {
            open_at(local(*port), &grant(&["c"], &[])).close();
        }
    }
    stays.answers(10);
    stays.stop();
    until("the third is closed", || refuses(local(ports[2])));
}

#[test]
fn a_unix_listener_can_move_and_change_its_mode() {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    use std::os::unix::net::UnixStream;
    let dir = Dir::new();
    let (here, there) = (dir.path().join("here"), dir.path().join("there"));
    let listen = |path: &Path, words: &str| {
        let entry = format!("unix:{}{words}", path.display());
        file(&[&format!("listen = [\"127.0.0.1:0\", {entry:?}]")])
    };
    let mode = |path: &Path| {
        let found = std::fs::symlink_metadata(path).expect("a socket");
        assert!(found.file_type().is_socket());
        found.permissions().mode() & 0o777
    };
    let server = Setup::of_file(&file(&[])).start();
    server.takes(&listen(&here, " mode=0600"));
    assert_eq!(mode(&here), 0o600);
    server.takes(&listen(&here, " mode=0660"));
    assert_eq!(mode(&here), 0o660);
    UnixStream::connect(&here).expect("it listens");
    server.takes(&listen(&there, ""));
    assert_eq!(mode(&there), 0o666);
    until("the old socket is gone", || !here.exists());
    UnixStream::connect(&there).expect("it listens");
    let log = server.stop();
    assert!(!there.exists(), "{log}");
}

/// Nobody expects that a secret opens a port.
#[test]
fn the_default_listener_does_not_move_when_a_secret_is_set() {
    let port = free_port().to_string();
    let server = Setup::of_file("auth.secret = \"\"\n").environment("PORT", &port).start();
    let before = server.addresses().to_vec();
    assert!(before.iter().all(|address| address.ip().is_loopback()), "{before:?}");
    let mut old = server.open(&signed("HS256", r#"{"read":["c"]}"#, ""));
    old.round_trip();
    let keep = "auth.on_withdrawal = \"keep\"";
    let status = server.takes(&format!("auth.secret = {SECRET:?}\n{keep}\n"));
    assert_eq!(addresses(&status), Some(before));
    server.logs("the restart", |line| {
        line.contains("event=reload_waits")
            && line.contains("listen: the default is now ")
            && line.contains(&format!("[::]:{port}"))
            && line.contains("restart to listen there")
    });
    old.round_trip();
    server.is_healthy();
    assert_eq!(server.refuses_token(&signed("HS256", r#"{"read":["c"]}"#, "")).status, 401);
}

// Where values come from.

#[test]
fn the_env_file_is_read_again() {
    let dir = Dir::new();
    let env = dir.write("env", "MAX_CONNECTIONS=5\n");
    let server = Setup::of_file(&file(&[]))
        .argument("--env-file")
        .argument(&env.display().to_string())
        .start();
    assert_eq!(server.info()["max_connections"], 5);
    dir.write("env", "# more\nexport MAX_CONNECTIONS='6'\n");
    server.reload();
    assert_eq!(server.info()["max_connections"], 6);
    dir.write("env", "MAX_CONNECTIONS='6\n");
    let faults = server.rejects_reload();
    assert!(faults[0].contains(&format!("{}:1:", env.display())), "{faults:?}");
    std::fs::remove_file(&env).expect("it is removed");
    server.rejects_reload();
    assert_eq!(server.info()["max_connections"], 6);
}

#[test]
fn an_env_file_that_may_be_absent_may_come_and_go() {
    let dir = Dir::new();
    let env = dir.path().join("env");
    let server =
        Setup::of_file(&file(&[])).argument(&format!("--env-file=-{}", env.display())).start();
    assert_eq!(server.info()["max_connections"], 255);
    dir.write("env", "PHILOTE_LIMITS_MAX_CONNECTIONS=6\n");
    server.reload();
    assert_eq!(server.info()["max_connections"], 6);
    std::fs::remove_file(&env).expect("it is removed");
    server.reload();
    assert_eq!(server.info()["max_connections"], 255);
}

#[test]
fn a_key_that_the_environment_overrides_is_warned_of_with_the_variables_name() {
    let server = Setup::of_file(&file(&["limits.max_connections = 5"]))
        .environment("PHILOTE_LIMITS_MAX_CONNECTIONS", "9")
        .start();
    server.reload();
    assert!(!server.log().contains(" WARN "), "{}", server.log());
    server.takes(&file(&["limits.max_connections = 6"]));
    assert_eq!(server.info()["max_connections"], 9);
    server.logs("the variable", |line| {
        line.contains(" WARN ")
            && line.contains("PHILOTE_LIMITS_MAX_CONNECTIONS")
            && line.contains("limits.max_connections")
    });
}

/// A secret in the environment can never be replaced by a reload; whoever tries is told.
#[test]
fn a_secret_from_the_environment_is_told_of_at_a_reload() {
    let server = Setup::of_file("listen = [\"127.0.0.1:0\"]").environment("SECRET", SECRET).start();
    server.takes("listen = [\"127.0.0.1:0\"]\nauth.secret = \"another secret, in the file alone\"");
    server.logs("the remedy", |line| {
        line.contains(" WARN ") && line.contains("SECRET") && line.contains("auth.secret_file")
    });
    server.is_healthy();
}
