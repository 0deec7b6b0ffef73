//! Bytes -> frames -> messages: what a peer sends, cut and put together (RFC 6455, sections 5 and 6).
//!
//! Everything that must outlive a turn is here as plain bytes: what is left of a frame, and what has come of
//! a fragmented message. An idle connection owns no heap. Never reads a socket: frames are cut where
//! they lie, unmasked in place, and judged by their header before their payload has arrived.

use std::borrow::Cow;
use std::io::Cursor;

use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::close::{CloseReason, read_close};
use super::discarding::FrameSkipper;
use crate::counters::memory::piece;
use crate::protocol::Parser;

/// As many frames of one message count as one message where a rate limits messages. Peers that stream what they do not
/// have yet send pieces of some kilobytes; a message of 1 MiB in pieces of 64 KiB still counts as one.
const FRAGMENTS_A_MESSAGE: u32 = 16;

/// What a connection keeps of its peer's bytes between two turns.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    /// Bytes read and not yet taken in; empty most of the time, and then without heap.
    pub(super) bytes: Vec<u8>,
    /// How many of them have been taken in.
    pub(super) taken: usize,
    /// How many more must come before there is a whole frame; 0 where there may be one.
    pub(super) missing: usize,
    /// A message of which fragments have come.
    pub(super) open: Option<Box<OpenMessage>>,
    /// A whole message that is being read, which takes more than one turn. Nothing behind it is looked at before.
    pub(super) reading: Option<Box<ReadMessage>>,
    /// Once nothing of the peer's counts: where its frames begin.
    pub(super) skipper: Option<Box<FrameSkipper>>,
}

/// The fragments of a message so far, unmasked.
#[derive(Debug)]
pub(crate) struct OpenMessage {
    text: bool,
    payload: Vec<u8>,
    /// How many they are.
    fragments: u32,
}

/// A whole message, unmasked, that the application has begun to read.
#[derive(Debug)]
pub(super) struct ReadMessage {
    pub(super) text: bool,
    pub(super) payload: Vec<u8>,
    /// How far it has been read.
    pub(super) parser: Parser,
}

/// What a peer says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// A whole message. That a text is UTF-8 has yet to be seen.
    Message { text: bool, payload: Cow<'a, [u8]> },
    /// A fragment of a message, kept. Whether a rate of messages counts it.
    Fragment { rated: bool },
    /// A ping, with what its pong must carry.
    Ping(&'a [u8]),
    /// A pong.
    Pong,
    /// A Close with its code, or with what is wrong with it.
    Close(Result<Option<u16>, CloseReason>),
}

/// The first frame of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cut<'a> {
    /// Not whole yet; so many bytes are missing at least.
    Missing(usize),
    /// Whole: its length in bytes, and what it means.
    Whole(usize, Event<'a>),
}

/// Cuts the first frame off `bytes`.
///
/// # Errors
/// 1002 for what RFC 6455 forbids, 1009 for a message longer than `largest` bytes; both as soon as the
/// header shows it.
pub(crate) fn cut<'a>(
    bytes: &'a mut [u8],
    open: &mut Option<Box<OpenMessage>>,
    largest: usize,
) -> Result<Cut<'a>, CloseReason> {
    let mut cursor = Cursor::new(&*bytes);
    let parsed = FrameHeader::parse(&mut cursor).map_err(|_| protocol("malformed frame header"))?;
    let Some((header, length)) = parsed else { return Ok(Cut::Missing(1)) };
    let start = cursor.position() as usize;
    judge(&header, length, open.as_deref(), largest)?;
    let end = start + length as usize;
    if bytes.len() < end {
        return Ok(Cut::Missing(end - bytes.len()));
    }
    let payload = &mut bytes[start..end];
    unmask(payload, header.mask.unwrap_or_default());
    let event = match header.opcode {
        OpCode::Control(Control::Ping) => Event::Ping(payload),
        OpCode::Control(Control::Pong) => Event::Pong,
        OpCode::Control(_) => Event::Close(read_close(payload)),
        OpCode::Data(Data::Continue) => {
            let Some(mut message) = open.take() else {
                return Err(protocol("continuation of nothing"));
            };
            message.payload.extend_from_slice(payload);
            if header.is_final {
                Event::Message { text: message.text, payload: Cow::Owned(message.payload) }
            } else {
                message.fragments = message.fragments.wrapping_add(1);
                let rated = message.fragments.is_multiple_of(FRAGMENTS_A_MESSAGE);
                *open = Some(message);
                Event::Fragment { rated }
            }
        }
        OpCode::Data(kind) => {
            let text = kind == Data::Text;
            if header.is_final {
                Event::Message { text, payload: Cow::Borrowed(payload) }
            } else {
                let payload = payload.to_vec();
                *open = Some(Box::new(OpenMessage { text, payload, fragments: 1 }));
                Event::Fragment { rated: false }
            }
        }
    };
    Ok(Cut::Whole(end, event))
}

