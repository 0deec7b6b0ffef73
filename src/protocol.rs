//! Text <-> messages: what a client publishes and what a subscriber receives, as bytes.
//!
//! Owns the JSON of the wire and the frame around a delivery (RFC 6455, section 5.2). Never does I/O
//! and knows neither connections nor grants. It stands at both ends of a message's walk: [`parse`] is
//! its first step, [`encode_delivery`] the only time that a delivery is written out.

mod parser;
#[cfg(test)]
mod reference;
mod text;

use std::borrow::Cow;

use serde::de::Deserialize;
use serde_json::value::RawValue;

pub use parser::Parser;
use text::Unescape;

/// One message of a client: publish `data` to `channel`.
#[derive(Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// The channel's name, decoded; lone surrogates have become U+FFFD. Empty where it was absent.
    pub channel: Cow<'a, str>,
    /// The data as the JSON text it came in, quotes and escapes included: it is passed on untouched,
    /// lone surrogates too, which browsers send and a Rust string cannot hold. UTF-8. Empty (no quotes)
    /// where it was absent, `null` or the empty string.
    pub data: &'a [u8],
}

/// Why a message is not a publish. Its text becomes the reason of close code 1007 and never holds
/// anything that the client chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The bytes are not UTF-8.
    #[error("message is not UTF-8")]
    NotUtf8,
    /// Not JSON, or bytes behind the object, or nothing at all.
    #[error("message is not a JSON object")]
    NotAnObject,
    /// The last `channel` is neither a string nor null.
    #[error("channel is not a string")]
    ChannelNotAString,
    /// The last `data` is neither a string nor null.
    #[error("data is not a string")]
    DataNotAString,
}

/// Reads one message, text or binary: a JSON object with the members `channel` and `data`.
///
/// Member names match in any (ASCII) case, the last of several counts, others are ignored; absent or
/// null means the empty string.
///
/// # Errors
/// See [`Malformed`]. Whatever stands in an ignored member only has to be JSON, at any depth.
pub fn parse(message: &[u8]) -> Result<Publish<'_>, Malformed> {
    let mut steps = usize::MAX;
    let read = Parser::default().read(message, &mut steps);
    read.expect("no message has as many steps")
}

/// The name of a member of a JSON object, whatever it is: one that is no valid string, since it holds a lone surrogate, is a
/// name like any other. Read as bytes it could also hold control characters, which serde_json lets pass there and JSON does
/// not have.
pub(crate) struct MemberName<'a>(pub(crate) Cow<'a, str>);

impl<'de> Deserialize<'de> for MemberName<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let literal = <&RawValue>::deserialize(deserializer)?.get();
        Ok(Self(decode_string(literal).unwrap_or_default()))
    }
}

/// The string in a JSON string literal that is known to be valid; lone surrogates become U+FFFD.
/// None where the literal is not a string.
pub(crate) fn decode_string(literal: &str) -> Option<Cow<'_, str>> {
    let inner = literal.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    let mut unescape = Unescape::default();
    let mut steps = usize::MAX;
    unescape.read(inner.as_bytes(), &mut steps).then(|| unescape.take(inner.as_bytes()))
}

/// A channel's name as a JSON string literal, quotes included; made once a channel, used in each delivery.
pub fn encode_name(name: &str) -> Box<str> {
    serde_json::Value::from(name).to_string().into_boxed_str()
}

/// What a delivery is made of.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// The publisher's connection id; empty for a message that has none.
    pub issuer: &'a str,
    /// The channel's name as [`encode_name`] made it.
    pub channel: &'a str,
    /// The data as JSON text, or empty.
    pub data: &'a [u8],
}

const ISSUER: &[u8] = br#""issuer":""#;
const CHANNEL: &[u8] = br#""channel":"#;
const DATA: &[u8] = br#""data":"#;
/// First byte of a final text frame (RFC 6455, 5.2).
const FINAL_TEXT: u8 = 0x81;

