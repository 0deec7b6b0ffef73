//! `POST /api/publish`: messages without a connection. One object, an array, or one object a line; the answer has the
//! same shape, and says of each whether it was taken and how many subscribers it has reached.
//!
//! The walk: who may, the body as a whole, its messages ([`super::items`]), who is left out of them, then one after
//! the other to the hub ([`Outsider`]), within the bounds that a connection keeps to, and the receipts. Whatever is
//! wrong with the form is found before the first is published.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use serde::Serialize;
use tokio::time::timeout;
use uuid::Uuid;

use super::content::{NDJSON, media_type, unsupported};
use super::items::{self, Fault, Form, Item};
use super::query::Query;
use super::rights::Rights;
use super::{Caller, unanswered};
use crate::connection::outsider::Outsider;
use crate::http::answer::{Answer, JSON, fault, json_with, respond};
use crate::http::inquiry::{Inquiry, Silent};
use crate::http::refusal::Refusal;
use crate::http::turns::Turns;
use crate::http::{Front, body};
use crate::hub::mail::Publisher;
use crate::hub::outsider::Message;
use crate::protocol;

/// How long the workers may take to take everything in: one that is stuck is the only reason to wait.
const PATIENCE: Duration = Duration::from_secs(30);
/// Messages that are looked at in one turn: some 50 µs.
const A_TURN: usize = 512;
/// Which connections are left out, as far as they are there.
type LeftOut = HashMap<Uuid, Publisher>;

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It is on its way; the next of the receipts says how many it has reached.
    Taken,
    /// The caller may not publish there.
    NotGranted,
    /// `limits.max_message_size`.
    TooLarge,
    /// `limits.max_channel_length`.
    ChannelTooLong,
}

/// A body that is not understood.
#[derive(Serialize)]
struct BadBody<'a> {
    error: &'a str,
    reason: &'a str,
    pointer: &'a str,
}

/// Publishes what a request asks for.
///
/// # Errors
/// Where the caller may not ask.
pub(super) async fn answer(
    front: &Front,
    caller: Caller,
    request: Request<Incoming>,
) -> Result<Answer, Refusal> {
    let rights = Rights::of_header(front, caller, request.headers()).await?;
    rights.need_api()?;
    Ok(publish(front, &rights, request).await.unwrap_or_else(|answer| *answer))
}

async fn publish(
    front: &Front,
    rights: &Rights,
    request: Request<Incoming>,
) -> Result<Answer, Box<Answer>> {
    Query::of(request.uri(), &[])?;
    let is_lines = match media_type(request.headers()) {
        Some(is) if is.eq_ignore_ascii_case(JSON) => false,
        Some(is) if is.eq_ignore_ascii_case(NDJSON) => true,
        _ => return Err(Box::new(unsupported(&format!("{JSON} or {NDJSON}")))),
    };
    let most = front.rules().max_body;
    let place = front.shared.bodies.place();
    let mut place = place.counted(&front.connections.counters.memory);
    let has_memory = || front.connections.has_memory();
    let body = body::read(request.into_body(), most, &mut place, has_memory).await;
    let body = body.map_err(|fault| Box::new(fault.answer("http.max_body")))?;
    let (form, items) =
        items::parse(&body, is_lines).await.map_err(|fault| Box::new(bad_body(&fault)))?;
    let writes = rights.writes();
    let outcomes = judge(front, &items, |channel| writes.contains(channel)).await;
    let sending = async {
        let left_out = left_out(front, &items, &outcomes).await?;
        let mut outsider = Outsider::new(&front.connections);
        let mut encoded: Option<(&str, Box<str>)> = None;
        for (item, _) in items.iter().zip(&outcomes).filter(|(_, is)| **is == Outcome::Taken) {
            let channel = &*item.channel;
            let encoded = match &encoded {
                Some((name, encoded)) if *name == channel => encoded,
                _ => &encoded.insert((channel, protocol::encode_name(channel))).1,
            };
            let left_out = item.exclude.and_then(|id| left_out.get(&id).copied());
            outsider.publish(&Message { channel, encoded, data: item.data, left_out }).await;
        }
        Ok(outsider.reached().await)
    };
    match timeout(PATIENCE, sending).await {
        Ok(Ok(reached)) => Ok(report(form, &outcomes, &reached).await),
        Ok(Err(Silent)) => Err(Box::new(unanswered())),
        Err(_) => {
            let reason = "a worker does not answer; what was published so far is on its way";
            Err(Box::new(fault(StatusCode::SERVICE_UNAVAILABLE, "unavailable", reason)))
        }
    }
}