/// Judges a frame by its header.
fn judge(
    header: &FrameHeader,
    length: u64,
    open: Option<&OpenMessage>,
    largest: usize,
) -> Result<(), CloseReason> {
    if header.rsv1 || header.rsv2 || header.rsv3 {
        return Err(protocol("reserved bits set, and no extension was agreed on"));
    }
    if header.mask.is_none() {
        return Err(protocol("frame is not masked"));
    }
    match header.opcode {
        OpCode::Control(Control::Reserved(_)) | OpCode::Data(Data::Reserved(_)) => {
            return Err(protocol("reserved opcode"));
        }
        OpCode::Control(_) if !header.is_final => {
            return Err(protocol("fragmented control frame"));
        }
        OpCode::Control(_) if length > 125 => {
            return Err(protocol("control frame of more than 125 bytes"));
        }
        OpCode::Data(Data::Continue) if open.is_none() => {
            return Err(protocol("continuation of nothing"));
        }
        OpCode::Data(Data::Text | Data::Binary) if open.is_some() => {
            return Err(protocol("a new message inside a fragmented one"));
        }
        _ => {}
    }
    let before = open.map_or(0, |message| message.payload.len() as u64);
    if matches!(header.opcode, OpCode::Data(_)) && length > (largest as u64).saturating_sub(before)
    {
        return Err(CloseReason::TooBig);
    }
    Ok(())
}

fn protocol(fault: &'static str) -> CloseReason {
    CloseReason::Protocol(fault)
}

/// Undoes the mask (RFC 6455, 5.3), eight bytes at a time.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    if mask == [0; 4] {
        return;
    }
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (chunks, rest) = payload.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

impl Inbound {
    /// Keeps bytes for the next turn, behind those that wait.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        self.forget_taken();
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether bytes wait that have not been taken in.
    pub(super) fn has_waiting(&self) -> bool {
        self.bytes.len() > self.taken
    }

    /// Frees what has been taken in.
    pub(super) fn forget_taken(&mut self) {
        if self.taken == self.bytes.len() {
            self.bytes = Vec::new();
        } else if self.taken > 0 {
            self.bytes.drain(..self.taken);
        }
        self.taken = 0;
    }

    /// Makes room for what is missing: `piece` bytes at a time or as much again as there is, and never more than the
    /// frame has.
    pub(super) fn make_room(&mut self, piece: usize) {
        let spare = self.bytes.capacity() - self.bytes.len();
        if spare < self.missing.clamp(64, 4096) {
            self.bytes.reserve_exact(self.missing.clamp(64, piece.max(self.bytes.len())));
        }
    }

    /// Forgets everything, after which only the end of the stream matters.
    pub(super) fn clear(&mut self) {
        *self = Inbound::default();
    }

    /// Bytes of the heap that it owns.
    #[inline]
    pub(super) fn memory(&self) -> usize {
        if self.bytes.capacity() == 0 && self.open.is_none() && self.reading.is_none() {
            return 0;
        }
        let open = self
            .open
            .as_ref()
            .map_or(0, |open| piece(size_of::<OpenMessage>()) + piece(open.payload.capacity()));
        let reading = self.reading.as_ref().map_or(0, |reading| {
            piece(size_of::<ReadMessage>()) + piece(reading.payload.capacity())
        });
        piece(self.bytes.capacity()) + open + reading
    }

