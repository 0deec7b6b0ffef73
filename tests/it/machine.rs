//! What the machine gives and what runs out: descriptors, and memory over many reloads.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::client::Client;
use crate::support::http::{Request, connect};
use crate::support::server::{Server, Setup, file};
use crate::support::token::grant;
use crate::support::tools::skip;
use crate::support::until;

/// Becomes the server with these limits on open files.
fn limited(setup: Setup, soft: u32, hard: u32) -> Setup {
    // The soft one first: it may not be above the hard one.
    let script = format!(r#"ulimit -S -n {soft} && ulimit -H -n {hard} && exec "$0" "$@""#);
    setup.launched_by(&["/bin/sh", "-c", &script])
}

#[test]
fn the_soft_limit_on_open_files_is_raised_to_the_hard_one() {
    let server = limited(Setup::new("limits.max_connections = 100"), 80, 777).start();
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).expect("its limits");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("the limit");
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!(words[3..5], ["777", "777"], "{line}");
}

#[test]
fn more_connections_than_descriptors_are_a_warning_with_numbers_at_start_and_at_reload() {
    const LITTLE: [&str; 2] = ["limits.max_connections = 20", "limits.max_pending = 30"];
    const MUCH: [&str; 2] = ["limits.max_connections = 1000", "limits.max_pending = 30"];
    let numbers = "limits.max_connections: 1000 and limits.max_pending: 30 need 1158 open files, and 300 are allowed";
    let says = |server: &Server| {
        let line = server.logs("the shortage", |line| line.contains(numbers));
        assert!(line.contains(" WARN ") && line.contains("LimitNOFILE="), "{line}");
    };
    says(&limited(Setup::of_file(&file(&MUCH)), 300, 300).start());

    let server = limited(Setup::of_file(&file(&LITTLE)), 300, 300).start();
    server.takes(&file(&LITTLE));
    assert!(!server.log().contains("open files"), "{}", server.log());
    server.takes(&file(&MUCH));
    says(&server);
}

// Out of descriptors.

/// Processor time that it has used, in ticks, of which a second has a hundred.
fn ticks(server: &Server) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.pid())).expect("its stat");
    // Behind the name in parentheses: the state is field 3, utime 14 and stime 15 (proc(5)).
    let (_, rest) = stat.rsplit_once(") ").expect("a name");
    rest.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().expect("ticks")).sum()
}

/// A newcomer that has asked, and waits.
fn newcomer(server: &Server, token: &str) -> TcpStream {
    let mut stream = connect(server.address());
    stream.write_all(&Request::upgrade_with(token).bytes()).expect("the kernel takes it");
    stream
}

#[test]
fn out_of_descriptors_accepting_rests_while_those_who_are_connected_go_on() {
    let config = "[limits]\nmax_connections = 1000\n[websocket]\nhandshake_timeout = \"60s\"";
    let server = limited(Setup::new(config), 64, 64).start();
    let mut subscriber = server.subscriber(&["c"]);
    let mut publisher = server.publisher(&["c"]);
    let token = grant(&["other"], &[]);
    let rests = |log: &str| log.matches("event=accept_failed").count();
    let mut asked = Vec::new();
    while rests(&server.log()) == 0 {
        assert!(asked.len() < 100, "it has descriptors without end");
        asked.push(newcomer(&server, &token));
        // Either it is answered, or accepting rests.
        let last = asked.last().expect("the newcomer");
        last.set_read_timeout(Some(Duration::from_millis(10))).expect("a read timeout");
        until("an answer or a rest", || last.peek(&mut [0]).is_ok() || rests(&server.log()) > 0);
    }
    // These wait in the kernel's queue.
    let waiting = [newcomer(&server, &token), newcomer(&server, &token)];

    let (before, begun) = (ticks(&server), Instant::now());
    let mut count = 0;
    while begun.elapsed() < Duration::from_secs(1) {
        publisher.publish("c", &count.to_string());
        subscriber.hears("c", &count.to_string());
        count += 1;
        std::thread::park_timeout(Duration::from_millis(20));
    }
    let used = ticks(&server) - before;
    assert!(used < 30, "{used} hundredths of a second of processor time in one second");
    for stream in &waiting {
        stream.set_nonblocking(true).expect("a mode");
        assert!(stream.peek(&mut [0]).is_err(), "accepted without a descriptor");
        stream.set_nonblocking(false).expect("a mode");
    }

    // The last one may itself be waiting.
    let last = asked.pop().expect("one at least");
    asked.truncate(asked.len() - 10);
    for stream in [last].into_iter().chain(waiting) {
        stream.set_read_timeout(Some(crate::support::PATIENCE)).expect("a read timeout");
        Client::open_on(stream, b"").expect("admitted").close();
    }
    server.is_healthy();
    let log = server.log();
    assert_eq!(rests(&log), 1, "{log}");
    let warning = log.lines().find(|line| rests(line) > 0).expect("a warning");
    assert!(warning.contains(" WARN ") && warning.contains("LimitNOFILE"), "{warning}");
}

