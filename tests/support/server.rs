//! The real binary as a process: started on a port of the kernel's choice, awaited by its
//! readiness datagram, stopped by a signal, and gone with the test whatever happens.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use super::client::Client;
use super::dir::Dir;
use super::http::{Request, Response, connect_keeping_little};
use super::token::{SECRET, grant, token};
use super::tools::require_tool;
use super::{PATIENCE, until};

/// How a server is to be started.
pub(crate) struct Setup {
    config: String,
    secret: Option<String>,
    environment: Vec<(String, String)>,
    launcher: Vec<String>,
    arguments: Vec<String>,
    /// Whether the file alone says what holds.
    file_alone: bool,
    as_nobody: bool,
    listener: Option<OwnedFd>,
}

/// A server that runs.
pub(crate) struct Server {
    child: Child,
    log: Arc<Log>,
    collector: Option<JoinHandle<()>>,
    notices: Receiver<String>,
    addresses: Vec<SocketAddr>,
    stopped: bool,
    dir: Dir,
}

/// A whole configuration of `KEY = VALUE` lines, keys with their sections before them. What they
/// leave open is a port of the kernel's choice, two workers, [`SECRET`], and no pings.
pub(crate) fn file(lines: &[&str]) -> String {
    let secret = format!("auth.secret = {SECRET:?}");
    let others = [
        ("listen", "listen = [\"127.0.0.1:0\"]"),
        ("workers", "workers = 2"),
        ("auth.secret", &secret),
        ("websocket.ping_interval", "websocket.ping_interval = \"off\""),
    ];
    let open = |key: &str| !lines.iter().any(|line| line.starts_with(key));
    let others = others.iter().filter(|(key, _)| open(key)).map(|(_, line)| *line);
    others.chain(lines.iter().copied()).map(|line| format!("{line}\n")).collect()
}

/// The user and the group `nobody` and `nogroup` of Debian, which own nothing.
pub(crate) const NOBODY: u32 = 65_534;

/// What makes a command one of [`NOBODY`]'s, where we are root and may.
pub(crate) const AS_NOBODY: [&str; 4] =
    ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

/// The binary under test: the one that was built with the tests, unless `PHILOTE_TEST_BINARY` names another.
fn binary() -> String {
    std::env::var("PHILOTE_TEST_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_philote").into())
}

/// How a server ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) log: String,
}

/// What the server has written to stderr.
#[derive(Default)]
struct Log {
    text: Mutex<String>,
    grown: Condvar,
}

impl Setup {
    /// Two workers, [`SECRET`], and whatever `config` (TOML, without `[auth]`'s secret) adds.
    pub(crate) fn new(config: &str) -> Setup {
        Setup {
            config: config.into(),
            secret: Some(SECRET.into()),
            environment: Vec::new(),
            launcher: Vec::new(),
            arguments: Vec::new(),
            file_alone: false,
            as_nobody: false,
            listener: None,
        }
    }

    /// What `config` says, and no variable beside it: the environment outranks the file, so what a
    /// reload is to change must stand there. `listen` and `auth` are its own to set.
    pub(crate) fn of_file(config: &str) -> Setup {
        Setup { file_alone: true, secret: None, ..Setup::new(config) }
    }

    /// No key is configured, and the environment says that none is meant: the empty secret is in force.
    pub(crate) fn without_secret(mut self) -> Setup {
        self.secret = Some(String::new());
        self
    }

