//! The secrets that tokens are signed with: read from files, replaced while everybody stays, withdrawn
//! from whoever holds an old one, and seen by nobody.

use std::fs::Permissions;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, Signal, setrlimit};

use crate::support::client::{Client, Event};
use crate::support::dir::Dir;
use crate::support::frame::Out;
use crate::support::http::{Request, Response, connect};
use crate::support::server::{AS_NOBODY, Server, Setup, file};
use crate::support::stuck::{Held, can_hold};
use crate::support::token::{SECRET, grant, signed};
use crate::support::tools::require_tool;
use crate::support::until;

const OTHER: &str = "the other secret of these tests: also of more than thirty-two bytes";
const THIRD: &str = "the third secret of these tests: it has its thirty-two bytes as well";

/// A token that may hear and say `c`, signed with this secret.
fn signed_with(secret: &str) -> String {
    signed("HS256", r#"{"read":["c"],"write":["c"]}"#, secret)
}

fn open_with(server: &Server, secret: &str, count: usize) -> Vec<Client> {
    (0..count).map(|_| server.open(&signed_with(secret))).collect()
}

fn secrets(current: &str, previous: &[&str], more: &[&str]) -> String {
    let current = format!("auth.secret = {current:?}");
    let previous = format!("auth.previous_secrets = {previous:?}");
    file(&[&[current.as_str(), &previous], more].concat())
}

/// Waits for the server's Close, answers it, and gives its code, its reason and when it came.
fn ends_later(mut client: Client) -> JoinHandle<(u16, String, Instant)> {
    std::thread::spawn(move || {
        let (code, reason) = client.frame().close();
        let at = Instant::now();
        let _ = client.try_send(&Out::close(code, "").bytes());
        client.ends();
        (code, reason, at)
    })
}

// Files.

#[test]
fn one_line_end_after_the_secret_is_not_part_of_it() {
    for (text, secret) in [
        (SECRET.to_owned(), SECRET.to_owned()),
        (format!("{SECRET}\n"), SECRET.to_owned()),
        (format!("{SECRET}\r\n"), SECRET.to_owned()),
        (format!("{SECRET}\n\n"), format!("{SECRET}\n")),
        (format!(" {SECRET} \n"), format!(" {SECRET} ")),
    ] {
        let dir = Dir::new();
        let path = dir.write("secret", &text);
        let server = Setup::of_file(&file(&[&format!("auth.secret_file = {path:?}")])).start();
        server.open(&signed_with(&secret)).close();
        assert_eq!(server.refuses_token(&signed_with(OTHER)).status, 401);
    }
}

#[test]
fn a_secret_that_anybody_can_write_is_refused_and_one_that_anybody_can_read_is_told() {
    let dir = Dir::new();
    let path = dir.write("secret", SECRET);
    let config = file(&[&format!("auth.secret_file = {path:?}")]);
    let mode =
        |mode| std::fs::set_permissions(&path, Permissions::from_mode(mode)).expect("a mode");
    let name = path.display().to_string();
    for refused in [0o602, 0o666, 0o622, 0o777] {
        mode(refused);
        let ended = Setup::of_file(&config).fails();
        assert_eq!(ended.status.code(), Some(78), "{refused:o}: {}", ended.log);
        assert!(ended.log.contains("chmod o-w") && ended.log.contains(&name), "{}", ended.log);
    }
    // As Docker Swarm and Kubernetes mount secrets.
    for told in [0o444, 0o644] {
        mode(told);
        let server = Setup::of_file(&config).start();
        server.logs("the mode", |line| {
            line.contains(" WARN ") && line.contains("chmod o-r") && line.contains(&name)
        });
        server.is_healthy();
    }
    for silent in [0o400, 0o600, 0o640] {
        mode(silent);
        let server = Setup::of_file(&config).start();
        // And at a reload, one that has become writable is refused.
        mode(0o602);
        assert!(server.rejects_reload()[0].contains("chmod o-w"));
        mode(silent);
        server.reload();
        let log = server.stop();
        assert!(!log.contains(" WARN "), "{silent:o}: {log}");
    }
}

#[test]
fn an_env_file_and_a_configuration_that_hold_a_secret_are_told_where_anybody_can_read_them() {
    let dir = Dir::new();
    let env = dir.write("env", &format!("SECRET={OTHER}\n"));
    std::fs::set_permissions(&env, Permissions::from_mode(0o644)).expect("a mode");
    let server = Setup::of_file(&file(&[]))
        .argument("--env-file")
        .argument(&env.display().to_string())
        .start();
    server.logs("the env file", |line| line.contains(" WARN ") && line.contains("env"));
    server.open(&signed_with(OTHER)).close();
    let config = server.dir().join("config.toml");
    std::fs::set_permissions(&config, Permissions::from_mode(0o644)).expect("a mode");
    server.reload();
    server.logs("the configuration", |line| {
        line.contains(" WARN ") && line.contains("config.toml") && line.contains("chmod o-r")
    });
}

// Rotation.

#[test]
fn a_rotation_with_previous_secrets_is_noticed_by_nobody() {
    let server = Setup::of_file(&secrets(SECRET, &[], &[])).start();
    let mut early = open_with(&server, SECRET, 6);
    let log = server.log().len();
    server.takes(&secrets(OTHER, &[SECRET], &[]));
    let mut late = open_with(&server, SECRET, 3);
    late.extend(open_with(&server, OTHER, 3));
    early.iter_mut().chain(&mut late).for_each(Client::round_trip);
    // Again, while nobody has come back in between.
    server.takes(&secrets(THIRD, &[OTHER, SECRET], &[]));
    early.iter_mut().chain(&mut late).for_each(Client::round_trip);
    drop((early, late));
    let log = server.stop()[log..].to_owned();
    assert!(!log.contains("closed within"), "{log}");
    assert_eq!(log.matches("withdrawn=0").count(), 2, "{log}");
}

#[test]
fn the_same_secret_from_another_place_withdraws_nothing() {
    let dir = Dir::new();
    let path = dir.write("secret", &format!("{SECRET}\n"));
    let server = Setup::of_file(&file(&[])).start();
    let mut clients = open_with(&server, SECRET, 3);
    server.takes(&file(&[&format!("auth.secret_file = {path:?}")]));
    clients.iter_mut().for_each(Client::round_trip);
    dir.write("secret", OTHER);
    let previous = format!("auth.previous_secrets = [{SECRET:?}]");
    server.takes(&file(&[&format!("auth.secret_file = {path:?}"), &previous]));
    clients.iter_mut().for_each(Client::round_trip);
    clients.into_iter().for_each(Client::close);
    assert!(!server.stop().contains("closed within"));
}

#[test]
fn a_withdrawal_closes_exactly_the_connections_that_rested_on_the_key() {
    let spread = "auth.withdrawal_spread = \"300ms\"";
    let server = Setup::of_file(&secrets(SECRET, &[OTHER, THIRD], &[spread])).start();
    let mut stay = open_with(&server, SECRET, 5);
    stay.extend(open_with(&server, THIRD, 5));
    let go: Vec<_> = open_with(&server, OTHER, 10).into_iter().map(ends_later).collect();
    server.takes(&secrets(SECRET, &[THIRD], &[spread]));
    for gone in go {
        let (code, reason, _) = gone.join().expect("it was closed");
        assert_eq!(code, 1008);
        assert!(reason.contains("withdrawn"), "{reason:?}");
    }
    server.until_connections(10);
    stay.iter_mut().for_each(Client::round_trip);
    assert_eq!(server.refuses_token(&signed_with(OTHER)).status, 401);
    server.open(&signed_with(THIRD)).close();
}

#[test]
fn a_withdrawal_is_announced_before_the_first_connection_goes() {
    let more = ["auth.withdrawal_spread = \"200ms\"", "log.level = \"debug\""];
    let server = Setup::of_file(&secrets(SECRET, &[], &more)).start();
    let go: Vec<_> = open_with(&server, SECRET, 20).into_iter().map(ends_later).collect();
    server.takes(&secrets(OTHER, &[], &more));
    go.into_iter().for_each(|gone| assert_eq!(gone.join().expect("it was closed").0, 1008));
    let log = server.stop();
    let announced = log.find("20 connections rest on keys").expect("an announcement");
    let first = log.find("event=connection_closed").expect("a connection that went");
    assert!(announced < first, "{log}");
    let line = log[announced..].lines().next().expect("a line");
    assert!(line.contains("200ms"), "until when: {line}");
}

#[test]
fn a_withdrawal_is_spread_evenly() {
    const SPREAD: Duration = Duration::from_secs(2);
    let more = ["auth.withdrawal_spread = \"2s\""];
    let server = Setup::of_file(&secrets(SECRET, &[], &more)).start();
    let go: Vec<_> = open_with(&server, SECRET, 80).into_iter().map(ends_later).collect();
    let begun = Instant::now();
    server.takes(&secrets(OTHER, &[], &more));
    let mut times: Vec<_> = go
        .into_iter()
        .map(|gone| gone.join().expect("it was closed").2.duration_since(begun))
        .collect();
    times.sort();
    is_even(&times, SPREAD);
}

/// These moments, in order, are evenly spread over `over`, on a machine that may be busy.
#[track_caller]
pub(crate) fn is_even(times: &[Duration], over: Duration) {
    for (number, time) in times.iter().enumerate() {
        let due = over * number as u32 / times.len() as u32;
        let off = time.abs_diff(due);
        assert!(off < over / 4, "number {number} came at {time:?}, due at {due:?}: {times:?}");
    }
}

#[test]
fn a_key_that_is_accepted_again_calls_the_rest_of_its_withdrawal_off() {
    // One every half a second, on each of two workers every second.
    let more = ["auth.withdrawal_spread = \"20s\"", "websocket.close_timeout = \"100ms\""];
    let server = Setup::of_file(&secrets(SECRET, &[], &more)).start();
    let clients = open_with(&server, SECRET, 40);
    server.takes(&secrets(OTHER, &[], &more));
    until("the first have gone", || server_connections(&server) < 40);
    server.takes(&secrets(OTHER, &[SECRET], &more));
    let mut stay = Vec::new();
    for mut client in clients {
        // Whoever was told by now goes; nobody else.
        client.send(&Out::new(crate::support::frame::PING, "still here?"));
        match client.event() {
            Event::Frame(frame) if frame.opcode == crate::support::frame::PONG => stay.push(client),
            Event::Frame(frame) => assert_eq!(frame.close().0, 1008),
            Event::End => panic!("ended without a word"),
        }
    }
    assert!((30..40).contains(&stay.len()), "{} have stayed", stay.len());
    let quiet = stay[0].event_within(Duration::from_millis(1200));
    assert!(quiet.is_none(), "{quiet:?}");
    stay.iter_mut().for_each(Client::round_trip);
}

/// One connection on each of two workers goes at once, the next after three minutes.
#[test]
fn a_reload_does_not_start_the_clock_of_a_withdrawal_again() {
    let more = ["auth.withdrawal_spread = \"1h\"", "websocket.close_timeout = \"100ms\""];
    let server = Setup::of_file(&secrets(SECRET, &[], &more)).start();
    let mut clients = open_with(&server, SECRET, 40);
    server.takes(&secrets(OTHER, &[], &more));
    until("the first have gone", || server_connections(&server) <= 38);
    for _ in 0..5 {
        server.takes(&secrets(OTHER, &[], &more));
    }
    let mut stay = 0;
    for client in &mut clients {
        client.send(&Out::new(crate::support::frame::PING, "still here?"));
        match client.event() {
            Event::Frame(frame) if frame.opcode == crate::support::frame::PONG => stay += 1,
            Event::Frame(frame) => assert_eq!(frame.close().0, 1008),
            Event::End => panic!("ended without a word"),
        }
    }
    assert_eq!(stay, 38, "of 40, two have gone");
    // Called off and withdrawn again, it starts anew.
    server.takes(&secrets(OTHER, &[SECRET], &more));
    server.takes(&secrets(OTHER, &[], &more));
    until("the first of those have gone", || server_connections(&server) <= 36);
}

/// As `/api/info` has it, by a token of a key that is accepted throughout.
fn server_connections(server: &Server) -> u64 {
    let token = signed("HS256", r#"{"api":true}"#, OTHER);
    let answer = server.ask(&Request::get("/api/info").bearer(&token));
    assert_eq!(answer.status, 200, "{answer:?}");
    let info: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    info["connections"].as_u64().expect("a count")
}

#[test]
fn open_connections_are_left_alone_where_a_withdrawal_shall_keep_them() {
    let keep = ["auth.on_withdrawal = \"keep\""];
    let server = Setup::of_file(&secrets(SECRET, &[], &keep)).start();
    let mut clients = open_with(&server, SECRET, 4);
    server.takes(&secrets(OTHER, &[], &keep));
    assert_eq!(server.refuses_token(&signed_with(SECRET)).status, 401);
    let quiet = clients[0].event_within(Duration::from_millis(500));
    assert!(quiet.is_none(), "{quiet:?}");
    clients.iter_mut().for_each(Client::round_trip);
    assert!(server.log().contains("withdrawn=0"), "{}", server.log());
    // Closing them after all is a matter of a reload.
    let close = ["auth.withdrawal_spread = \"0s\""];
    server.takes(&secrets(OTHER, &[], &close));
    clients.into_iter().for_each(|client| drop(client.closed_with(1008)));
}

#[test]
fn a_request_that_is_under_way_when_its_key_is_withdrawn_is_refused() {
    use std::io::Write;
    let server = Setup::of_file(&secrets(SECRET, &[], &[])).start();
    let bytes = Request::upgrade_with(&signed_with(SECRET)).bytes();
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let mut stream: TcpStream = connect(server.address());
    stream.write_all(first).expect("half a request");
    server.takes(&secrets(OTHER, &[], &[]));
    stream.write_all(second).expect("the other half");
    let answer = Response::read(&mut stream, "GET").0.expect("an answer");
    assert_eq!(answer.status, 401, "{answer:?}");
}

/// A handshake that was admitted and waits for another worker to know its channels is no connection yet,
/// and none that a withdrawal sees.
#[test]
fn a_handshake_that_was_admitted_with_a_withdrawn_key_does_not_outlive_it() {
    if !can_hold() {
        return;
    }
    let more = ["auth.withdrawal_spread = \"0s\""];
    let server = Setup::of_file(&secrets(SECRET, &[], &more)).start();
    let channels: Vec<_> = (0..32).map(|number| format!("c{number}")).collect();
    let claims = serde_json::json!({ "read": channels }).to_string();
    let request = Request::upgrade_with(&signed("HS256", &claims, SECRET)).bytes();
    let held = Held::workers(&server, &[1]);
    // Half of them are on the worker that turns, and wait for the one that does not.
    let mut streams: Vec<TcpStream> = (0..8).map(|_| connect(server.address())).collect();
    for stream in &mut streams {
        std::io::Write::write_all(stream, &request).expect("a request");
    }
    // The next one is for the first worker again, which has read the others' requests when it answers.
    assert_eq!(server.ask(&Request::get("/healthz")).status, 200);
    server.reconfigure(&secrets(OTHER, &[], &more));
    server.signal(Signal::HUP);
    let mut others = Vec::new();
    let info = Request::get("/api/info").bearer(&signed("HS256", r#"{"api":true}"#, OTHER));
    until("the first worker goes by the new secret", || {
        // In turn: one for the worker that is held, one for the other.
        others.push(connect(server.address()));
        server.ask(&info).status == 200
    });
    drop(held);
    let mut admitted = 0;
    for stream in streams {
        match Client::open_on(stream, &[]) {
            Ok(client) => {
                client.closed_with(1008);
                admitted += 1;
            }
            Err(refusal) => assert_eq!(refusal.status, 401, "{refusal:?}"),
        }
    }
    assert_eq!(admitted, 4, "those that were admitted before");
}

// Seen by nobody.

#[test]
fn no_fault_of_a_configuration_shows_the_secret_that_stands_there() {
    let dir = Dir::new();
    let mut shown = 0;
    for line in [
        format!("auth.secret = \"{OTHER}"),
        format!("auth.secret = {OTHER}"),
        format!("auth.secret = \"{OTHER}\" \"{THIRD}\""),
        format!("auth.secret = [\"{OTHER}\"]"),
        format!("auth.secret = \"-----BEGIN {OTHER}\""),
        format!("auth.previous_secrets = \"{OTHER}\""),
        format!("auth.previous_secrets = [\"{OTHER}\", 5]"),
        format!("auth.previous_secrets = [\"{OTHER}\", \"{THIRD}\""),
        format!("auth = \"{OTHER}\""),
        format!("auth.secrte = \"{OTHER}\""),
        format!("auth.secret = \"{OTHER}\"\nauth.secret = \"{THIRD}\""),
        format!("auth.secret = \"{OTHER}\"\nauth.secret_file = \"/nowhere\""),
    ] {
        let path = dir.write("config.toml", &format!("{line}\n"));
        for words in [&["check"][..], &["check", "--print"], &["serve"], &["token", "--api"]] {
            let output = Command::new(env!("CARGO_BIN_EXE_philote"))
                .args(words)
                .arg("--config")
                .arg(&path)
                .env_clear()
                .stdin(Stdio::null())
                .output()
                .expect("it runs");
            assert_eq!(output.status.code(), Some(78), "{line}: {output:?}");
            let said = [output.stdout, output.stderr].concat();
            hides(&String::from_utf8_lossy(&said));
            shown += 1;
        }
    }
    assert_eq!(shown, 48);
    // Nor where the environment or the env file is wrong.
    let env =
        dir.write("env", &format!("SECRET='{OTHER}\nPHILOTE_AUTH_PREVIOUS_SECRETS=[{THIRD}\n"));
    let config = dir.write("config.toml", &file(&[]));
    let output = Command::new(env!("CARGO_BIN_EXE_philote"))
        .args(["check", "--config"])
        .arg(&config)
        .arg("--env-file")
        .arg(&env)
        .env_clear()
        .env("SECRET", OTHER)
        .env("PHILOTE_AUTH_SECRET", THIRD)
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    hides(&String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_effective_configuration_is_printed_with_its_secrets_masked() {
    let dir = Dir::new();
    let path = dir.write("config.toml", &secrets(OTHER, &[THIRD], &[]));
    let output = Command::new(env!("CARGO_BIN_EXE_philote"))
        .args(["check", "--print", "--config"])
        .arg(&path)
        .env_clear()
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).expect("text");
    assert!(said.contains("auth.secret") && said.contains("auth.previous_secrets"), "{said}");
    hides(&said);
    hides(&String::from_utf8_lossy(&output.stderr));
}

/// Nothing of the secrets is in there, not even a part.
#[track_caller]
fn hides(text: &str) {
    for part in ["other secret of", "third secret of", "thirty-two bytes", "secret of these"] {
        assert!(!text.contains(part), "{part:?} is shown in {text:?}");
    }
}

#[test]
fn reloads_log_no_secret_at_trace() {
    let trace = ["log.level = \"trace\"", "auth.withdrawal_spread = \"0s\""];
    let server = Setup::of_file(&secrets(SECRET, &[OTHER], &trace)).start();
    let token = signed_with(OTHER);
    let gone = ends_later(server.open(&token));
    server.takes(&secrets(THIRD, &[SECRET], &trace));
    assert_eq!(gone.join().expect("it was closed").0, 1008);
    assert_eq!(server.refuses_token(&token).status, 401);
    server.reconfigure(&secrets("", &[SECRET], &trace));
    server.rejects_reload();
    server.reconfigure(&format!("auth.secret = \"{OTHER}"));
    server.rejects_reload();
    let log = server.stop();
    hides(&log);
    assert!(!log.contains(SECRET));
    for part in token.split('.') {
        assert!(!log.contains(part), "a part of a token in {log}");
    }
}

/// Our own tools hold no token in their arguments, where every user of the machine can read it.
#[test]
fn a_tool_that_uses_a_token_does_not_show_it_in_its_arguments() {
    let server = Server::start();
    let token = grant(&["c"], &[]);
    let mut tool = Command::new(env!("CARGO_BIN_EXE_philote"))
        .args(["subscribe", "c", "--url"])
        .arg(format!("ws://{}", server.address()))
        .env_clear()
        .env("PHILOTE_TOKEN", &token)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    server.until_connections(1);
    let arguments = std::fs::read(format!("/proc/{}/cmdline", tool.id())).expect("its arguments");
    let arguments = String::from_utf8_lossy(&arguments).into_owned();
    tool.kill().expect("it ends");
    tool.wait().expect("it has ended");
    assert!(arguments.contains("subscribe"), "{arguments}");
    assert!(token.split('.').all(|part| !arguments.contains(part)), "{arguments}");
}

/// A process of the same user that is not root, or `None`, told and counted.
fn as_same_user(server: &Server, words: &[&str]) -> Option<Command> {
    assert_ne!(server.user(), 0, "root may read everything");
    let mut all: Vec<&str> = Vec::new();
    if rustix::process::getuid().is_root() {
        require_tool("setpriv", "apt install util-linux")?;
        all.extend(AS_NOBODY);
    }
    all.extend(words);
    let mut command = Command::new(all[0]);
    command.args(&all[1..]);
    Some(command)
}

#[test]
fn not_even_the_same_user_can_read_the_environment_or_the_memory() {
    let Some(setup) = Setup::of_file("listen = [\"127.0.0.1:0\"]").run_by_nobody() else { return };
    let server = setup.environment("SECRET", SECRET).start();
    let read = |pid: u32, what: &str| {
        let path = format!("/proc/{pid}/{what}");
        let mut cat = as_same_user(&server, &["cat", &path])?;
        Some(cat.output().expect("cat runs"))
    };
    // What is refused below is not refused to everybody.
    let Some(mut open) = as_same_user(&server, &["env", "SECRET=visible", "sleep", "60"]) else {
        return;
    };
    let mut open = open.stdout(Stdio::null()).spawn().expect("sleep runs");
    until("another process is open to its user", || {
        let seen = read(open.id(), "environ").expect("setpriv was there");
        String::from_utf8_lossy(&seen.stdout).contains("visible")
    });
    open.kill().expect("it ends");
    open.wait().expect("it has ended");
    for what in ["environ", "mem", "maps", "auxv"] {
        let Some(seen) = read(server.pid(), what) else { return };
        let said = String::from_utf8_lossy(&seen.stderr).into_owned();
        assert!(!seen.status.success() && seen.stdout.is_empty(), "{what} was read");
        assert!(said.contains("Permission denied"), "{what}: {said}");
    }
}

#[test]
fn a_process_that_is_aborted_leaves_no_core() {
    // What the limit says is inherited; what the hard one forbids cannot be tested here.
    if setrlimit(Resource::Core, Rlimit { current: None, maximum: None }).is_err() {
        crate::support::tools::skip("cores are forbidden here");
        return;
    }
    let dumps = |dir: &Path| -> Vec<PathBuf> {
        let names = std::fs::read_dir(dir).expect("a directory").flatten();
        let is_core = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("core") || name.contains(".core")
        };
        names.map(|entry| entry.path()).filter(is_core).collect()
    };
    let dir = Dir::new();
    let mut other = Command::new("sleep").arg("60").current_dir(dir.path()).spawn().expect("sleep");
    let pid = rustix::process::Pid::from_child(&other);
    rustix::process::kill_process(pid, Signal::ABORT).expect("it is aborted");
    let status = other.wait().expect("it has ended");
    let server = Setup::of_file(&file(&[])).start();
    let path = server.dir().to_owned();
    server.signal(Signal::ABORT);
    until("it has ended", || {
        !Path::new(&format!("/proc/{}/fd", server.pid())).exists() || zombie(&server)
    });
    assert!(dumps(&path).is_empty(), "{:?}", dumps(&path));
    let ended = server.ended();
    assert_eq!(ended.status.signal(), Some(6), "{}", ended.status);
    assert!(!ended.status.core_dumped(), "{}", ended.status);
    // Where others leave one, it is for its own merits that it leaves none.
    if !status.core_dumped() {
        crate::support::tools::skip("nothing leaves a core here");
    }
}

fn zombie(server: &Server) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
}
