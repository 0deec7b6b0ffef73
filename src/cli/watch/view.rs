//! What is shown: lines that fit into so many columns and rows. Figures and their recent course first, then the
//! busiest channels and the longest queues, as far as there is room.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::history::{History, Second};
use super::spark::{shows_unicode, spark};
use crate::cli::escape::escaped;
use crate::cli::figures::{age, size};
use crate::cli::status::reload;
use crate::daemon::ask::{ChannelLoad, QueueLoad, Status};

/// Columns of a figure's name, and of the figure.
const NAME: usize = 14;
const FIGURE: usize = 16;
/// Columns from which on two counts fit on a line.
const USUAL: usize = 80;
/// Columns from which on two tables stand side by side.
const WIDE: usize = 110;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Bold,
    Faint,
    /// Something to look after.
    Alarm,
}

/// A line, no wider than the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) style: Style,
    pub(super) text: String,
}

impl Style {
    /// The sequence that begins it (ECMA-48, SGR).
    pub(super) fn code(self) -> &'static str {
        match self {
            Style::Plain => "",
            Style::Bold => "\x1b[1m",
            Style::Faint => "\x1b[2m",
            Style::Alarm => "\x1b[1;31m",
        }
    }
}

/// What is shown of a server that said this, and may be in trouble since; `now` in seconds since 1970.
pub(super) fn lines(
    history: &History,
    trouble: Option<&str>,
    now: u64,
    width: usize,
    height: usize,
) -> Vec<Line> {
    let Some(status) = history.status() else { return Vec::new() };
    let mut lines = Vec::new();
    let mut add = |style, text: &str| lines.push(Line { style, text: fitted(text, width) });
    add(
        Style::Bold,
        &format!(
            "philote {}  process {}, {}, up for {}",
            status.version,
            status.pid,
            status.state,
            age(status.uptime_seconds)
        ),
    );
    match trouble {
        Some(trouble) => add(Style::Alarm, &format!("{trouble}; trying again")),
        None => add(Style::Faint, &format!("listening on {}", status.listening.join(", "))),
    }
    add(Style::Plain, "");
    for text in figures(history, status, width) {
        add(Style::Plain, &text);
    }
    add(Style::Plain, "");
    for (text, alarms) in sentences(status, now, width) {
        add(if alarms { Style::Alarm } else { Style::Plain }, &text);
    }
    add(Style::Plain, "");
    // The last row says how to end it.
    let room = height.saturating_sub(lines.len() + 1);
    lines.extend(tables(status, width, room));
    lines.truncate(height.saturating_sub(1));
    lines.push(Line { style: Style::Faint, text: fitted("q quits", width) });
    lines
}

