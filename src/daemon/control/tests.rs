//! The control socket against a loop that a test plays.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt as _;
use uuid::Uuid;

use super::*;
use crate::config::{Control, Limits};
use crate::daemon::ask::{Fanout, ReloadOutcome, Reloaded, Status};
use crate::daemon::metrics::Sources;
use crate::http::front::Shared;
use crate::http::inquiry;

#[path = "../../../tests/support/dir.rs"]
mod dir;
use dir::Dir;

const ID: Uuid = Uuid::from_u128(0x1b4e28ba_2fa1_41d2_883f_0016d3cca427);
/// Longer than anything takes here on a busy machine.
const LONG: Duration = Duration::from_secs(20);
/// Bounds that a test can wait for.
const TIGHT: Bounds = Bounds { callers: 2, patience: Duration::from_millis(100) };

fn socket_at(path: &Path) -> Control {
    Control { socket: Some(path.into()), ..Control::default() }
}

fn in_dir(dir: &Dir) -> Control {
    socket_at(&dir.path().join("control.sock"))
}

fn bound(control: &Control) -> ControlSocket {
    bind(control).expect("it is bound").expect("it is not off")
}

#[track_caller]
fn refused(control: &Control) -> (u8, String) {
    let error = bind(control).expect_err("it is refused");
    (error.exit_code(), error.to_string())
}

fn status() -> Status {
    Status {
        version: "1.2.3".into(),
        pid: 7,
        uptime_seconds: 8,
        state: "running".into(),
        listening: vec!["127.0.0.1:6380".into()],
        metrics: Vec::new(),
        configuration: None,
        workers: 2,
        connections: 3,
        max_connections: 255,
        pending: 1,
        channels: 4,
        queued_bytes: 5,
        messages_in: 6,
        messages_out: 7,
        handshakes_refused: 8,
        publishes_refused: 9,
        messages_dropped: 10,
        slow_consumers: 11,
        certificate_expires: Some(u64::MAX),
        queue_memory_bytes: 12,
        queue_memory_limit_bytes: 13,
        connections_opened: 14,
        bytes_in: 15,
        bytes_out: 16,
        fanout: Fanout::default(),
        worker_lag_seconds: vec![0.5],
        busiest_channels: Vec::new(),
        longest_queues: Vec::new(),
        last_reload: None,
    }
}

fn reloaded() -> Reloaded {
    Reloaded { changes: vec!["limits.max_connections: 255 -> 7".into()], ..Reloaded::default() }
}

/// Answers everything, a reload by `outcome`.
async fn play(mut asks: mpsc::Receiver<Ask>, outcome: ReloadOutcome) {
    while let Some(ask) = asks.recv().await {
        match ask {
            Ask::Reload(answer) | Ask::Check(answer) => drop(answer.send(outcome.clone())),
            Ask::Drain(answer) => drop(answer.send(())),
            Ask::Status(answer) => drop(answer.send(status())),
        }
    }
}

/// A control socket that is served.
struct Served {
    path: PathBuf,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
    _dir: Dir,
}

impl Served {
    fn start(bounds: Bounds) -> (Served, mpsc::Receiver<Ask>) {
        let dir = Dir::new();
        let socket = bound(&in_dir(&dir));
        let path = socket.path().to_owned();
        let shared = Arc::new(Shared::new(1));
        let (asks, receiver) = mpsc::channel(1);
        let (everyone, inquiries) = inquiry::lines(1);
        // No worker takes them.
        drop(inquiries);
        let sources = Sources::new(shared.clone(), &Limits::default(), Box::new(|| 7));
        let metrics = Arc::new(Metrics::new(Arc::new(sources)));
        let serving = tokio::spawn(serve_within(bounds, socket, asks, metrics, everyone));
        (Served { path, shared, serving, _dir: dir }, receiver)
    }

    fn playing(outcome: ReloadOutcome) -> Served {
        let (served, asks) = Served::start(BOUNDS);
        tokio::spawn(play(asks, outcome));
        served
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.path).await.expect("it listens")
    }

    /// Status, head and body of the answer.
    async fn ask(&self, method: &str, path: &str) -> (u16, String, String) {
        let mut stream = self.connect().await;
        let head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("the request is taken");
        parts(&rest(stream).await)
    }

    async fn json(&self, method: &str, path: &str) -> (u16, serde_json::Value) {
        let (status, head, body) = self.ask(method, path).await;
        assert!(head.contains("content-type: application/json"), "{head}");
        (status, serde_json::from_str(&body).expect("JSON"))
    }
}

