//! The commands that steer a running server, against a control socket whose loop a test plays.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use philote::config::{Control, Limits};
use philote::daemon::ask::{
    Ask, ChannelLoad, Fanout, LastReload, QueueLoad, ReloadOutcome, Reloaded, Status,
};
use philote::daemon::control;
use philote::daemon::metrics::{Metrics, Sources};
use philote::http::front::Shared;
use philote::http::inquiry;
use tokio::sync::{mpsc, oneshot};

use crate::dir::Dir;
use crate::program::{Done, Running, philote, run};

const ID: &str = "1b4e28ba-2fa1-41d2-883f-0016d3cca427";

/// A control socket in a directory of its own.
struct Steered {
    dir: Dir,
    asked: Arc<Mutex<Vec<String>>>,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Steered {
    /// Answers everything, a reload by `outcome`.
    fn by(outcome: ReloadOutcome) -> Steered {
        let dir = Dir::new();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::new(Shared::new(1));
        let (bound, listens) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let path = dir.path().join("control.sock");
        let thread = std::thread::spawn({
            let (asked, shared) = (asked.clone(), shared.clone());
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("a runtime").block_on(async {
                    let config = Control { socket: Some(path), ..Control::default() };
                    let socket = control::bind(&config).expect("bound").expect("not off");
                    let (asks, questions) = mpsc::channel(1);
                    let (everyone, _) = inquiry::lines(1);
                    let sources = Sources::new(shared, &Limits::default(), Box::new(|| 0));
                    let metrics = Arc::new(Metrics::new(Arc::new(sources)));
                    let serving = tokio::spawn(control::serve(socket, asks, metrics, everyone));
                    bound.send(()).expect("the test waits for it");
                    tokio::select! {
                        () = answer_all(questions, asked, outcome) => {}
                        _ = stopped => {}
                    }
                    serving.await.expect("it ends without a panic");
                });
            }
        });
        listens.recv().expect("it listens");
        Steered { dir, asked, shared, stop: Some(stop), thread: Some(thread) }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("control.sock")
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = philote(words);
        command.arg("--control").arg(self.path());
        command
    }

