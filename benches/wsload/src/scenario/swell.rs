//! What a server's memory grows by while it is busy, and what of it is given
//! back when it is not any more.

use clap::Args;
use serde_json::json;

use super::{Common, Context, Member, OK, Outcome, Ran, Setup, TIMED_OUT, check_positive};
use super::{open_loop, parse_size};
use crate::clock::{self, SECOND};
use crate::stats::round;
use crate::target::Role;

#[derive(Args, Debug)]
pub struct Options {
    /// Subscribers of one channel
    #[arg(long, default_value_t = 1000)]
    pub subs: usize,
    /// Bytes of data in each message
    #[arg(long, default_value = "16384", value_parser = parse_size)]
    pub size: usize,
    /// Seconds after the traffic to look at the memory for
    #[arg(long, default_value_t = 60.0)]
    pub rest: f64,
    /// The subscribers read nothing until all is published, so that the server
    /// has to keep it for them
    #[arg(long)]
    pub hold: bool,
    #[command(flatten)]
    pub pace: open_loop::Pace,
    #[command(flatten)]
    pub common: Common,
}

pub fn run(context: &Context<'_>, options: &Options) -> Ran {
    check_positive(&[("--subs", options.subs)])?;
    let pace = &options.pace;
    let (total, warmup) = pace.counts()?;
    let quiet = super::seconds(options.rest, "--rest")?;
    context.check_fits(pace.seconds + pace.drain + options.rest)?;
    // What the kernel keeps for them is not the server's to give back.
    let rcvbuf = options.hold.then(|| 4096.max(2 * options.size));
    let subscriber = Member { rcvbuf, ..Member::new(0, Role::SUBSCRIBER) };
    let members =
        std::iter::repeat_n(subscriber, options.subs).chain([Member::new(0, Role::PUBLISHER)]);
    let mut setup = Setup::open(context, members, total, options.size)?;
    setup.ledger.measure_from = warmup;
    let held = if options.hold { 0..options.subs } else { 0..0 };
    held.clone().for_each(|id| setup.engine.pause(id));

    let kib = || context.servers.memory().map_or(0, |m| m.pss_kib.unwrap_or(m.rss_kib));
    let idle = kib();
    let mut peak = idle;
    let meter = setup.start(context);
    let paced = open_loop::run(&mut setup, pace, context.deadline, || peak = peak.max(kib()))?;
    for id in held {
        setup.engine.resume(id, &mut setup.ledger);
    }
    let late = clock::now() + super::seconds(pace.seconds + pace.drain, "--seconds")?;
    while options.hold && setup.ledger.lost() > 0 && clock::now() < late.min(context.deadline) {
        setup.engine.turn(late, &mut setup.ledger);
    }
    let cost = meter.stop(None);
    setup.linger();

    // One look a second: when it was back, and where it was at the end.
    let began = clock::now();
    let mut after = kib();
    peak = peak.max(after);
    let mut lowest = (after, 0);
    while clock::now() < began + quiet && clock::now() < context.deadline {
        setup.wait(clock::now() + SECOND, context.deadline);
        after = kib();
        if after < lowest.0 {
            lowest = (after, clock::now() - began);
        }
    }
    let timed_out = paced.timed_out || clock::now() >= context.deadline;

    let mut report = context.report("swell");
    report
        .put("subs", options.subs)
        .put("rate", pace.rate)
        .put("seconds", pace.seconds)
        .put("size", options.size)
        .put("hold", options.hold);
    setup.report_deliveries(&mut report);
    report.put(
        "server_pss_kib",
        json!({
            "idle": idle,
            "peak": peak,
            "after": after,
            "lowest": lowest.0,
            "lowest_after_s": round(clock::seconds(lowest.1), 1),
            "rest_s": options.rest,
        }),
    );
    report.put("latency_us", setup.ledger.latency.report()).put("sending", paced.report());
    setup.report_cost(&mut report, context, &cost);
    report.put("timed_out", timed_out);
    setup.close();
    Ok(Outcome { report, exit: if timed_out { TIMED_OUT } else { OK } })
}
