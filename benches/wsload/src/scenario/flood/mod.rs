//! Who is thrown out, and what is lost, when publishers send as fast as the
//! server reads: open loop, each publisher a process of its own, the healthy
//! readers in another and the slow ones in a third, so that none of them waits
//! for another inside the generator.
//!
//! The parts are this program again, with the same arguments and a hidden one
//! that says which part to play.

mod crew;
mod part;
mod publisher;
mod reader;
mod slow_reader;

use clap::Args;
use serde_json::{Value, json};

use super::{Common, Context, Failure, OK, Outcome, Ran, TIMED_OUT, check_positive, parse_size};
use crate::clock::{self, MILLI, SECOND};
use crate::proc::{Memory, Meter, Servers};
use crate::stats::{rate, round};
use crew::Crew;
pub use part::{Part, play};

/// How often the publisher that probes tries again.
const PROBE_EVERY: u64 = 250 * MILLI;
const PROBE_LIMIT: u64 = 10 * SECOND;
/// How often the server's memory is looked at, to find its peak.
const LOOK_EVERY: u64 = 100 * MILLI;
/// How long the parts may take to say goodbye and report.
const REPORT_LIMIT: u64 = 10 * SECOND;

#[derive(Args, Debug)]
pub struct Options {
    /// Publishers at full speed, each a process of its own
    #[arg(long, default_value_t = 4)]
    pub pubs: usize,
    /// Healthy readers, in a process of their own
    #[arg(long, default_value_t = 20)]
    pub subs: usize,
    /// Slow readers, in another process
    #[arg(long, default_value_t = 0)]
    pub slow: usize,
    /// How fast each slow one reads: bytes per second, or a fraction of what a
    /// healthy reader gets, such as 1/100; 0 stands for not at all
    #[arg(long, default_value = "1/100", value_parser = parse_slow_rate)]
    pub slow_rate: SlowRate,
    /// SO_RCVBUF of the slow ones; a large one hides for long that they are gone
    #[arg(long, default_value_t = 64 * 1024)]
    pub slow_rcvbuf: usize,
    /// Seconds to publish for
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Messages that a publisher sends at the least, however long that takes
    #[arg(long, default_value_t = 0)]
    pub at_least: u64,
    /// Messages that all publishers together may be ahead of the slowest
    /// healthy reader, so that none of those can look slow to the server while
    /// the scheduler keeps it waiting; 0 stands for any number
    #[arg(long, default_value_t = 0)]
    pub ahead: u64,
    /// Bytes of data in each message
    #[arg(long, default_value = "128", value_parser = parse_size)]
    pub size: usize,
    /// Seconds without any delivery until what is under way counts as lost
    #[arg(long, default_value_t = 3.0)]
    pub stall: f64,
    /// Seconds to read from the slow ones at the end
    #[arg(long, default_value_t = 5.0)]
    pub resume: f64,
    #[command(flatten)]
    pub common: Common,
    /// Which part to play, for the processes that a run starts
    #[arg(long, hide = true, requires = "part_channel")]
    pub part: Option<Part>,
    /// The channel of the run that a part belongs to
    #[arg(long, hide = true, default_value = "")]
    pub part_channel: String,
}

/// How fast a slow reader reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SlowRate {
    BytesPerSecond(u64),
    /// Of the bytes that a healthy reader gets; over 0, below 1.
    Fraction(f64),
}

fn parse_slow_rate(text: &str) -> Result<SlowRate, String> {
    let usage = || "has to be bytes per second, or a fraction below 1 such as 1/100".to_owned();
    let Some((part, whole)) = text.split_once('/') else {
        return text.parse().map(SlowRate::BytesPerSecond).map_err(|_| usage());
    };
    match (part.parse::<f64>(), whole.parse::<f64>()) {
        (Ok(part), Ok(whole)) if part > 0.0 && part < whole && whole.is_finite() => {
            Ok(SlowRate::Fraction(part / whole))
        }
        _ => Err(usage()),
    }
}