    /// Bytes of heap that wait here, for what a connection costs.
    pub(super) fn held(&self) -> usize {
        let open = self.open.as_ref().map_or(0, |open| open.payload.len());
        let reading = self.reading.as_ref().map_or(0, |reading| reading.payload.len());
        self.bytes.len() - self.taken + open + reading
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::client_frame::masked;

    #[test]
    fn a_frame_is_cut_at_any_length_whatever_its_mask() {
        let mut cases = 0;
        for length in [0, 1, 7, 8, 9, 125, 126, 127, 1000, 65535, 65536, 70_001] {
            let payload: Vec<u8> = (0..length).map(|n| n as u8).collect();
            for mask in [[0; 4], [1, 2, 3, 4], [255, 0, 128, 7]] {
                let mut bytes = masked(0x82, &payload, mask);
                let whole = bytes.len();
                bytes.extend_from_slice(b"next");
                let cut = cut(&mut bytes, &mut None, 100_000).expect("legal");
                let message = Event::Message { text: false, payload: Cow::Borrowed(&payload[..]) };
                assert_eq!(cut, Cut::Whole(whole, message));
                cases += 1;
            }
        }
        assert_eq!(cases, 36);
    }

    #[test]
    fn part_of_a_frame_says_what_is_missing() {
        let whole = masked(0x81, b"hello", [9; 4]);
        for length in 0..whole.len() {
            let mut part = whole[..length].to_vec();
            let Ok(Cut::Missing(missing)) = cut(&mut part, &mut None, 100) else {
                panic!("{length} bytes are no frame");
            };
            assert!(missing >= 1 && missing <= whole.len() - length);
        }
    }

    #[test]
    fn fragments_become_one_message_with_control_frames_in_between() {
        let mut open = None;
        let mut cut_one = |first: u8, payload: &[u8]| {
            let mut bytes = masked(first, payload, [3; 4]);
            match cut(&mut bytes, &mut open, 100) {
                Ok(Cut::Whole(_, Event::Message { text, payload })) => {
                    format!("{text} {}", String::from_utf8_lossy(&payload))
                }
                other => format!("{other:?}"),
            }
        };
        assert!(cut_one(0x01, b"ab").contains("Fragment"));
        assert!(cut_one(0x89, b"p").contains("Ping([112])"));
        assert!(cut_one(0x00, b"cd").contains("Fragment"));
        assert!(cut_one(0x8a, b"").contains("Pong"));
        assert_eq!(cut_one(0x80, b"ef"), "true abcdef");
        assert!(cut_one(0x80, b"").contains("continuation of nothing"));
    }

    #[test]
    fn what_the_rfc_forbids_is_refused_by_the_header_alone() {
        let mask = [1, 2, 3, 4];
        let cases: [(Vec<u8>, u16); 12] = [
            (vec![0xc1, 0x80], 1002),
            (vec![0xa1, 0x80], 1002),
            (vec![0x91, 0x80], 1002),
            (vec![0x83, 0x80], 1002),
            (vec![0x8b, 0x80], 1002),
            (vec![0x81, 0x05], 1002),
            (vec![0x09, 0x80], 1002),
            (vec![0x89, 0xfe, 0, 126], 1002),
            (vec![0x80, 0x80], 1002),
            (vec![0x82, 0xfe, 0x10, 0], 1009),
            (vec![0x82, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255], 1009),
            (vec![0x82, 0xff, 0xff, 255, 255, 255, 255, 255, 255, 255], 1009),
        ];
        for (mut header, code) in cases {
            if header[1] & 0x80 != 0 {
                header.extend_from_slice(&mask);
            }
            let refused = cut(&mut header, &mut None, 100).expect_err("forbidden");
            assert_eq!(refused.code(), code, "{header:02x?}");
        }
    }

    #[test]
    fn the_limit_holds_for_the_sum_of_fragments_and_is_inclusive() {
        let mut open = None;
        assert!(cut(&mut masked(0x02, &[0; 60], [1; 4]), &mut open, 100).is_ok());
        assert!(cut(&mut masked(0x00, &[0; 40], [1; 4]), &mut open, 100).is_ok());
        let mut over = masked(0x80, &[0; 1], [1; 4]);
        assert_eq!(cut(&mut over, &mut open, 100), Err(CloseReason::TooBig));
        assert!(cut(&mut masked(0x80, &[], [1; 4]), &mut open, 100).is_ok());
        assert!(cut(&mut masked(0x82, &[0; 100], [1; 4]), &mut None, 100).is_ok());
    }
}
