//! Why the server closes a connection: one table of code, text and blame.

use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::protocol::Malformed;

/// Why the server closes a connection. The text goes to the peer and into the log, so it holds nothing
/// that a client chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The server stops.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// The peer broke RFC 6455.
    #[error("{0}")]
    Protocol(&'static str),
    /// A message that the contract does not know.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// The key that its token was signed with is accepted no more.
    #[error("the key of this token was withdrawn")]
    KeyWithdrawn,
    /// Its token expired, where that closes.
    #[error("the token has expired")]
    TokenExpired,
    /// A message longer than the limit.
    #[error("message is larger than limits.max_message_size")]
    TooBig,
    /// There is no more memory, and of all messages that have come in part its own takes most.
    #[error("no memory left for the rest of this message: limits.memory is reached")]
    MemoryFull,
    /// A fault of the server's.
    #[error("internal fault")]
    Fault,
    /// It reads more slowly than it is sent to.
    #[error("slow consumer: it does not read as fast as it is sent to")]
    SlowConsumer,
    /// It sends faster than it may, and went on with it.
    #[error("sends faster than limits.messages_per_second or limits.bytes_per_second allows")]
    TooFast,
    /// An administrator closed it.
    #[error("closed by an administrator")]
    Administrator,
}

/// What of a peer's words counts after we have sent a Close, until its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterClose {
    /// What it publishes is delivered.
    Messages,
    /// Nothing.
    Nothing,
}

impl CloseReason {
    /// The close code (RFC 6455, 7.4; 4000 and up are philote's own).
    pub fn code(self) -> u16 {
        match self {
            CloseReason::ShuttingDown => 1001,
            CloseReason::Protocol(_) => 1002,
            CloseReason::Malformed(_) => 1007,
            CloseReason::KeyWithdrawn | CloseReason::TokenExpired => 1008,
            CloseReason::TooBig => 1009,
            CloseReason::Fault => 1011,
            CloseReason::MemoryFull => 1013,
            CloseReason::SlowConsumer => 4000,
            CloseReason::TooFast => 4001,
            CloseReason::Administrator => 4002,
        }
    }

    /// A stable name for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            CloseReason::ShuttingDown => "shutting_down",
            CloseReason::Protocol(_) => "protocol_error",
            CloseReason::Malformed(_) => "malformed_message",
            CloseReason::KeyWithdrawn => "key_withdrawn",
            CloseReason::TokenExpired => "token_expired",
            CloseReason::TooBig => "message_too_big",
            CloseReason::MemoryFull => "memory_full",
            CloseReason::Fault => "fault",
            CloseReason::SlowConsumer => "slow_consumer",
            CloseReason::TooFast => "too_fast",
            CloseReason::Administrator => "administrator",
        }
    }

    /// What of the peer's words still counts until its own Close.
    pub(super) fn after_close(self) -> AfterClose {
        match self {
            CloseReason::ShuttingDown
            | CloseReason::KeyWithdrawn
            | CloseReason::TokenExpired
            | CloseReason::Administrator => AfterClose::Messages,
            CloseReason::Malformed(_)
            | CloseReason::SlowConsumer
            | CloseReason::TooFast
            | CloseReason::Protocol(_)
            | CloseReason::TooBig
            | CloseReason::MemoryFull
            | CloseReason::Fault => AfterClose::Nothing,
        }
    }

    /// The Close frame that says so.
    pub fn frame(self) -> Vec<u8> {
        close_frame(self.code(), &self.to_string())
    }
}

/// A Close frame of the server's. The text is one of our own, in ASCII, and fits: 123 bytes at most (RFC
/// 6455, 5.5).
pub(super) fn close_frame(code: u16, text: &str) -> Vec<u8> {
    let text = &text.as_bytes()[..text.len().min(123)];
    let mut frame = vec![0x88, 2 + text.len() as u8];
    frame.extend_from_slice(&code.to_be_bytes());
    frame.extend_from_slice(text);
    frame
}

/// The frame that answers a peer's Close: its own code back, nothing where it gave none.
pub(super) fn answer_frame(code: Option<u16>) -> Vec<u8> {
    code.map_or_else(|| vec![0x88, 0], |code| close_frame(code, ""))
}

/// What stands in the payload of a peer's Close: its code, if it has one.
///
/// # Errors
/// 1002 for a payload of one byte or a code that nobody may send, 1007 for a reason that is not UTF-8.
pub(super) fn read_close(payload: &[u8]) -> Result<Option<u16>, CloseReason> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return match payload {
            [] => Ok(None),
            _ => Err(CloseReason::Protocol("close frame with half a code")),
        };
    };
    let code = u16::from_be_bytes(*code);
    if !CloseCode::from(code).is_allowed() {
        return Err(CloseReason::Protocol("close frame with a code that may not be sent"));
    }
    std::str::from_utf8(reason).map_err(|_| CloseReason::Malformed(Malformed::NotUtf8))?;
    Ok(Some(code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::Endings;
    use crate::counters::tally::Names;

    #[test]
    fn every_reason_fits_into_a_close_frame_and_is_counted_by_its_name() {
        let all = [
            CloseReason::ShuttingDown,
            CloseReason::Protocol("reserved bits"),
            CloseReason::Malformed(Malformed::NotAnObject),
            CloseReason::KeyWithdrawn,
            CloseReason::TokenExpired,
            CloseReason::TooBig,
            CloseReason::MemoryFull,
            CloseReason::Fault,
            CloseReason::SlowConsumer,
            CloseReason::TooFast,
            CloseReason::Administrator,
        ];
        for reason in all {
            let frame = reason.frame();
            assert!(reason.to_string().len() <= 123 && frame[1] <= 125);
            assert_eq!(&frame[4..], reason.to_string().as_bytes());
            assert_eq!(read_close(&frame[2..]), Ok(Some(reason.code())));
            assert!(Endings::NAMES.contains(&reason.name()), "{reason} has a figure of its own");
        }
    }

    #[test]
    fn a_close_with_a_bad_payload_is_refused() {
        assert_eq!(read_close(&[]), Ok(None));
        assert_eq!(read_close(&[3, 232]), Ok(Some(1000)));
        assert_eq!(read_close(&[15, 160, b'x']), Ok(Some(4000)));
        for code in [0u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
            assert_eq!(read_close(&code.to_be_bytes()).unwrap_err().code(), 1002, "{code}");
        }
        assert_eq!(read_close(&[3]).unwrap_err().code(), 1002);
        assert_eq!(read_close(&[3, 232, 0xff]).unwrap_err().code(), 1007);
    }
}
