//! The memory that deliveries hold, wherever they wait: each frame counts once, however many queues share it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// Counts the bytes of the deliveries that one worker made and that have not been sent to, or given up for,
/// everybody yet. They may be let go on any worker.
#[derive(Debug, Clone, Default)]
pub struct Held(Arc<AtomicUsize>);

impl Held {
    /// Bytes held now.
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Freezes frames; they count until the last queue has let them go.
    pub(super) fn freeze(&self, frames: Vec<u8>) -> Bytes {
        self.0.fetch_add(frames.capacity(), Ordering::Relaxed);
        Bytes::from_owner(Frames { bytes: frames, held: self.clone() })
    }
}

struct Frames {
    bytes: Vec<u8>,
    held: Held,
}

impl AsRef<[u8]> for Frames {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        self.held.0.fetch_sub(self.bytes.capacity(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_count_once_until_the_last_who_shares_them_lets_go() {
        let held = Held::default();
        let frames = held.freeze(vec![7; 1000]);
        let (part, whole) = (frames.slice(10..20), frames.clone());
        drop(frames);
        assert_eq!(held.bytes(), 1000);
        drop(whole);
        assert_eq!((held.bytes(), &part[..]), (1000, &[7; 10][..]));
        drop(part);
        assert_eq!(held.bytes(), 0);
    }
}
