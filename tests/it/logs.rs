//! The log: where it goes, how its lines look, what never stands in it, and that nothing in the
//! server waits for it.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::client::Client;
use crate::support::dir::Dir;
use crate::support::http::Request;
use crate::support::server::{Server, Setup, file};
use crate::support::token::{SECRET, grant, signed, token};
use crate::support::tools::{require_tool, skip};
use crate::support::{PATIENCE, until};

/// What a client may call a channel: line ends, commands to a terminal, another line of the log.
const HOSTILE: &str =
    "a\nb\r\u{1b}[31m\u{9b}0m\u{7f}\u{202e}\" INFO ready event=ready peer=192.0.2.1";

fn is_plain(line: &str) -> bool {
    !line.contains(|c: char| c.is_control() || c == '\u{202e}')
}

fn named<'a>(log: &'a str, event: &str) -> Vec<&'a str> {
    let field = format!(" event={event}");
    log.lines()
        .filter(|line| line.ends_with(&field) || line.contains(&format!("{field} ")))
        .collect()
}

/// A line of text: its time, its level, the rest.
#[track_caller]
fn parts(line: &str) -> (&str, &str, &str) {
    let (time, rest) = line.split_once(' ').expect("a time");
    let (level, rest) = rest.split_at(5);
    (time, level.trim_end(), rest.trim_start())
}

#[test]
fn the_life_of_the_process_is_told_in_lines_of_text() {
    let server = Server::start();
    server.signal(Signal::USR1);
    server.logs("its status", |line| line.contains("event=status"));
    let log = server.stop();
    let lines: Vec<_> = log.lines().map(parts).collect();
    for (time, level, _) in &lines {
        assert!(time.len() == 27 && time.ends_with('Z') && time.contains('T'), "{time}");
        assert_eq!(*level, "INFO", "{log}");
    }
    let events: Vec<_> = lines
        .iter()
        .map(|(_, _, rest)| {
            let (_, event) = rest.split_once(" event=").expect("an event");
            event.split(' ').next().expect("a name")
        })
        .collect();
    assert_eq!(events, ["start", "ready", "status", "drain", "stopped"]);
    assert!(lines[0].2.contains(&format!("version={}", env!("CARGO_PKG_VERSION"))), "{log}");
}

/// Everything that a unit starts inherits the variable: a terminal, a build, a pipe.
#[test]
fn a_journal_stream_that_is_not_our_stderr_changes_nothing() {
    for stream in ["8:1", "nonsense", "0:0"] {
        let server = Setup::new("").environment("JOURNAL_STREAM", stream).start();
        let line = server.logs("its start", |line| line.contains("event=ready"));
        assert_eq!(parts(&line).1, "INFO");
        server.stop();
    }
}

/// A server whose `JOURNAL_STREAM` names its stderr, as the service manager does it.
fn in_a_unit(config: &str) -> Setup {
    let script = r#"export JOURNAL_STREAM="$(stat -L -c %d:%i /dev/fd/2)"; exec "$0" "$@""#;
    Setup::new(config).launched_by(&["/bin/sh", "-c", script])
}

#[test]
fn on_a_stderr_that_the_journal_reads_each_line_begins_with_its_priority() {
    let server = in_a_unit("[log]\noutput = \"stderr\"\nlevel = \"debug\"").start();
    server.subscriber(&["c"]).close();
    server.refuses_token("bad");
    let log = server.stop();
    for line in log.lines() {
        let (priority, level) = (&line[..3], parts(&line[3..]).1);
        let expected = match level {
            "INFO" => "<6>",
            "DEBUG" => "<7>",
            other => panic!("{other}: {log}"),
        };
        assert_eq!(priority, expected, "{line}");
    }
    assert!(log.contains("DEBUG"), "{log}");
}

