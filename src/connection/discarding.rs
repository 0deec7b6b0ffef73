//! What still comes from a peer whose words no longer count: it is read, counted and thrown away.
//!
//! The stream is not ended together with the Close. A proxy that sees our end while its client is still sending
//! tears down both sides, and a socket that is closed with bytes unread sends a reset; either destroys the Close on
//! its way, and the peer sees 1006 without a reason. So what comes is read until the peer's own Close, the end of
//! its stream or `websocket.close_timeout`, and then our side ends (RFC 6455, 7.1.1).
//!
//! After a fault of the peer's nothing of what it sends may have an effect (RFC 6455, 7.1.7), and nothing has:
//! [`FrameSkipper`] only finds the frames' boundaries, so as to see at which of them the peer is done. Every header
//! says where its frame ends (5.2), whatever else is wrong with the frame.

use std::io;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

use super::close::CloseReason;
use super::reading::{Bite, Stop};
use super::table::Connections;
use super::{BYTES_A_TURN, Connection, Ending, Phase};

/// The longest header of a frame, with a length of eight bytes and a mask.
const LONGEST_HEADER: usize = 14;
/// The first byte of a Close: whole, without reserved bits, and its opcode.
const CLOSE: u8 = 0x88;

/// Goes from frame to frame without keeping anything of them.
#[derive(Debug, Default)]
pub(super) struct FrameSkipper {
    /// The header so far, of the frame that begins.
    header: [u8; LONGEST_HEADER],
    header_len: usize,
    /// How much of the payload is to come of the frame whose header is complete.
    left: u64,
    /// That frame is a Close.
    is_close: bool,
}

impl FrameSkipper {
    /// Skips what these bytes hold. True where the end of a Close is among them; what follows is then nobody's.
    fn skip(&mut self, mut bytes: &[u8]) -> bool {
        loop {
            let payload = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= payload as u64;
            bytes = &bytes[payload..];
            if self.left > 0 {
                return false;
            }
            if self.is_close {
                return true;
            }
            let Some((byte, rest)) = bytes.split_first() else { return false };
            bytes = rest;
            self.header[self.header_len] = *byte;
            self.header_len += 1;
            self.end_header();
        }
    }

    /// Goes on to the payload if the header is complete.
    fn end_header(&mut self) {
        let [first, second, ..] = self.header;
        let length = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        if self.header_len < 2 || self.header_len < 2 + length + mask {
            return;
        }
        let long = self.header[2..2 + length].iter();
        self.left = match length {
            0 => u64::from(second & 0x7f),
            _ => long.fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        };
        self.is_close = first == CLOSE;
        self.header_len = 0;
    }
}

impl Connection {
    /// Frees the message of which a part has come; its sender's Close may stand among the bytes.
    pub(super) fn forget_message(&self) {
        let inbound = &mut *self.inbound.borrow_mut();
        (inbound.open, inbound.reading) = (None, None);
        let skipper = inbound.skipper.get_or_insert_default();
        if inbound.bytes.len() > inbound.taken {
            self.skip(skipper, &inbound.bytes[inbound.taken..]);
        }
        (inbound.bytes, inbound.taken, inbound.missing) = (Vec::new(), 0, 0);
    }

