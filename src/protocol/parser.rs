//! Owns [`Parser`]: reads a message in as many pieces as its caller wants, so that no message, however long and however
//! it is written, takes more of a turn than any other.
//!
//! A message is read once, from its first byte to its last, without a stack and, if neither its channel nor a name of
//! its members is escaped and nothing is nested, without an allocation. What is JSON is what serde_json takes for it
//! (RFC 8259, any depth, lone surrogates in strings); the tests compare both.

use std::borrow::Cow;
use std::ops::Range;

use super::text::Unescape;
use super::{Malformed, Publish};

/// Bytes of plain text or of space that count as one step; a token counts as one too. Both take some nanoseconds.
const STEP: usize = 64;
/// The longest name that can be `channel`, each of its letters escaped: in bytes, without quotes.
const LONGEST_NAME: usize = 6 * "channel".len();

/// How far a message has been read.
#[derive(Debug, Default)]
pub struct Parser {
    stage: Stage,
    /// Where to go on, in bytes of the message.
    at: usize,
    state: State,
    nesting: Nesting,
    /// Where the string or the value begins that is being read.
    start: usize,
    /// The member of the message whose value is being read.
    member: Member,
    /// The last value of `channel`; empty if there was none.
    channel: Range<usize>,
    /// The last value of `data`, likewise.
    data: Range<usize>,
    unescape: Unescape,
}

/// What is done with a message, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    /// Whether it is UTF-8, which is said before anything else.
    #[default]
    Encoding,
    /// Whether it is an object, and where its members are.
    Structure,
    /// What the name of its channel says.
    Channel,
}

/// What may come next in an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// The message's own brace.
    #[default]
    Start,
    /// A name, or the end of an object without members.
    FirstName,
    /// A name.
    Name,
    /// More of a name.
    InName,
    /// The colon behind a name.
    Colon,
    /// A value, or the end of an array without items.
    FirstItem,
    /// A value.
    Value,
    /// More of a string that is a value.
    InString,
    /// More of a number.
    InNumber(Number),
    /// A comma, or the end of what the last value stands in.
    Next,
    /// The end of the message.
    End,
}

/// How far a number has been read (RFC 8259, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
    Exponent,
    Sign,
    Power,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Member {
    Channel,
    Data,
    #[default]
    Other,
}

/// The arrays and objects that the place of the parser stands in, one bit each: an array at 1 MiB of brackets takes
/// 128 KiB. The message's own object is not among them.
#[derive(Debug, Default)]
struct Nesting {
    bits: Vec<u64>,
    depth: usize,
}

/// It is no JSON object.
struct NoObject;

