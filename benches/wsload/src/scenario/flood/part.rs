//! The processes of a flood, seen from inside one: which part it plays, and
//! how it talks with the leader. Commands come as lines on standard input,
//! answers go as JSON objects, one a line, to standard output. The end
//! of its input ends a part, so that none outlives its leader.

use std::fmt;
use std::io::{BufRead, Write};
use std::str::FromStr;
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use serde_json::{Value, json};

use super::{Options, publisher, reader, slow_reader};
use crate::clock;
use crate::engine::{Engine, Handler, Spec};
use crate::scenario::{Context, Failure, OK};
use crate::target::Role;

/// Which part a process plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// One publisher, by its number.
    Publisher(usize),
    Readers,
    SlowReaders,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Publisher(number) => write!(f, "publisher:{number}"),
            Part::Readers => f.write_str("readers"),
            Part::SlowReaders => f.write_str("slow-readers"),
        }
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("publisher", number)) => number
                .parse()
                .map(Part::Publisher)
                .map_err(|_| format!("{number} is no publisher's number")),
            None if text == "readers" => Ok(Part::Readers),
            None if text == "slow-readers" => Ok(Part::SlowReaders),
            _ => Err(format!("there is no part called {text}")),
        }
    }
}

impl Part {
    /// Tells the leader how it ended; gives the exit code.
    pub fn report(self, played: Result<Value, Failure>) -> u8 {
        match played {
            Ok(mut last) => {
                last["over"] = json!(true);
                say(last);
                OK
            }
            Err(failure) => {
                let message = format!("{self}: {}", failure.message);
                say(json!({"error": message, "exit": failure.exit}));
                failure.exit
            }
        }
    }
}

/// What the leader asks for. Times are those of the common clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Publish one probe.
    Probe,
    /// The measured phase lasts from `start` to `end`.
    Go { start: u64, end: u64 },
    /// So many messages were published in all.
    Expect(u64),
    /// What a healthy reader has got so far, in bytes.
    Pace(u64),
    /// What the last of the healthy readers has got so far, in messages.
    Read(u64),
    /// Read what is there, slow or not.
    Resume,
    /// Say goodbye.
    End,
}

impl Command {
    fn parse(line: &str) -> Option<Command> {
        let mut words = line.split(' ');
        let name = words.next()?;
        let mut number = || words.next()?.parse().ok();
        Some(match name {
            "probe" => Command::Probe,
            "go" => Command::Go { start: number()?, end: number()? },
            "expect" => Command::Expect(number()?),
            "pace" => Command::Pace(number()?),
            "read" => Command::Read(number()?),
            "resume" => Command::Resume,
            "end" => Command::End,
            _ => return None,
        })
    }
}

/// The leader, as a part sees it.
pub struct Leader {
    commands: Receiver<Command>,
}

impl Leader {
    /// Starts to listen to it.
    fn hear() -> Self {
        let (sender, commands) = channel();
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                let Some(command) = Command::parse(&line) else { break };
                if sender.send(command).is_err() {
                    return;
                }
            }
        });
        Leader { commands }
    }

    /// The next command, if there is one; a leader that is gone wants an end.
    pub fn command(&self) -> Option<Command> {
        match self.commands.try_recv() {
            Ok(command) => Some(command),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Command::End),
        }
    }

    pub fn say(&self, what: Value) {
        say(what);
    }
}

fn say(what: Value) {
    let mut out = std::io::stdout().lock();
    // A leader that is gone is noticed by the end of its commands.
    let _ = writeln!(out, "{what}").and_then(|()| out.flush());
}

/// Plays a part to its end; gives its last figures.
pub fn play(context: &Context<'_>, options: &Options, part: Part) -> Result<Value, Failure> {
    let leader = Leader::hear();
    match part {
        Part::Publisher(number) => publisher::play(context, options, &leader, number),
        Part::Readers => reader::play(context, options, &leader),
        Part::SlowReaders => slow_reader::play(context, options, &leader),
    }
}

/// Opens a part's connections, and says so.
pub fn open<'t>(
    context: &Context<'t>,
    options: &Options,
    leader: &Leader,
    (count, role, rcvbuf): (usize, Role, Option<usize>),
    h: &mut impl Handler,
) -> Result<Engine<'t>, Failure> {
    let mut engine = context.engine(count)?;
    let spec = Spec { channels: vec![options.part_channel.clone()], role, rcvbuf };
    let specs = std::iter::repeat_n(spec, count);
    engine.open_all(specs, context.common.concurrency, context.deadline, true, h);
    if let Some((why, _)) = engine.failures().iter().next() {
        let addr = context.target.addr;
        return Err(Failure::unreached(format!("connecting to {addr}: {why}")));
    }
    leader.say(json!({"open": true}));
    Ok(engine)
}

/// Counts how these connections ended.
pub fn endings(engine: &Engine<'_>, ids: &[usize]) -> Value {
    crate::scenario::endings(engine, ids)
}

/// What this process has had of the CPU since the start of the measured phase.
pub struct OwnCpu {
    used: u64,
    waited: Option<u64>,
}

impl OwnCpu {
    pub fn start() -> Self {
        OwnCpu { used: crate::proc::own_cpu(), waited: crate::proc::own_wait() }
    }

    pub fn seconds(&self) -> f64 {
        clock::seconds(crate::proc::own_cpu() - self.used)
    }

    /// How long it could have run and others did.
    pub fn waited_seconds(&self) -> Option<f64> {
        let (before, now) = self.waited.zip(crate::proc::own_wait())?;
        Some(clock::seconds(now - before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_part_is_read_back() {
        for part in [Part::Publisher(7), Part::Readers, Part::SlowReaders] {
            assert_eq!(part.to_string().parse(), Ok(part));
        }
        for bad in ["", "publisher", "publisher:", "publisher:-1", "reader"] {
            assert!(bad.parse::<Part>().is_err(), "{bad}");
        }
    }

    #[test]
    fn commands_are_read_from_lines() {
        assert_eq!(Command::parse("go 5 17"), Some(Command::Go { start: 5, end: 17 }));
        assert_eq!(Command::parse("expect 12"), Some(Command::Expect(12)));
        for bad in ["", "go 5", "expect", "expect x", "stop"] {
            assert_eq!(Command::parse(bad), None, "{bad}");
        }
    }
}
