//! The body of `POST /api/publish` to messages: a JSON object, an array of them, or one a line. Read as a whole before
//! any is published, so that a fault of form, wherever it stands, publishes nothing; read in pieces of a turn.
//!
//! Stricter than what a connection says: a member that is not known, or stands twice, is a fault, since a misspelt
//! `exclude` must not reach whom it should have kept out.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use tokio::task::yield_now;
use uuid::Uuid;

use crate::protocol::{MemberName, decode_string};

/// The most messages of one request: what its answer and its receipts take is bounded by it.
pub(crate) const MOST: usize = 10_000;
/// Bytes that are read in one turn, and messages.
const A_TURN: usize = 64 * 1024;
const ITEMS_A_TURN: usize = 512;

/// One message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Item<'a> {
    /// The channel's name, lone surrogates replaced by U+FFFD.
    pub(crate) channel: Cow<'a, str>,
    /// The data as JSON text; empty where it is the empty string, null or absent.
    pub(crate) data: &'a str,
    /// Who does not hear it.
    pub(crate) exclude: Option<Uuid>,
    /// Bytes of its JSON text.
    pub(crate) length: usize,
}

/// How the body is written, and so how the answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// One object.
    Object,
    /// An array of objects.
    Array,
    /// An object a line.
    Lines,
}

/// What is wrong with a body, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// More messages than [`MOST`].
    TooMany,
    /// Something else.
    At {
        /// Where: a JSON pointer (RFC 6901); lines count as items of an array.
        pointer: String,
        /// What.
        reason: String,
    },
}

/// Reads a body. `lines` is whether it is said to be one object a line.
///
/// # Errors
/// The first fault.
pub(crate) async fn parse(body: &[u8], lines: bool) -> Result<(Form, Vec<Item<'_>>), Fault> {
    let mut reader = Reader { body, at: 0, turn: 0, items: Vec::new() };
    if lines {
        reader.lines().await?;
        return Ok((Form::Lines, reader.items));
    }
    reader.skip_space();
    let form = match reader.peek() {
        Some(b'[') => {
            reader.array().await?;
            Form::Array
        }
        _ => {
            let item = reader.item("")?;
            reader.items.push(item);
            Form::Object
        }
    };
    reader.skip_space();
    match reader.peek() {
        None => Ok((form, reader.items)),
        Some(_) => Err(reader.syntax("", reader.at, "something follows the end")),
    }
}