impl Parser {
    /// Reads on, and takes off `steps` what that costs. None if they have been used up before the message was at its
    /// end: called again with the same message, it goes on from there.
    pub fn read<'a>(
        &mut self,
        message: &'a [u8],
        steps: &mut usize,
    ) -> Option<Result<Publish<'a>, Malformed>> {
        loop {
            match self.stage {
                Stage::Encoding => match self.check(message, steps)? {
                    true => (self.stage, self.at) = (Stage::Structure, 0),
                    false => return Some(Err(Malformed::NotUtf8)),
                },
                Stage::Structure => match self.scan(message, steps) {
                    Ok(true) => {
                        if let Err(fault) = self.judge(message) {
                            return Some(Err(fault));
                        }
                        self.stage = Stage::Channel;
                    }
                    Ok(false) => return None,
                    Err(NoObject) => return Some(Err(Malformed::NotAnObject)),
                },
                Stage::Channel => {
                    let channel = self.name(message, steps)?;
                    let data = match &message[self.data.clone()] {
                        b"null" | br#""""# => &[][..],
                        literal => literal,
                    };
                    return Some(Ok(Publish { channel, data }));
                }
            }
        }
    }

    /// Whether the message is UTF-8; None while that is not known.
    fn check(&mut self, message: &[u8], steps: &mut usize) -> Option<bool> {
        while self.at < message.len() {
            if *steps == 0 {
                return None;
            }
            let most = steps.saturating_mul(STEP);
            let end = message.len().min(self.at.saturating_add(most));
            let piece = &message[self.at..end];
            let valid = match std::str::from_utf8(piece) {
                Ok(_) => piece.len(),
                // A piece may end within a character, a message may not.
                Err(fault) if fault.error_len().is_none() && end < message.len() => {
                    fault.valid_up_to()
                }
                Err(_) => return Some(false),
            };
            self.at += valid;
            *steps -= piece.len().div_ceil(STEP).min(*steps);
        }
        Some(true)
    }

    /// Finds the members; whether the end has been reached.
    fn scan(&mut self, text: &[u8], steps: &mut usize) -> Result<bool, NoObject> {
        loop {
            if *steps == 0 {
                return Ok(false);
            }
            *steps -= 1;
            match self.state {
                State::InName | State::InString => {
                    self.string(text)?;
                    continue;
                }
                State::InNumber(number) => {
                    self.number(text, number)?;
                    continue;
                }
                _ => {}
            }
            let Some(byte) = self.next(text) else {
                if self.at < text.len() {
                    continue;
                }
                return if self.state == State::End { Ok(true) } else { Err(NoObject) };
            };
            self.token(text, byte)?;
        }
    }

    /// The byte that comes next behind space; None if there is nothing but space within a step.
    fn next(&mut self, text: &[u8]) -> Option<u8> {
        let rest = &text[self.at..text.len().min(self.at + STEP)];
        let space = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\t' | b'\r');
        let found = rest.iter().position(|byte| !space(byte));
        self.at += found.unwrap_or(rest.len());
        found.map(|place| rest[place])
    }

    /// Takes the token that begins here.
    fn token(&mut self, text: &[u8], byte: u8) -> Result<(), NoObject> {
        let begin = self.at;
        self.at += 1;
        self.state = match (self.state, byte) {
            (State::Start, b'{') => State::FirstName,
            (State::FirstName | State::Name, b'"') => {
                if self.nesting.depth == 0 {
                    self.start = self.at;
                }
                State::InName
            }
            (State::FirstName, b'}') => return self.leave(true),
            (State::Colon, b':') => State::Value,
            (State::FirstItem, b']') => return self.leave(false),
            (State::Next, b',') if self.nesting.is_in_object() => State::Name,
            (State::Next, b',') => State::Value,
            (State::Next, b'}') if self.nesting.is_in_object() => return self.leave(true),
            (State::Next, b']') if !self.nesting.is_in_object() => return self.leave(false),
            (State::Value | State::FirstItem, byte) => {
                if self.nesting.depth == 0 {
                    self.start = begin;
                }
                return self.value(text, byte);
            }
            _ => return Err(NoObject),
        };
        Ok(())
    }

    /// Takes the first token of a value, of which the first byte has been taken.
    fn value(&mut self, text: &[u8], byte: u8) -> Result<(), NoObject> {
        let mut word = |rest: &[u8]| {
            let is = text[self.at..].starts_with(rest);
            self.at += rest.len();
            if is { Ok(()) } else { Err(NoObject) }
        };
        match byte {
            b'"' => self.state = State::InString,
            b'{' => {
                self.nesting.enter(true);
                self.state = State::FirstName;
            }
            b'[' => {
                self.nesting.enter(false);
                self.state = State::FirstItem;
            }
            b'-' => self.state = State::InNumber(Number::Minus),
            b'0' => self.state = State::InNumber(Number::Zero),
            b'1'..=b'9' => self.state = State::InNumber(Number::Whole),
            b't' => {
                word(b"rue")?;
                self.has_value();
            }
            b'f' => {
                word(b"alse")?;
                self.has_value();
            }
            b'n' => {
                word(b"ull")?;
                self.has_value();
            }
            _ => return Err(NoObject),
        }
        Ok(())
    }

    /// Takes some of a string.
    fn string(&mut self, text: &[u8]) -> Result<(), NoObject> {
        let end = text.len().min(self.at + STEP);
        let Some(place) = special(&text[self.at..end]) else {
            self.at = end;
            return if end < text.len() { Ok(()) } else { Err(NoObject) };
        };
        self.at += place + 1;
        match text[self.at - 1] {
            b'"' if self.state == State::InName => {
                if self.nesting.depth == 0 {
                    self.member = Member::of(&text[self.start..self.at - 1]);
                }
                self.state = State::Colon;
            }
            b'"' => self.has_value(),
            b'\\' => {
                let escape = text.get(self.at).ok_or(NoObject)?;
                self.at += 1;
                match escape {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                    b'u' => {
                        let digits = text.get(self.at..self.at + 4).ok_or(NoObject)?;
                        if !digits.iter().all(u8::is_ascii_hexdigit) {
                            return Err(NoObject);
                        }
                        self.at += 4;
                    }
                    _ => return Err(NoObject),
                }
            }
            // Control characters are escaped in JSON.
            _ => return Err(NoObject),
        }
        Ok(())
    }

    /// Takes some of a number.
    fn number(&mut self, text: &[u8], mut number: Number) -> Result<(), NoObject> {
        let end = text.len().min(self.at + STEP);
        while self.at < end {
            let Some(next) = number.then(text[self.at]) else {
                if !number.may_end() {
                    return Err(NoObject);
                }
                self.has_value();
                return Ok(());
            };
            number = next;
            self.at += 1;
        }
        self.state = State::InNumber(number);
        if end < text.len() { Ok(()) } else { Err(NoObject) }
    }

    /// Takes the end of an object or of an array.
    fn leave(&mut self, object: bool) -> Result<(), NoObject> {
        if self.nesting.depth == 0 {
            debug_assert!(object, "nothing but the message itself is there");
            self.state = State::End;
        } else {
            self.nesting.depth -= 1;
            self.has_value();
        }
        Ok(())
    }

    /// Notes that a value ends here.
    fn has_value(&mut self) {
        self.state = State::Next;
        if self.nesting.depth == 0 {
            match self.member {
                Member::Channel => self.channel = self.start..self.at,
                Member::Data => self.data = self.start..self.at,
                Member::Other => {}
            }
        }
    }

    /// Judges the kinds of the members' values.
    fn judge(&self, message: &[u8]) -> Result<(), Malformed> {
        let is_string = |literal: &Range<usize>| {
            let literal = &message[literal.clone()];
            matches!(literal, b"" | b"null") || literal[0] == b'"'
        };
        if !is_string(&self.channel) {
            Err(Malformed::ChannelNotAString)
        } else if !is_string(&self.data) {
            Err(Malformed::DataNotAString)
        } else {
            Ok(())
        }
    }

    /// The name of the channel; None while it has not been read to its end.
    fn name<'a>(&mut self, message: &'a [u8], steps: &mut usize) -> Option<Cow<'a, str>> {
        let inner = match &message[self.channel.clone()] {
            b"" | b"null" => return Some(Cow::Borrowed("")),
            literal => &literal[1..literal.len() - 1],
        };
        // Both have been checked: it is text, and its escapes are whole.
        self.unescape.read(inner, steps).then(|| self.unescape.take(inner))
    }
}