    /// Throws away what comes, up to the turn's bytes. The rates of the configuration do not hold for it: what is
    /// read more slowly keeps the peer's Close from us, and the time that this may take is bounded.
    pub(super) fn discard(
        &self,
        all: &Connections,
        cx: &mut Context<'_>,
        bite: &mut Bite,
    ) -> Poll<Result<Option<Stop>, CloseReason>> {
        self.forget_message();
        let inbound = &mut *self.inbound.borrow_mut();
        let skipper = inbound.skipper.get_or_insert_default();
        let mut buffer = all.read_buffer.borrow_mut();
        let most = buffer.len().min(bite.bytes);
        let mut buffer = ReadBuf::new(&mut buffer[..most]);
        match std::pin::Pin::new(&mut *self.socket.borrow_mut()).poll_read(cx, &mut buffer) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
            Poll::Ready(end) => {
                self.stream_ended(all, end.err());
                return Poll::Ready(Ok(None));
            }
        }
        self.heard(all, buffer.filled().len(), bite);
        self.skip(skipper, buffer.filled());
        Poll::Ready(Ok(Some(Stop::Missing(0))))
    }

    fn skip(&self, skipper: &mut FrameSkipper, bytes: &[u8]) {
        if self.phase.get() == Phase::Discarding && skipper.skip(bytes) {
            self.phase.set(Phase::Ending);
        }
    }

    /// Ends our side of the stream, unless that is done or somebody else goes on with it. Reads what has come and
    /// nobody wants, as much as may be read in a turn: a socket that is closed with bytes unread sends a reset, which
    /// overtakes what the peer has not read of ours. False where there is more.
    pub(super) fn let_go(&self, all: &Connections) -> bool {
        if self.ending.get() == Ending::HandedOver {
            return true;
        }
        // A panic may have left either in use.
        let (Ok(mut socket), Ok(mut buffer)) =
            (self.socket.try_borrow_mut(), all.read_buffer.try_borrow_mut())
        else {
            return true;
        };
        if !self.shut.replace(true) {
            // What the kernel does not take now comes too late: the peer has had its time.
            let _ = socket.finish();
        }
        let mut read = 0;
        while read < BYTES_A_TURN {
            match socket.receive_raw(&mut buffer) {
                Ok(0) => return true,
                Ok(count) => read += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return true,
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::client_frame::masked;
    use super::*;

    /// Frames as whoever breaks the rules may send them, none of them a Close.
    fn faulty() -> Vec<Vec<u8>> {
        let mut frames: Vec<Vec<u8>> = [0, 1, 125, 126, 65_535, 65_536, 200_000]
            .into_iter()
            // Reserved bits, a reserved opcode, a ping of any length.
            .flat_map(|length| {
                [0xf1, 0x83, 0x89, 0x01, 0x80]
                    .map(|first| masked(first, &vec![0x88; length], [0x88, 2, 3, 4]))
            })
            .collect();
        frames.push([&[0x81, 5], &b"plain"[..]].concat());
        frames.push([&[0x82, 126, 0, 200], &[0x88; 200][..]].concat());
        frames
    }

    #[test]
    fn a_close_is_found_behind_frames_of_every_kind_wherever_they_are_cut() {
        let close = masked(0x88, &[3, 232], [9; 4]);
        for frame in faulty() {
            let all = [frame.as_slice(), &close].concat();
            for size in [1, 2, 3, 7, 1000, all.len()] {
                let mut skipper = FrameSkipper::default();
                let ends: Vec<bool> = all.chunks(size).map(|part| skipper.skip(part)).collect();
                let first = ends.iter().position(|end| *end);
                assert_eq!(first, Some(ends.len() - 1), "{:?} in parts of {size}", &frame[..2]);
            }
        }
    }

    #[test]
    fn a_frame_with_the_opcode_of_a_close_that_is_none_is_skipped() {
        for first in [0x08, 0x48, 0xc8, 0xf8] {
            let mut skipper = FrameSkipper::default();
            assert!(!skipper.skip(&[first, 0x80, 1, 2, 3, 4]), "{first:#x}");
            assert!(skipper.skip(&masked(0x88, &[3, 232], [0; 4])), "{first:#x}");
        }
    }

    #[test]
    fn a_close_within_a_payload_is_none() {
        let close = masked(0x88, &[3, 232], [0; 4]);
        let mut skipper = FrameSkipper::default();
        assert!(!skipper.skip(&masked(0x82, &close.repeat(1000), [0; 4])));
        assert!(!skipper.skip(&close[..close.len() - 1]));
        assert!(skipper.skip(&close[close.len() - 1..]));
    }

    #[test]
    fn a_length_beyond_everything_is_skipped_for_as_long_as_it_comes() {
        let mut skipper = FrameSkipper::default();
        assert!(!skipper.skip(&[&[0x82, 0xff], &[0xff; 8][..], &[1, 2, 3, 4]].concat()));
        for _ in 0..100 {
            assert!(!skipper.skip(&[0x88; 64 * 1024]));
        }
        assert_eq!(skipper.left, u64::MAX - 100 * 64 * 1024);
    }
}
