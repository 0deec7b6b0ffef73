//! `GET /api/channels`: the channels that have subscribers, and how many.

use std::sync::Arc;

use hyper::Request;
use serde::{Deserialize, Serialize};

use super::page::merge;
use super::query::Query;
use super::unanswered;
use crate::connection::survey::ChannelSelection;
use crate::http::Front;
use crate::http::answer::{Answer, json};
use crate::http::inquiry::Inquiry;

/// One channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelInfo {
    /// Its name.
    pub channel: String,
    /// How many connections read it.
    pub subscribers: usize,
}

/// A page of channels, in the order of their names as bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelPage {
    /// Those of this page.
    pub channels: Vec<ChannelInfo>,
    /// What `after` has to be for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A page of channels.
pub(super) async fn list<B>(front: &Front, request: &Request<B>) -> Answer {
    let selection = match selection(request) {
        Ok(selection) => selection,
        Err(answer) => return *answer,
    };
    let limit = selection.limit;
    let selection = Arc::new(selection);
    let ask = |answer| Inquiry::Channels(selection.clone(), answer);
    let Ok(parts) = front.everyone.ask_all(ask).await else { return unanswered() };
    let key = |(name, _): &(Arc<str>, usize)| name.clone();
    let page = merge(parts, limit, key, |last, more| last.1 += more.1);
    let channels = page.found.into_iter();
    json(&ChannelPage {
        channels: channels
            .map(|(name, subscribers)| ChannelInfo { channel: String::from(&*name), subscribers })
            .collect(),
        next: page.next.map(|name| String::from(&*name)),
    })
}

fn selection<B>(request: &Request<B>) -> Result<ChannelSelection, Box<Answer>> {
    let query = Query::of(request.uri(), &["prefix", "after", "limit"])?;
    Ok(ChannelSelection {
        prefix: query.get("prefix").unwrap_or_default().into(),
        after: query.get("after").map(Box::from),
        limit: query.limit()?,
    })
}
