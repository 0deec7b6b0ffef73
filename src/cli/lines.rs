//! Owns [`Lines`]: what comes on an input, line by line, beside a connection that must go on.

use std::io::{self, BufRead};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

use super::failure::Failure;

/// The longest line in bytes: sixteen times what a server takes for one message by default.
const LONGEST: usize = 16 << 20;
/// Lines read ahead of the connection.
const AHEAD: usize = 16;
/// Lines that are published together.
const TOGETHER: usize = 100;
/// Bytes of them, where they are more than one: well below what a server takes of one request.
const BYTES: usize = 1 << 20;

/// Lines of text, without their newlines.
pub(super) struct Lines(mpsc::Receiver<Result<String, Failure>>);

impl Lines {
    /// Standard input's. A thread reads it, since that cannot be waited for otherwise everywhere; where
    /// nobody wants its lines any more it ends with the process.
    pub(super) fn of_stdin() -> Self {
        Self::of(|| io::stdin().lock())
    }

    fn of<R: BufRead>(open: impl FnOnce() -> R + Send + 'static) -> Self {
        let (sender, receiver) = mpsc::channel(AHEAD);
        std::thread::spawn(move || {
            let mut input = open();
            while let Some(line) = read(&mut input).transpose() {
                let is_last = line.is_err();
                if sender.blocking_send(line).is_err() || is_last {
                    break;
                }
            }
        });
        Self(receiver)
    }

    /// As many lines as have come, one at least, and a hundred at most; and how they end, where they do.
    pub(super) async fn some(&mut self) -> (Vec<String>, Option<Result<(), Failure>>) {
        let (mut lines, mut bytes) = (Vec::new(), 0);
        let mut next = self.0.recv().await;
        loop {
            match next {
                Some(Ok(line)) => {
                    bytes += line.len();
                    lines.push(line);
                }
                Some(Err(failure)) => return (lines, Some(Err(failure))),
                None => return (lines, Some(Ok(()))),
            }
            if lines.len() == TOGETHER || bytes >= BYTES {
                return (lines, None);
            }
            next = match self.0.try_recv() {
                Ok(line) => Some(line),
                Err(TryRecvError::Disconnected) => None,
                Err(TryRecvError::Empty) => return (lines, None),
            };
        }
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// [`Failure::Usage`] for what is no line of text, [`Failure::Internal`] where it cannot be read.
    pub(super) async fn next(&mut self) -> Result<Option<String>, Failure> {
        self.0.recv().await.transpose()
    }
}

fn read(input: &mut impl BufRead) -> Result<Option<String>, Failure> {
    let mut line = Vec::new();
    io::Read::take(&mut *input, LONGEST as u64 + 2)
        .read_until(b'\n', &mut line)
        .map_err(|error| Failure::Internal(format!("cannot read standard input: {error}")))?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    if line.len() > LONGEST {
        let limit = LONGEST >> 20;
        return Err(Failure::Usage(format!("a line of more than {limit} MiB on standard input")));
    }
    match String::from_utf8(line) {
        Ok(line) => Ok(Some(line)),
        Err(_) => Err(Failure::Usage("a line on standard input that is not UTF-8".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_come_without_their_newlines_and_the_last_needs_none() {
        let mut lines = Lines::of(|| "one\n\ntwo \r\nthree".as_bytes());
        for expected in ["one", "", "two \r", "three"] {
            assert_eq!(lines.next().await.unwrap().as_deref(), Some(expected));
        }
        assert_eq!(lines.next().await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_no_text_or_too_long_ends_the_lines() {
        let long = vec![b'x'; LONGEST + 1];
        for bad in [b"good\n\xFF\nunread\n".to_vec(), [b"good\n", &*long, b"\n"].concat()] {
            let mut lines = Lines::of(move || io::Cursor::new(bad));
            assert_eq!(lines.next().await.unwrap().as_deref(), Some("good"));
            assert_eq!(lines.next().await.unwrap_err().exit_code(), 64);
            assert_eq!(lines.next().await.unwrap(), None);
        }
        let mut lines = Lines::of(|| io::Cursor::new(vec![b'x'; LONGEST]));
        assert_eq!(lines.next().await.unwrap().unwrap().len(), LONGEST);
    }
}