pub fn run(context: &Context<'_>, options: &Options) -> Ran {
    check_positive(&[("--pubs", options.pubs), ("--subs", options.subs)])?;
    let publishing = super::seconds(options.seconds, "--seconds")?;
    super::seconds(options.stall, "--stall")?;
    super::seconds(options.resume, "--resume")?;
    context.check_fits(options.seconds)?;

    let mut crew = Crew::start(options, &context.channel(0))?;
    let outcome = conduct(&mut crew, context, options, publishing);
    crew.dismiss();
    outcome
}

/// Leads the parts through the run.
fn conduct(crew: &mut Crew, context: &Context<'_>, options: &Options, publishing: u64) -> Ran {
    let late = |what: &str| Failure::timed_out(format!("{what} before the --timeout"));
    if !crew.wait(context.deadline, |crew| crew.all_said("open"), |_| {})? {
        return Err(late("not all connections opened"));
    }
    probe(crew, context)?;

    let before = context.servers.memory();
    let mut peak = Peak::new(context.servers, before);
    let meter = Meter::start(context.servers);
    let start = clock::now();
    crew.tell_all(&format!("go {start} {}", start + publishing));
    let sent = crew.wait(
        context.deadline,
        |crew| crew.publishers_said("sent"),
        |crew| {
            peak.look();
            crew.pass_on_progress(options);
        },
    )?;
    let messages = crew.sum_of_publishers("sent");
    crew.tell_readers(&format!("expect {messages}"));
    let read = crew.wait(context.deadline, |crew| crew.readers_said("done"), |_| peak.look())?;
    let timed_out = !sent || !read;
    let cost = meter.stop(crew.readers()["last_arrival"].as_u64());
    let after = context.servers.memory();
    peak.look();

    crew.tell_slow_readers("resume");
    let limit = clock::now() + super::seconds(options.resume, "--resume")? + SECOND;
    crew.wait(limit, |crew| crew.slow_readers_said("settled"), |_| {})?;
    crew.tell_all("end");
    crew.wait(clock::now() + REPORT_LIMIT, |crew| crew.all_said("over"), |_| {})?;

    let parts = Parts::of(crew);
    let readers = crew.readers();
    let received = readers["received"].as_u64().unwrap_or(0);
    let expected = messages * options.subs as u64;
    let mut report = context.report("flood");
    report
        .put("pubs", options.pubs)
        .put("subs", options.subs)
        .put("slow", options.slow)
        .put("size", options.size)
        .put("seconds", options.seconds)
        .put("messages_sent", messages)
        .put("expected", expected)
        .put("received", received)
        .put("lost", expected.saturating_sub(received));
    for key in ["duplicated", "out_of_order", "unexpected", "evicted", "evicted_how"] {
        report.put(key, readers[key].clone());
    }
    let publishers_ended = crew.endings_of_publishers();
    report
        .put("first_evicted_s", since(start, &readers["first_evicted"]))
        .put("publishers_disconnected", json!(publishers_ended))
        .put("wall_s", round(cost.wall_s, 4))
        .put("deliveries_per_s", rate(received as f64, cost.wall_s));
    if options.slow > 0 {
        report.put("slow_readers", slow_report(crew.slow_readers(), start, messages, options));
    }
    report
        .put("server", cost.server_per("deliveries", received))
        .put("server_memory", memory_report(before, &peak, after))
        .put("loadgen", parts.report(cost.wall_s))
        .put("machine", cost.machine_beside(parts.all_s()))
        .put("timed_out", timed_out);
    let counts = ["duplicated", "out_of_order", "unexpected", "evicted"];
    let clean = counts.iter().all(|key| readers[key] == 0);
    let exit = match () {
        () if timed_out => TIMED_OUT,
        () if clean && received == expected && publishers_ended.is_empty() => OK,
        () => super::FLAWED,
    };
    Ok(Outcome { report, exit })
}

/// Has the first publisher try until every reader has been reached: a server
/// may answer a handshake before the subscription is in force.
fn probe(crew: &mut Crew, context: &Context<'_>) -> Result<(), Failure> {
    let limit = context.deadline.min(clock::now() + PROBE_LIMIT);
    while clock::now() < limit {
        crew.tell_first_publisher("probe");
        let next = limit.min(clock::now() + PROBE_EVERY);
        let all = |crew: &Crew| crew.readers_said("ready") && crew.slow_readers_said("ready");
        if crew.wait(next, all, |_| {})? {
            let settled = clock::now() + context.common.settle_ms * MILLI;
            crew.wait(settled, |_| false, |_| {})?;
            return Ok(());
        }
    }
    Err(Failure::unreached("not every reader gets what is published to its channel"))
}