/// A figure: its name, how it is now, and which one of a second it is.
type Row = (&'static str, String, fn(&Second) -> f64);

fn figures(history: &History, status: &Status, width: usize) -> Vec<String> {
    let last = history.last_second();
    let unicode = shows_unicode();
    let rows: [Row; 8] = [
        (
            "connections",
            format!("{} of {}", status.connections, status.max_connections),
            |second| second.connections,
        ),
        ("handshakes", rate(last.opened), |second| second.opened),
        ("messages in", rate(last.messages_in), |second| second.messages_in),
        ("messages out", rate(last.messages_out), |second| second.messages_out),
        ("bytes in", format!("{}/s", size(last.bytes_in as u64)), |second| second.bytes_in),
        ("bytes out", format!("{}/s", size(last.bytes_out as u64)), |second| second.bytes_out),
        ("fan-out, 99 %", time(last.fanout), |second| second.fanout),
        ("queued", size(status.queued_bytes), |second| second.queued),
    ];
    let course = width.saturating_sub(NAME + FIGURE + 2);
    let row = |(name, text, figure): Row| {
        let course = spark(&history.figures(figure), course, unicode);
        format!("{name:NAME$}{text:>FIGURE$}  {course}")
    };
    rows.into_iter().map(row).collect()
}

/// What has happened since the start and should not, and the last reload; and whether that is an alarm.
fn sentences(status: &Status, now: u64, width: usize) -> Vec<(String, bool)> {
    let lag = status.worker_lag_seconds.iter().copied().fold(0.0, f64::max);
    let last = status.last_reload.as_ref();
    let told = last.map_or("none".into(), |last| reload(last, now));
    let refused = format!(
        "refused: handshakes {}, publishes {}",
        status.handshakes_refused, status.publishes_refused
    );
    let slow = format!(
        "slow consumers {}, messages dropped {}",
        status.slow_consumers, status.messages_dropped
    );
    let counts = if width >= USUAL {
        vec![(format!("{refused}; {slow}"), false)]
    } else {
        vec![(refused, false), (slow, false)]
    };
    let others = [
        (
            format!(
                "queues take {} of {}   workers {}, the latest late by {}",
                size(status.queue_memory_bytes),
                size(status.queue_memory_limit_bytes),
                status.workers,
                time(lag)
            ),
            lag > 1.0,
        ),
        (format!("last reload: {told}"), last.is_some_and(|last| !last.done)),
    ];
    counts.into_iter().chain(others).collect()
}

/// The busiest channels and the longest queues, side by side or one below the other, in so many rows.
fn tables(status: &Status, width: usize, room: usize) -> Vec<Line> {
    let channels = |rows| table("BUSIEST CHANNELS", channel_rows(&status.busiest_channels, rows));
    let queues = |rows| table("SLOW CONSUMERS", queue_rows(&status.longest_queues, rows));
    if width >= WIDE {
        let half = width / 2 - 1;
        let rows = room.saturating_sub(1);
        let (left, right) = (channels(rows), queues(rows));
        let count = left.len().max(right.len());
        return (0..count)
            .map(|row| {
                let text = |side: &[String]| {
                    padded(&fitted(side.get(row).map_or("", |text| text), half), half)
                };
                let style = if row == 0 { Style::Bold } else { Style::Plain };
                Line { style, text: format!("{}  {}", text(&left), text(&right).trim_end()) }
            })
            .collect();
    }
    // Two titles and what is between them; the queues get what the channels leave, half of it at least.
    let rows = room.saturating_sub(3);
    let below = status.longest_queues.len().max(1).min(rows / 2);
    let (upper, lower) = (channels(rows - below), queues(below));
    let title = upper.len() + 1;
    let all = upper.into_iter().chain([String::new()]).chain(lower).enumerate();
    all.map(|(row, text)| {
        let style = if row == 0 || row == title { Style::Bold } else { Style::Plain };
        Line { style, text: fitted(&text, width) }
    })
    .collect()
}

fn table(title: &str, rows: Vec<String>) -> Vec<String> {
    let none = rows.is_empty().then(|| "none".to_owned());
    std::iter::once(title.to_owned()).chain(rows).chain(none).collect()
}

fn channel_rows(channels: &[ChannelLoad], most: usize) -> Vec<String> {
    let row = |channel: &ChannelLoad| {
        let rate = rate(f64::from(channel.messages_a_second));
        let (readers, name) = (channel.subscribers, escaped(&channel.channel));
        format!("{rate:>9}  to {readers:<6}  {name}")
    };
    channels.iter().take(most).map(row).collect()
}

fn queue_rows(queues: &[QueueLoad], most: usize) -> Vec<String> {
    let row = |queue: &QueueLoad| {
        let waits = size(queue.queued_bytes as u64);
        let over = if queue.over { "over" } else { "" };
        let subject = queue.subject.as_deref().map(escaped).unwrap_or_default();
        format!("{waits:>10}  {over:4}  {}  {subject}  {}", escaped(&queue.peer), queue.id)
    };
    queues.iter().take(most).map(row).collect()
}

/// A rate in at most three digits and a letter.
fn rate(figure: f64) -> String {
    match figure {
        0.0..10_000.0 => format!("{figure:.0}/s"),
        10_000.0..1e6 => format!("{:.1}k/s", figure / 1e3),
        _ => format!("{:.1}M/s", figure / 1e6),
    }
}

/// Seconds, in the unit that fits.
fn time(seconds: f64) -> String {
    match seconds {
        0.0 => "-".into(),
        ..0.001 => format!("{:.0} us", seconds * 1e6),
        ..1.0 => format!("{:.1} ms", seconds * 1e3),
        _ => format!("{seconds:.1} s"),
    }
}

/// As much of a text as fits into so many columns.
fn fitted(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut columns = 0;
    let fits = |c: &char| {
        columns += c.width().unwrap_or(0);
        columns <= width
    };
    text.chars().take_while(fits).collect()
}

/// Filled up to so many columns.
fn padded(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.width());
    format!("{text}{}", " ".repeat(missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_unit_that_fits() {
        let rates = [(0.0, "0/s"), (9_999.0, "9999/s"), (12_345.0, "12.3k/s"), (2.5e6, "2.5M/s")];
        for (figure, text) in rates {
            assert_eq!(rate(figure), text);
        }
        let times = [(0.0, "-"), (0.000_25, "250 us"), (0.0123, "12.3 ms"), (2.0, "2.0 s")];
        for (figure, text) in times {
            assert_eq!(time(figure), text);
        }
    }

    #[test]
    fn a_text_is_cut_by_its_columns() {
        assert_eq!(fitted("abc", 3), "abc");
        assert_eq!(fitted("abcd", 3), "abc");
        assert_eq!(fitted("日本語", 5), "日本");
        assert_eq!(padded("日", 4), "日  ");
    }
}