/// `journalctl --priority=err` then shows why there is no server.
#[test]
fn on_a_stderr_that_the_journal_reads_what_prevents_a_start_is_an_error() {
    let config = "nonsense = 1\nlog.level = \"loud\"";
    let ended = in_a_unit(config).fails();
    assert_eq!(ended.log.lines().count(), 2, "{}", ended.log);
    assert!(ended.log.lines().all(|line| line.starts_with("<3>/")), "{}", ended.log);
    let ended = Setup::new(config).fails();
    assert!(ended.log.lines().all(|line| line.starts_with('/')), "{}", ended.log);
}

#[test]
fn without_a_journal_the_log_goes_to_stderr_and_says_so() {
    if Path::new("/run/systemd/journal/socket").exists() {
        // Here it is there; the test in a booted machine takes it away.
        return;
    }
    let server = in_a_unit("").start();
    let line = server.logs("the journal", |line| line.contains("event=journal_absent"));
    assert!(line.starts_with("<4>"), "{line}");
    let log = server.stop();
    assert!(log.contains("<6>") && log.contains("event=ready"), "{log}");

    let server = Server::with("[log]\noutput = \"journald\"");
    let line = server.logs("the journal", |line| line.contains("event=journal_absent"));
    assert_eq!(parts(&line).1, "WARN");
}

#[test]
fn json_is_one_object_a_line_whatever_a_client_calls_a_channel() {
    let server = Server::with("[log]\nformat = \"json\"\nlevel = \"debug\"");
    let mut publisher = server.publisher(&["c"]);
    publisher.publish(HOSTILE, "D");
    publisher.round_trip();
    publisher.close();
    let log = server.stop();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert!(log.lines().all(|line| !line.contains(char::is_control)), "{log:?}");
    for line in &lines {
        for name in ["timestamp", "level", "event", "message"] {
            assert!(line[name].is_string(), "{name}: {line}");
        }
    }
    let line = |event: &str| {
        lines.iter().find(|line| line["event"] == event).unwrap_or_else(|| panic!("{event}: {log}"))
    };
    assert_eq!(line("publish_refused")["channel"], HOSTILE);
    assert_eq!(line("publish_refused")["level"], "info");
    assert_eq!(line("ready")["workers"], 2);
    let closed = line("connection_closed");
    assert_eq!((&closed["code"], &closed["reason"]), (&1000.into(), &"closed_by_peer".into()));
    assert_eq!(closed["connection"], line("publish_refused")["connection"]);
    assert!(closed["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")));
}

#[test]
fn text_stays_one_line_an_event_whatever_a_client_calls_a_channel() {
    let server = Server::start();
    let mut publisher = server.publisher(&["c"]);
    publisher.publish(HOSTILE, "D");
    publisher.publish("two words", "D");
    publisher.publish("plain", "D");
    publisher.round_trip();
    publisher.close();
    let log = server.stop();
    assert!(log.lines().all(is_plain), "{log:?}");
    let refused = named(&log, "publish_refused");
    assert_eq!(refused.len(), 3, "{log}");
    for (line, channel) in refused.iter().zip([
        r#"channel="a\nb\r\u{1b}[31m\u{9b}0m\u{7f}\u{202e}\" INFO ready event=ready peer=192.0.2.1""#,
        r#"channel="two words""#,
        "channel=plain",
    ]) {
        assert!(line.ends_with(channel), "{line}");
    }
}

/// Nothing that a client chose stands in the line that a filter may ban it by.
#[test]
fn a_refused_handshake_is_logged_with_its_peer_and_a_reason_ten_times_a_minute_and_worker() {
    let server = Server::start();
    for _ in 0..100 {
        server.refuses_token("mark.mark.mark");
        server.refuses(&Request::upgrade("/mark?mark=mark").header("User-Agent", "mark"));
    }
    let log = server.stop();
    assert!(!log.contains("mark"), "{log}");
    let lines = named(&log, "handshake_refused");
    assert!((10..=20).contains(&lines.len()), "{} lines", lines.len());
    for line in lines {
        let (_, level, rest) = parts(line);
        assert_eq!(level, "INFO");
        let (_, peer) = rest.split_once(" peer=127.0.0.1:").expect("a peer");
        let (port, reason) = peer.split_once(" reason=").expect("peer, reason");
        assert!(port.parse::<u16>().is_ok(), "{line}");
        let said = format!("handshake refused: {reason} from 127.0.0.1:{port}");
        let fields = format!("event=handshake_refused peer=127.0.0.1:{port} reason={reason}");
        assert_eq!(rest, format!("{said} {fields}"));
    }
}