/// The most memory that the server was seen to use.
struct Peak<'s> {
    servers: &'s Servers,
    rss_kib: u64,
    next: u64,
}

impl<'s> Peak<'s> {
    fn new(servers: &'s Servers, before: Option<Memory>) -> Self {
        Peak { servers, rss_kib: before.map_or(0, |m| m.rss_kib), next: 0 }
    }

    fn look(&mut self) {
        if clock::now() >= self.next {
            let now = self.servers.memory().map_or(0, |m| m.rss_kib);
            self.rss_kib = self.rss_kib.max(now);
            self.next = clock::now() + LOOK_EVERY;
        }
    }
}

fn memory_report(before: Option<Memory>, peak: &Peak<'_>, after: Option<Memory>) -> Value {
    let Some((before, after)) = before.zip(after) else { return Value::Null };
    json!({
        "before": before.report(),
        "peak_rss_kib": peak.rss_kib.max(after.rss_kib),
        "after": after.report(),
    })
}

/// The seconds from `start` to a moment that a part has named.
fn since(start: u64, moment: &Value) -> Value {
    let seconds = |at: u64| round(clock::seconds(at.saturating_sub(start)), 3);
    moment.as_u64().map_or(Value::Null, |at| json!(seconds(at)))
}

fn slow_report(part: &Value, start: u64, messages: u64, options: &Options) -> Value {
    json!({
        "evicted_while_publishing": part["evicted_while_publishing"],
        "evicted": part["evicted"],
        "evicted_how": part["evicted_how"],
        "first_evicted_s": since(start, &part["first_evicted"]),
        "still_open": options.slow as u64 - part["evicted"].as_u64().unwrap_or(0),
        "sent_to_them": messages * options.slow as u64,
        "received": part["received"],
        "read_bytes_while_publishing": part["read_while_publishing"],
    })
}

/// What the parts have cost, and what the readers lacked.
struct Parts {
    publishers_s: f64,
    readers_s: f64,
    slow_readers_s: f64,
    readers_waited_s: Option<f64>,
    readers_preferred: bool,
}

impl Parts {
    fn of(crew: &Crew) -> Self {
        let cpu = |part: &Value| part["cpu_s"].as_f64().unwrap_or(0.0);
        Parts {
            publishers_s: crew.publishers().map(cpu).sum(),
            readers_s: cpu(crew.readers()),
            slow_readers_s: cpu(crew.slow_readers()),
            readers_waited_s: crew.readers()["waited_s"].as_f64(),
            readers_preferred: crew.readers()["preferred"] == true,
        }
    }

    fn all_s(&self) -> f64 {
        self.publishers_s + self.readers_s + self.slow_readers_s
    }

    fn report(&self, wall_s: f64) -> Value {
        let share = if wall_s > 0.0 { self.readers_s / wall_s } else { 0.0 };
        json!({
            "publishers_cpu_s": round(self.publishers_s, 4),
            "readers_cpu_s": round(self.readers_s, 4),
            "slow_readers_cpu_s": round(self.slow_readers_s, 4),
            "readers_preferred": self.readers_preferred,
            "readers_waited_for_cpu_s": self.readers_waited_s.map(|s| round(s, 4)),
            "readers_share_of_one_core": round(share, 3),
            "readers_saturated": share > 0.9,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_rate_is_bytes_or_a_fraction() {
        assert_eq!(parse_slow_rate("65536"), Ok(SlowRate::BytesPerSecond(65536)));
        assert_eq!(parse_slow_rate("0"), Ok(SlowRate::BytesPerSecond(0)));
        assert_eq!(parse_slow_rate("1/100"), Ok(SlowRate::Fraction(0.01)));
        for bad in ["", "-1", "1/0", "2/1", "0/5", "a/b", "10%"] {
            assert!(parse_slow_rate(bad).is_err(), "{bad}");
        }
    }
}
