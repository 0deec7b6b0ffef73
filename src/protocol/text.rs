//! JSON string literals to text, a piece at a time. Lone surrogates, which browsers send and a Rust string cannot hold,
//! become U+FFFD.

use std::borrow::Cow;

/// Bytes of plain text that count as one step; an escape counts as one too.
const STEP: usize = 64;

/// How far a literal has been read.
#[derive(Debug, Default)]
pub(super) struct Unescape {
    /// Bytes that have been read.
    at: usize,
    /// What they say; unused if nothing is escaped.
    text: String,
    /// The first half of a surrogate pair, of which the second has yet to come.
    high: Option<u16>,
    /// Something is escaped.
    escaped: bool,
}

impl Unescape {
    /// Reads on in what stands between the quotes of a valid literal, and takes off `steps` what that costs. Whether
    /// the end has been reached; if not, called again with the same literal, it goes on.
    pub(super) fn read(&mut self, inner: &[u8], steps: &mut usize) -> bool {
        while self.at < inner.len() {
            if *steps == 0 {
                return false;
            }
            *steps -= 1;
            let rest = &inner[self.at..];
            if rest[0] == b'\\' {
                if !self.escaped {
                    self.escaped = true;
                    self.text = lossy(&inner[..self.at]).into_owned();
                }
                self.at += self.escape(rest);
                continue;
            }
            let piece = &rest[..boundary(rest, STEP)];
            let length = piece.iter().position(|byte| *byte == b'\\').unwrap_or(piece.len());
            if self.escaped {
                self.end_pair();
                self.text.push_str(&lossy(&piece[..length]));
            }
            self.at += length;
        }
        self.end_pair();
        true
    }

    /// What a literal says that has been read to its end.
    pub(super) fn take<'a>(&mut self, inner: &'a [u8]) -> Cow<'a, str> {
        if self.escaped { Cow::Owned(std::mem::take(&mut self.text)) } else { lossy(inner) }
    }

    /// Takes an escape; how many bytes it has.
    fn escape(&mut self, rest: &[u8]) -> usize {
        let plain = match rest.get(1) {
            Some(b'u') => {
                let digits = rest.get(2..6).unwrap_or_default();
                let value = |unit: u16, digit: &u8| {
                    unit << 4 | char::from(*digit).to_digit(16).unwrap_or(0) as u16
                };
                self.unit(digits.iter().fold(0, value));
                return 6.min(rest.len());
            }
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(other) => char::from(*other),
            None => char::REPLACEMENT_CHARACTER,
        };
        self.end_pair();
        self.text.push(plain);
        2.min(rest.len())
    }

    /// Takes a unit of UTF-16.
    fn unit(&mut self, unit: u16) {
        match (self.high.take(), unit) {
            (Some(high), 0xdc00..0xe000) => {
                let pair = char::decode_utf16([high, unit]).next().and_then(Result::ok);
                self.text.push(pair.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            (high, unit) => {
                if high.is_some() {
                    self.text.push(char::REPLACEMENT_CHARACTER);
                }
                match unit {
                    0xd800..0xdc00 => self.high = Some(unit),
                    unit => self.text.push(
                        char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER),
                    ),
                }
            }
        }
    }

    /// Takes something else than the second half of a pair.
    fn end_pair(&mut self) {
        if self.high.take().is_some() {
            self.text.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

/// As much of a text as is not longer than `most` bytes and ends with a character.
fn boundary(text: &[u8], most: usize) -> usize {
    if text.len() <= most {
        return text.len();
    }
    let is_start = |place: &usize| text[*place] & 0xc0 != 0x80;
    (1..=most).rev().find(is_start).unwrap_or(most)
}

/// Text that is known to be UTF-8; without unsafe code it is looked at once more.
fn lossy(text: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(text)
}
