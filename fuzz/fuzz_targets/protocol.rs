//! What a connection's peer sends: bytes to frames, as the transport cuts them, and a message's text to a publish. Each
//! is held against another reader, tungstenite and serde_json; every input is read both ways.

#![no_main]

use std::io::{self, Cursor, Read, Write};

use libfuzzer_sys::fuzz_target;
use philote::fuzzing::{Cut, Event, Frames};
use philote::protocol::{self, Delivery, Malformed, Publish};
use philote_fuzz::{frames, json};
use serde_json::Value;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket};

/// The most bytes of a message; not below what a control frame may have.
const LARGEST: usize = 300;

fuzz_target!(|data: &[u8]| {
    message(data);
    transport(data);
});

// ---- messages

fn message(bytes: &[u8]) {
    let parsed = protocol::parse(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else {
        assert_eq!(parsed, Err(Malformed::NotUtf8));
        return;
    };
    match &parsed {
        Err(Malformed::NotUtf8) => panic!("it is UTF-8"),
        Err(Malformed::NotAnObject) => assert!(!json::is_object(text), "a JSON object"),
        _ => assert!(json::is_object(text), "no JSON object"),
    }
    if let Some(members) = json::Members::of(text) {
        assert_eq!(decoded(&parsed), expected(&members));
    }
    if let Ok(publish) = parsed {
        delivered(&publish);
    }
}

type Decoded = Result<(String, String), Malformed>;

fn decoded(parsed: &Result<Publish<'_>, Malformed>) -> Decoded {
    let publish = parsed.as_ref().map_err(|fault| *fault)?;
    let data = match publish.data {
        b"" => String::new(),
        literal => serde_json::from_slice(literal).expect("a string literal"),
    };
    Ok((publish.channel.clone().into_owned(), data))
}

/// The contract: names in any case, the last of several counts, null is empty.
fn expected(members: &json::Members) -> Decoded {
    let last = |name: &str, fault| {
        let named = members.0.iter().rev().find(|(is, _)| is.eq_ignore_ascii_case(name));
        match named.map(|(_, value)| value) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(fault),
        }
    };
    let channel = last("channel", Malformed::ChannelNotAString)?;
    Ok((channel, last("data", Malformed::DataNotAString)?))
}

/// What is understood is delivered as one frame that says the same.
fn delivered(publish: &Publish<'_>) {
    let channel = protocol::encode_name(&publish.channel);
    for issuer in ["", "1b4e28ba-2fa1-41d2-883f-0016d3cca427"] {
        let delivery = Delivery { issuer, channel: &channel, data: publish.data };
        let mut bytes = b"before".to_vec();
        protocol::encode_delivery(&mut bytes, &delivery);
        let frame = &bytes[6..];
        assert_eq!(frame.len(), delivery.frame_len());
        let (first, payload, length) = frames::first(frame).expect("a whole frame");
        assert_eq!((first, length), (0x81, frame.len()));
        assert_eq!(protocol::parse(payload).as_ref(), Ok(publish), "read back");
        let text = std::str::from_utf8(payload).expect("UTF-8");
        if let Some(members) = json::Members::of(text) {
            let said = members.named("issuer");
            assert_eq!(said.len(), usize::from(!issuer.is_empty()));
            assert!(said.iter().all(|said| **said == issuer), "another issuer");
            assert!(members.0.iter().all(|(_, value)| value != ""), "empty ones are left out");
        }
    }
}

// ---- frames

/// How a peer's bytes end.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// There are no more whole frames.
    Over,
    /// With a fault, of this code.
    Fault(u16),
    /// With a Close, after which nothing counts.
    Closed,
}

fn transport(bytes: &[u8]) {
    let whole = at_once(bytes);
    assert_eq!(whole, piece_by_piece(bytes));
    compare(bytes, &whole.0, &whole.1);
}