/// Which messages may go, by the bounds of a connection's messages; counted as those are.
async fn judge(
    front: &Front,
    items: &[Item<'_>],
    may_write: impl Fn(&str) -> bool,
) -> Vec<Outcome> {
    let rules = front.rules();
    let largest = front.connections.max_message_size();
    let mut granted: Option<(&str, bool)> = None;
    let mut outcomes = Vec::with_capacity(items.len());
    let mut turns = Turns::of(A_TURN);
    for item in items {
        turns.next().await;
        let may = match granted {
            Some((channel, may)) if *channel == *item.channel => may,
            _ => may_write(&item.channel),
        };
        granted = Some((&item.channel, may));
        outcomes.push(if !may {
            Outcome::NotGranted
        } else if item.length > largest {
            Outcome::TooLarge
        } else if item.channel.len() > rules.policy.max_channel_length {
            Outcome::ChannelTooLong
        } else {
            Outcome::Taken
        });
    }
    let not_granted = outcomes.iter().filter(|outcome| **outcome == Outcome::NotGranted).count();
    front.connections.counters.messages_in.add(items.len() as u64);
    front.connections.counters.not_granted.add(not_granted as u64);
    outcomes
}

/// Where those are that some messages leave out.
async fn left_out(
    front: &Front,
    items: &[Item<'_>],
    outcomes: &[Outcome],
) -> Result<LeftOut, Silent> {
    let mut ids: Vec<Uuid> = items
        .iter()
        .zip(outcomes)
        .filter(|(_, outcome)| **outcome == Outcome::Taken)
        .filter_map(|(item, _)| item.exclude)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let mut found: LeftOut = front.connections.publishers(&ids).await.into_iter().collect();
    ids.retain(|id| !found.contains_key(id));
    if !ids.is_empty() && front.everyone.count() > 1 {
        let ids: Arc<[Uuid]> = ids.into();
        let ask = |answer| Inquiry::Publishers(ids.clone(), answer);
        found.extend(front.everyone.ask_all(ask).await?.into_iter().flatten());
    }
    Ok(found)
}

fn bad_body(bad: &Fault) -> Answer {
    match bad {
        Fault::TooMany => {
            let reason = format!("more than {} messages in one request", items::MOST);
            fault(StatusCode::PAYLOAD_TOO_LARGE, "too_large", &reason)
        }
        Fault::At { pointer, reason } => {
            json_with(StatusCode::BAD_REQUEST, &BadBody { error: "malformed", reason, pointer })
        }
    }
}

impl Outcome {
    fn refusal(self) -> Option<(StatusCode, &'static str, &'static str)> {
        match self {
            Outcome::Taken => None,
            Outcome::NotGranted => Some((
                StatusCode::FORBIDDEN,
                "not_granted",
                "the token does not grant writing this channel",
            )),
            Outcome::TooLarge => Some((
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                "the message is larger than limits.max_message_size",
            )),
            Outcome::ChannelTooLong => Some((
                StatusCode::FORBIDDEN,
                "channel_too_long",
                "the channel's name is longer than limits.max_channel_length",
            )),
        }
    }
}

/// One line of JSON a message; of an object alone the status says it too.
async fn report(form: Form, outcomes: &[Outcome], reached: &[u32]) -> Answer {
    let mut reached = reached.iter();
    let mut body = Vec::with_capacity(outcomes.len() * 40 + 8);
    let (open, between, close) = match form {
        Form::Object => ("", "", "\n"),
        Form::Array => ("[", ",", "]\n"),
        Form::Lines => ("", "\n", "\n"),
    };
    let close = if form == Form::Lines && outcomes.is_empty() { "" } else { close };
    body.extend_from_slice(open.as_bytes());
    let mut turns = Turns::of(A_TURN);
    for (number, outcome) in outcomes.iter().enumerate() {
        turns.next().await;
        if number > 0 {
            body.extend_from_slice(between.as_bytes());
        }
        let line = match outcome.refusal() {
            None => {
                let subscribers = reached.next().copied().unwrap_or_default();
                format!(r#"{{"accepted":true,"subscribers":{subscribers}}}"#)
            }
            Some((_, error, reason)) => {
                format!(r#"{{"accepted":false,"error":"{error}","reason":"{reason}"}}"#)
            }
        };
        body.extend_from_slice(line.as_bytes());
    }
    body.extend_from_slice(close.as_bytes());
    let status = match (form, outcomes) {
        (Form::Object, [only]) => only.refusal().map_or(StatusCode::OK, |(status, ..)| status),
        _ => StatusCode::OK,
    };
    respond(status, if form == Form::Lines { NDJSON } else { JSON }, body.into())
}

#[cfg(test)]
mod tests;
