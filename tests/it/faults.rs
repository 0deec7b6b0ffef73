//! Faults of the machine and of peers, each injected for real: clients that are killed, resets in the middle of frames, a
//! disk that is full for a while, a worker whose loop fails, and no more memory than a control group allows. What clocks do
//! is in `clock`, cables that are cut in `vanished`, sockets that take nothing in `bounds`, descriptors in `machine`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::client::{Client, publish};
use crate::support::dir::Dir;
use crate::support::frame::Out;
use crate::support::group::Group;
use crate::support::http::{Request, connect};
use crate::support::server::{Server, Setup};
use crate::support::stuck::{Held, can_hold};
use crate::support::tls::{Made, Tunnel, lines};
use crate::support::token::{grant, token};
use crate::support::tools::{require_tool, run, skip};
use crate::support::watch::under;
use crate::support::{until, until_within};

// Peers.

/// A client of ours that prints what it hears, as a process of its own.
fn subscriber(server: &Server, channel: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_philote"))
        .args(["subscribe", "--url", &format!("ws://{}", server.address()), channel])
        .env_clear()
        .env("PHILOTE_TOKEN", grant(&[channel], &[]))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a client")
}

/// Waits for its end, which is told to nobody else.
fn kill(mut child: Child) {
    child.kill().expect("it is killed");
    child.wait().expect("our child");
}

/// The kernel says for them that they are gone. One has read all that came, the other has not, which makes it a reset.
#[test]
fn clients_that_are_killed_are_gone_at_once_and_cost_nobody_a_message() {
    // Were it left to timeouts, it would take longer than this test waits.
    let server = Server::with("[websocket]\nping_interval = \"1h\"\npong_timeout = \"1h\"");
    let report = under(&server, "clients that are killed", || {
        let mut publisher = server.publisher(&["c"]);
        for _ in 0..5 {
            let mut reading = subscriber(&server, "c");
            let stopped = subscriber(&server, "c");
            // The healthy pair, this publisher, and these.
            server.until_connections(5);
            let id = rustix::process::Pid::from_child(&stopped);
            rustix::process::kill_process(id, rustix::process::Signal::STOP)
                .expect("it is stopped");
            let filler = "x".repeat(10_000);
            for number in 0..50 {
                publisher.publish("c", &format!("{number} {filler}"));
            }
            let out = reading.stdout.take().expect("its stdout");
            let heard = BufReader::new(out).lines().map_while(Result::ok).take(50);
            assert_eq!(heard.filter(|line| line.contains(&filler)).count(), 50);
            kill(reading);
            kill(stopped);
            let limit = Duration::from_secs(5);
            until_within(limit, "they are gone", || server.info()["connections"] == 3);
        }
    });
    // What was not read waits in the kernels.
    assert!(report.grown() < 16 * 1024, "{report:?}");
    server.until_connections(0);
}

#[test]
fn resets_in_the_middle_of_frames_in_either_direction_leave_nothing_behind() {
    let dir = Dir::new();
    let made = Made::new();
    let server = Setup::new(&lines(&made.write(&dir)))
        .environment("PHILOTE_LISTEN", "127.0.0.1:0,127.0.0.2:0 tls")
        .start();
    let tunnel = Tunnel::to(server.addresses()[1], &[&made]);
    let both = Request::upgrade_with(&grant(&["c"], &["c"]));
    let large = "x".repeat(600_000);
    under(&server, "resets in mid-frame", || {
        let mut publisher = server.publisher(&["c"]);
        let frame = Out::text(publish("c", &large)).bytes();
        for round in 0..24 {
            let address = if round % 3 == 2 { tunnel.address } else { server.address() };
            let open = || Client::open(address, &both).expect("admitted");
            // Of what it says, in its header, its mask, or later.
            let mut says = open();
            let part = [1, 3, 5, 13, 14, 1000, 64 << 10, 500_000][round % 8];
            says.send_bytes(&frame[..part]);
            says.reset();
            // Of what it is told, of which it has seen the beginning.
            let told = open();
            publisher.publish("c", &large);
            told.stream().peek(&mut [0]).expect("a beginning");
            told.reset();
        }
    });
    server.until_connections(0);
    server.is_healthy();
}

// The disk.

/// A file system of so many KiB.
struct Disk {
    dir: Dir,
}

impl Disk {
    /// `None`, told and counted, where we may not make one.
    fn new(kib: u32) -> Option<Disk> {
        require_tool("mount", "apt install mount")?;
        let dir = Dir::new();
        let size = format!("size={kib}k");
        let mount = ["-t", "tmpfs", "-o", &size, "tmpfs"];
        if let Err(why) = run(Command::new("mount").args(mount).arg(dir.path())) {
            skip(&format!("a file system of our own takes root: {why}"));
            return None;
        }
        Some(Disk { dir })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg("--lazy").arg(self.dir.path()));
    }
}

