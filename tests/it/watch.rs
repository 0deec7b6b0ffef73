//! `philote status --watch` in a real terminal, that of tmux.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::client::Client;
use crate::support::dir::Dir;
use crate::support::http::{Request, connect_keeping_little};
use crate::support::server::{Server, Setup};
use crate::support::token::token;
use crate::support::tools::require_tool;
use crate::support::until;

/// A terminal of its own, gone with the test.
struct Terminal {
    tmux: PathBuf,
    socket: PathBuf,
    dir: Dir,
}

impl Terminal {
    /// A shell in a terminal of this size.
    fn open(columns: u16, rows: u16) -> Option<Terminal> {
        let tmux = require_tool("tmux", "apt install tmux")?;
        let dir = Dir::new();
        let terminal = Terminal { tmux, socket: dir.path().join("tmux"), dir };
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let shell = "exec env PS1='$ ' sh";
        let size = ["-x", &columns, "-y", &rows];
        terminal.tmux(&[&["-f", "/dev/null", "new-session", "-d"], &size[..], &[shell]].concat());
        Some(terminal)
    }

    #[track_caller]
    fn tmux(&self, words: &[&str]) -> String {
        let output = Command::new(&self.tmux)
            .args(["-u", "-S"])
            .arg(&self.socket)
            .args(words)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "xterm-256color")
            .stdin(Stdio::null())
            .output()
            .expect("tmux runs");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    fn types(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line]);
        self.tmux(&["send-keys", "Enter"]);
    }

    fn presses(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    fn resizes(&self, columns: u16, rows: u16) {
        self.tmux(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]);
    }

    /// What stands in it.
    fn shown(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Waits until something stands in it.
    #[track_caller]
    fn shows(&self, what: &str, holds: impl Fn(&str) -> bool) -> String {
        let mut shown = String::new();
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            until(what, || {
                shown = self.shown();
                holds(&shown)
            });
        }));
        assert!(found.is_ok(), "not shown: {what}\n{shown}");
        shown
    }

    /// What a command writes into a file.
    fn says(&self, command: &str, name: &str) -> String {
        let path = self.dir.path().join(name);
        self.types(&format!("{command} > {0}.part; mv {0}.part {0}", path.display()));
        until("the command has run", || path.exists());
        std::fs::read_to_string(path).expect("what it said")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new(&self.tmux)
            .arg("-S")
            .arg(&self.socket)
            .arg("kill-server")
            .stderr(Stdio::null())
            .status();
    }
}

fn watch(socket: &Path) -> String {
    let philote = env!("CARGO_BIN_EXE_philote");
    format!("{philote} status --watch --control {}", socket.display())
}

fn server(dir: &Dir) -> (Server, PathBuf) {
    let socket = dir.path().join("control.sock");
    let config = format!("control.socket = {socket:?}\nlimits.outbound_queue = \"1MiB\"");
    (Setup::new(&config).start(), socket)
}

/// Who publishes on `news`, and reads it, and who reads `bulk` and does not.
fn clients(server: &Server) -> (Client, Client, Client) {
    let publisher = server.publisher(&["news", "bulk"]);
    let claims = r#"{"read":["bulk"],"sub":"lazy-jane"}"#;
    let request = Request::upgrade_with(&token(claims)).bytes();
    let lazy = Client::open_on(connect_keeping_little(server.address()), &request);
    let lazy = lazy.expect("admitted");
    (publisher, server.subscriber(&["news"]), lazy)
}

/// The row that begins with this name.
fn row<'a>(shown: &'a str, name: &str) -> &'a str {
    shown.lines().find(|line| line.starts_with(name)).unwrap_or_default()
}

