//! The control socket of the real server, and the commands that use it.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::dir::Dir;
use crate::support::http::Request;
use crate::support::server::{Server, Setup};
use crate::support::token::{SECRET, grant, token};
use crate::support::tools::{require_tool, skip};
use crate::support::until;

/// A server with a control socket, and the directory of that.
struct Steered {
    server: Server,
    dir: Dir,
}

impl Steered {
    /// With this TOML besides.
    fn with(config: &str) -> Steered {
        let dir = Dir::new();
        let server = Setup::new(&configured(&dir, config)).start();
        Steered { server, dir }
    }

    fn socket(&self) -> PathBuf {
        socket_in(&self.dir)
    }

    fn reconfigure(&self, config: &str) {
        self.server.reconfigure(&configured(&self.dir, config));
    }

    fn run(&self, words: &[&str]) -> Told {
        told(philote(words).arg("--control").arg(self.socket()))
    }

    fn json(&self, words: &[&str]) -> Value {
        let told = self.run(&[words, &["--json"]].concat());
        assert_eq!(told.code, Some(0), "{told:?}");
        serde_json::from_str(&told.out).expect("JSON")
    }
}

/// What a tool said, and how it ended.
#[derive(Debug)]
struct Told {
    code: Option<i32>,
    out: String,
    err: String,
}

fn socket_in(dir: &Dir) -> PathBuf {
    dir.path().join("control.sock")
}

fn configured(dir: &Dir, config: &str) -> String {
    // What comes first may not be in a table.
    format!("control.socket = \"{}\"\n{config}", socket_in(dir).display())
}

fn philote(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_philote"));
    command.args(words).env_clear();
    command
}

fn told(command: &mut Command) -> Told {
    let Output { status, stdout, stderr } =
        command.stdin(Stdio::null()).output().expect("the tool runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Told { code: status.code(), out: text(stdout), err: text(stderr) }
}

/// The same as somebody without any right, or `None`, told and counted, where we cannot become that.
fn as_nobody(words: &[&str]) -> Option<Command> {
    let setpriv = require_tool("setpriv", "apt install util-linux")?;
    if !rustix::process::geteuid().is_root() {
        skip("becoming another user needs root");
        return None;
    }
    let mut command = Command::new(setpriv);
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]);
    command.args(words).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    Some(command)
}

