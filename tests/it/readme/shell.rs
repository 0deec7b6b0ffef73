//! A shell as somebody has it who follows the README: a directory of their own, philote on the
//! path, a server that runs.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::support::dir::Dir;
use crate::support::server::Server;

/// A browser takes its time on a machine that is busy, and clients wait longer with each attempt.
pub(super) const START: Duration = Duration::from_secs(60);

pub(super) struct Shell {
    pub(super) dir: Dir,
    environment: Vec<(String, String)>,
}

impl Shell {
    /// The tools find neither a server nor a configuration of this machine.
    pub(super) fn new() -> Shell {
        let dir = Dir::new();
        let nothing = dir.write("nothing.toml", "").display().to_string();
        // No secret is meant, unless a test sets one.
        let environment = [("PHILOTE_CONFIG", &*nothing), ("SECRET", "")];
        let environment = environment.map(|(name, value)| (name.into(), value.into())).into();
        Shell { environment, dir }
    }

    /// The tools talk to this server, wherever it listens.
    pub(super) fn beside(server: &Server) -> Shell {
        Shell::new().set("PHILOTE_URL", &format!("ws://{}/", server.address()))
    }

    /// Sets a variable.
    pub(super) fn set(mut self, name: &str, value: &str) -> Shell {
        self.environment.push((name.into(), value.into()));
        self
    }

    fn bash(&self, script: &str) -> Command {
        let mut command = Command::new("bash");
        command.args(["-eu", "-o", "pipefail", "-c", script]);
        self.prepare(&mut command);
        command
    }

    /// The directory and the environment of this shell.
    fn prepare(&self, command: &mut Command) {
        let system = std::env::var_os("PATH").unwrap_or_default();
        let philote = Path::new(env!("CARGO_BIN_EXE_philote"));
        let ours = philote.parent().expect("a directory").to_owned();
        let path = std::iter::once(ours).chain(std::env::split_paths(&system));
        command
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", std::env::join_paths(path).expect("a path"))
            .env("HOME", self.dir.path())
            .env("PYTHONUNBUFFERED", "1")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
    }

    /// Runs commands to their end; what they wrote.
    #[track_caller]
    pub(super) fn run(&self, script: &str) -> Done {
        self.run_with(script, "")
    }

    /// The same with something on standard input.
    #[track_caller]
    pub(super) fn run_with(&self, script: &str, input: &str) -> Done {
        let mut command = self.bash(script);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("bash runs");
        let mut stdin = child.stdin.take().expect("stdin is a pipe");
        stdin.write_all(input.as_bytes()).expect("it reads");
        drop(stdin);
        let output = child.wait_with_output().expect("its end");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Done { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Starts commands that go on until they are no longer needed.
    pub(super) fn start(&self, script: &str) -> Running {
        Running::start(self.bash(&format!("exec 2>&1\n{script}")))
    }

    /// Starts a program that tells on standard error.
    pub(super) fn start_program(&self, program: &Path, arguments: &[&str]) -> Running {
        let mut command = Command::new("bash");
        command.args(["-c", "exec \"$@\" 2>&1", "bash"]).arg(program).args(arguments);
        self.prepare(&mut command);
        Running::start(command)
    }
}

/// What commands left behind.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) err: String,
}

impl Done {
    /// They went well; their standard output.
    #[track_caller]
    pub(super) fn well(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }
}

/// Commands that run, and are gone with the test, their children too.
pub(super) struct Running {
    child: Child,
    lines: Receiver<String>,
    /// What has been said, for whoever looks why a test failed.
    said: String,
}

impl Running {
    fn start(mut command: Command) -> Running {
        let mut child = command.process_group(0).stdout(Stdio::piped()).spawn().expect("bash runs");
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Running { child, lines, said: String::new() }
    }

    /// Waits for a line that contains this.
    #[track_caller]
    pub(super) fn says(&mut self, text: &str) -> String {
        let deadline = Instant::now() + START;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("{text:?} was expected, and said was:\n{}", self.said);
            };
            self.keep(&line);
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Waits until this holds; what it has said stays for [`Running::says`].
    #[track_caller]
    pub(super) fn until(&mut self, what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + START;
        while !holds() {
            if Instant::now() > deadline {
                let rest: Vec<String> = self.lines.try_iter().collect();
                panic!("not within {START:?}: {what}; said was:\n{}{}", self.said, rest.join("\n"));
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Waits until it has ended by itself: nothing holds its output open any more.
    #[track_caller]
    pub(super) fn ends(&mut self) {
        let deadline = Instant::now() + START;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.keep(&line),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("it does not end; said was:\n{}", self.said)
                }
            }
        }
    }

    fn keep(&mut self, line: &str) {
        self.said.push_str(line);
        self.said.push('\n');
    }

    /// All lines so far that [`Running::says`] has seen.
    pub(super) fn said(&self) -> &str {
        &self.said
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}
