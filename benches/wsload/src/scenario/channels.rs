//! Many channels with one subscriber each, on connections that have many: what
//! a channel costs in memory, and whether publishing to one costs more where
//! there are many.

use std::ops::Range;

use clap::Args;
use serde_json::json;

use super::{Common, Context, FLAWED, Failure, OK, Outcome, Ran, TIMED_OUT, UNREACHED};
use super::{check_positive, goodbye, parse_size, rest, seconds};
use crate::clock::{self, MILLI};
use crate::engine::{Engine, Handler, Spec};
use crate::proc::Meter;
use crate::stamp::{self, Layout};
use crate::stats::{rate, round};
use crate::target::{Role, Target, Template};

/// Between one message's channel and the next one's, in channels: so that no two
/// that are published one after the other stand side by side anywhere.
const STRIDE: usize = 7_919;

#[derive(Args, Debug)]
pub struct Options {
    /// Channels
    #[arg(long, default_value_t = 1000)]
    pub channels: usize,
    /// Channels of one connection at most: a token with their names has to fit
    /// into the handshake
    #[arg(long, default_value_t = 1000)]
    pub per_conn: usize,
    /// Messages over all channels, one after the other
    #[arg(long, default_value_t = 100_000)]
    pub messages: u64,
    /// Publish to so many of the channels only
    #[arg(long)]
    pub busy: Option<usize>,
    /// Messages under way at a time, each on another channel
    #[arg(long, default_value_t = 1)]
    pub inflight: u64,
    /// Seconds without any delivery until what is under way counts as lost
    #[arg(long, default_value_t = 3.0)]
    pub stall: f64,
    /// Bytes of data in each message
    #[arg(long, default_value = "128", value_parser = parse_size)]
    pub size: usize,
    #[command(flatten)]
    pub common: Common,
}

/// What arrived.
struct Books<'t> {
    target: &'t Target,
    layout: Layout,
    per_conn: usize,
    /// The next message of each channel.
    next: Vec<u32>,
    received: u64,
    unexpected: u64,
    last_arrival: u64,
    closed: usize,
    hint: usize,
}

impl Handler for Books<'_> {
    #[inline]
    fn message(&mut self, id: usize, payload: &[u8], now: u64) {
        let data = self.target.data(payload, self.layout.size(), &mut self.hint);
        let stamp = data.and_then(|data| self.layout.parse(data));
        let expected = stamp.filter(|stamp| {
            let channel = stamp.publisher as usize;
            channel / self.per_conn == id
                && self.next.get(channel).is_some_and(|next| u64::from(*next) == stamp.seq)
        });
        match expected {
            Some(stamp) => {
                self.next[stamp.publisher as usize] += 1;
                self.received += 1;
                self.last_arrival = now;
            }
            None => self.unexpected += 1,
        }
    }

    fn closed(&mut self, _id: usize) {
        self.closed += 1;
    }
}