#[test]
fn a_good_configuration_is_put_in_force_while_everybody_stays() {
    let steered = Steered::with("limits.max_connections = 1");
    let mut client = steered.server.open(&grant(&["c"], &["c"]));
    steered.reconfigure("limits.max_connections = 2\nworkers = 7");
    let check = steered.run(&["check", "--running"]);
    assert_eq!(check.code, Some(0), "{check:?}");
    assert_eq!(steered.json(&["status"])["max_connections"], 1);

    let reload = steered.run(&["reload"]);
    assert_eq!(reload.code, Some(0), "{reload:?}");
    assert_eq!(reload.out, check.out);
    assert!(reload.out.lines().any(|line| line == "limits.max_connections: 1 -> 2"), "{reload:?}");
    let status = steered.json(&["status"]);
    assert_eq!(status["max_connections"], 2);
    assert_eq!(status["last_reload"]["done"], true);
    client.round_trip();
    steered.server.open(&grant(&["c"], &["c"])).round_trip();

    let again = steered.run(&["reload"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(!again.out.contains("max_connections"), "{again:?}");
}

#[test]
fn a_bad_configuration_is_rejected_with_every_fault_and_the_old_one_stays() {
    let steered = Steered::with("limits.max_connections = 5");
    steered.reconfigure("limits.max_connections = 0\nlimits.max_conections = 3");
    let config = steered.server.dir().join("config.toml").display().to_string();
    for (words, said) in [(&["check", "--running"][..], "would be"), (&["reload"], "stays")] {
        let told = steered.run(words);
        assert_eq!((told.code, &*told.out), (Some(78), ""), "{told:?}");
        let lines: Vec<_> = told.err.lines().collect();
        assert_eq!(lines.len(), 3, "{told:?}");
        assert!(lines[0].starts_with(&format!("{config}:2:")), "{told:?}");
        assert!(lines[1].starts_with(&format!("{config}:3:")), "{told:?}");
        assert!(lines[2].contains(said), "{told:?}");
    }
    let status = steered.json(&["status"]);
    assert_eq!(status["max_connections"], 5);
    assert_eq!(status["last_reload"]["done"], false);
    let fault = status["last_reload"]["fault"].as_str().expect("the first fault");
    assert!(fault.starts_with(&config), "{fault}");
    let table = steered.run(&["status"]);
    assert!(table.out.contains(&format!("rejected: {config}:2:")), "{table:?}");
    steered.server.is_healthy();
}

#[test]
fn what_a_tool_does_stands_in_the_log_with_who_did_it() {
    let steered = Steered::with("");
    let mut client = steered.server.open(&grant(&["c"], &[]));
    client.round_trip();
    let id = steered.json(&["connections"])[0]["id"].as_str().expect("an id").to_owned();
    let reload = philote(&["reload", "--control"])
        .arg(steered.socket())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut reload = reload.expect("it runs");
    assert!(reload.wait().expect("it ends").success());
    let who = format!("uid={} pid={}", rustix::process::getuid().as_raw(), reload.id());
    steered
        .server
        .logs("the reload", |line| line.contains("control_reload") && line.contains(&who));
    assert_eq!(steered.run(&["disconnect", &id]).code, Some(0));
    steered
        .server
        .logs("the disconnect", |line| line.contains("control_disconnect") && line.contains(&id));
    client.closed_with(4002);
    assert_eq!(steered.run(&["drain"]).code, Some(0));
    let ended = steered.server.ended();
    assert!(ended.log.contains("control_drain"), "{}", ended.log);
}

/// Whoever may connect there needs no token.
#[test]
fn the_control_socket_serves_the_api_as_a_listener_does() {
    let steered = Steered::with("limits.max_connections = 9");
    let mut stream = std::os::unix::net::UnixStream::connect(steered.socket()).expect("it listens");
    stream.write_all(&Request::get("/api/info").bytes()).expect("it is taken");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let told: Value = serde_json::from_str(body).expect("JSON");
    let listener = steered.server.info();
    for name in ["pid", "max_connections", "tcp_port", "num_cpu"] {
        assert_eq!(told[name], listener[name], "{name}");
    }
}

#[test]
fn status_tells_what_runs() {
    let steered = Steered::with("limits.max_connections = 9");
    let mut subscriber = steered.server.subscriber(&["c", "d"]);
    let mut publisher = steered.server.publisher(&["c"]);
    publisher.publish("c", "x");
    subscriber.hears("c", "x");
    publisher.publish("not granted", "x");
    publisher.round_trip();
    let expected = |status: &Value| {
        status["connections"] == 2
            && status["messages_in"].as_u64() >= Some(1)
            && status["messages_out"] == 1
            && status["publishes_refused"] == 1
    };
    let mut status = Value::Null;
    until("the figures are right", || {
        status = steered.json(&["status"]);
        expected(&status)
    });
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["pid"], steered.server.pid());
    assert_eq!(status["state"], "running");
    assert_eq!(status["workers"], 2);
    assert_eq!(status["max_connections"], 9);
    assert_eq!(status["listening"][0], steered.server.address().to_string());
    let config = steered.server.dir().join("config.toml").display().to_string();
    assert_eq!(status["configuration"], config);
    assert!(status["channels"].as_u64() >= Some(2), "{status}");
    assert!(status["last_reload"].is_null(), "{status}");
    let table = steered.run(&["status"]);
    assert!(table.out.contains("2 of 9") && table.out.contains(&config), "{table:?}");
}

#[test]
fn connections_are_listed_and_one_can_be_closed() {
    let steered = Steered::with("");
    let claims = r#"{"sub":"jane\u001b\u202e","read":["a","b"],"write":["c"]}"#;
    let jane = steered.server.open(&token(claims));
    let mut other = steered.server.subscriber(&["a"]);
    other.round_trip();
    let list = steered.json(&["connections"]);
    let list = list.as_array().expect("an array");
    assert_eq!(list.len(), 2);
    let found = list.iter().find(|one| one["subject"] == "jane\u{1b}\u{202e}").expect("jane");
    assert_eq!((&found["reads"], &found["writes"]), (&2.into(), &1.into()));
    assert_eq!(found["state"], "open");
    let peer = jane.stream().local_addr().expect("an address").to_string();
    assert_eq!(found["peer"], peer);
    let table = steered.run(&["connections"]);
    assert_eq!(table.out.lines().count(), 3, "{table:?}");
    let is_shown = table.out.contains("jane\\u{1b}\\u{202e}");
    assert!(is_shown && !table.out.contains(['\u{1b}', '\u{202e}']), "{table:?}");

    let id = found["id"].as_str().expect("an id");
    let closed = steered.run(&["disconnect", id]);
    assert_eq!(closed.code, Some(0), "{closed:?}");
    let reason = jane.closed_with(4002);
    assert!(reason.contains("administrator"), "{reason}");
    until("jane is gone", || steered.json(&["connections"]).as_array().map(Vec::len) == Some(1));
    let again = steered.run(&["disconnect", id]);
    assert_eq!(again.code, Some(1), "{again:?}");
    other.round_trip();
}

#[test]
fn connections_and_channels_are_chosen_and_a_subject_is_closed() {
    let steered = Steered::with("limits.max_connections = 2000");
    let open = |claims: &str| steered.server.open(&token(claims));
    let jane = open(r#"{"sub":"jane","read":["news"],"write":["chat"]}"#);
    let also = open(r#"{"sub":"jane","read":["new\u001b\u2028"]}"#);
    let mut john = open(r#"{"sub":"john","read":["news","chat"]}"#);
    let found = |words: &[&str]| {
        let list = steered.json(&[&["connections"], words].concat());
        list.as_array().expect("an array").len()
    };
    assert_eq!(found(&[]), 3);
    assert_eq!(found(&["--subject", "jane"]), 2);
    assert_eq!(found(&["--channel", "chat"]), 2);
    assert_eq!(found(&["--channel", "chat", "--subject", "john"]), 1);
    assert_eq!(found(&["--peer", "127.0.0.1"]), 3);
    assert_eq!(found(&["--peer", "unix"]), 0);
    let wrong = steered.run(&["connections", "--peer", "jane"]);
    assert!(wrong.code == Some(64) && wrong.err.contains("peer has to be"), "{wrong:?}");

    let table = steered.run(&["channels"]);
    let lines: Vec<&str> = table.out.lines().collect();
    let expected = [
        "SUBSCRIBERS  CHANNEL",
        "1            chat",
        "1            new\\u{1b}\\u{2028}",
        "2            news",
    ];
    assert_eq!(lines, expected);
    let news = steered.json(&["channels", "--prefix", "news"]);
    assert_eq!(news, serde_json::json!([{ "channel": "news", "subscribers": 2 }]));

    let closed = steered.run(&["disconnect", "--subject", "jane"]);
    assert_eq!((closed.code, &*closed.out), (Some(0), "2\n"), "{closed:?}");
    steered
        .server
        .logs("whose", |line| line.contains("control_disconnect") && line.contains("subject=jane"));
    jane.closed_with(4002);
    also.closed_with(4002);
    john.round_trip();
    assert_eq!(steered.run(&["disconnect"]).code, Some(64));
    // More than one page.
    let many: Vec<_> = (0..1100).map(|_| steered.server.subscriber(&["many"])).collect();
    assert_eq!(found(&["--channel", "many"]), 1100);
    // With a token that is there to be read but once.
    let input = steered.dir.write("token", &token(r#"{"manage":true}"#));
    let url = format!("http://{}/", steered.server.address());
    let words = ["connections", "--json", "--channel", "many", "--token-file", "-", "--url", &url];
    let listed = philote(&words).stdin(fs::File::open(input).expect("a file")).output();
    let listed = listed.expect("it runs");
    assert!(listed.status.success(), "{listed:?}");
    let list: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    assert_eq!(list.as_array().map(Vec::len), Some(1100));
    drop(many);
}

#[test]
fn publishing_by_http_tells_how_many_have_heard_it() {
    let steered = Steered::with("");
    let mut one = steered.server.subscriber(&["a"]);
    let mut two = steered.server.open(&grant(&["a"], &["b"]));
    let mut listener = steered.server.subscriber(&["b"]);
    two.publish("b", "x");
    let id = listener.hears("b", "x");
    let done = steered.run(&["publish", "--count", "a", "Hello"]);
    assert_eq!((done.code, &*done.out), (Some(0), "2\n"), "{done:?}");
    let done = steered.run(&["publish", "--count", "--exclude", &id, "a", "\u{1b}"]);
    assert_eq!((done.code, &*done.out), (Some(0), "1\n"), "{done:?}");
    // Without --count nothing is printed.
    let done = steered.run(&["publish", "a", "quiet"]);
    assert_eq!((done.code, &*done.out), (Some(0), ""), "{done:?}");
    for data in ["Hello", "\u{1b}", "quiet"] {
        one.hears("a", data);
    }
    two.hears("a", "Hello");
    two.hears("a", "quiet");
    // At a listener, with a token; lines come in their order.
    let url = format!("http://{}/", steered.server.address());
    let with_token = |claims: &str, words: &[&str]| {
        let mut command = philote(words);
        command.args(["--url", &url]).env("PHILOTE_TOKEN", token(claims));
        command
    };
    let lines: String = (0..500).map(|number| format!("{number}\n")).collect();
    let input = steered.dir.write("lines", &lines);
    let mut command = with_token(r#"{"api":true,"write":["a"]}"#, &["publish", "--count", "a"]);
    let output = command.stdin(fs::File::open(input).expect("a file")).output().expect("it runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "2\n".repeat(500), "{output:?}");
    for number in 0..500 {
        one.hears("a", &number.to_string());
    }
    let told_of = |claims: &str, words: &[&str]| told(&mut with_token(claims, words));
    let refused = told_of(r#"{"write":["a"]}"#, &["publish", "--count", "a", "x"]);
    assert!(refused.code == Some(77) && refused.err.contains("claim api"), "{refused:?}");
    assert_eq!(told_of("{}", &["publish", "--exclude", &id, "a", "x"]).code, Some(64));
    // The lists too.
    let listed = told_of(r#"{"manage":true}"#, &["channels", "--json"]);
    assert!(listed.out.contains(r#"{"channel":"a","subscribers":2}"#), "{listed:?}");
    let refused = told_of(r#"{"api":true}"#, &["connections"]);
    assert!(refused.code == Some(77) && refused.err.contains("claim manage"), "{refused:?}");
    let closed = told_of(r#"{"manage":true}"#, &["disconnect", &id]);
    assert_eq!(closed.code, Some(0), "{closed:?}");
    let mut without = philote(&["channels", "--url", &url]);
    assert_eq!(told(&mut without).code, Some(64));
}

#[test]
fn drain_is_the_polite_stop() {
    let steered = Steered::with("");
    let mut client = steered.server.open(&grant(&["c"], &["c"]));
    client.round_trip();
    let drain = steered.run(&["drain"]);
    assert_eq!(drain.code, Some(0), "{drain:?}");
    let reason = client.close_frame(1001);
    assert!(reason.contains("shut"), "{reason}");
    // Until the last connection has answered, it can be asked how it is.
    assert_eq!(steered.json(&["status"])["state"], "draining");
    assert_eq!(steered.run(&["health"]).code, Some(1));
    let reload = steered.run(&["reload"]);
    assert_eq!(reload.code, Some(75), "{reload:?}");
    assert_eq!(steered.run(&["drain"]).code, Some(0));
    drop(client);
    let ended = steered.server.ended();
    assert!(ended.status.success(), "{}; log:\n{}", ended.status, ended.log);
    assert!(!socket_in(&steered.dir).exists());
    let late = told(philote(&["drain", "--control"]).arg(socket_in(&steered.dir)));
    assert_eq!(late.code, Some(69), "{late:?}");
}

/// The server may be gone as soon as it has answered, and still the answer arrives.
#[test]
fn drain_is_answered_however_soon_the_server_ends() {
    for _ in 0..20 {
        let steered = Steered::with("");
        let drain = steered.run(&["drain"]);
        assert_eq!(drain.code, Some(0), "{drain:?}");
        assert!(steered.server.ended().status.success());
    }
}

#[test]
fn health_asks_a_listener_or_the_control_socket() {
    let steered = Steered::with("");
    let address = steered.server.address();
    let config = steered.server.dir().join("config.toml").display().to_string();
    let control = steered.socket().display().to_string();
    for words in [
        ["--url".into(), format!("http://{address}")],
        ["--url".into(), format!("ws://{address}/any/path")],
        ["--url".into(), format!("unix:{control}")],
        ["--control".into(), control],
        ["--config".into(), config],
    ] {
        let told = told(philote(&["health"]).args(&words).env("SECRET", SECRET));
        assert_eq!((told.code, &*told.out, &*told.err), (Some(0), "ready\n", ""), "{words:?}");
    }
    let steered_address = address.to_string();
    steered.server.stop();
    let gone = told(&mut philote(&["health", "--url", &format!("http://{steered_address}")]));
    assert_eq!((gone.code, gone.err.lines().count()), (Some(1), 1), "{gone:?}");
}

#[test]
fn a_second_server_on_the_same_control_socket_is_refused() {
    let steered = Steered::with("");
    let config = steered.server.dir().join("config.toml");
    let second = told(
        philote(&["serve", "--config"])
            .arg(config)
            .env("SECRET", SECRET)
            .env("PHILOTE_LISTEN", "127.0.0.1:0"),
    );
    assert_eq!(second.code, Some(69), "{second:?}");
    let process = format!("process {};", steered.server.pid());
    assert!(second.err.contains(&process), "{second:?}");
    assert_eq!(steered.run(&["health"]).code, Some(0));
}

#[test]
fn a_server_that_was_killed_leaves_nothing_that_stops_the_next() {
    let steered = Steered::with("");
    let socket = steered.socket();
    steered.server.signal(rustix::process::Signal::KILL);
    steered.server.ended();
    assert!(socket.exists());
    let next = Setup::new(&configured(&steered.dir, "")).start();
    let health = told(philote(&["health", "--control"]).arg(&socket));
    assert_eq!(health.code, Some(0), "{health:?}");
    next.stop();
    assert!(!socket.exists());
}

#[test]
fn the_socket_is_its_users_alone_unless_a_group_is_named() {
    let mode = |path: &Path| {
        let found = fs::symlink_metadata(path).expect("the socket");
        (found.permissions().mode() & 0o7777, found.gid())
    };
    let own = rustix::process::getegid().as_raw();
    for (config, expected) in [
        (String::new(), 0o600),
        (format!("control.group = \"{own}\""), 0o660),
        (format!("control.group = \"{own}\"\ncontrol.mode = \"0640\""), 0o640),
    ] {
        let steered = Steered::with(&config);
        assert_eq!(mode(&steered.socket()), (expected, own), "{config}");
    }
}

#[test]
fn another_user_is_refused() {
    let steered = Steered::with("");
    let Some(mut id) = as_nobody(&["id", "-u"]) else { return };
    assert_eq!(told(&mut id).out, "65534\n", "the process is unprivileged");
    // Where others cannot reach our binary, they take a copy.
    let binary = steered.dir.path().join("philote");
    fs::copy(env!("CARGO_BIN_EXE_philote"), &binary).expect("a copy");
    let binary = binary.display().to_string();
    let socket = steered.socket().display().to_string();
    let ask = |word: &str| {
        told(&mut as_nobody(&[&binary, word, "--control", &socket]).expect("as before"))
    };
    for word in ["reload", "status", "connections", "drain"] {
        let refused = ask(word);
        assert_eq!(refused.code, Some(77), "{refused:?}");
        assert!(refused.err.contains(&socket), "{refused:?}");
    }
    // It is the mode alone that keeps them out.
    let everybody = fs::Permissions::from_mode(0o666);
    fs::set_permissions(&socket, everybody).expect("another mode");
    assert_eq!(ask("status").code, Some(0));
}

#[test]
fn without_a_control_socket_reload_signals_the_server() {
    let server = Server::with("limits.max_connections = 1");
    server.reconfigure("limits.max_connections = 2");
    let nowhere = server.dir().join("control.sock");
    let reload = told(
        philote(&["reload", "--control"]).arg(nowhere).env("MAINPID", server.pid().to_string()),
    );
    assert_eq!((reload.code, &*reload.out), (Some(0), ""), "{reload:?}");
    assert!(reload.err.contains("SIGHUP"), "{reload:?}");
    server.logs("the reload", |line| line.contains("limits.max_connections: 1 -> 2"));
}

#[test]
fn a_check_of_the_running_server_says_who_would_be_closed_and_closes_nobody() {
    let dir = Dir::new();
    // The secret in the file alone: the environment could not be changed.
    let first = configured(&dir, &format!("[auth]\nsecret = {SECRET:?}"));
    let steered = Steered { server: Setup::of_file(&first).start(), dir };
    let mut resting = steered.server.subscriber(&["c"]);
    steered.reconfigure("[auth]\nsecret = \"another secret, long enough to be one for real\"");
    let told = steered.run(&["check", "--running"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!((told.out + &told.err).contains("1 connections rest on keys"), "it is said");
    resting.round_trip();
}
