//! The file of a Unix listener, which is there as long as its listener.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Whether something stands where a socket is to be, and is none: not ours to remove.
pub(super) fn is_something_else(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_socket())
}

/// The file of a Unix listener; removed when it is dropped.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// The path that it is to have, where that is another's until then.
    heir_to: Option<PathBuf>,
    /// Device and inode.
    identity: (u64, u64),
}

impl SocketFile {
    /// Of a socket that has just been bound there.
    pub(super) fn of(path: &Path) -> io::Result<SocketFile> {
        Ok(SocketFile { path: path.to_owned(), heir_to: None, identity: identity(path)? })
    }

    /// To take the place of another at `path`, when [`SocketFile::take_over`] says so.
    pub(super) fn inherit(&mut self, path: &Path) {
        self.heir_to = Some(path.to_owned());
    }

    /// Where it is, or is going to be.
    pub(super) fn path(&self) -> &Path {
        self.heir_to.as_ref().unwrap_or(&self.path)
    }

    /// Takes the place that it has been waiting for; at no time nobody is there.
    ///
    /// # Errors
    /// Where the directory has changed meanwhile. It stays where it is then.
    pub(super) fn take_over(&mut self) -> io::Result<()> {
        if let Some(path) = self.heir_to.take() {
            fs::rename(&self.path, &path)?;
            self.path = path;
        }
        Ok(())
    }

    /// Removes it, unless another has taken its place.
    pub(super) fn remove(&self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            // It may go at the same time; then nothing is left to do.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}
