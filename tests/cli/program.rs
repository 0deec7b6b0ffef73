//! The program under test: started with an environment of its own, ended with the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use super::PATIENCE;

/// A secret of the configurations here.
pub(crate) const SECRET: &str = "the secret of these tests: more than thirty-two bytes";

/// What a program that has ended left behind.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    /// Exit code 0, and nothing said.
    #[track_caller]
    pub(crate) fn quietly(self) -> String {
        assert_eq!((self.code, &*self.err), (Some(0), ""), "{self:?}");
        self.out
    }

    /// This exit code, nothing on standard output; what was said.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!((self.code, &*self.out), (Some(code), ""), "{self:?}");
        self.err
    }
}

/// `philote` with these arguments and no environment but [`SECRET`].
pub(crate) fn philote(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_philote"));
    command.args(arguments).env_clear().env("SECRET", SECRET).stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub(crate) fn run(command: &mut Command) -> Done {
    Running::start(command).done()
}

/// Runs it with this on standard input.
pub(crate) fn run_with(command: &mut Command, input: &str) -> Done {
    let mut running = Running::start(command.stdin(Stdio::piped()));
    running.say(input);
    running.done()
}

/// A program that runs.
pub(crate) struct Running {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        Self { child, input, output }
    }

    pub(crate) fn say(&mut self, text: &str) {
        let input = self.input.as_mut().expect("stdin is a pipe");
        input.write_all(text.as_bytes()).expect("it reads");
    }

    /// The next line of its standard output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("text");
        line.trim_end_matches('\n').to_owned()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_none()
    }

    /// Ends its standard input, and waits for its end.
    pub(crate) fn done(mut self) -> Done {
        drop(self.input.take());
        self.ended()
    }

    /// Closes our end of its standard output, and waits for its end.
    pub(crate) fn unread(self) -> Done {
        let Self { child, input, output } = self;
        drop(output);
        let (nothing, _) = std::io::pipe().expect("a pipe");
        let output = BufReader::new(ChildStdout::from(std::os::fd::OwnedFd::from(nothing)));
        Self { child, input, output }.ended()
    }

    /// Waits for its end, its standard input left open.
    pub(crate) fn ended(mut self) -> Done {
        let mut stderr = self.child.stderr.take().expect("stderr is a pipe");
        let said = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).map(|_| text)
        });
        let mut stdout = self.output;
        let written = std::thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).map(|_| text)
        });
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                break status;
            }
            if Instant::now() > deadline {
                let _ = self.child.kill();
                panic!("it has not ended");
            }
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        };
        Done {
            code: status.code(),
            out: written.join().expect("no panic").expect("text"),
            err: said.join().expect("no panic").expect("text"),
        }
    }
}