async fn rest(mut stream: UnixStream) -> String {
    let mut bytes = Vec::new();
    loop {
        match timeout(LONG, stream.read_buf(&mut bytes)).await.expect("it ends") {
            Ok(0) => break,
            Ok(_) => {}
            // It had not read all that we sent.
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
                break;
            }
        }
    }
    String::from_utf8(bytes).expect("text")
}

fn parts(answer: &str) -> (u16, String, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let status = head.get(9..12).and_then(|code| code.parse().ok()).expect("a status");
    (status, head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn without_a_path_there_is_no_socket() {
    assert!(bind(&Control::default()).expect("no fault").is_none());
}

#[tokio::test]
async fn the_file_has_the_mode_and_the_group_that_were_asked_for_and_goes_with_the_socket() {
    let dir = Dir::new();
    let own = fs::metadata(dir.path()).expect("the directory").gid();
    for (mode, group) in [(0o600, None), (0o660, Some(own.to_string())), (0o666, None)] {
        let socket = bound(&Control { mode, group, ..in_dir(&dir) });
        let found = fs::symlink_metadata(socket.path()).expect("the file");
        assert_eq!((found.permissions().mode() & 0o7777, found.gid()), (mode, own));
        let path = socket.path().to_owned();
        drop(socket);
        assert!(!path.exists());
    }
}

#[tokio::test]
async fn a_socket_that_nobody_listens_on_is_replaced() {
    let dir = Dir::new();
    let control = in_dir(&dir);
    let path = control.socket.clone().expect("a path");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket to leave behind"));
    assert!(path.exists());
    let socket = bound(&control);
    UnixStream::connect(socket.path()).await.expect("it listens");
}

#[tokio::test]
async fn a_socket_that_somebody_listens_on_is_left_alone_and_its_process_named() {
    let dir = Dir::new();
    let control = in_dir(&dir);
    let first = bound(&control);
    let (code, said) = refused(&control);
    assert_eq!(code, 69, "{said}");
    let process = format!("process {};", std::process::id());
    assert!(said.starts_with("control.socket: /") && said.contains(&process), "{said}");
    UnixStream::connect(first.path()).await.expect("it still listens");
}

#[tokio::test]
async fn what_is_no_socket_is_never_removed() {
    let dir = Dir::new();
    let file = dir.write("file", "dear to somebody");
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&file, &link).expect("a link");
    for path in [&file, &link] {
        let (code, said) = refused(&socket_at(path));
        assert_eq!(code, 78, "{said}");
        assert!(said.contains("no socket"), "{said}");
    }
    assert_eq!(fs::read_to_string(&link).expect("the file"), "dear to somebody");
}

#[tokio::test]
async fn what_cannot_be_had_is_told_with_how_to_mend_it() {
    let dir = Dir::new();
    let (code, said) = refused(&socket_at(&dir.path().join("missing/control.sock")));
    assert_eq!(code, 69, "{said}");
    assert!(said.contains("create its directory"), "{said}");
    let (code, said) = refused(&Control { group: Some("no-such-group".into()), ..in_dir(&dir) });
    assert_eq!(code, 78, "{said}");
    assert!(said.contains("no-such-group"), "{said}");
    assert!(!dir.path().join("control.sock").exists());
}

#[tokio::test]
async fn a_socket_that_another_server_has_put_there_since_is_left_to_it() {
    let dir = Dir::new();
    let control = in_dir(&dir);
    let first = bound(&control);
    fs::remove_file(first.path()).expect("it is removed");
    // Something in between, so that it gets an inode of its own.
    dir.write("between", "");
    let second = bound(&control);
    drop(first);
    UnixStream::connect(second.path()).await.expect("it still listens");
}

#[tokio::test]
async fn what_is_asked_is_what_is_answered() {
    let served = Served::playing(ReloadOutcome::Done(reloaded()));
    for path in ["/reload", "/check"] {
        let (code, body) = served.json("POST", path).await;
        assert_eq!(code, 200);
        assert_eq!(serde_json::from_value::<Reloaded>(body).expect("what changed"), reloaded());
    }
    let (code, body) = served.json("GET", "/status").await;
    assert_eq!(code, 200);
    assert_eq!(serde_json::from_value::<Status>(body).expect("a status"), status());
    let (code, body) = served.json("POST", "/drain").await;
    assert_eq!((code, body), (200, serde_json::json!({ "draining": true })));
}

#[tokio::test]
async fn a_reload_that_is_rejected_or_too_late_is_an_error_with_all_its_reasons() {
    let faults = ["a: b".to_owned(), "c: \"d\"".to_owned()];
    let served = Served::playing(ReloadOutcome::Rejected(faults.to_vec()));
    let (code, body) = served.json("POST", "/reload").await;
    assert_eq!((code, &body["error"]), (422, &"rejected".into()));
    assert_eq!(body["faults"], serde_json::json!(faults));
    assert!(body["reason"].is_string());
    let served = Served::playing(ReloadOutcome::Draining);
    for path in ["/reload", "/check"] {
        let (code, body) = served.json("POST", path).await;
        assert_eq!((code, &body["error"]), (409, &"draining".into()));
        assert!(body["reason"].is_string() && body.get("faults").is_none());
    }
}

#[tokio::test]
async fn what_is_not_served_is_404_and_the_wrong_method_405() {
    let served = Served::playing(ReloadOutcome::Draining);
    let unknown = ["/", "/reload/", "/connections/", "/connections/a/b", "/api", "//status"];
    for path in unknown {
        let (code, body) = served.json("GET", path).await;
        assert_eq!((code, &body["error"]), (404, &"not_found".into()), "{path}");
        assert!(body["reason"].is_string());
    }
    let wrong = [
        ("GET", "/reload", "POST"),
        ("GET", "/check", "POST"),
        ("PUT", "/drain", "POST"),
        ("POST", "/status", "GET, HEAD"),
        ("PUT", "/connections", "GET, HEAD, DELETE"),
        ("GET", "/api/publish", "POST"),
        ("GET", "/connections/x", "DELETE"),
        ("POST", "/readyz", "GET, HEAD"),
        ("OPTIONS", "/healthz", "GET, HEAD"),
    ];
    for (method, path, allow) in wrong {
        let (code, head, body) = served.ask(method, path).await;
        assert_eq!(code, 405, "{method} {path}");
        assert!(head.contains(&format!("allow: {allow}\r\n")), "{head}");
        assert!(body.contains("method_not_allowed"), "{body}");
    }
}

#[tokio::test]
async fn readiness_ends_with_the_drain_and_health_does_not() {
    let served = Served::playing(ReloadOutcome::Draining);
    let answer = async |path| {
        let (code, _, body) = served.ask("GET", path).await;
        (code, body)
    };
    assert_eq!(answer("/readyz").await, (200, "ready\n".into()));
    served.shared.draining.store(true, Ordering::Relaxed);
    assert_eq!(answer("/readyz").await, (503, "draining\n".into()));
    assert_eq!(answer("/healthz").await, (200, "ok\n".into()));
    let (code, _, body) = served.ask("HEAD", "/healthz").await;
    assert_eq!((code, &*body), (200, ""));
}

#[tokio::test]
async fn metrics_are_read_though_the_loop_does_not_turn() {
    let (served, _unanswered) = Served::start(BOUNDS);
    let (code, head, body) = served.ask("GET", "/metrics").await;
    assert_eq!(code, 200, "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert!(body.contains("\nphilote_log_lines_lost_total 7\n"), "{body}");
    assert_eq!(served.ask("POST", "/metrics").await.0, 405);
}

#[tokio::test]
async fn an_upgrade_is_not_taken_up() {
    let served = Served::playing(ReloadOutcome::Draining);
    let mut stream = served.connect().await;
    let request = "GET /status HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("the request is taken");
    assert_eq!(parts(&rest(stream).await).0, 200);
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let served = Served::playing(ReloadOutcome::Draining);
    let mut stream = served.connect().await;
    let request = format!("GET /status HTTP/1.1\r\nx: {}", "y".repeat(2 * HEAD));
    // It may be refused before all of it is sent.
    let _ = stream.write_all(request.as_bytes()).await;
    let answer = rest(stream).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer:?}");
}

#[tokio::test]
async fn callers_that_say_nothing_are_hung_up_on_and_then_others_have_their_turn() {
    let (served, asks) = Served::start(TIGHT);
    tokio::spawn(play(asks, ReloadOutcome::Draining));
    let mut silent = Vec::new();
    for _ in 0..2 * TIGHT.callers {
        silent.push(served.connect().await);
    }
    silent[0].write_all(b"GET /status HTTP/1.1\r\n").await.expect("half a head is taken");
    assert_eq!(served.ask("GET", "/healthz").await.0, 200);
    for stream in silent {
        assert_eq!(rest(stream).await, "");
    }
}

#[tokio::test]
async fn a_caller_that_does_not_take_its_answer_is_hung_up_on() {
    let (served, mut asks) = Served::start(Bounds { callers: 1, ..TIGHT });
    let mut stream = served.connect().await;
    stream.write_all(b"GET /status HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("it is taken");
    let Some(Ask::Status(answer)) = asks.recv().await else { panic!("not that") };
    // More than the system keeps of it.
    let listening = vec!["127.0.0.1:6380".into(); 100_000];
    answer.send(Status { listening, ..status() }).expect("it waits for it");
    assert_eq!(served.ask("GET", "/healthz").await.0, 200);
    let read = rest(stream).await;
    assert!(read.starts_with("HTTP/1.1 200 ") && !read.ends_with("}\n"), "{}", read.len());
}

#[tokio::test]
async fn when_the_loop_ends_whoever_has_asked_is_told_and_the_file_goes() {
    let (served, mut asks) = Served::start(BOUNDS);
    let silent = served.connect().await;
    let (told, ()) = tokio::join!(served.ask("POST", "/reload"), async {
        let ask = asks.recv().await;
        assert!(matches!(ask, Some(Ask::Reload(_))), "{ask:?}");
        asks.close();
        drop(ask);
    });
    assert_eq!(told.0, 503, "{told:?}");
    assert!(told.2.contains("\"error\":\"stopped\""), "{told:?}");
    assert_eq!(rest(silent).await, "");
    timeout(LONG, served.serving).await.expect("it ends").expect("without a panic");
    assert!(!served.path.exists());
}

#[tokio::test]
async fn an_answer_that_was_given_before_the_end_arrives() {
    let (served, mut asks) = Served::start(BOUNDS);
    let (told, ()) = tokio::join!(served.ask("POST", "/drain"), async {
        let Some(Ask::Drain(answer)) = asks.recv().await else { panic!("not that") };
        answer.send(()).expect("it waits for it");
        drop(asks);
    });
    assert_eq!(told.0, 200, "{told:?}");
    served.serving.await.expect("it ends");
}

#[tokio::test]
async fn who_changes_something_stands_in_the_log() {
    let log = Log::default();
    let lines = log.0.clone();
    // Everything here runs on this thread.
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(log));
    let served = Served::playing(ReloadOutcome::Draining);
    for (method, path) in [
        ("GET", "/status"),
        ("POST", "/check"),
        ("POST", "/reload"),
        ("GET", "/connections"),
        ("DELETE", &format!("/connections/{ID}")),
        ("DELETE", "/connections/jane"),
        ("DELETE", "/api/connections?subject=jane"),
        ("DELETE", "/api/connections?subject=jane&x=y"),
        ("POST", "/drain"),
        ("GET", "/drain"),
    ] {
        served.ask(method, path).await;
    }
    let lines = lines.lock().expect("the log");
    let me = format!("uid={} pid={} ", rustix::process::getuid().as_raw(), std::process::id());
    let expected = ["control_reload", "control_disconnect", "control_disconnect", "control_drain"];
    assert_eq!(lines.len(), expected.len(), "{lines:?}");
    for (line, event) in lines.iter().zip(expected) {
        assert!(line.starts_with("INFO ") && line.contains(&me), "{line}");
        assert!(line.contains(&format!("event=\"{event}\"")), "{line}");
    }
    assert!(lines[1].contains(&format!("connection={ID}")), "{lines:?}");
    assert!(lines[2].contains("subject=\"jane\""), "{lines:?}");
}

/// The lines that are logged, with their fields in order.
#[derive(Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        if !event.metadata().target().starts_with("philote") {
            return;
        }
        let mut line = Line(format!("{} ", event.metadata().level()));
        event.record(&mut line);
        self.0.lock().expect("the log").push(line.0);
    }
}

struct Line(String);

impl tracing::field::Visit for Line {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0.push_str(&format!("{}={value:?} ", field.name()));
    }
}
