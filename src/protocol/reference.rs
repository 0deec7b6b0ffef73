//! What serde_json makes of a message: the reference that [`super::Parser`] is held against, in one piece and in many.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Malformed, MemberName, Parser, Publish, decode_string};

/// The raw JSON of the last `channel` and the last `data`; empty if there was none.
#[derive(Default)]
struct Members<'a> {
    channel: &'a str,
    data: &'a str,
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Members::default();
        while let Some(MemberName(name)) = map.next_key()? {
            if name.eq_ignore_ascii_case("channel") {
                members.channel = map.next_value::<&RawValue>()?.get();
            } else if name.eq_ignore_ascii_case("data") {
                members.data = map.next_value::<&RawValue>()?.get();
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(members)
    }
}

fn reference(message: &[u8]) -> Result<Publish<'_>, Malformed> {
    let text = std::str::from_utf8(message).map_err(|_| Malformed::NotUtf8)?;
    let mut json = serde_json::Deserializer::from_str(text);
    let members = json.deserialize_map(MembersVisitor).map_err(|_| Malformed::NotAnObject)?;
    json.end().map_err(|_| Malformed::NotAnObject)?;
    let channel = match members.channel {
        "" | "null" => Cow::Borrowed(""),
        raw => lossy(raw).ok_or(Malformed::ChannelNotAString)?,
    };
    let data = match members.data {
        "" | "null" | r#""""# => "",
        raw if raw.starts_with('"') => raw,
        _ => return Err(Malformed::DataNotAString),
    };
    Ok(Publish { channel, data: data.as_bytes() })
}

/// A literal by way of UTF-16, of which the standard library replaces what is no pair.
fn lossy(literal: &str) -> Option<Cow<'_, str>> {
    let mut rest = literal.strip_prefix('"')?.strip_suffix('"')?.chars();
    let mut units = Vec::new();
    while let Some(c) = rest.next() {
        let plain = match c {
            '\\' => match rest.next()? {
                'u' => {
                    let hex = rest.as_str().get(..4)?;
                    units.push(u16::from_str_radix(hex, 16).ok()?);
                    rest = rest.as_str()[4..].chars();
                    continue;
                }
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                other => other,
            },
            other => other,
        };
        units.extend_from_slice(plain.encode_utf16(&mut [0; 2]));
    }
    Some(Cow::Owned(String::from_utf16_lossy(&units)))
}

/// Reads a message, at most so many steps a turn; how many turns that took.
fn in_pieces(message: &[u8], steps: usize) -> (Result<Publish<'_>, Malformed>, usize) {
    let mut parser = Parser::default();
    for turn in 1.. {
        let mut left = steps;
        if let Some(read) = parser.read(message, &mut left) {
            return (read, turn);
        }
        assert_eq!(left, 0, "it stops only if there is nothing left");
    }
    unreachable!("it ends")
}

struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        // Knuth's multiplier; the upper half is the better one.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % most
    }
}

/// What messages are made of, good and bad.
const PARTS: [&str; 62] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    " ",
    "\n",
    "\t",
    "\r",
    "\u{b}",
    "0",
    "-",
    "1",
    "01",
    "1.",
    ".5",
    "1e",
    "e+7",
    "E-0",
    "-0.0e00",
    "12345678901234567890",
    "true",
    "false",
    "null",
    "nul",
    "tru e",
    "\"channel\":",
    "\"data\":",
    "\"CHANNEL\":",
    "\"Data\" : ",
    r#""\u0063hannel":"#,
    r#""d\u0061t\u0041":"#,
    r#""\u0064ata\ud800":"#,
    "\"channel\":\"a\",",
    "\"data\":\"b\"",
    "\"x\":",
    "\"\\n\":0,",
    "\"a\"",
    r#""\"""#,
    r#""\u12""#,
    r#""\u00e9""#,
    r#""\ud83d\ude00""#,
    r#""\ud83d""#,
    r#""\ude00\ud83dx""#,
    r#""\ud83d\ud83d\ude00é""#,
    "\\u",
    "\\q",
    "é",
    "😀",
    "\u{7f}",
    "\0",
    "\u{1f}",
    "[[[[",
    "]]]]",
    "{\"a\":{\"b\":[]}}",
    "\"channel\":null",
    "\"data\":7",
    "\"channel\":[\"a\"]",
    "\"data\":{}",
];

