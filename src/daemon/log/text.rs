//! A record as one line of text for people: `TIME LEVEL MESSAGE event=NAME FIELD=VALUE...`.
//!
//! What stands in a value cannot look like another field, another line or a command to a terminal: where
//! it holds more than plain characters it is quoted, and control and format characters are written out.

use std::io::Write;
use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use tracing::Level;

use super::record::{EVENT, Record, Value};
use crate::visible::is_hidden;

/// RFC 3339 in UTC, to the microsecond.
const TIME: &[BorrowedFormatItem<'_>] = format_description!(
    version = 2,
    "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z"
);

const DIM: &str = "\u{1b}[2m";
const RESET: &str = "\u{1b}[0m";

/// A moment as lines of the log have it.
pub(super) fn time(at: SystemTime) -> String {
    // A clock so far off that it has no year is shown as 1970.
    let at = OffsetDateTime::from(at);
    at.format(TIME).unwrap_or_else(|_| "1970-01-01T00:00:00.000000Z".into())
}

/// Appends the line, without its end.
pub(super) fn render(record: &Record, coloured: bool, line: &mut Vec<u8>) {
    let (level, colour) = match record.level() {
        Level::ERROR => ("ERROR", "\u{1b}[31m"),
        Level::WARN => ("WARN", "\u{1b}[33m"),
        Level::INFO => ("INFO", "\u{1b}[32m"),
        Level::DEBUG => ("DEBUG", "\u{1b}[34m"),
        Level::TRACE => ("TRACE", "\u{1b}[35m"),
    };
    let [dim, colour, reset] = if coloured { [DIM, colour, RESET] } else { [""; 3] };
    let mut line = Line(line);
    line.add(&format!("{dim}{}{reset} {colour}{level:5}{reset} ", time(record.at)));
    if let Some(target) = record.foreign_target() {
        line.add(&format!("{dim}{target}:{reset} "));
    }
    line.add_escaped(record.message());
    let event = record.event().map(|name| (EVENT, Value::Text(name.to_owned())));
    let event = event.iter().map(|(name, value)| (*name, value));
    for (name, value) in event.chain(record.fields()) {
        line.add(&format!(" {dim}{name}={reset}"));
        match value {
            Value::Bool(value) => line.add(&value.to_string()),
            Value::Signed(value) => line.add(&value.to_string()),
            Value::Unsigned(value) => line.add(&value.to_string()),
            Value::Float(value) => line.add(&value.to_string()),
            Value::Text(text) => line.add_value(text),
        }
    }
}

struct Line<'a>(&'a mut Vec<u8>);

impl Line<'_> {
    fn add(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// Words of ours, in which a path or an address may stand.
    fn add_escaped(&mut self, text: &str) {
        for c in text.chars() {
            if is_hidden(c) {
                let _ = write!(self.0, "{}", c.escape_default());
            } else {
                let _ = write!(self.0, "{c}");
            }
        }
    }

    /// Anything at all, perhaps chosen by a client.
    fn add_value(&mut self, text: &str) {
        let quoted = format!("{text:?}");
        let plain = !text.is_empty()
            && quoted.len() == text.len() + 2
            && !text.contains(|c: char| c.is_whitespace() || c == '=');
        self.add(if plain { text } else { &quoted });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> String {
        let mut line = Vec::new();
        Line(&mut line).add_value(text);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_value_stays_one_value_on_one_line() {
        let cases = [
            ("plain", "plain"),
            ("192.0.2.1:4711", "192.0.2.1:4711"),
            ("[2001:db8::1]:80", "[2001:db8::1]:80"),
            ("grün", "grün"),
            ("", "\"\""),
            ("two words", "\"two words\""),
            ("peer=192.0.2.1", "\"peer=192.0.2.1\""),
            ("\"quoted\"", "\"\\\"quoted\\\"\""),
            ("back\\slash", "\"back\\\\slash\""),
            ("a\nb\rc\td", "\"a\\nb\\rc\\td\""),
            ("\u{1b}[31m\u{7f}\u{9b}\0", "\"\\u{1b}[31m\\u{7f}\\u{9b}\\0\""),
            // Right-to-left override, no-break space, line separator.
            ("\u{202e}x", "\"\\u{202e}x\""),
            ("a\u{a0}b", "\"a\\u{a0}b\""),
            ("a\u{2028}b", "\"a\\u{2028}b\""),
        ];
        for (text, expected) in cases {
            assert_eq!(value(text), expected);
        }
    }

    #[test]
    fn a_message_keeps_its_quotes_and_loses_its_line_ends() {
        let mut line = Vec::new();
        Line(&mut line).add_escaped("\"x\": a\nb\u{1b}\u{202e}\u{2028}");
        let written = String::from_utf8(line).unwrap();
        assert_eq!(written, "\"x\": a\\nb\\u{1b}\\u{202e}\\u{2028}");
    }

    #[test]
    fn times_are_in_utc_to_the_microsecond() {
        let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_nanos(951_782_400_000_001_999);
        assert_eq!(time(at), "2000-02-29T00:00:00.000001Z");
    }
}
