//! What bounds the mail between workers: the credit of those who publish.
//!
//! A message counts against its publisher's credit from when it was mailed to its channel's home until the
//! home has taken it in *and* every worker that it went on to keeps up. So a worker that falls behind slows
//! those who publish to it, at their sockets, instead of growing its mail without end. A subscriber
//! that does not read has no part in it: its queue is dealt with where it is flushed.

/// The most messages of one member that may be unanswered.
pub const MESSAGES: u32 = 64;
/// The most bytes of frames of one member that may be unanswered, if it is more than one message.
pub const BYTES: u32 = 64 * 1024;
/// The most bytes of deliveries that may be on their way to one worker before the answers to those who
/// publish to it are withheld. Four times what a socket gives in a turn keeps both sides busy.
pub const WINDOW: usize = 256 * 1024;

/// What of a member's publishing has not been answered yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Unanswered {
    messages: u32,
    bytes: u32,
}

impl Unanswered {
    pub(super) fn add(&mut self, messages: u32, bytes: u32) {
        self.messages += messages;
        self.bytes += bytes;
    }

    /// Takes an answer; whether it gave back credit that had run out.
    pub(super) fn subtract(&mut self, messages: u32, bytes: u32) -> bool {
        let had = self.has_credit();
        self.messages = self.messages.saturating_sub(messages);
        self.bytes = self.bytes.saturating_sub(bytes);
        !had && self.has_credit()
    }

    /// Whether one more message may be published.
    pub(super) fn has_credit(self) -> bool {
        self.messages < MESSAGES && self.bytes < BYTES
    }
}