#[test]
fn messages_mean_what_serde_json_makes_of_them_in_however_many_turns_they_are_read() {
    let mut random = Random(7);
    let (mut good, mut bad) = (0, 0);
    for number in 0..60_000 {
        let mut message = Vec::new();
        if number % 3 > 0 {
            message.push(b'{');
        }
        for _ in 0..random.below(12) {
            if number % 3 == 2 {
                // Mostly in the order of a good one.
                let (name, value) = (29 + random.below(10), 13 + random.below(46));
                message.extend_from_slice(PARTS[name].as_bytes());
                message.extend_from_slice(PARTS[value].as_bytes());
                message.push(b',');
                continue;
            }
            message.extend_from_slice(PARTS[random.below(PARTS.len())].as_bytes());
        }
        if number % 3 > 0 {
            if message.last() == Some(&b',') {
                message.pop();
            }
            message.push(b'}');
        }
        if random.below(20) == 0 && !message.is_empty() {
            let place = random.below(message.len());
            message[place] = random.below(256) as u8;
        }
        let expected = reference(&message);
        *(if expected.is_ok() { &mut good } else { &mut bad }) += 1;
        for steps in [usize::MAX, 1, 1 + random.below(30)] {
            let (read, _) = in_pieces(&message, steps);
            assert_eq!(read, expected, "{steps} a turn: {}", String::from_utf8_lossy(&message));
        }
    }
    assert!(good > 1_000 && bad > 10_000, "{good} good ones, {bad} bad ones");
}

#[test]
fn literals_say_the_same_whether_all_at_once_or_in_pieces() {
    for literal in PARTS.iter().filter(|part| serde_json::from_str::<&RawValue>(part).is_ok()) {
        assert_eq!(decode_string(literal), lossy(literal), "{literal}");
    }
}

/// What is slowest to read, of some 64 KiB each.
fn slow_ones() -> Vec<(&'static str, String)> {
    let around = |open: &str, part: &str, close: &str| {
        let inner = part.repeat((64 << 10) / part.len());
        format!("{{{open}{}{close}}}", inner.trim_end_matches(','))
    };
    vec![
        ("escaped names", around("", r#""\n":0,"#, "")),
        ("empty names", around("", r#""":0,"#, "")),
        ("brackets", around(r#""x":"#, "[", "")),
        ("objects", around(r#""x":"#, r#"{"":"#, "")),
        ("items", around(r#""x":["#, "0,", "]")),
        ("digits", around(r#""x":"#, "1", "")),
        ("space", around("", " ", "")),
        ("escapes", around(r#""x":""#, r"\n", "\"")),
        ("an escaped channel", around(r#""channel":""#, r"\n", "\"")),
        ("half pairs", around(r#""channel":""#, r"\ud800", "\"")),
        ("characters of four bytes", around(r#""channel":""#, "😀", "\"")),
        ("a long channel", around(r#""channel":""#, "x", "\"")),
        ("channels", around("", r#""channel":"a","#, "")),
        ("no UTF-8", around("", "é", "\u{fffd}")),
    ]
}

#[test]
fn the_work_of_a_message_is_linear_in_its_length_and_never_more_than_a_turn_grants() {
    for (what, message) in slow_ones() {
        let message = message.as_bytes();
        let mut left = usize::MAX;
        Parser::default().read(message, &mut left).expect("steps enough").ok();
        let all = usize::MAX - left;
        assert!(all <= 2 * message.len() + 16, "{what}: {all} steps, {} bytes", message.len());
        let (read, turns) = in_pieces(message, 1_000);
        assert_eq!(read, reference(message), "{what}");
        assert!(turns >= all / 1_000 && turns <= all / 1_000 + 1, "{what}: {turns} turns, {all}");
    }
}