fn at_once(bytes: &[u8]) -> (Vec<Event>, End) {
    let (mut frames, mut bytes) = (Frames::default(), bytes.to_vec());
    let (mut at, mut events) = (0, Vec::new());
    loop {
        match frames.cut(&mut bytes[at..], LARGEST) {
            Ok(Cut::Missing(missing)) => {
                assert!(missing > 0, "nothing is missing");
                return (events, End::Over);
            }
            Ok(Cut::Whole(length, event)) => {
                at += length;
                if let Event::Message { payload, .. } = &event {
                    assert!(payload.len() <= LARGEST, "longer than may be");
                }
                let closed = matches!(event, Event::Close(_));
                events.push(event);
                if closed {
                    return (events, End::Closed);
                }
            }
            Err(reason) => return (events, End::Fault(reason.code())),
        }
    }
}

/// The same in pieces of a few bytes, as a connection keeps what is no whole frame yet.
fn piece_by_piece(bytes: &[u8]) -> (Vec<Event>, End) {
    let (mut frames, mut kept) = (Frames::default(), Vec::new());
    let (mut events, mut missing) = (Vec::new(), 1);
    let mut rest = bytes;
    while !rest.is_empty() {
        let length = (1 + usize::from(rest[0] % 7) * 3).min(rest.len());
        let (piece, after) = rest.split_at(length);
        rest = after;
        kept.extend_from_slice(piece);
        let mut new = piece.len();
        loop {
            let before = kept.clone();
            match frames.cut(&mut kept, LARGEST) {
                Ok(Cut::Missing(more)) => {
                    assert_eq!(kept, before, "what is no whole frame is left as it is");
                    assert!(more > 0 && (new >= missing || more <= missing - new));
                    missing = more;
                    break;
                }
                cut => {
                    assert!(new >= missing, "it was said that {missing} bytes are missing");
                    missing = 1;
                    new = usize::MAX;
                    match cut {
                        Ok(Cut::Whole(length, event)) => {
                            drop(kept.drain(..length));
                            let closed = matches!(event, Event::Close(_));
                            events.push(event);
                            if closed {
                                return (events, End::Closed);
                            }
                        }
                        Err(reason) => return (events, End::Fault(reason.code())),
                        Ok(Cut::Missing(_)) => unreachable!("looked at before"),
                    }
                }
            }
        }
    }
    (events, End::Over)
}

/// What tungstenite makes of them.
fn compare(bytes: &[u8], events: &[Event], end: &End) {
    let config = WebSocketConfig::default()
        .read_buffer_size(1024)
        .max_message_size(Some(LARGEST))
        .max_frame_size(Some(LARGEST))
        .accept_unmasked_frames(false);
    let peer = Peer(Cursor::new(bytes));
    let mut other = WebSocket::from_raw_socket(peer, Role::Server, Some(config));
    let mut events = events.iter().filter(|event| **event != Event::Fragment);
    loop {
        match (other.read(), events.next()) {
            (Ok(Message::Text(theirs)), Some(Event::Message { text: true, payload })) => {
                assert_eq!(theirs.as_bytes(), payload);
            }
            (Ok(Message::Binary(theirs)), Some(Event::Message { text: false, payload })) => {
                assert_eq!(&theirs[..], payload);
            }
            (Ok(Message::Ping(theirs)), Some(Event::Ping(ours))) => assert_eq!(&theirs[..], ours),
            (Ok(Message::Pong(_)), Some(Event::Pong)) => {}
            (Ok(Message::Close(theirs)), Some(Event::Close(Ok(ours)))) => {
                assert_eq!(theirs.map(|frame| u16::from(frame.code)), *ours);
                return;
            }
            // It answers a code that may not be sent by one that may, and goes on.
            (Ok(Message::Close(_)) | Err(_), Some(Event::Close(Err(_)))) => return,
            // It looks at a text's encoding itself, fragment by fragment; here whoever parses it does.
            (Err(Error::Utf8(_)), _) => return,
            // The end of the stream. Here a header alone is judged, and there only with what it announces.
            (Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)), None) => {
                assert_ne!(*end, End::Closed);
                return;
            }
            (Err(Error::Protocol(_) | Error::Capacity(_)), None) => {
                assert!(matches!(end, End::Fault(_)), "tungstenite refuses it");
                return;
            }
            (theirs, ours) => panic!("tungstenite: {theirs:?}; here: {ours:?}, then {end:?}"),
        }
    }
}

/// A peer that says this and takes whatever it is told.
struct Peer<'a>(Cursor<&'a [u8]>);

impl Read for Peer<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Peer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