    /// A variable of the server's environment, which holds no others but the needed ones.
    pub(crate) fn environment(mut self, name: &str, value: &str) -> Setup {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// One more argument.
    pub(crate) fn argument(mut self, argument: &str) -> Setup {
        self.arguments.push(argument.into());
        self
    }

    /// As a user who is not root: permissions mean nothing to root. `None`, told and counted,
    /// where that cannot be had.
    pub(crate) fn run_by_nobody(mut self) -> Option<Setup> {
        if rustix::process::getuid().is_root() {
            require_tool("setpriv", "apt install util-linux")?;
            self.as_nobody = true;
        }
        Some(self)
    }

    /// With this listener, passed as the service manager passes one (sd_listen_fds(3)).
    pub(crate) fn given(mut self, listener: impl Into<OwnedFd>) -> Setup {
        self.listener = Some(listener.into());
        self
    }

    /// A command that becomes the server by `exec`, such as `ip netns exec NAME`.
    pub(crate) fn launched_by(mut self, launcher: &[&str]) -> Setup {
        self.launcher = launcher.iter().map(|&word| word.into()).collect();
        self
    }

    /// Starts it and waits for `READY=1`.
    pub(crate) fn start(self) -> Server {
        let mut server = self.spawn();
        server.addresses = server.await_ready();
        server
    }

    /// Starts it and waits for its end, which must come by itself.
    pub(crate) fn fails(self) -> Ended {
        self.spawn().ended()
    }

    /// Starts it and waits for nothing.
    pub(crate) fn spawn(self) -> Server {
        let dir = Dir::new();
        let config = dir.write("config.toml", &self.config);
        let socket = dir.path().join("notify");
        let notify = UnixDatagram::bind(&socket).expect("a socket for readiness");

        let mut words = self.launcher;
        if self.as_nobody {
            words.extend(AS_NOBODY.map(str::to_owned));
            for path in [dir.path(), &config, &socket] {
                std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).expect("nobody's file");
            }
        }
        let (stdin, has_listener) = match self.listener {
            Some(listener) => (Stdio::from(listener), true),
            None => (Stdio::null(), false),
        };
        if has_listener {
            let pass = "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" \"$@\" 3<&0 0</dev/null";
            words.extend(["sh", "-c", pass].map(str::to_owned));
        }
        words.push(binary());
        words.extend(["serve".into(), "--config".into(), config.display().to_string()]);
        words.extend(self.arguments);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear().current_dir(dir.path());
        command.env("NOTIFY_SOCKET", &socket);
        if !self.file_alone {
            command.env("PHILOTE_LISTEN", "127.0.0.1:0").env("PHILOTE_WORKERS", "2");
        }
        // The first ping of a connection may come at any time within the interval; a test that
        // is not about pings sees none.
        if !self.file_alone && !self.config.contains("ping_interval") {
            command.env("PHILOTE_WEBSOCKET_PING_INTERVAL", "off");
        }
        if let Some(secret) = self.secret {
            command.env("SECRET", secret);
        }
        command.envs(self.environment);
        command.stdin(stdin).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the server is started");

        let log = Arc::new(Log::default());
        let stderr = child.stderr.take().expect("stderr is a pipe");
        let pid = pid_of(&child);
        let collector = std::thread::spawn({
            let log = Arc::clone(&log);
            move || log.collect(BufReader::new(stderr))
        });
        // An early death is told on the same socket, so that nobody waits for the dead.
        std::thread::spawn(move || {
            if let Ok(sender) = UnixDatagram::unbound() {
                let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
                let _ = sender.send_to(b"EXITED=1", socket);
            }
        });
        // Read to the end: a service manager that does not read would make the daemon wait.
        let (sender, notices) = channel();
        std::thread::spawn(move || {
            let mut datagram = [0; 4096];
            while let Ok(count) = notify.recv(&mut datagram) {
                let text = String::from_utf8_lossy(&datagram[..count]).into_owned();
                let exited = text == "EXITED=1";
                let _ = sender.send(text);
                if exited {
                    break;
                }
            }
        });
        Server {
            child,
            log,
            collector: Some(collector),
            notices,
            addresses: Vec::new(),
            stopped: false,
            dir,
        }
    }
}

impl Server {
    /// A server of defaults.
    pub(crate) fn start() -> Server {
        Setup::new("").start()
    }

    /// A server of defaults and this TOML.
    pub(crate) fn with(config: &str) -> Server {
        Setup::new(config).start()
    }

    /// The first address that it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    // Clients.

    /// A connection with this token.
    #[track_caller]
    pub(crate) fn open(&self, token: &str) -> Client {
        self.open_with(&Request::upgrade(&format!("/?auth={token}")))
    }

    #[track_caller]
    pub(crate) fn open_with(&self, request: &Request) -> Client {
        Client::open(self.address(), request)
            .unwrap_or_else(|refusal| panic!("refused: {refusal:?}; asked by {request:?}"))
    }

    /// A connection that hears these channels.
    #[track_caller]
    pub(crate) fn subscriber(&self, read: &[&str]) -> Client {
        self.open(&grant(read, &[]))
    }