impl Delivery<'_> {
    fn has_channel(&self) -> bool {
        self.channel.len() > 2
    }

    /// Length of the JSON text in bytes.
    fn text_len(&self) -> usize {
        let issuer = if self.issuer.is_empty() { 0 } else { ISSUER.len() + self.issuer.len() + 1 };
        let channel = if self.has_channel() { CHANNEL.len() + self.channel.len() } else { 0 };
        let data = if self.data.is_empty() { 0 } else { DATA.len() + self.data.len() };
        let members = [issuer, channel, data].iter().filter(|len| **len > 0).count();
        2 + issuer + channel + data + members.saturating_sub(1)
    }

    /// Length of the whole frame in bytes: what [`encode_delivery`] will append.
    pub fn frame_len(&self) -> usize {
        let text = self.text_len();
        text + header_len(text)
    }
}

/// Length of the header of an unmasked frame, in bytes: 2, 4 or 10.
const fn header_len(payload: usize) -> usize {
    match payload {
        0..126 => 2,
        126..65536 => 4,
        _ => 10,
    }
}

/// Appends the header of an unmasked frame whose first byte is `first`.
pub fn encode_header(out: &mut Vec<u8>, first: u8, payload: usize) {
    out.push(first);
    match payload {
        0..126 => out.push(payload as u8),
        126..65536 => {
            out.push(126);
            out.extend_from_slice(&(payload as u16).to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(payload as u64).to_be_bytes());
        }
    }
}

/// Appends one delivery as one unmasked final text frame; members whose value is empty are left out.
pub fn encode_delivery(out: &mut Vec<u8>, delivery: &Delivery<'_>) {
    let text = delivery.text_len();
    out.reserve(text + header_len(text));
    encode_header(out, FINAL_TEXT, text);
    let start = out.len();
    out.push(b'{');
    if !delivery.issuer.is_empty() {
        out.extend_from_slice(ISSUER);
        out.extend_from_slice(delivery.issuer.as_bytes());
        out.push(b'"');
    }
    if delivery.has_channel() {
        separate(out, start);
        out.extend_from_slice(CHANNEL);
        out.extend_from_slice(delivery.channel.as_bytes());
    }
    if !delivery.data.is_empty() {
        separate(out, start);
        out.extend_from_slice(DATA);
        out.extend_from_slice(delivery.data);
    }
    out.push(b'}');
    debug_assert_eq!(out.len() - start, text, "the length was announced in the header");
}

