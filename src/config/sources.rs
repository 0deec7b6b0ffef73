//! Owns [`Sources`], the only way from the configuration to the world: files with their
//! permissions, the environment, the size of the machine. Tests feed text instead.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::remedy;

/// A file that has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileContent {
    /// Everything in it.
    pub bytes: Vec<u8>,
    /// Its permission bits.
    pub mode: u32,
    /// Whether its group is one of the reader's.
    pub own_group: bool,
}

/// Why a file was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// There is no such file (ENOENT, and nothing else).
    Absent,
    /// We may not open it.
    Denied,
    /// It cannot be opened or read for another reason.
    Unreadable {
        /// The system's words.
        why: String,
        /// How to mend it.
        remedy: &'static str,
    },
    /// It is a directory, a pipe, a socket or a device.
    NotRegular,
    /// It has more bytes than asked for.
    TooLarge,
}

/// Says what; how to mend it depends on which file it is.
impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("there is no such file"),
            Self::Denied => f.write_str("cannot be read: permission denied"),
            Self::Unreadable { why, .. } => write!(f, "cannot be read: {why}"),
            Self::NotRegular => f.write_str("is not a regular file"),
            Self::TooLarge => f.write_str("is too large"),
        }
    }
}

impl ReadError {
    /// Whether it is there and the system does not hand it out.
    pub(super) fn is_unreadable(&self) -> bool {
        matches!(self, Self::Denied | Self::Unreadable { .. })
    }

    /// How to mend it; `limit` says it for a file that is too large.
    pub(super) fn remedy(&self, limit: &'static str) -> &'static str {
        match self {
            Self::Absent => "make it, or name another",
            Self::Denied => "let the user that philote runs as read it",
            Self::Unreadable { remedy, .. } => remedy,
            Self::NotRegular => "a reload could not read it again, so name a regular file",
            Self::TooLarge => limit,
        }
    }
}

/// Where the configuration is read from.
pub trait Sources {
    /// Reads a file of at most `limit` bytes, through symbolic links, opened anew each time.
    ///
    /// # Errors
    /// See [`ReadError`].
    fn read(&self, path: &Path, limit: usize) -> Result<FileContent, ReadError>;

    /// The environment of the process.
    fn environment(&self) -> Vec<(OsString, OsString)>;

    /// Bytes of memory in the machine, where it can be told.
    fn machine_memory(&self) -> Option<u64>;

    /// Threads that can run at once, the bound of a control group counted in.
    fn parallelism(&self) -> NonZeroUsize;
}

/// This machine and this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealSources;

impl Sources for RealSources {
    fn read(&self, path: &Path, limit: usize) -> Result<FileContent, ReadError> {
        // Without NONBLOCK, opening a pipe that nobody writes would never return.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        let opened = rustix::fs::open(path, flags, Mode::empty());
        let file = File::from(opened.map_err(|errno| unreadable(errno.into()))?);
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(ReadError::NotRegular);
        }
        let mut bytes = Vec::new();
        file.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() > limit {
            return Err(ReadError::TooLarge);
        }
        let mode = metadata.mode() & 0o7777;
        Ok(FileContent { bytes, mode, own_group: is_own_group(metadata.gid()) })
    }

    fn environment(&self) -> Vec<(OsString, OsString)> {
        std::env::vars_os().collect()
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn machine_memory(&self) -> Option<u64> {
        // Not /proc/meminfo: a unit with ProcSubset=pid has none.
        let info = rustix::system::sysinfo();
        #[allow(clippy::useless_conversion, reason = "its width depends on the machine")]
        Some(u64::from(info.totalram).saturating_mul(info.mem_unit.into()))
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn machine_memory(&self) -> Option<u64> {
        None
    }

    fn parallelism(&self) -> NonZeroUsize {
        std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
    }
}

fn unreadable(error: io::Error) -> ReadError {
    match error.kind() {
        io::ErrorKind::NotFound => ReadError::Absent,
        io::ErrorKind::PermissionDenied => ReadError::Denied,
        // What no file can be opened as: a socket.
        _ if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => ReadError::NotRegular,
        _ => ReadError::Unreadable {
            remedy: remedy::of_path(&error).unwrap_or("name another file"),
            why: error.to_string(),
        },
    }
}

fn is_own_group(gid: u32) -> bool {
    rustix::process::getegid().as_raw() == gid
        || rustix::process::getgroups()
            .is_ok_and(|groups| groups.iter().any(|group| group.as_raw() == gid))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;

    /// A directory of this test's own, removed at its end.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("philote-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).expect("a directory can be made");
            Self(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_regular_file_is_read_with_its_mode_through_a_link() {
        let directory = Directory::new("regular");
        let (file, link) = (directory.0.join("file"), directory.0.join("link"));
        std::fs::write(&file, "text").expect("a file can be written");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).expect("it is ours");
        std::os::unix::fs::symlink(&file, &link).expect("a link can be made");
        let content = RealSources.read(&link, 4).expect("it can be read");
        assert_eq!(content.bytes, b"text");
        assert_eq!(content.mode, 0o640);
        assert_eq!(RealSources.read(&link, 3), Err(ReadError::TooLarge));
    }

    #[test]
    fn only_enoent_is_absence_and_only_a_regular_file_is_read() {
        let directory = Directory::new("odd");
        let (file, pipe) = (directory.0.join("file"), directory.0.join("pipe"));
        std::fs::write(&file, "").expect("a file can be written");
        let fifo = rustix::fs::FileType::Fifo;
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, fifo, mode, 0).expect("a pipe can be made");
        let read = |path: &Path| RealSources.read(path, 10);
        assert_eq!(read(&directory.0.join("none")), Err(ReadError::Absent));
        assert_eq!(read(&directory.0), Err(ReadError::NotRegular));
        assert_eq!(read(&pipe), Err(ReadError::NotRegular));
        assert_eq!(read(Path::new("/dev/null")), Err(ReadError::NotRegular));
        assert!(matches!(read(&file.join("below")), Err(ReadError::Unreadable { .. })));
        let looped = directory.0.join("loop");
        std::os::unix::fs::symlink(&looped, &looped).expect("a link can be made");
        assert!(matches!(read(&looped), Err(ReadError::Unreadable { .. })));
        let denied = unreadable(io::ErrorKind::PermissionDenied.into());
        assert_eq!(denied, ReadError::Denied);
    }

    #[test]
    fn this_machine_has_memory_and_a_processor() {
        assert!(RealSources.parallelism().get() > 0);
        assert!(!RealSources.environment().is_empty());
        if cfg!(target_os = "linux") {
            assert!(RealSources.machine_memory() > Some(1 << 20));
        }
    }
}