#[test]
fn a_disk_that_fills_up_costs_lines_that_are_counted_and_is_written_to_again_once_there_is_room() {
    let Some(disk) = Disk::new(256) else { return };
    fs::write(disk.path("ballast"), vec![0; 128 << 10]).expect("ballast");
    let log = disk.path("log");
    let server = Server::with(&format!("[log]\nlevel = \"debug\"\noutput = {log:?}"));
    let come_and_go = || server.subscriber(&["c"]).close();
    let full = "cannot be written: No space left";
    until("the disk is full", || {
        come_and_go();
        server.log().contains(full)
    });
    // Nobody waits for it.
    under(&server, "a full disk", || (0..50).for_each(|_| come_and_go()));
    let length = || fs::metadata(&log).expect("the log").len();
    let before = length();
    fs::remove_file(disk.path("ballast")).expect("there is room");
    let mut text = String::new();
    until("the loss is told", || {
        come_and_go();
        text = fs::read_to_string(&log).expect("the log");
        text.contains("event=log_lines_lost")
    });
    assert!(length() > before);
    // The line that broke off stands on a line of its own.
    let is_whole = |line: &&str| line.starts_with("20") && line.contains(" event=");
    let broken = text.lines().filter(|line| !is_whole(line)).count();
    assert!(broken <= 1, "{broken} broken lines in:\n{text}");
    let stderr = server.stop();
    assert_eq!(stderr.lines().count(), 1, "told once: {stderr}");
}

// A worker.

/// The wait for events, which a worker's loop cannot do without, fails; that is a panic of its own thread, outside of any
/// connection's task.
#[cfg(target_arch = "x86_64")]
#[test]
fn a_worker_that_panics_ends_the_process_with_70_so_that_it_is_started_anew_as_a_whole() {
    if !can_hold() {
        return;
    }
    let server = Server::start();
    let mut clients: Vec<Client> = (0..4).map(|_| server.subscriber(&["c"])).collect();
    clients.iter_mut().for_each(Client::round_trip);
    Held::idle_workers(&server, &[1]).fail();
    let ended = server.ended();
    assert_eq!(ended.status.code(), Some(70), "{}; log:\n{}", ended.status, ended.log);
    let said = |event: &str| ended.log.lines().filter(|line| line.contains(event)).count();
    assert_eq!((said("event=panic"), said("event=worker_failed")), (1, 1), "{}", ended.log);
    for client in &mut clients {
        client.rest();
    }
}

// Memory.

/// The most that it has had, in KiB.
fn most_resident(server: &Server) -> u64 {
    let path = format!("/proc/{}/status", server.pid());
    let status = fs::read_to_string(path).expect("the server's /proc/PID/status");
    let line =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    line.and_then(|count| count.trim().parse().ok()).expect("VmHWM")
}

/// What the drop-in for units sets.
fn memory_of_the_drop_in() -> u64 {
    let drop_in = include_str!("../../packaging/examples/memory.conf");
    let line =
        drop_in.lines().find_map(|line| line.strip_prefix("MemoryMax=")).expect("MemoryMax=");
    line.strip_suffix('G').and_then(|count| count.parse::<u64>().ok()).expect("in GiB") << 30
}

/// All at once, with the limits that hold by default: heads of requests that do not end, as many as may be pending;
/// messages that do not end, on half of the connections; and readers that stall, on most of the others, of more than
/// may wait for them.
#[test]
fn within_the_memory_of_the_drop_in_no_client_can_have_the_server_killed() {
    let limit = memory_of_the_drop_in();
    // Where there are no control groups to be had, the figure is held against the limit all the same.
    let group = Group::limited(limit);
    let config = format!(
        "[websocket]\nhandshake_timeout = \"2m\"\n{}",
        if group.is_some() {
            String::new()
        } else {
            format!("[limits]\ntotal_queue = {}", limit / 4)
        }
    );
    let mut setup = Setup::new(&config);
    if let Some(group) = &group {
        setup = setup.launched_by(&group.launcher().each_ref().map(String::as_str));
    }
    let server = setup.start();
    let report = under(&server, "all that clients can make it hold", || {
        let head = Request::get("/").header("Cookie", &"x".repeat(63 << 10)).bytes();
        let asking: Vec<TcpStream> = (0..1000)
            .map(|_| {
                let mut stream = connect(server.address());
                stream.write_all(&head[..head.len() - 2]).expect("the kernel takes it");
                stream
            })
            .collect();
        let begun = Out::text(vec![b' '; 1_000_000]).unfinished().bytes();
        let speaking: Vec<Client> = (0..125)
            .map(|_| {
                let mut client = server.publisher(&["c"]);
                client.send_bytes(&begun);
                client
            })
            .collect();
        let names: Vec<String> = (0..100).map(|number| format!("c{number:02}")).collect();
        let stalled: Vec<Client> =
            names.iter().map(|name| server.lazy_subscriber(&[name])).collect();
        let write: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut publisher = server.publisher(&write);
        // Made once and for all, with a mask that changes nothing, since that takes longer than sending it.
        let mut frame = Out::text(publish("c00", &"x".repeat(900_000))).mask(Some([0; 4])).bytes();
        let at = frame.windows(3).position(|three| three == b"c00").expect("the channel");
        let mut sent = 0;
        // More than may wait for all of them.
        while sent < limit * 5 / 16 {
            for name in &names {
                frame[at..at + name.len()].copy_from_slice(name.as_bytes());
                publisher.send_bytes(&frame);
                sent += frame.len() as u64;
            }
        }
        publisher.round_trip();
        drop((asking, speaking, stalled));
    });
    let most = most_resident(&server) * 1024;
    let _ = writeln!(std::io::stderr(), "{} MiB at most of {}", most >> 20, limit >> 20);
    assert!(most < limit, "{report:?}");
    assert!(report.resident[1] > 400 * 1024, "that was no pressure: {report:?}");
    server.is_healthy();
    let bound = server.ask(&Request::get("/api/info").bearer(&token(r#"{"api":true}"#)));
    assert_eq!(bound.status, 200);
    server.stop();
    assert_eq!(group.map_or(0, |group| group.kills()), 0);
}
