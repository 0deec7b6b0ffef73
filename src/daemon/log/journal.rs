//! Owns [`Journal`]: the log as journald's native fields (systemd.journal-fields(7)).
//!
//! `PHILOTE_` in front of each field, `PRIORITY` by level, `SYSLOG_IDENTIFIER=philote`, and a `MESSAGE_ID`
//! for the events that have one.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use tracing::field::{self, Field};
use tracing::{Event, Level, Subscriber};
use tracing_journald::{Layer, Priority, PriorityMappings};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Layered, SubscriberExt};

use super::events;
use super::record::{Record, Value};

/// Where journald takes its native protocol (systemd-journald.service(8)).
const SOCKET: &str = "/run/systemd/journal/socket";

/// How old the knowledge may be that somebody listens.
const LOOK: Duration = Duration::from_secs(1);

/// The most fields of an event; the widest of ours has half as many.
const FIELDS: usize = 16;

/// What the journal calls philote.
const IDENTIFIER: &str = "philote";

/// Info is 6, as everywhere but in the library's defaults.
const PRIORITIES: PriorityMappings = PriorityMappings {
    error: Priority::Error,
    warn: Priority::Warning,
    info: Priority::Informational,
    debug: Priority::Debug,
    trace: Priority::Debug,
};

/// Whether the journal reads our stderr: `JOURNAL_STREAM` names its device and inode. The variable alone
/// says nothing, since whatever a unit starts inherits it.
pub(super) fn reads_stderr() -> bool {
    let stderr = io::stderr().as_fd().try_clone_to_owned();
    let metadata = stderr.and_then(|stderr| std::fs::File::from(stderr).metadata());
    match (std::env::var_os("JOURNAL_STREAM"), metadata) {
        (Some(stream), Ok(metadata)) => names(&stream, metadata.dev(), metadata.ino()),
        _ => false,
    }
}

fn names(stream: &OsStr, device: u64, inode: u64) -> bool {
    stream
        .to_str()
        .and_then(|stream| stream.split_once(':'))
        .is_some_and(|(dev, ino)| (dev.parse(), ino.parse()) == (Ok(device), Ok(inode)))
}

/// What the journal takes from the front of a line as its priority (sd-daemon(3)).
pub(super) fn prefix(level: Level) -> &'static [u8] {
    match level {
        Level::ERROR => b"<3>",
        Level::WARN => b"<4>",
        Level::INFO => b"<6>",
        Level::DEBUG | Level::TRACE => b"<7>",
    }
}

/// An event handed to it goes to the journal.
type Sender = Layered<Layer, Registry>;

/// The journal.
pub(super) struct Journal {
    sender: Sender,
    looked: Instant,
    /// Why nobody listened when it was last looked at.
    absent: Option<io::ErrorKind>,
}

impl Journal {
    /// # Errors
    /// Where no journal listens.
    pub(super) fn connect() -> io::Result<Journal> {
        Ok(Journal { sender: sender(None)?, looked: Instant::now(), absent: None })
    }

    /// Hands one record over. The library does not say whether the journal took it, but at most a second
    /// passes before a journal that is gone is noticed.
    ///
    /// # Errors
    /// Where no journal listens.
    pub(super) fn write(&mut self, record: &Record) -> io::Result<()> {
        if let Some(id) = record.event().and_then(events::message_id) {
            // These come a few times in the life of a process: one is made for each.
            send(record, &sender(Some(id))?);
            return Ok(());
        }
        if self.looked.elapsed() >= LOOK {
            self.looked = Instant::now();
            self.absent = sender(None).err().map(|error| error.kind());
        }
        if let Some(kind) = self.absent {
            return Err(kind.into());
        }
        send(record, &self.sender);
        Ok(())
    }
}

/// Waits until the journal has taken everything that was sent before, at most so long. It asks the system of
/// which unit an entry is when it takes it: that of a process that is gone by then is missing from
/// `journalctl --unit`.
pub(super) fn settle(limit: Duration) {
    // Nothing was sent to one that is not there; and nobody can be told that it takes nothing.
    let _ = settle_at(Path::new(SOCKET), limit);
}