// Many reloads.

/// What it has open, a path or a kind each. Nobody but root may look, since the server keeps its memory private.
fn open_files(server: &Server) -> Option<Vec<String>> {
    let files = fs::read_dir(format!("/proc/{}/fd", server.pid())).ok()?;
    // One that was closed between the listing and the look has no target any more.
    let named = files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
    let mut kinds: Vec<String> = named.map(|name| kind_of(&name.display().to_string())).collect();
    kinds.sort();
    Some(kinds)
}

/// A socket by its kind, since its number is another each time it is opened.
fn kind_of(name: &str) -> String {
    name.split_once(":[").map_or(name, |(kind, _)| kind).to_owned()
}

/// Those of `now` that are in excess of `before`.
fn in_excess(now: Vec<String>, before: &[String]) -> Vec<String> {
    let mut left = before.to_vec();
    let mut known = |name: &String| {
        left.iter().position(|old| old == name).map(|at| left.swap_remove(at)).is_some()
    };
    now.into_iter().filter(|name| !known(name)).collect()
}

/// One round in ten is rejected, one in fifty moves the listener.
fn reload_once(server: &Server, round: usize) {
    let most = format!("limits.max_connections = {}", 100 + round % 7);
    let listen = format!("listen = [\"127.0.0.{}:0\"]", 1 + round / 50 % 2);
    if round % 10 == 9 {
        server.reconfigure(&file(&[&listen, "limits.max_conections = 1"]));
        assert!(server.reload().contains("failed"));
    } else {
        server.takes(&file(&[&listen, &most]));
    }
}

/// `PHILOTE_TEST_RELOADS` says how many reloads; five thousand show a leak of a few hundred bytes each.
#[test]
fn memory_and_descriptors_stay_where_they_were_over_many_reloads() {
    const WARM_UP: usize = 100;
    let reloads = std::env::var("PHILOTE_TEST_RELOADS")
        .map_or(300, |count| count.parse().expect("PHILOTE_TEST_RELOADS is a number"));
    let quiet = ["log.output = \"/dev/null\""];
    let server = Setup::of_file(&file(&quiet)).start();
    let mut held = server.subscriber(&["c"]);
    (0..WARM_UP).for_each(|round| reload_once(&server, round));
    let (memory, files) = (server.resident(), open_files(&server));
    (WARM_UP..WARM_UP + reloads).for_each(|round| reload_once(&server, round));
    let grown = server.resident().saturating_sub(memory);
    // Told for those who ask for more reloads by hand.
    let _ = writeln!(std::io::stderr(), "{reloads} reloads: {grown} KiB more than {memory} KiB");
    assert!(grown < 2048, "{grown} KiB more than {memory} KiB after {reloads} reloads");
    held.round_trip();
    let Some(before) = files else {
        return skip("to count a server's descriptors needs root");
    };
    // A look finds the socket of a notification too, where it is not closed yet: now, or at first.
    until("no more descriptors than before", || {
        in_excess(open_files(&server).expect("it runs"), &before).is_empty()
    });
}
