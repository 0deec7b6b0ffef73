//! Owns [`Delivery`]: a message as a subscriber gets it, read for people and for programs.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cli::escape::escaped_json;
use crate::protocol::decode_string;

/// One delivered message; a member that is absent is the empty string.
pub(in crate::cli) struct Delivery<'a>(Members<'a>);

/// The members as JSON text, so that what a Rust string cannot hold is passed on as it came.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    issuer: Option<&'a RawValue>,
    #[serde(borrow)]
    channel: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

impl<'a> Delivery<'a> {
    /// `None` for what is no delivery.
    pub(in crate::cli) fn parse(text: &'a str) -> Option<Self> {
        let is_object = text.trim_start().starts_with('{');
        let members: Members<'a> = is_object.then(|| serde_json::from_str(text).ok())??;
        let Members { issuer, channel, data } = &members;
        let is_string =
            |member: &Option<&RawValue>| member.is_none_or(|member| member.get().starts_with('"'));
        (is_string(issuer) && is_string(channel) && is_string(data)).then_some(Self(members))
    }

    pub(in crate::cli) fn channel(&self) -> Cow<'a, str> {
        decoded(self.0.channel)
    }

    pub(in crate::cli) fn data(&self) -> Cow<'a, str> {
        decoded(self.0.data)
    }

    pub(in crate::cli) fn issuer(&self) -> Cow<'a, str> {
        decoded(self.0.issuer)
    }

    /// One JSON object with all three members, on one line, and with no control character in it.
    pub(in crate::cli) fn json(&self) -> String {
        let member = |raw: Option<&'a RawValue>| escaped_json(raw.map_or("\"\"", RawValue::get));
        let Members { issuer, channel, data } = self.0;
        format!(
            r#"{{"issuer":{},"channel":{},"data":{}}}"#,
            member(issuer),
            member(channel),
            member(data)
        )
    }
}

fn decoded(raw: Option<&RawValue>) -> Cow<'_, str> {
    raw.and_then(|raw| decode_string(raw.get())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_has_three_members_whatever_was_left_out() {
        let cases = [
            (r#"{"issuer":"i","channel":"c","data":"d"}"#, ("i", "c", "d"), None),
            (
                r#"{ "channel" : "c" }"#,
                ("", "c", ""),
                Some(r#"{"issuer":"","channel":"c","data":""}"#),
            ),
            (
                r#"{"data":"\ud800\u000a","issuer":"i","x":[1]}"#,
                ("i", "", "\u{FFFD}\n"),
                Some(r#"{"issuer":"i","channel":"","data":"\ud800\u000a"}"#),
            ),
        ];
        for (text, members, json) in cases {
            let delivery = Delivery::parse(text).unwrap();
            let (issuer, channel, data) = (delivery.issuer(), delivery.channel(), delivery.data());
            assert_eq!((&*issuer, &*channel, &*data), members);
            assert_eq!(delivery.json(), json.unwrap_or(text));
        }
    }

    #[test]
    fn what_is_no_delivery_is_none() {
        for text in ["", "null", "[\"i\",\"c\",\"d\"]", r#"{"data":1}"#, r#"{"data":"d"} x"#, "{"] {
            assert!(Delivery::parse(text).is_none(), "{text}");
        }
    }
}