// Files.

fn to_file(path: &Path, more: &str) -> String {
    format!("[log]\noutput = {:?}\n{more}", path.display().to_string())
}

fn until_file_holds(path: &Path, text: &str) -> String {
    let mut found = String::new();
    until(&format!("{} holds {text}", path.display()), || {
        found = fs::read_to_string(path).unwrap_or_default();
        found.contains(text)
    });
    found
}

#[test]
fn a_log_file_is_appended_to_and_opened_anew_on_sigusr1() {
    let dir = Dir::new();
    let [path, old] = ["log", "log.1"].map(|name| dir.path().join(name));
    fs::write(&path, "of an earlier life\n").expect("a file");
    let server = Server::with(&to_file(&path, ""));
    assert!(until_file_holds(&path, "event=ready").starts_with("of an earlier life\n"));
    fs::rename(&path, &old).expect("it is rotated");

    server.refuses_token("bad");
    let before = until_file_holds(&old, "event=handshake_refused");
    assert!(!path.exists());
    server.signal(Signal::USR1);
    let after = until_file_holds(&path, "event=status");
    assert!(after.contains("event=log_reopened") && after.contains("log_lines_lost=0"), "{after}");
    let mode = fs::metadata(&path).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777 & !0o640, 0, "{mode:o}");
    server.is_healthy();
    let stderr = server.stop();
    assert_eq!(stderr, "");
    assert_eq!(fs::read_to_string(&old).expect("the old file"), before);
    assert!(until_file_holds(&path, "event=stopped").lines().all(is_plain));

    // A restart appends.
    Server::with(&to_file(&path, "")).stop();
    assert!(fs::read_to_string(&path).expect("the file").starts_with(&after));
}

#[test]
fn a_log_file_that_cannot_be_opened_anew_is_written_on() {
    let dir = Dir::new();
    let directory = dir.path().join("logs");
    let moved = dir.path().join("moved");
    fs::create_dir(&directory).expect("a directory");
    let server = Server::with(&to_file(&directory.join("log"), ""));
    until_file_holds(&directory.join("log"), "event=ready");
    fs::rename(&directory, &moved).expect("it is moved");
    server.signal(Signal::USR1);
    let log = until_file_holds(&moved.join("log"), "event=status");
    assert!(log.contains("event=log_reopen_failed") && log.contains(" ERROR "), "{log}");
    server.is_healthy();
    server.stop();
    assert!(until_file_holds(&moved.join("log"), "event=stopped").contains("event=drain"));
}

#[test]
fn a_full_disk_costs_lines_and_nothing_else() {
    let server = Server::with(&to_file(Path::new("/dev/full"), "level = \"debug\""));
    for _ in 0..50 {
        server.refuses_token("bad");
        server.subscriber(&["c"]).close();
    }
    server.is_healthy();
    server.signal(Signal::USR1);
    server.is_healthy();
    let stderr = server.stop();
    // Told once, since somebody has to make room.
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains("/dev/full cannot be written: No space left"), "{stderr}");
}

#[test]
fn a_log_file_that_cannot_be_made_is_a_fault_of_the_configuration() {
    let dir = Dir::new();
    let path = dir.path().join("missing/log");
    let config = dir.write("config.toml", &to_file(&path, ""));
    let output = Command::new(env!("CARGO_BIN_EXE_philote"))
        .args(["serve", "--config"])
        .arg(config)
        .env_clear()
        .env("PHILOTE_LISTEN", "127.0.0.1:0")
        .env("SECRET", SECRET)
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains("log.output: ") && stderr.contains("missing/log"), "{stderr}");
}