fn separate(out: &mut Vec<u8>, start: usize) {
    if out.len() > start + 1 {
        out.push(b',');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, String) {
        let publish = parse(text.as_bytes()).expect(text);
        let data = String::from_utf8(publish.data.to_vec()).expect(text);
        (publish.channel.into_owned(), data)
    }

    #[test]
    fn a_publish_is_read_whatever_the_case_order_and_company_of_its_members() {
        let cases = [
            (r#"{"channel":"a","data":"b"}"#, "a", r#""b""#),
            (r#"{"Data":"b","Channel":"a"}"#, "a", r#""b""#),
            (r#"{"CHANNEL":"a","dAtA":"b","event":"message"}"#, "a", r#""b""#),
            (r#" {"event":"message", "channel" : "a" ,"data": "b" } "#, "a", r#""b""#),
            (r#"{"channel":"x","channel":"a","data":1,"DATA":"b"}"#, "a", r#""b""#),
            (r#"{"channel":"a","data":"b","data":null}"#, "a", ""),
            (r#"{"channel":"a","data":""}"#, "a", ""),
            (r#"{"channel":"a"}"#, "a", ""),
            (r#"{"data":"b"}"#, "", r#""b""#),
            (r#"{"channel":null,"data":"b"}"#, "", r#""b""#),
            ("{}", "", ""),
            (r#"{"\u0063hannel":"a","data":"b"}"#, "a", r#""b""#),
            (r#"{"\ud800":1,"channel":"a","data":"b"}"#, "a", r#""b""#),
            (
                r#"{"channel":"\u0061\"\\\n\u0000😀\ud83d\ude00","data":"\u0062"}"#,
                "a\"\\\n\0😀😀",
                r#""\u0062""#,
            ),
            (r#"{"channel":"\ud800\u0061\/\t","data":"\ud800"}"#, "\u{fffd}a/\t", r#""\ud800""#),
            (r#"{"x":{"channel":"z"},"y":[{"data":1}],"channel":"a","data":"b"}"#, "a", r#""b""#),
        ];
        assert!(!cases.is_empty());
        for (text, channel, data) in cases {
            assert_eq!(read(text), (channel.to_owned(), data.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_publish_is_refused_with_its_reason() {
        let cases: [(&[u8], Malformed); 18] = [
            (b"", Malformed::NotAnObject),
            (b"   ", Malformed::NotAnObject),
            (b"hello", Malformed::NotAnObject),
            (b"[]", Malformed::NotAnObject),
            (b"null", Malformed::NotAnObject),
            (b"\"a\"", Malformed::NotAnObject),
            (b"{} {}", Malformed::NotAnObject),
            (br#"{"channel":"a","data":"b"}x"#, Malformed::NotAnObject),
            (br#"{"channel":"a","data":"b""#, Malformed::NotAnObject),
            (b"{\"data\":\"a\nb\"}", Malformed::NotAnObject),
            (b"{\"a\nb\":1}", Malformed::NotAnObject),
            (b"{\"\0\":1}", Malformed::NotAnObject),
            (b"{\"\\u0063hannel\t\":1}", Malformed::NotAnObject),
            (br#"{"data":1}"#, Malformed::DataNotAString),
            (br#"{"data":{"a":1}}"#, Malformed::DataNotAString),
            (br#"{"data":true}"#, Malformed::DataNotAString),
            (br#"{"channel":["a"],"data":"b"}"#, Malformed::ChannelNotAString),
            (b"{\"data\":\"\xff\"}", Malformed::NotUtf8),
        ];
        for (bytes, why) in cases {
            assert_eq!(parse(bytes), Err(why), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn nesting_of_any_depth_neither_overflows_the_stack_nor_counts() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(read(&format!(r#"{{"x":{deep},"channel":"a"}}"#)).0, "a");
        assert_eq!(parse(deep.as_bytes()), Err(Malformed::NotAnObject));
        assert_eq!(
            parse(format!(r#"{{"data":{deep}}}"#).as_bytes()),
            Err(Malformed::DataNotAString)
        );
    }

    #[test]
    fn a_delivery_is_one_text_frame_with_the_announced_length() {
        let mut cases = 0;
        for issuer in ["", "123e4567-e89b-42d3-a456-426614174000"] {
            for name in ["", "a", "quote\" and \0 and 😀"] {
                for data in [
                    String::new(),
                    "\"x\"".to_owned(),
                    format!("\"{}\"", "y".repeat(200)),
                    format!("\"{}\"", "z".repeat(70_000)),
                ] {
                    let channel = encode_name(name);
                    let delivery = Delivery { issuer, channel: &channel, data: data.as_bytes() };
                    let mut out = b"before".to_vec();
                    encode_delivery(&mut out, &delivery);
                    let frame = &out[6..];
                    assert_eq!(frame.len(), delivery.frame_len());
                    let (header, length) = match frame[1] {
                        126 => (4, usize::from(u16::from_be_bytes([frame[2], frame[3]]))),
                        127 => (10, u64::from_be_bytes(frame[2..10].try_into().unwrap()) as usize),
                        short => (2, usize::from(short)),
                    };
                    assert_eq!((frame[0], header + length), (0x81, frame.len()));
                    let json: serde_json::Value = serde_json::from_slice(&frame[header..]).unwrap();
                    let member = |name: &str| json.get(name).and_then(|v| v.as_str()).unwrap_or("");
                    assert_eq!((member("issuer"), member("channel")), (issuer, name));
                    assert_eq!(member("data").len(), data.len().saturating_sub(2));
                    assert_eq!(
                        json.as_object()
                            .unwrap()
                            .values()
                            .filter(|v| v.as_str() == Some(""))
                            .count(),
                        0
                    );
                    cases += 1;
                }
            }
        }
        assert_eq!(cases, 24);
    }
}
