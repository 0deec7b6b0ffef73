//! What the fuzz targets reach and nobody else may: readers of what peers say that have no name outside the crate.
//! Built with `--cfg fuzzing` alone. Owns nothing, decides nothing: each is the one that the server itself calls; and [`masked`],
//! which its clients would.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use hyper::HeaderMap;
use uuid::Uuid;

use crate::connection::Peer;
use crate::connection::client_frame;
use crate::connection::close::CloseReason;
use crate::connection::inbound::{self, OpenMessage, cut};
use crate::http::api::items;
use crate::http::forwarding::Forwarding;
use crate::http::proxy_header;

/// A frame of a client: its first byte, its payload, its mask.
pub fn masked(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    client_frame::masked(first, payload, mask)
}

/// What a peer says in one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A whole message.
    Message {
        /// Whether it is said to be text.
        text: bool,
        /// Its bytes, unmasked.
        payload: Vec<u8>,
    },
    /// A fragment of a message.
    Fragment,
    /// A ping.
    Ping(Vec<u8>),
    /// A pong.
    Pong,
    /// A Close, with its code or with what is wrong with it.
    Close(Result<Option<u16>, CloseReason>),
}

/// The first frame of some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// So many bytes are missing at least.
    Missing(usize),
    /// Its length, and what it says.
    Whole(usize, Event),
}

/// The frames of one connection.
#[derive(Debug, Default)]
pub struct Frames(Option<Box<OpenMessage>>);

impl Frames {
    /// Cuts the first frame off `bytes`, as a connection does.
    ///
    /// # Errors
    /// Why the connection ends.
    pub fn cut(&mut self, bytes: &mut [u8], largest: usize) -> Result<Cut, CloseReason> {
        Ok(match cut(bytes, &mut self.0, largest)? {
            inbound::Cut::Missing(bytes) => Cut::Missing(bytes),
            inbound::Cut::Whole(length, event) => Cut::Whole(length, event.into()),
        })
    }
}

impl From<inbound::Event<'_>> for Event {
    fn from(event: inbound::Event<'_>) -> Event {
        match event {
            inbound::Event::Message { text, payload } => {
                Event::Message { text, payload: payload.into_owned() }
            }
            inbound::Event::Fragment { .. } => Event::Fragment,
            inbound::Event::Ping(payload) => Event::Ping(payload.to_vec()),
            inbound::Event::Pong => Event::Pong,
            inbound::Event::Close(code) => Event::Close(code),
        }
    }
}

/// What the header of the PROXY protocol at the front of some bytes says: its length and the client. None where more
/// bytes are needed, an error where there is no such header.
pub fn proxy_header(bytes: &[u8]) -> Option<Result<(usize, Option<SocketAddr>), ()>> {
    let header = proxy_header::judge(bytes)?;
    Some(header.map(|header| (header.length, header.client)).map_err(drop))
}

/// Whom a request with these headers comes from.
pub fn client_of(forwarding: &Forwarding, sender: Peer, headers: &HeaderMap) -> Peer {
    forwarding.source(sender, headers).client
}

/// One message of the body of `POST /api/publish`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item<'a> {
    /// The channel's name.
    pub channel: Cow<'a, str>,
    /// The data as JSON text; empty where there is none.
    pub data: &'a str,
    /// Who does not hear it.
    pub exclude: Option<Uuid>,
    /// Bytes of its JSON text.
    pub length: usize,
}

/// The messages of the body of `POST /api/publish`.
///
/// # Errors
/// Where the first fault is, as a JSON pointer, and what it is; no place where there are too many messages.
pub fn publish_body(body: &[u8], lines: bool) -> Result<Vec<Item<'_>>, Option<(String, String)>> {
    let mut reading = pin!(items::parse(body, lines));
    let mut cx = Context::from_waker(Waker::noop());
    let read = loop {
        // It only ever lets others have their turn.
        if let Poll::Ready(read) = reading.as_mut().poll(&mut cx) {
            break read;
        }
    };
    match read {
        Ok((_, items)) => Ok(items
            .into_iter()
            .map(|items::Item { channel, data, exclude, length }| Item {
                channel,
                data,
                exclude,
                length,
            })
            .collect()),
        Err(items::Fault::TooMany) => Err(None),
        Err(items::Fault::At { pointer, reason }) => Err(Some((pointer, reason))),
    }
}
