//! Churn, for as long as one likes: clients come and go in every way that clients have, configurations and certificates
//! are replaced each second, readers stall and are cut, and meanwhile healthy subscribers and publishers hold every
//! message against what was sent. Nothing may be lost, repeated or misplaced, nobody healthy dropped, and nothing left
//! behind.
//!
//! `make soak MINUTES=60` does it to a release build and holds its memory against a bound; among the other tests it runs
//! for seconds. `PHILOTE_TEST_SOAK_MINUTES` says how long, `PHILOTE_TEST_BINARY` to which philote.
//!
//! - `field`: what all who take part share. `healthy`: those who check. `churn` and `visits`: those who come and go.
//! - `reloads`: the configurations. `figures`: what is measured. `flat`: whether memory stays where it is.

#[allow(dead_code, reason = "made for all tests; this one uses a part of it")]
#[path = "../support/mod.rs"]
mod support;

mod churn;
mod field;
mod figures;
mod flat;
mod healthy;
mod reloads;
mod visits;

use std::time::{Duration, Instant};

use field::{Field, Pace, tell, wait_until};
use figures::{Figures, Sample};
use reloads::Reloads;
use support::server::Server;
use support::until;

/// How long where nobody says: enough for every kind of visit and of reload.
const SHORT: f64 = 0.2;
/// How often everything is reloaded and measured.
const ROUND: Duration = Duration::from_secs(1);

#[test]
fn churn_costs_the_healthy_nothing_and_leaves_nothing_behind() {
    let asked = std::env::var("PHILOTE_TEST_SOAK_MINUTES")
        .map(|minutes| minutes.parse().expect("PHILOTE_TEST_SOAK_MINUTES is a number"));
    // Beside other tests it leaves room for them.
    let pace = if asked.is_ok() { Pace::Brisk } else { Pace::Leisurely };
    let minutes = asked.unwrap_or(SHORT);
    let whole = Duration::from_secs_f64(minutes * 60.0);
    let mut reloads = Reloads::begin();
    let server = reloads.start();
    // So that what comes with the first of each is there when it is counted.
    (1..=reloads::KINDS).for_each(|round| reloads.reload(&server, round));
    reloads.settle(&server);
    let field = Field::new(&server, &reloads, pace);
    let empty = Sample::settled(&server, &field);
    assert_eq!(empty.connections, 0.0, "nobody has come yet");

    let mut figures = Figures::new(whole);
    std::thread::scope(|scope| {
        // Whatever happens here, nobody goes on for ever.
        let _end = field.end();
        healthy::come(scope, &field);
        until("the healthy are there", || {
            field.failed() || field.open() == healthy::CONNECTIONS as u64
        });
        let alone = Sample::settled(&server, &field);
        churn::begin(scope, &field);
        rounds(&server, &field, &mut reloads, &mut figures, whole);
        field.end_churn();
        reloads.settle(&server);
        is_back(&server, &field, "after the churn", &alone);
        figures.next_minute(&field);
        field.end_publishing();
        until("everybody healthy has heard all and has gone", || {
            field.failed() || field.here() == 0
        });
    });
    is_back(&server, &field, "after everybody has gone", &empty);
    let verdict = figures.verdict(&field);
    let log = server.stop();
    let faults = field.faults();
    assert!(faults.is_empty(), "{} faults, the first ones:\n{}", faults.len(), faults.join("\n"));
    if let Err(why) = verdict {
        panic!("{why}");
    }
    let worst =
        log.lines().find(|line| line.contains(" ERROR ") && !line.contains("event=reload_"));
    assert_eq!(worst, None, "nothing of this is an error");
}

/// Reloads and measures, once a round, until the time is over or something is wrong.
fn rounds(
    server: &Server,
    field: &Field,
    reloads: &mut Reloads,
    figures: &mut Figures,
    whole: Duration,
) {
    tell("");
    tell(&figures::header());
    let begun = Instant::now();
    let mut due = begun;
    for round in 1.. {
        reloads.reload(server, round);
        figures.add(Sample::take(server, field), field);
        due = (due + ROUND).max(Instant::now());
        if field.failed() || due - begun > whole {
            return;
        }
        wait_until(due);
    }
}

/// Waits until as much is there as was once.
fn is_back(server: &Server, field: &Field, when: &str, before: &Sample) {
    let mut left = String::new();
    for _ in 0..200 {
        left = Sample::take(server, field).more_than(before);
        if left.is_empty() || field.failed() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
    field.note("the server", &format!("{when} there is still {left}"));
}
