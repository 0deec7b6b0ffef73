//! One publisher, alone in its process: it sends whenever its socket takes
//! something, and looks at nobody's progress unless it has to with `--ahead`.

use serde_json::{Value, json};

use super::Options;
use super::part::{self, Command, Leader, OwnCpu};
use crate::clock::{self, MILLI};
use crate::engine::{Engine, Ignore};
use crate::scenario::{Context, Failure, goodbye, rest};
use crate::stamp::{Layout, PROBE};
use crate::target::{Role, Template};

/// How much is handed to the socket at a time: enough that the system call
/// hardly counts.
const BATCH: usize = 64 * 1024;
const IDLE: u64 = 20 * MILLI;
/// How soon a word of the readers' progress is noticed.
const WAIT: u64 = MILLI;

pub fn play(
    context: &Context<'_>,
    options: &Options,
    leader: &Leader,
    number: usize,
) -> Result<Value, Failure> {
    let role = (1, Role::PUBLISHER, None);
    let mut engine = part::open(context, options, leader, role, &mut Ignore)?;
    let layout = Layout::new(options.size);
    let mut template = context.target.template(&options.part_channel, &layout, number);
    let stall = crate::scenario::seconds(options.stall, "--stall")?;
    let mut report = json!({});
    while clock::now() < context.deadline {
        match leader.command() {
            None => rest(&mut engine, clock::now() + IDLE, &mut Ignore),
            Some(Command::Probe) => engine.send(0, template.stamp(clock::now(), PROBE)),
            Some(Command::Go { end, .. }) => {
                let cpu = OwnCpu::start();
                let until = end.min(context.deadline);
                let sent = publish(&mut engine, &mut template, leader, until, options);
                let unsent = finish(&mut engine, context.deadline, stall);
                let unsent = unsent.div_ceil(template.frame_len()) as u64;
                report["cpu_s"] = json!(cpu.seconds());
                leader.say(json!({"sent": sent - unsent}));
            }
            Some(Command::End) => break,
            Some(_) => {}
        }
    }
    report["ended"] = json!(engine.ending(0).map(ToString::to_string));
    goodbye(&mut engine);
    Ok(report)
}

/// Sends until then and as many as it has to, or until the leader wants an
/// end; says how many messages.
fn publish(
    engine: &mut Engine<'_>,
    template: &mut Template,
    leader: &Leader,
    until: u64,
    options: &Options,
) -> u64 {
    let batch = ((BATCH / template.frame_len()).max(1)) as u64;
    let pubs = options.pubs as u64;
    // A share of what all of them may be ahead.
    let mut allowed = if options.ahead > 0 { options.ahead / pubs } else { u64::MAX };
    let mut sent = 0;
    loop {
        let now = clock::now();
        match leader.command() {
            Some(Command::End) => return sent,
            Some(Command::Read(least)) if options.ahead > 0 => {
                allowed = allowed.max((least + options.ahead) / pubs);
            }
            _ => {}
        }
        let is_over = now >= until && sent >= options.at_least;
        if is_over || engine.ending(0).is_some() {
            return sent;
        }
        let batch = batch.min(allowed - sent);
        if batch == 0 {
            engine.turn(now + WAIT, &mut Ignore);
        } else if engine.backlog(0) == 0 {
            for _ in 0..batch {
                engine.send(0, template.stamp(now, sent));
                sent += 1;
            }
            // Writes, and does not wait: the socket may take all of it.
            engine.turn(now, &mut Ignore);
        } else {
            engine.turn(until.max(now + WAIT), &mut Ignore);
        }
    }
}

/// Hands over what is left; says how many bytes the server would not take.
fn finish(engine: &mut Engine<'_>, deadline: u64, stall: u64) -> usize {
    let (mut left, mut since) = (engine.backlog(0), clock::now());
    while left > 0 && clock::now() < deadline.min(since + stall) {
        engine.turn(deadline, &mut Ignore);
        if engine.backlog(0) != left {
            (left, since) = (engine.backlog(0), clock::now());
        }
    }
    left
}