/// Its socket is a queue: what is sent last is taken last. Empty datagrams, which the journal passes over, are
/// sent with a buffer for a handful of them, until more were sent than fit: some of them have been taken then.
fn settle_at(socket: &Path, limit: Duration) -> io::Result<()> {
    /// The least buffer that Linux gives, 4,608 bytes, has room for six.
    const MORE_THAN_FIT: usize = 32;
    let end = Instant::now() + limit;
    let mark = UnixDatagram::unbound()?;
    mark.connect(socket)?;
    mark.set_nonblocking(true)?;
    rustix::net::sockopt::set_socket_send_buffer_size(&mark, 0)?;
    let mut sent = 0;
    while sent < MORE_THAN_FIT {
        match mark.send(&[]) {
            Ok(_) => sent += 1,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let left = end.saturating_duration_since(Instant::now());
                let limit = Timespec::try_from(left).map_err(io::Error::other)?;
                match rustix::event::poll(&mut [PollFd::new(&mark, PollFlags::OUT)], Some(&limit)) {
                    Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                    // A signal is no reason to leave the last words behind.
                    Ok(_) | Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn sender(message_id: Option<&str>) -> io::Result<Sender> {
    let layer = tracing_journald::layer()?
        .with_field_prefix(Some("PHILOTE".into()))
        .with_syslog_identifier(IDENTIFIER.into())
        .with_priority_mappings(PRIORITIES)
        .with_custom_fields(message_id.map(|id| ("MESSAGE_ID", id)));
    Ok(tracing_subscriber::registry().with(layer))
}

/// Makes the event that was recorded happen once more, for the journal alone. `sender` is nobody's
/// subscriber, so it changes nothing for those who log.
fn send(record: &Record, sender: &Sender) {
    let Some((first, _)) = record.values.first() else { return };
    let mut values: [(&Field, Option<&dyn field::Value>); FIELDS] = [(first, None); FIELDS];
    for (place, (field, value)) in values.iter_mut().zip(&record.values) {
        let value: &dyn field::Value = match value {
            Value::Bool(value) => value,
            Value::Signed(value) => value,
            Value::Unsigned(value) => value,
            Value::Float(value) => value,
            Value::Text(text) => text,
        };
        *place = (field, Some(value));
    }
    let values = record.metadata.fields().value_set(&values);
    sender.event(&Event::new(record.metadata, &values));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_device_and_inode_together_name_a_stream() {
        let case = |stream: &str| names(OsStr::new(stream), 8, 4711);
        assert!(case("8:4711"));
        for other in ["", "8", "8:", ":4711", "8:4712", "9:4711", "4711:8", "8:4711:1", " 8:4711"] {
            assert!(!case(other), "{other}");
        }
    }

    #[test]
    fn the_end_waits_until_the_journal_has_taken_what_was_sent() {
        let path = std::env::temp_dir().join(format!("philote-journal-{}", std::process::id()));
        assert!(settle_at(&path, Duration::from_secs(60)).is_err(), "nobody is there");

        let journal = UnixDatagram::bind(&path).expect("a journal");
        let ours = UnixDatagram::unbound().expect("a socket");
        ours.send_to(b"MESSAGE=the last word\n", &path).expect("it is sent");
        // It takes nothing.
        let error = settle_at(&path, Duration::from_millis(10)).expect_err("it waits");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        journal.set_nonblocking(true).expect("not blocking");
        let mut entries = 0;
        while let Ok(size) = journal.recv(&mut [0; 64]) {
            entries += usize::from(size > 0);
        }
        assert_eq!(entries, 1);

        ours.send_to(b"MESSAGE=the last word\n", &path).expect("it is sent");
        journal.set_nonblocking(false).expect("blocking");
        journal.set_read_timeout(Some(Duration::from_millis(5))).expect("not for ever");
        std::thread::scope(|scope| {
            let settled = scope.spawn(|| settle_at(&path, Duration::from_secs(60)));
            assert!(!settled.is_finished());
            assert_eq!(journal.recv(&mut [0; 64]).expect("the entry"), 22);
            while !settled.is_finished() {
                let _ = journal.recv(&mut [0; 64]);
            }
            settled.join().expect("no panic").expect("no fault");
        });
        std::fs::remove_file(&path).expect("it is there");
    }
}