// Nobody waits for the log.

/// A FIFO, and an end of it that can be read from.
fn fifo(dir: &Dir) -> (PathBuf, File) {
    let path = dir.path().join("fifo");
    mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).expect("a FIFO");
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let reader = OpenOptions::new().read(true).custom_flags(flags).open(&path).expect("its end");
    (path, reader)
}

/// Makes more lines than a pipe holds.
fn overfill(server: &Server) {
    let token = grant(&["c"], &[]);
    for _ in 0..600 {
        server.open(&token).reset();
    }
    server.until_connections(0);
    server.is_healthy();
}

#[test]
fn a_stderr_that_nobody_reads_holds_up_nothing() {
    let dir = Dir::new();
    let (path, mut reader) = fifo(&dir);
    let script = format!(r#"exec "$0" "$@" 2>'{}'"#, path.display());
    let server =
        Setup::new("[log]\nlevel = \"debug\"").launched_by(&["/bin/sh", "-c", &script]).start();
    overfill(&server);
    let begun = Instant::now();
    server.stop();
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
    let mut log = Vec::new();
    reader.read_to_end(&mut log).expect("what the pipe held");
    assert!(log.len() >= 60_000, "the pipe was not full: {} bytes", log.len());
}

#[test]
fn lines_that_were_lost_are_counted_and_told_once_lines_get_through_again() {
    let dir = Dir::new();
    let (path, mut reader) = fifo(&dir);
    let server = Server::with(&to_file(&path, "level = \"debug\""));
    overfill(&server);
    let mut log = Vec::new();
    let mut told = 0;
    until("the loss is told", || {
        // Nothing to be read, for now, is an error here.
        let _ = reader.read_to_end(&mut log);
        server.refuses_token("bad");
        server.subscriber(&["c"]).close();
        let text = String::from_utf8_lossy(&log);
        let line = named(&text, "log_lines_lost").first().map(|line| (*line).to_owned());
        told = line.map_or(0, |line| {
            let (_, lines) = line.rsplit_once("lines=").expect("a number");
            lines.parse().expect("a number")
        });
        told > 0
    });
    let text = String::from_utf8_lossy(&log);
    // Of two lines for each of 600 connections.
    assert!((100..1300).contains(&told), "{told} lines");
    let whole = |line: &str| line.starts_with("20") && line.contains(" event=");
    assert!(text.lines().all(whole), "{text}");
    server.stop();
}

// What is never logged.

/// A session with everything that a client may do wrong, in every form of log, at every level.
#[test]
fn no_token_secret_query_or_payload_is_logged_at_trace_in_any_format() {
    let dir = Dir::new();
    let path = dir.path().join("log");
    let trace = "level = \"trace\"";
    for config in [
        format!("[log]\n{trace}"),
        format!("[log]\nformat = \"json\"\n{trace}"),
        to_file(&path, trace),
    ] {
        let config = format!("{config}\n[limits]\nmax_message_size = 512");
        let server = Setup::new(&config).environment("RUST_LOG", "trace").start();
        let bad = signed("HS256", r#"{"sub":"subjectmark"}"#, "another secret");
        let good = token(r#"{"read":["a"],"write":["a"],"api":true,"sub":"subjectmark"}"#);
        let query = |token: &str| format!("/pathmark?auth={token}&mark=querymark");
        server.refuses(&Request::upgrade(&query(&bad)));
        server.refuses_token(&bad);
        server.refuses(&Request::upgrade(&query(&good)).header("Sec-WebSocket-Key", "keymark"));
        server.ask(&Request::get(&format!("/api/info?auth={good}&mark=querymark")));
        server.ask(&Request::get(&format!("/api/info?auth={bad}")));
        server.ask(&Request::get(&query(&good)).header("Cookie", "cookiemark"));
        let open = || server.open_with(&Request::upgrade(&query(&good)));
        let mut subscriber = open();
        let mut publisher = open();
        for data in ["payloadmark", "payloadmark again"] {
            publisher.publish("a", data);
            subscriber.hears("a", data);
        }
        publisher.publish("ungranted", "payloadmark");
        let long = "payloadmark".repeat(100);
        for (code, wrong) in [
            (1007, r#"{"channel":"a","data":{"payloadmark":1}}"#),
            (1007, "payloadmark"),
            (1009, &long),
        ] {
            let mut client = open();
            client.send_text(wrong);
            client.closed_with(code);
        }
        half_a_frame(open());
        publisher.close();
        subscriber.close();
        let stderr = server.stop();
        let log = format!("{stderr}{}", fs::read_to_string(&path).unwrap_or_default());
        assert!(log.contains("connection_closed") && log.contains("publish_refused"), "{log}");
        let signatures = [&bad, &good].map(|token| token.rsplit_once('.').expect("parts").1);
        for secret in [bad.as_str(), &good, signatures[0], signatures[1], SECRET] {
            assert!(!log.contains(secret), "a secret is logged:\n{log}");
        }
        for mark in ["querymark", "payloadmark", "pathmark", "keymark", "cookiemark", "subjectmark"]
        {
            assert!(!log.contains(mark), "{mark} is logged:\n{log}");
        }
    }
}

fn half_a_frame(mut client: Client) {
    client.send_bytes(b"\x81\xfe\x01\x00maskpayloadmark");
    client.reset();
}

// The journal itself.

#[test]
fn the_journal_gets_fields_priorities_and_message_ids() {
    for tool in ["systemd-nspawn", "debootstrap"] {
        if require_tool(tool, "make test-deps, as root").is_none() {
            return;
        }
    }
    if !rustix::process::geteuid().is_root() {
        return skip("booting a machine needs root");
    }
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/tests");
    let output = Command::new(tests.join("booted-debian"))
        .arg("bookworm")
        .args([tests.join("journal"), env!("CARGO_BIN_EXE_philote").into()])
        .stdin(Stdio::null())
        .output()
        .expect("a machine is booted");
    let said = [output.stdout, output.stderr].map(|out| String::from_utf8_lossy(&out).into_owned());
    assert!(output.status.success(), "{}:\n{}", output.status, said.concat());
    assert!(said[0].contains("the journal has it all"), "{}", said.concat());
}

/// Units of systemd have a socket to the journal there, which cannot be opened by its name.
#[test]
fn the_log_goes_to_a_standard_descriptor_by_its_name_though_it_is_a_socket() {
    let dir = Dir::new();
    for name in ["/dev/stderr", "/dev/stdout", "/proc/self/fd/2", "/dev/fd/1"] {
        let output = format!("log.output = {name:?}");
        let config = dir.write("config.toml", &file(&[&output]));
        let philote = |subcommand: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_philote"));
            command.args(subcommand).arg("--config").arg(&config).env_clear().stdin(Stdio::null());
            command
        };
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        ours.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut command = philote(&[]);
        if name.ends_with("out") || name.ends_with('1') {
            command.stdout(OwnedFd::from(theirs)).stderr(Stdio::null());
        } else {
            command.stderr(OwnedFd::from(theirs)).stdout(Stdio::null());
        }
        let mut child = command.spawn().expect("philote runs");
        drop(command);
        let mut lines = BufReader::new(ours).lines().map_while(Result::ok);
        let ready = lines.find(|line| line.contains("event=ready"));
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, Signal::TERM).expect("it runs");
        let stopped = lines.find(|line| line.contains("event=stopped"));
        let status = child.wait().expect("it ends");
        assert!(status.success() && ready.is_some(), "{name}: {status}, {ready:?}");
        assert!(stopped.is_some(), "{name}: no last line");
        let checked = philote(&["check"]).output().expect("philote runs");
        assert!(checked.status.success(), "{name}: {checked:?}");
    }
}
