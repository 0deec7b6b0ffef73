//! The processes of a flood, seen by the one that leads them: starting them,
//! telling them what to do, and gathering what they say. None outlives this.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Map, Value};

use super::{Options, Part};
use crate::clock::{self, MILLI};
use crate::scenario::{Failure, UNREACHED};

/// How often the leader looks at the time while nobody says anything.
const TICK: u64 = 20 * MILLI;

struct Process {
    part: Part,
    child: Child,
    ears: ChildStdin,
    /// All that it has said, later words in place of earlier ones.
    said: Value,
}

pub struct Crew {
    processes: Vec<Process>,
    /// Lines of a process, by its place; `None` when it has closed its output.
    lines: Receiver<(usize, Option<String>)>,
    paced: u64,
}

impl Crew {
    /// Starts the readers, then the slow ones if there are any, then the
    /// publishers.
    pub fn start(options: &Options, channel_name: &str) -> Result<Self, Failure> {
        let slow = (options.slow > 0).then_some(Part::SlowReaders);
        let publishers = (0..options.pubs).map(Part::Publisher);
        let (sender, lines) = channel();
        let mut crew = Crew { processes: Vec::new(), lines, paced: 0 };
        for part in [Part::Readers].into_iter().chain(slow).chain(publishers) {
            let process = spawn(part, channel_name, crew.processes.len(), sender.clone())
                .map_err(|e| Failure::unreached(format!("cannot start {part}: {e}")))?;
            crew.processes.push(process);
        }
        Ok(crew)
    }

    /// Waits until `done`, and says whether it came to that by `until`; `tick`
    /// is called at least fifty times a second. Fails as soon as a part does.
    pub fn wait(
        &mut self,
        until: u64,
        done: impl Fn(&Crew) -> bool,
        mut tick: impl FnMut(&mut Crew),
    ) -> Result<bool, Failure> {
        while !done(self) {
            tick(self);
            let now = clock::now();
            if now >= until {
                return Ok(false);
            }
            let patience = Duration::from_nanos(TICK.min(until - now));
            match self.lines.recv_timeout(patience) {
                Ok((place, line)) => self.processes[place].note(line)?,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
        Ok(true)
    }

    pub fn tell_all(&mut self, command: &str) {
        self.tell(command, |_| true);
    }

    pub fn tell_readers(&mut self, command: &str) {
        self.tell(command, |part| part == Part::Readers);
    }

    pub fn tell_slow_readers(&mut self, command: &str) {
        self.tell(command, |part| part == Part::SlowReaders);
    }

    pub fn tell_first_publisher(&mut self, command: &str) {
        self.tell(command, |part| part == Part::Publisher(0));
    }

    fn tell(&mut self, command: &str, whom: impl Fn(Part) -> bool) {
        for process in self.processes.iter_mut().filter(|process| whom(process.part)) {
            // One that has ended is noticed by the end of its output.
            let _ = writeln!(process.ears, "{command}");
        }
    }

    /// Passes on to the slow readers how far the healthy ones have got, and to
    /// publishers that must not be too far ahead how far the last of them has.
    pub fn pass_on_progress(&mut self, options: &Options) {
        let bytes = self.readers()["bytes"].as_u64().unwrap_or(0);
        if bytes != self.paced {
            self.paced = bytes;
            self.tell_slow_readers(&format!("pace {bytes}"));
            if options.ahead > 0 {
                let least = self.readers()["least"].as_u64().unwrap_or(0);
                self.tell(&format!("read {least}"), |part| matches!(part, Part::Publisher(_)));
            }
        }
    }

    pub fn all_said(&self, key: &str) -> bool {
        self.said(key, |_| true)
    }

    pub fn readers_said(&self, key: &str) -> bool {
        self.said(key, |part| part == Part::Readers)
    }

    /// True where there are none.
    pub fn slow_readers_said(&self, key: &str) -> bool {
        self.said(key, |part| part == Part::SlowReaders)
    }

    pub fn publishers_said(&self, key: &str) -> bool {
        self.said(key, |part| matches!(part, Part::Publisher(_)))
    }

    fn said(&self, key: &str, whom: impl Fn(Part) -> bool) -> bool {
        let asked = self.processes.iter().filter(|process| whom(process.part));
        asked.into_iter().all(|process| !process.said[key].is_null())
    }

    pub fn readers(&self) -> &Value {
        self.words_of(Part::Readers)
    }

    /// Null where there are none.
    pub fn slow_readers(&self) -> &Value {
        self.words_of(Part::SlowReaders)
    }

    fn words_of(&self, part: Part) -> &Value {
        let found = self.processes.iter().find(|process| process.part == part);
        found.map_or(&Value::Null, |process| &process.said)
    }

    pub fn publishers(&self) -> impl Iterator<Item = &Value> {
        let publish = |process: &&Process| matches!(process.part, Part::Publisher(_));
        self.processes.iter().filter(publish).map(|process| &process.said)
    }

    pub fn sum_of_publishers(&self, key: &str) -> u64 {
        self.publishers().filter_map(|said| said[key].as_u64()).sum()
    }

    /// How publishers were disconnected, and how many so.
    pub fn endings_of_publishers(&self) -> Map<String, Value> {
        let mut counts = Map::new();
        for ending in self.publishers().filter_map(|said| said["ended"].as_str()) {
            let count = counts.get(ending).and_then(Value::as_u64).unwrap_or(0);
            counts.insert(ending.to_owned(), (count + 1).into());
        }
        counts
    }

    /// Ends them all: those that have reported have nothing left to do.
    pub fn dismiss(&mut self) {
        for process in &mut self.processes {
            // It may have ended by itself.
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.dismiss();
    }
}

impl Process {
    /// Takes down one line of it, or that there will be no more.
    fn note(&mut self, line: Option<String>) -> Result<(), Failure> {
        let words = match line.as_deref().map(serde_json::from_str) {
            Some(Ok(Value::Object(words))) => words,
            Some(_) => return Err(Failure::unreached(format!("{} talks nonsense", self.part))),
            None if self.said["over"] == true => return Ok(()),
            None => return Err(Failure::unreached(format!("{} ended early", self.part))),
        };
        if let Some(message) = words.get("error").and_then(Value::as_str) {
            let exit = words.get("exit").and_then(Value::as_u64);
            let exit = exit.and_then(|exit| u8::try_from(exit).ok()).unwrap_or(UNREACHED);
            return Err(Failure { exit, message: message.to_owned() });
        }
        for (key, value) in words {
            self.said[key] = value;
        }
        Ok(())
    }
}

/// Runs this program again in another part.
fn spawn(
    part: Part,
    channel_name: &str,
    place: usize,
    lines: Sender<(usize, Option<String>)>,
) -> std::io::Result<Process> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .args(["--part", &part.to_string(), "--part-channel", channel_name])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let ears = child.stdin.take().expect("its input is piped");
    let mouth = child.stdout.take().expect("its output is piped");
    thread::spawn(move || {
        for line in BufReader::new(mouth).lines().map_while(Result::ok) {
            if lines.send((place, Some(line))).is_err() {
                return;
            }
        }
        let _ = lines.send((place, None));
    });
    Ok(Process { part, child, ears, said: Value::Object(Map::new()) })
}