    /// A subscriber whose kernel keeps little of what it does not read.
    #[track_caller]
    pub(crate) fn lazy_subscriber(&self, read: &[&str]) -> Client {
        let request = Request::upgrade_with(&grant(read, &[])).bytes();
        Client::open_on(connect_keeping_little(self.address()), &request).expect("admitted")
    }

    /// A connection that publishes to these channels.
    #[track_caller]
    pub(crate) fn publisher(&self, write: &[&str]) -> Client {
        self.open(&grant(&[], write))
    }

    /// The refusal of this handshake.
    #[track_caller]
    pub(crate) fn refuses(&self, request: &Request) -> Response {
        match Client::open(self.address(), request) {
            Err(refusal) => refusal,
            Ok(_) => panic!("admitted: {request:?}"),
        }
    }

    /// The refusal of this token.
    #[track_caller]
    pub(crate) fn refuses_token(&self, token: &str) -> Response {
        self.refuses(&Request::upgrade_with(token))
    }

    /// A plain request and its answer.
    pub(crate) fn ask(&self, request: &Request) -> Response {
        request.send(self.address())
    }

    /// `GET /api/info`, by a token that may.
    pub(crate) fn info(&self) -> serde_json::Value {
        self.info_at(self.address())
    }

    /// The same, asked where one comes to it by a detour.
    pub(crate) fn info_at(&self, address: SocketAddr) -> serde_json::Value {
        let request = Request::get("/api/info").bearer(&token(r#"{"api":true}"#));
        let answer = request.send(address);
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_str(&answer.body).expect("JSON")
    }

    /// Waits until exactly so many connections are open.
    pub(crate) fn until_connections(&self, count: u64) {
        self.until_connections_at(self.address(), count);
    }

    /// The same, asked where one comes to it by a detour.
    pub(crate) fn until_connections_at(&self, address: SocketAddr, count: u64) {
        let what = format!("{count} connections");
        until(&what, || self.info_at(address)["connections"] == count);
    }

    /// A new publisher reaches a new subscriber: whatever went before did the server no harm.
    #[track_caller]
    pub(crate) fn is_healthy(&self) {
        let mut subscriber = self.subscriber(&["health"]);
        let mut publisher = self.publisher(&["health"]);
        publisher.publish("health", "still here");
        subscriber.hears("health", "still here");
        subscriber.close();
        publisher.close();
    }

    // Its configuration.

    /// The directory that it was started in, with its `config.toml`.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Puts another configuration where it reads its own, at the next reload.
    pub(crate) fn reconfigure(&self, config: &str) {
        // By renaming, so that none of them is ever read half written; for whoever reads it by now.
        let path = self.dir().join("config.toml");
        let new = self.dir.write("config.toml.new", config);
        std::os::unix::fs::chown(&new, Some(self.user()), None).expect("its owner");
        std::fs::rename(new, path).expect("a configuration is written");
    }

    /// Has it read everything again, and waits until it has: the `STATUS` that it gives then.
    pub(crate) fn reload(&self) -> String {
        self.signal(Signal::HUP);
        self.notifies("RELOADING=1");
        let text = self.notifies("READY=1");
        let status = text.lines().find_map(|line| line.strip_prefix("STATUS="));
        status.unwrap_or_else(|| panic!("READY=1 without a status: {text:?}")).to_owned()
    }

    /// A reload with this configuration, which holds from then on: the `STATUS`.
    #[track_caller]
    pub(crate) fn takes(&self, config: &str) -> String {
        self.reconfigure(config);
        let status = self.reload();
        assert!(!status.contains("failed"), "{status}; log:\n{}", self.log());
        status
    }

    /// A reload that is rejected: what the log says of it, a line a fault.
    #[track_caller]
    pub(crate) fn rejects_reload(&self) -> Vec<String> {
        let before = self.log().len();
        let status = self.reload();
        assert!(status.contains("the last reload failed: "), "{status}; log:\n{}", self.log());
        let rejected = |line: &&str| line.contains("event=reload_failed");
        until("the rejection is logged", || {
            self.log()[before..].lines().any(|line| rejected(&line))
        });
        let log = self.log();
        let said = log[before..].lines();
        said.filter(|line| line.contains("event=reload_fault")).map(str::to_owned).collect()
    }

    // The process.

    /// Resident memory in KiB.
    pub(crate) fn resident(&self) -> u64 {
        resident(self.pid())
    }

    /// The user that it runs as, which the kernel says.
    pub(crate) fn user(&self) -> u32 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(path).expect("the server's /proc/PID/status");
        let uids = status.lines().find_map(|line| line.strip_prefix("Uid:")).expect("Uid");
        uids.split_whitespace().nth(1).and_then(|uid| uid.parse().ok()).expect("a user's number")
    }

    pub(crate) fn log(&self) -> String {
        self.log.text.lock().expect("the log").clone()
    }

    /// Waits for a line of the log that this holds for, and answers it.
    pub(crate) fn logs(&self, what: &str, holds: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut text = self.log.text.lock().expect("the log");
        loop {
            if let Some(line) = text.lines().find(|line| holds(line)) {
                return line.to_owned();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no line about {what} in:\n{text}");
            text = self.log.grown.wait_timeout(text, left).expect("the log").0;
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(pid_of(&self.child), signal).expect("the server gets its signal");
    }

    /// Stops it by SIGTERM and demands exit code 0.
    pub(crate) fn stop(self) -> String {
        self.signal(Signal::TERM);
        let ended = self.ended();
        assert!(ended.status.success(), "{}; log:\n{}", ended.status, ended.log);
        ended.log
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self) -> Ended {
        // Not reaped by the wait, so that the id stays the server's until it is known dead.
        let mut status = None;
        until("the server has ended", || {
            status = self.child.try_wait().expect("the server is our child");
            status.is_some()
        });
        self.stopped = true;
        // The last lines are in the pipe still.
        if let Some(collector) = self.collector.take() {
            collector.join().expect("the log is read to its end");
        }
        Ended { status: status.expect("an exit status"), log: self.log() }
    }

    /// The next datagram to the service manager that holds this line.
    pub(crate) fn notifies(&self, line: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let text = match self.notices.recv_timeout(left) {
                Ok(text) => text,
                Err(error) => panic!("no {line}: {error}; log:\n{}", self.log()),
            };
            assert_ne!(text, "EXITED=1", "it ended without {line}; log:\n{}", self.log());
            if text.lines().any(|known| known == line) {
                return text;
            }
        }
    }

    /// The next datagram to the service manager, whatever it says; `EXITED=1` is the test's own,
    /// after the last.
    pub(crate) fn notice(&self) -> String {
        self.notice_within(PATIENCE)
            .unwrap_or_else(|| panic!("nothing was told; log:\n{}", self.log()))
    }

    /// The same, or `None` where none comes in time.
    pub(crate) fn notice_within(&self, limit: Duration) -> Option<String> {
        self.notices.recv_timeout(limit).ok()
    }

    fn await_ready(&self) -> Vec<SocketAddr> {
        let text = self.notifies("READY=1");
        listening(&text).unwrap_or_else(|| panic!("READY=1 without an address: {text:?}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.stopped {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let from = log.lines().count().saturating_sub(40);
            let tail: String = log.lines().skip(from).map(|line| format!("  {line}\n")).collect();
            let _ = writeln!(std::io::stderr(), "the server's log ended with:\n{tail}");
        }
    }
}

impl Log {
    fn collect(&self, mut lines: impl BufRead) {
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            self.text.lock().expect("the log").push_str(&String::from_utf8_lossy(&line));
            self.grown.notify_all();
            line.clear();
        }
    }
}

/// The memory that a process has, in KiB.
pub(crate) fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))
        .expect("the server's /proc/PID/status");
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
        .and_then(|count| count.trim().parse().ok())
        .expect("VmRSS")
}

/// The addresses in `STATUS=listening on A, B; ...`.
fn listening(datagram: &str) -> Option<Vec<SocketAddr>> {
    addresses(datagram.lines().find_map(|line| line.strip_prefix("STATUS="))?)
}

/// The addresses in a status.
pub(crate) fn addresses(status: &str) -> Option<Vec<SocketAddr>> {
    let addresses = status.strip_prefix("listening on ")?.split(';').next()?;
    // Behind an address stands what comes before the first request there.
    addresses.split(',').map(|address| address.split_whitespace().next()?.parse().ok()).collect()
}

fn pid_of(child: &Child) -> Pid {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id")
}