#[test]
fn the_live_view_shows_what_happens_at_any_size_and_leaves_the_terminal_as_it_was() {
    let Some(terminal) = Terminal::open(120, 32) else { return };
    let dir = Dir::new();
    let (server, socket) = server(&dir);
    let (mut publisher, mut reader, _lazy) = clients(&server);
    let before = terminal.says("stty -a", "before");
    terminal.types("echo what was here before");
    terminal.types(&watch(&socket));
    terminal.shows("the title", |shown| shown.starts_with("philote "));
    // Enough for the queue of whoever does not read, and not for its bound.
    let text = "x".repeat(64 * 1024);
    (0..12).for_each(|_| publisher.publish("bulk", &text));
    let mut speak = || {
        publisher.publish("news", "x");
        reader.hears("news", "x");
    };
    let speaks = std::cell::RefCell::new(&mut speak);
    let shown = terminal.shows("what happens", |shown| {
        (0..20).for_each(|_| (speaks.borrow_mut())());
        let busy = |line: &str| line.contains("/s  to 1 ") && line.contains("news");
        let slow = |line: &str| line.contains(" KiB ") && line.contains("lazy-jane");
        shown.lines().any(busy)
            && shown.lines().any(slow)
            && row(shown, "messages in").contains(['█', '▇', '▆'])
            && row(shown, "fan-out").contains('s')
    });
    assert!(row(&shown, "connections").contains("3 of 255"), "{shown}");
    assert!(row(&shown, "last reload").contains("none"), "{shown}");
    assert!(!row(&shown, "messages out").contains(" 0/s"), "{shown}");
    // Side by side where there is room.
    assert!(row(&shown, "BUSIEST CHANNELS").contains("SLOW CONSUMERS"), "{shown}");

    server.signal(rustix::process::Signal::HUP);
    terminal.shows("the reload", |shown| row(shown, "last reload").contains("ago, done"));

    // One below the other where there is less.
    terminal.resizes(60, 24);
    let narrow = terminal.shows("another size", |shown| {
        row(shown, "BUSIEST CHANNELS") == "BUSIEST CHANNELS"
            && row(shown, "SLOW CONSUMERS") == "SLOW CONSUMERS"
    });
    assert!(row(&narrow, "connections").contains("3 of 255"), "{narrow}");
    assert_eq!(narrow.trim_end().lines().last(), Some("q quits"), "{narrow}");
    // And whatever fits where there is next to nothing.
    terminal.resizes(20, 5);
    terminal.shows("the smallest", |shown| {
        shown.starts_with("philote ") && shown.trim_end().ends_with("q quits")
    });
    terminal.resizes(120, 32);
    terminal.shows("the size of the beginning", |shown| {
        row(shown, "BUSIEST CHANNELS").contains("SLOW CONSUMERS")
    });

    terminal.presses("q");
    let after = terminal.shows("the shell", |shown| shown.contains("what was here before"));
    assert!(!after.contains("BUSIEST"), "{after}");
    assert_eq!(terminal.says("stty -a", "after"), before);
    assert_eq!(terminal.tmux(&["display-message", "-p", "#{cursor_flag}"]).trim(), "1");
}

#[test]
fn ctrl_c_and_a_signal_leave_the_terminal_as_it_was_and_a_server_that_goes_is_told() {
    let Some(terminal) = Terminal::open(80, 24) else { return };
    let dir = Dir::new();
    let (server, socket) = server(&dir);
    let before = terminal.says("stty -a", "before");
    let starts = || {
        terminal.types(&watch(&socket));
        terminal.shows("the title", |shown| shown.starts_with("philote "));
    };
    let is_as_before = |name: &str| {
        terminal.shows("the shell", |shown| !shown.contains("BUSIEST"));
        assert_eq!(terminal.says("stty -a", name), before);
    };
    starts();
    terminal.presses("C-c");
    is_as_before("after-ctrl-c");

    terminal.types(&format!("{} & echo $! > {}/pid; fg", watch(&socket), dir.path().display()));
    terminal.shows("the title", |shown| shown.starts_with("philote "));
    let pid = std::fs::read_to_string(dir.path().join("pid")).expect("a process");
    let pid = pid.trim().parse().ok().and_then(rustix::process::Pid::from_raw).expect("a number");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    is_as_before("after-sigterm");

    starts();
    server.stop();
    terminal.shows("that it has gone", |shown| shown.contains("no server listens on"));
    terminal.presses("q");
    is_as_before("at-the-end");
}

#[test]
fn without_a_terminal_it_is_for_programs_a_line_a_second() {
    let dir = Dir::new();
    let (_server, socket) = server(&dir);
    let philote = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_philote"));
        command.args(["status", "--watch", "--control"]).arg(&socket).env_clear();
        command.stdin(Stdio::null());
        command
    };
    let refused = philote().output().expect("it runs");
    assert_eq!(refused.status.code(), Some(64));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("--watch needs a terminal") && refused.stdout.is_empty(), "{said}");

    let mut child = philote().arg("--json").stdout(Stdio::piped()).spawn().expect("it runs");
    let lines = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
    let read: Vec<serde_json::Value> = std::io::BufRead::lines(lines)
        .take(2)
        .map(|line| serde_json::from_str(&line.expect("a line")).expect("JSON"))
        .collect();
    assert_eq!(read[1]["connections"], 0);
    assert!(read[0]["busiest_channels"].is_array() && read[0]["fanout"]["counts"].is_array());
    // It ends when nobody reads any more.
    assert!(child.wait().expect("it ends").success());
}