struct Reader<'a> {
    body: &'a [u8],
    at: usize,
    /// Where this turn began.
    turn: usize,
    items: Vec<Item<'a>>,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    async fn take_turns(&mut self) {
        if self.at - self.turn >= A_TURN || self.items.len().is_multiple_of(ITEMS_A_TURN) {
            self.turn = self.at;
            yield_now().await;
        }
    }

    async fn array(&mut self) -> Result<(), Fault> {
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.next_item()?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => {
                    let pointer = format!("/{}", self.items.len());
                    return Err(self.syntax(&pointer, self.at, "a comma or ] is missing"));
                }
            }
            self.skip_space();
            self.take_turns().await;
        }
    }

    async fn lines(&mut self) -> Result<(), Fault> {
        loop {
            self.skip_space();
            if self.peek().is_none() {
                return Ok(());
            }
            let end = self.body[self.at..].iter().position(|byte| *byte == b'\n');
            let end = end.map_or(self.body.len(), |length| self.at + length);
            self.next_item()?;
            while matches!(self.peek(), Some(b' ' | b'\t' | b'\r')) {
                self.at += 1;
            }
            // An object that goes on over several lines is none a line.
            if self.at != end {
                let pointer = format!("/{}", self.items.len() - 1);
                return Err(self.syntax(&pointer, self.at.min(end), "not one object on a line"));
            }
            self.take_turns().await;
        }
    }

    fn next_item(&mut self) -> Result<(), Fault> {
        if self.items.len() == MOST {
            return Err(Fault::TooMany);
        }
        let item = self.item(&format!("/{}", self.items.len()))?;
        self.items.push(item);
        Ok(())
    }

    /// The item that begins here.
    fn item(&mut self, pointer: &str) -> Result<Item<'a>, Fault> {
        let start = self.at;
        let mut json = serde_json::Deserializer::from_slice(&self.body[start..]);
        let mut fault = None;
        let read = json.deserialize_map(Members { fault: &mut fault });
        let length = json.into_iter::<IgnoredAny>().byte_offset();
        match read {
            Ok(item) => {
                self.at = start + length;
                Ok(Item { length, ..item })
            }
            Err(error) => Err(match fault {
                Some((member, reason)) => {
                    let member = member.map(|name| format!("/{}", escape(&name)));
                    let pointer = format!("{pointer}{}", member.unwrap_or_default());
                    Fault::At { pointer, reason: reason.to_owned() }
                }
                None if error.is_data() => Fault::At {
                    pointer: pointer.to_owned(),
                    reason: "a message is an object with channel and data".to_owned(),
                },
                None => {
                    // Lines and columns count from the item on, from 1.
                    let before: usize = self.body[start..]
                        .split_inclusive(|byte| *byte == b'\n')
                        .take(error.line().saturating_sub(1))
                        .map(<[u8]>::len)
                        .sum();
                    let place = start + before + error.column().saturating_sub(1);
                    let what = if error.is_eof() { "it ends too early" } else { "not JSON" };
                    self.syntax(pointer, place, what)
                }
            }),
        }
    }

    /// What is no JSON, with its place in the body.
    fn syntax(&self, pointer: &str, place: usize, what: &str) -> Fault {
        let before = &self.body[..place.min(self.body.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        let reason = format!("{what}: line {line}, column {column}");
        Fault::At { pointer: pointer.to_owned(), reason }
    }
}

/// A name as it stands in a pointer.
fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Reads the members of an item. A fault of a member is left in `fault`, with the member's name if it is one's.
struct Members<'f> {
    fault: &'f mut Option<(Option<String>, &'static str)>,
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Item<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item<'de>, A::Error> {
        let (mut channel, mut data, mut exclude) = (None, None, None);
        let fault = self.fault;
        let mut fail = |member: Option<&str>, reason| {
            *fault = Some((member.map(String::from), reason));
            A::Error::custom(reason)
        };
        while let Some(MemberName(name)) = map.next_key()? {
            let member = match &*name {
                "channel" => &mut channel,
                "data" => &mut data,
                "exclude" => &mut exclude,
                other => {
                    let known = "not known: a message has channel, data and exclude";
                    return Err(fail(Some(other), known));
                }
            };
            if member.is_some() {
                return Err(fail(Some(&name), "stands twice"));
            }
            *member = Some(map.next_value::<&RawValue>()?.get());
        }
        let channel = match channel {
            None => return Err(fail(None, "channel is missing")),
            Some(raw) => decode_string(raw)
                .ok_or_else(|| fail(Some("channel"), "channel is not a string"))?,
        };
        let data = match data {
            None | Some("null" | r#""""#) => "",
            Some(raw) if raw.starts_with('"') => raw,
            Some(_) => return Err(fail(Some("data"), "data is not a string")),
        };
        let exclude = match exclude {
            None | Some("null" | r#""""#) => None,
            Some(raw) => {
                let id = decode_string(raw).and_then(|text| Uuid::try_parse(&text).ok());
                let reason = "exclude is not the id of a connection, a UUID";
                Some(id.ok_or_else(|| fail(Some("exclude"), reason))?)
            }
        };
        Ok(Item { channel, data, exclude, length: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(
        body: &str,
        lines: bool,
    ) -> Result<(Form, Vec<(String, String, Option<Uuid>)>), Fault> {
        let (form, items) = parse(body.as_bytes(), lines).await?;
        let parts =
            |item: Item<'_>| (item.channel.into_owned(), item.data.to_owned(), item.exclude);
        Ok((form, items.into_iter().map(parts).collect()))
    }

    const ID: &str = "1b4e28ba-2fa1-41d2-883f-0016d3cca427";

    #[tokio::test]
    async fn an_object_an_array_and_lines_are_messages_in_their_order() {
        let id = Uuid::parse_str(ID).ok();
        let a = ("a".to_owned(), "\"x\"".to_owned(), None);
        let b = ("\u{fffd}b".to_owned(), "\"\\ud800\"".to_owned(), id);
        let c = (String::new(), String::new(), None);
        let one = r#"{"channel":"a","data":"x"}"#;
        let two = format!(r#"{{"exclude":"{ID}", "data":"\ud800","channel":"\ud800b"}}"#);
        let three = r#"{"channel":"","data":null,"exclude":""}"#;
        let four = r#"{ "channel" : "" , "exclude" : null }"#;
        for (body, lines, form, expected) in [
            (format!(" {one}\n"), false, Form::Object, vec![&a]),
            (
                format!(" [{one},\n {two} , {three},{four}] "),
                false,
                Form::Array,
                vec![&a, &b, &c, &c],
            ),
            ("[]".into(), false, Form::Array, vec![]),
            (" [ ] ".into(), false, Form::Array, vec![]),
            (format!("{one}\n\n{two} \r\n {three}"), true, Form::Lines, vec![&a, &b, &c]),
            (format!("{one}\n"), true, Form::Lines, vec![&a]),
            (String::new(), true, Form::Lines, vec![]),
        ] {
            let (found, items) = read(&body, lines).await.expect("messages");
            assert_eq!((found, items.iter().collect::<Vec<_>>()), (form, expected), "{body}");
        }
    }

    #[tokio::test]
    async fn a_fault_is_told_with_its_pointer() {
        let good = r#"{"channel":"a","data":"x"}"#;
        let cases: [(String, bool, &str, &str); 27] = [
            (String::new(), false, "", "it ends too early: line 1, column 1"),
            ("hello".into(), false, "", "not JSON: line 1, column 1"),
            ("\"a\"".into(), false, "", "a message is an object"),
            ("7".into(), false, "", "a message is an object"),
            ("{\"a\nb\":1}".into(), false, "", "not JSON: line "),
            (format!("{good} x"), false, "", "something follows the end: line 1, column 28"),
            (format!("{good}{good}"), false, "", "something follows the end: line 1, column 27"),
            (format!("[{good}]]"), false, "", "something follows"),
            ("[".into(), false, "/0", "it ends too early"),
            (format!("[{good}"), false, "/1", "a comma or ] is missing: line 1, column 28"),
            (format!("[{good} {good}]"), false, "/1", "a comma or ] is missing: line 1, column 29"),
            (format!("[{good},]"), false, "/1", "not JSON"),
            (
                format!("[{good},\n{good},\n{{\"channel\" 1}}]"),
                false,
                "/2",
                "not JSON: line 3, column 12",
            ),
            (format!("[{good},[]]"), false, "/1", "a message is an object"),
            (format!("[{good},null]"), false, "/1", "a message is an object"),
            (r#"{"data":"x"}"#.into(), false, "", "channel is missing"),
            (r#"[{"data":"x"}]"#.into(), false, "/0", "channel is missing"),
            (r#"{"channel":null}"#.into(), false, "/channel", "channel is not a string"),
            (
                format!(r#"[{good},{{"channel":"a","data":1}}]"#),
                false,
                "/1/data",
                "data is not a string",
            ),
            (r#"{"channel":"a","data":{"x":[1]}}"#.into(), false, "/data", "data is not a string"),
            (r#"{"channel":"a","exlude":"x"}"#.into(), false, "/exlude", "not known"),
            (r#"{"Channel":"a"}"#.into(), false, "/Channel", "not known"),
            (r#"{"channel":"a","a/b~c":"x"}"#.into(), false, "/a~1b~0c", "not known"),
            (r#"{"channel":"a","channel":"a"}"#.into(), false, "/channel", "stands twice"),
            (
                r#"{"channel":"a","exclude":"jane"}"#.into(),
                false,
                "/exclude",
                "exclude is not the id",
            ),
            (
                format!("{good}\n{good}{good}\n"),
                true,
                "/1",
                "not one object on a line: line 2, column 27",
            ),
            (format!("{good}\n{{\"channel\":\n\"a\"}}\n"), true, "/1", "not one object on a line"),
        ];
        for (body, lines, pointer, reason) in cases {
            let Err(Fault::At { pointer: found, reason: said }) = read(&body, lines).await else {
                panic!("{body} is taken");
            };
            assert_eq!(found, pointer, "{body}: {said}");
            assert!(said.starts_with(reason), "{body}: {said}");
        }
        let Err(Fault::At { pointer, .. }) = parse(b"{\"channel\":\"\xff\"}", false).await else {
            panic!("no UTF-8 is taken");
        };
        assert_eq!(pointer, "");
    }

    #[tokio::test]
    async fn a_request_has_so_many_messages_at_most() {
        let lines = |count| "{\"channel\":\"a\"}\n".repeat(count);
        let body = lines(MOST);
        let (_, items) = parse(body.as_bytes(), true).await.expect("as many as may be");
        assert_eq!(items.len(), MOST);
        assert_eq!(parse(lines(MOST + 1).as_bytes(), true).await.unwrap_err(), Fault::TooMany);
    }
}