impl Number {
    /// What a number becomes with one more byte; None if the byte is no part of it.
    fn then(self, byte: u8) -> Option<Number> {
        Some(match (self, byte) {
            (Number::Minus, b'0') => Number::Zero,
            (Number::Minus, b'1'..=b'9') | (Number::Whole, b'0'..=b'9') => Number::Whole,
            (Number::Zero | Number::Whole, b'.') => Number::Point,
            (Number::Point | Number::Fraction, b'0'..=b'9') => Number::Fraction,
            (Number::Zero | Number::Whole | Number::Fraction, b'e' | b'E') => Number::Exponent,
            (Number::Exponent, b'+' | b'-') => Number::Sign,
            (Number::Exponent | Number::Sign | Number::Power, b'0'..=b'9') => Number::Power,
            _ => return None,
        })
    }

    fn may_end(self) -> bool {
        matches!(self, Number::Zero | Number::Whole | Number::Fraction | Number::Power)
    }
}

impl Member {
    /// What a name means, its quotes taken off.
    fn of(name: &[u8]) -> Member {
        if is_named(name, b"channel") {
            Member::Channel
        } else if is_named(name, b"data") {
            Member::Data
        } else {
            Member::Other
        }
    }
}

/// Whether a name, its quotes taken off, is `wanted`, in any case. Only a letter's own number escapes it.
fn is_named(mut name: &[u8], wanted: &[u8]) -> bool {
    if name.len() < wanted.len() || name.len() > LONGEST_NAME {
        return false;
    }
    for letter in wanted {
        let (byte, rest) = match name {
            [b'\\', b'u', b'0', b'0', high, low, rest @ ..] => {
                let digit = |digit: u8| char::from(digit).to_digit(16).unwrap_or(0) as u8;
                (digit(*high) << 4 | digit(*low), rest)
            }
            [byte, rest @ ..] => (*byte, rest),
            [] => return false,
        };
        if !byte.eq_ignore_ascii_case(letter) {
            return false;
        }
        name = rest;
    }
    name.is_empty()
}

impl Nesting {
    fn enter(&mut self, object: bool) {
        let (word, bit) = (self.depth / 64, 1 << (self.depth % 64));
        if word == self.bits.len() {
            self.bits.push(0);
        }
        if object {
            self.bits[word] |= bit;
        } else {
            self.bits[word] &= !bit;
        }
        self.depth += 1;
    }

    /// Whether the innermost is an object.
    fn is_in_object(&self) -> bool {
        let Some(last) = self.depth.checked_sub(1) else { return true };
        self.bits[last / 64] & 1 << (last % 64) != 0
    }
}

/// Where the first byte is that a string does not hold as it is: a quote, a backslash or a control character.
fn special(text: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    // A byte is zero if subtracting 1 borrows from its highest bit, and that was not set.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let (chunks, rest) = text.as_chunks::<8>();
    for (number, chunk) in chunks.iter().enumerate() {
        let word = u64::from_le_bytes(*chunk);
        let quote = zero(word ^ (ONES * u64::from(b'"')));
        let escape = zero(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        // A borrow runs on to bytes behind alone, so the first that is found is one.
        let found = quote | escape | control;
        if found != 0 {
            return Some(number * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let before = text.len() - rest.len();
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    rest.iter().position(is_special).map(|place| before + place)
}