    fn run(&self, words: &[&str]) -> Done {
        run(&mut self.command(words))
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}

impl Drop for Steered {
    fn drop(&mut self) {
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

async fn answer_all(
    mut questions: mpsc::Receiver<Ask>,
    asked: Arc<Mutex<Vec<String>>>,
    outcome: ReloadOutcome,
) {
    while let Some(ask) = questions.recv().await {
        let name = match ask {
            Ask::Reload(answer) => {
                let _ = answer.send(outcome.clone());
                "reload".to_owned()
            }
            Ask::Check(answer) => {
                let _ = answer.send(outcome.clone());
                "check".to_owned()
            }
            Ask::Drain(answer) => {
                let _ = answer.send(());
                "drain".to_owned()
            }
            Ask::Status(answer) => {
                let _ = answer.send(status());
                "status".to_owned()
            }
        };
        asked.lock().expect("no panic").push(name);
    }
}

fn status() -> Status {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let hours_ago = now.expect("a clock after 1970").as_secs() - 2 * 3_600 - 60;
    Status {
        version: "1.2.3".into(),
        pid: 4711,
        uptime_seconds: 90_000,
        state: "running".into(),
        listening: vec!["127.0.0.1:6380".into(), "[::1]:6380".into()],
        metrics: vec!["127.0.0.1:9638".into()],
        configuration: Some("/etc/philote/config.toml".into()),
        workers: 2,
        connections: 3,
        max_connections: 255,
        pending: 1,
        channels: 4,
        queued_bytes: 1 << 20,
        messages_in: 6,
        messages_out: 7,
        handshakes_refused: 8,
        publishes_refused: 9,
        messages_dropped: 10,
        slow_consumers: 11,
        certificate_expires: None,
        queue_memory_bytes: 1 << 19,
        queue_memory_limit_bytes: 1 << 28,
        connections_opened: 12,
        bytes_in: 13,
        bytes_out: 14,
        fanout: Fanout { bounds_seconds: vec![0.001], counts: vec![7, 0] },
        worker_lag_seconds: vec![0.001, 0.5],
        busiest_channels: vec![ChannelLoad {
            channel: "news\u{1b}[31m".into(),
            messages_a_second: 15,
            subscribers: 16,
        }],
        longest_queues: vec![QueueLoad {
            id: ID.parse().expect("an id"),
            peer: "192.0.2.1:5".into(),
            subject: Some("jane".into()),
            queued_bytes: 17,
            over: true,
        }],
        last_reload: Some(LastReload {
            at: hours_ago,
            done: false,
            fault: Some("config.toml:1:1: bell\u{7}".into()),
        }),
    }
}

fn done() -> ReloadOutcome {
    ReloadOutcome::Done(Reloaded {
        changes: vec!["limits.max_connections: 255 -> 7".into()],
        restart: vec!["workers: 2 -> 3; restart to put it in force".into()],
        warnings: vec!["colour\u{1b}[31m".into()],
        withdrawn: 0,
    })
}

fn nothing() -> ReloadOutcome {
    ReloadOutcome::Done(Reloaded::default())
}

fn rejected() -> ReloadOutcome {
    ReloadOutcome::Rejected(vec!["a:1:1: b".into(), "a:2:1: c\u{1b}".into()])
}

#[test]
fn reload_prints_what_has_changed_and_tells_what_is_worth_knowing() {
    let server = Steered::by(done());
    let told = server.run(&["reload"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    assert_eq!(
        told.out,
        "limits.max_connections: 255 -> 7\nworkers: 2 -> 3; restart to put it in force\n"
    );
    assert_eq!(told.err, "warning: colour\\u{1b}[31m\nreloaded\n");
    assert_eq!(server.asked(), ["reload"]);
}

#[test]
fn reload_says_that_nothing_has_changed() {
    let told = Steered::by(nothing()).run(&["reload"]);
    assert_eq!((told.code, &*told.out), (Some(0), ""), "{told:?}");
    assert_eq!(told.err, "reloaded; nothing has changed\n");
}

#[test]
fn a_rejected_reload_is_exit_code_78_with_every_fault() {
    let server = Steered::by(rejected());
    let said = server.run(&["reload"]).failed(78);
    assert_eq!(
        said,
        "a:1:1: b\na:2:1: c\\u{1b}\nphilote: reload rejected: the old configuration stays in force\n"
    );
    let said = server.run(&["check", "--running"]).failed(78);
    assert!(said.ends_with("\nphilote: a reload would be rejected\n"), "{said}");
}

#[test]
fn a_reload_of_a_server_that_drains_is_exit_code_75() {
    let server = Steered::by(ReloadOutcome::Draining);
    for words in [&["reload"][..], &["check", "--running"]] {
        let said = server.run(words).failed(75);
        assert!(said.contains("shutting down"), "{said}");
    }
}

#[test]
fn check_running_asks_the_server_and_changes_nothing() {
    let server = Steered::by(done());
    let told = server.run(&["check", "--running"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(told.out.starts_with("limits.max_connections: 255 -> 7\n"), "{told:?}");
    assert!(told.err.contains("would change"), "{told:?}");
    assert_eq!(server.asked(), ["check"]);
    let told = Steered::by(nothing()).run(&["check", "--running"]);
    assert!(told.err.contains("would change nothing"), "{told:?}");
}

#[test]
fn a_server_goes_by_its_own_files_and_no_others_can_be_given() {
    let server = Steered::by(done());
    for words in [&["reload", "--config", "x"][..], &["check", "--running", "--env-file", "x"]] {
        let said = server.run(words).failed(64);
        assert!(said.contains("leave --config and --env-file out"), "{said}");
    }
    let said = run(&mut philote(&["check", "--control", "/x"])).failed(64);
    assert!(said.contains("--running"), "{said}");
    run(&mut philote(&["check", "--control", "/x", "--print"])).failed(64);
    assert!(server.asked().is_empty());
}

#[test]
fn status_is_a_table_for_people_and_json_for_programs() {
    let server = Steered::by(nothing());
    let out = server.run(&["status"]).quietly();
    let value = |name: &str| {
        let mut lines = out.lines().filter_map(|line| line.strip_prefix(name));
        lines.next().unwrap_or_else(|| panic!("no {name} in {out}")).trim().to_owned()
    };
    assert_eq!(value("server"), "philote 1.2.3, process 4711");
    assert_eq!(value("state"), "running, up for 1d 1h");
    assert_eq!(value("listening on"), "127.0.0.1:6380, [::1]:6380");
    assert_eq!(value("metrics on"), "127.0.0.1:9638");
    assert_eq!(value("connections"), "3 of 255");
    assert_eq!(value("queued"), "1.0 MiB");
    assert_eq!(value("last reload"), "2h 1m ago, rejected: config.toml:1:1: bell\\u{7}");
    let json = server.run(&["status", "--json"]).quietly();
    assert_eq!(json.lines().count(), 1, "{json}");
    let read: Status = serde_json::from_str(&json).expect("a status");
    assert_eq!(read, Status { last_reload: read.last_reload.clone(), ..status() });
}

#[test]
fn drain_asks_for_the_stop() {
    let server = Steered::by(nothing());
    let told = server.run(&["drain"]);
    assert_eq!((told.code, &*told.out), (Some(0), ""), "{told:?}");
    assert_eq!(server.asked(), ["drain"]);
}

#[test]
fn health_is_0_while_ready_and_1_otherwise_in_one_line() {
    let server = Steered::by(nothing());
    assert_eq!(server.run(&["health"]).quietly(), "ready\n");
    server.shared.draining.store(true, Ordering::Relaxed);
    assert_eq!(server.run(&["health"]).failed(1), "philote: not ready: draining\n");
    let path = server.path().display().to_string();
    let url = format!("unix:{path}");
    server.shared.draining.store(false, Ordering::Relaxed);
    assert_eq!(run(&mut philote(&["health", "--url", &url])).quietly(), "ready\n");
    drop(server);
    let said = run(&mut philote(&["health", "--control", &path])).failed(1);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(&path), "{said}");
}

#[test]
fn health_finds_its_server_in_the_configuration() {
    let server = Steered::by(nothing());
    let text = format!("control.socket = \"{}\"\n", server.path().display());
    let config = server.dir.write("config.toml", &text).display().to_string();
    assert_eq!(run(&mut philote(&["health", "--config", &config])).quietly(), "ready\n");
    let socket = server.dir.path().join("nobody.sock").display().to_string();
    let text = format!("listen = [\"unix:{socket}\"]\n");
    let config = server.dir.write("other.toml", &text).display().to_string();
    let said = run(&mut philote(&["health", "--config", &config])).failed(1);
    assert!(said.contains(&socket), "{said}");
    let config = server.dir.write("bad.toml", "a = 1\nb = 2\n").display().to_string();
    let said = run(&mut philote(&["health", "--config", &config])).failed(1);
    assert!(said.starts_with("philote: not ready: ") && said.lines().count() == 1, "{said}");
}

#[test]
fn the_socket_is_found_in_the_environment() {
    let server = Steered::by(nothing());
    for (variable, value) in
        [("PHILOTE_CONTROL", server.path()), ("RUNTIME_DIRECTORY", server.dir.path().to_path_buf())]
    {
        let told = run(philote(&["reload"]).env(variable, value));
        assert_eq!(told.code, Some(0), "{told:?}");
    }
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn without_a_server_everything_says_so_and_how_to_name_another() {
    let dir = Dir::new();
    let path = dir.path().join("control.sock").display().to_string();
    for left_over in [false, true] {
        if left_over {
            drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket left behind"));
        }
        for words in [
            &["reload"][..],
            &["check", "--running"],
            &["status"],
            &["connections"],
            &["channels"],
            &["disconnect", ID],
            &["disconnect", "--subject", "jane"],
            &["publish", "news", "x"],
            &["drain"],
        ] {
            let said = run(philote(words).args(["--control", &path])).failed(69);
            assert!(said.contains(&path) && said.contains("--control"), "{said}");
        }
    }
}

#[test]
fn a_server_that_says_nothing_sensible_is_told_apart() {
    use std::io::Write as _;
    let dir = Dir::new();
    let path = dir.path().join("control.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    let answers: [(&[u8], i32, &str); 4] = [
        (b"", 69, "hung up"),
        (b"220 mail.example ESMTP\r\n", 69, "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", 70, "not understood"),
        (b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n", 70, "500"),
    ];
    for (answer, code, expected) in answers {
        let status = Running::start(philote(&["status", "--control"]).arg(&path));
        let (mut stream, _) = listener.accept().expect("the tool");
        let mut head = [0; 4096];
        let read = std::io::Read::read(&mut stream, &mut head).expect("its request");
        assert!(head[..read].starts_with(b"GET /status HTTP/1.1\r\n"));
        stream.write_all(answer).expect("it reads");
        drop(stream);
        let said = status.done().failed(code);
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn without_a_control_socket_reload_signals_the_main_process() {
    let dir = Dir::new();
    let path = dir.path().join("control.sock");
    // It ends by the signal, which is its default.
    let mut process = Command::new("sleep").arg("1000").spawn().expect("a process");
    let id = process.id().to_string();
    let told = run(philote(&["reload", "--control"]).arg(&path).env("MAINPID", &id));
    assert_eq!((told.code, &*told.out), (Some(0), ""), "{told:?}");
    assert!(told.err.contains("SIGHUP") && told.err.contains("log"), "{told:?}");
    let status = process.wait().expect("it ends");
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    assert_eq!(signal, Some(rustix::process::Signal::HUP.as_raw()));
    // It is gone now.
    run(philote(&["reload", "--control"]).arg(&path).env("MAINPID", &id)).failed(69);
    for id in ["0", "1", "-1", "x", "4294967297"] {
        run(philote(&["reload", "--control"]).arg(&path).env("MAINPID", id)).failed(64);
    }
}

#[test]
fn a_server_that_can_be_asked_is_never_signalled() {
    let server = Steered::by(rejected());
    // Ourselves, who would not survive it.
    let id = std::process::id().to_string();
    run(server.command(&["reload"]).env("MAINPID", id)).failed(78);
}