pub fn run(context: &Context<'_>, options: &Options) -> Ran {
    check_positive(&[
        ("--channels", options.channels),
        ("--per-conn", options.per_conn),
        ("--messages", options.messages as usize),
        ("--inflight", options.inflight as usize),
        ("--busy", options.busy.unwrap_or(1)),
    ])?;
    let stall = seconds(options.stall, "--stall")?;
    if options.channels > stamp::MAX_PUBLISHERS {
        return Err(Failure::unreached("too many channels"));
    }
    if options.per_conn > 1 && !context.target.takes_many_channels() {
        return Err(Failure::unreached("this target takes one channel a connection: --per-conn 1"));
    }
    let busy = options.busy.unwrap_or(options.channels).min(options.channels);
    if busy.is_multiple_of(STRIDE) {
        return Err(Failure::unreached(format!("choose no multiple of {STRIDE} channels")));
    }
    let names: Vec<String> = (0..options.channels).map(|n| context.channel(n)).collect();
    let layout = Layout::new(options.size);
    let mut templates: Vec<Template> =
        (0..busy).map(|n| context.target.template(&names[n], &layout, n)).collect();
    let parts = |upto: usize| {
        (0..upto).step_by(options.per_conn).map(move |at| at..upto.min(at + options.per_conn))
    };
    let specs = |upto: usize, role: Role| {
        let names = &names;
        let spec =
            move |part: Range<usize>| Spec { channels: names[part].to_vec(), role, rcvbuf: None };
        parts(upto).map(spec).collect::<Vec<_>>()
    };
    let (readers, writers) =
        (specs(options.channels, Role::SUBSCRIBER), specs(busy, Role::PUBLISHER));
    let (reading, wanted) = (readers.len(), readers.len() + writers.len());

    let mut engine = context.engine(wanted)?;
    let mut books = Books {
        target: context.target,
        layout,
        per_conn: options.per_conn,
        next: vec![0; options.channels],
        received: 0,
        unexpected: 0,
        last_arrival: 0,
        closed: 0,
        hint: 0,
    };
    let before = context.servers.memory();
    open(&mut engine, context, readers, &mut books)?;
    rest(&mut engine, clock::now() + context.common.settle_ms * MILLI, &mut books);
    let subscribed = context.servers.memory();
    open(&mut engine, context, writers, &mut books)?;
    rest(&mut engine, clock::now() + context.common.settle_ms * MILLI, &mut books);

    let meter = Meter::start(context.servers);
    let mut sent = vec![0u32; busy];
    let (mut all_sent, mut at, mut stalled) = (0, 0, false);
    books.last_arrival = clock::now();
    while books.received < options.messages && books.closed == 0 {
        while all_sent < options.messages && all_sent < books.received + options.inflight {
            let frame = templates[at].stamp(clock::now(), sent[at].into());
            engine.send(reading + at / options.per_conn, frame);
            sent[at] += 1;
            all_sent += 1;
            at = (at + STRIDE) % busy;
        }
        engine.turn(context.deadline, &mut books);
        let now = clock::now();
        stalled = now >= books.last_arrival + stall;
        if stalled || now >= context.deadline {
            break;
        }
    }
    let cost = meter.stop((books.received > 0).then_some(books.last_arrival));
    let timed_out = clock::now() >= context.deadline;
    rest(&mut engine, clock::now() + 50 * MILLI, &mut books);
    let disconnected = books.closed;
    goodbye(&mut engine);

    let mut report = context.report("channels");
    report
        .put("channels", options.channels)
        .put("busy", busy)
        .put("conns", wanted)
        .put("inflight", options.inflight)
        .put("size", options.size)
        .put("messages_sent", all_sent)
        .put("expected", options.messages)
        .put("received", books.received)
        .put("lost", all_sent - books.received)
        .put("unexpected", books.unexpected)
        .put("disconnected", disconnected)
        .put("stalled", stalled)
        .put("wall_s", round(cost.wall_s, 4))
        .put("deliveries_per_s", rate(books.received as f64, cost.wall_s))
        .put("server", cost.server_per("deliveries", books.received))
        .put(
            "server_memory",
            json!({
                "before": before.map(|m| m.report()),
                "subscribed": subscribed.map(|m| m.report()),
                "per_channel":
                    before.zip(subscribed).map(|(b, s)| s.growth_per(b, options.channels)),
            }),
        )
        .put("loadgen", cost.loadgen())
        .put("machine", cost.machine())
        .put("timed_out", timed_out);
    let flawless = books.received == options.messages && books.unexpected == 0 && disconnected == 0;
    let exit = match () {
        () if timed_out => TIMED_OUT,
        () if flawless => OK,
        () => FLAWED,
    };
    Ok(Outcome { report, exit })
}

fn open(
    engine: &mut Engine<'_>,
    context: &Context<'_>,
    specs: Vec<Spec>,
    books: &mut Books<'_>,
) -> Result<(), Failure> {
    let wanted = engine.open() + specs.len();
    engine.open_all(specs, context.common.concurrency, context.deadline, true, books);
    if let Some((why, _)) = engine.failures().iter().next() {
        let message = format!("connecting to {}: {why}", context.target.addr);
        return Err(Failure { exit: UNREACHED, message });
    }
    if engine.open() < wanted {
        return Err(Failure::timed_out(format!("only {} of {wanted} connections", engine.open())));
    }
    Ok(())
}
