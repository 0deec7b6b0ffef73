//! Owns [`File`]: a log file that somebody else may rename under us.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// Who may read it: the daemon, and the group that reads logs. Further narrowed by the umask.
const MODE: u32 = 0o640;

/// A file that is appended to.
pub(super) struct File {
    path: PathBuf,
    file: std::fs::File,
    /// It was given to the process, so there is nothing to open.
    inherited: bool,
    /// The last line broke off in its middle.
    torn: bool,
}

impl File {
    /// Opens it, and makes it where it is missing.
    ///
    /// # Errors
    /// As the system has it.
    pub(super) fn open(path: &Path) -> io::Result<File> {
        Ok(File { path: path.to_owned(), file: open(path)?, inherited: false, torn: false })
    }

    /// The process's own standard output, which `path` names.
    ///
    /// # Errors
    /// Where it is closed, or descriptors have run out.
    pub(super) fn stdout(path: &Path) -> io::Result<File> {
        let file = io::stdout().as_fd().try_clone_to_owned()?.into();
        Ok(File { path: path.to_owned(), file, inherited: true, torn: false })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens what is found under its name now, unless it was inherited.
    ///
    /// # Errors
    /// As the system has it; the old file stays in use then.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if self.inherited {
            return Ok(());
        }
        self.file = open(&self.path)?;
        self.torn = false;
        Ok(())
    }

    /// Appends a line.
    ///
    /// # Errors
    /// Where not all of it could be written; the next one begins on a line of its own all the same.
    pub(super) fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        if self.torn {
            self.file.write_all(b"\n")?;
            self.torn = false;
        }
        let mut rest = line;
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            self.torn = !rest.is_empty();
        }
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<std::fs::File> {
    // Without NONBLOCK a FIFO that nobody reads would hold up the start for ever.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(MODE)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn a_line_that_broke_off_does_not_spoil_the_next_one() {
        let path = std::env::temp_dir().join(format!("philote-torn-{}", std::process::id()));
        mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let mut reader = OpenOptions::new().read(true).custom_flags(flags).open(&path).unwrap();
        let mut file = File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();

        // More than a pipe holds, so that a part of it fits.
        let long = [&[b'x'; 1 << 20][..], b"\n"].concat();
        let error = file.write_line(&long).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        let mut taken = Vec::new();
        // It ends where the pipe is empty.
        reader.read_to_end(&mut taken).unwrap_err();
        assert!(!taken.is_empty() && taken.iter().all(|byte| *byte == b'x'));

        file.write_line(b"next\n").unwrap();
        file.write_line(b"another\n").unwrap();
        drop(file);
        taken.clear();
        reader.read_to_end(&mut taken).unwrap();
        assert_eq!(taken, b"\nnext\nanother\n");
    }
}
