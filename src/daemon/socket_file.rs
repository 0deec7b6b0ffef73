//! The file of a Unix listener, which is there as long as its listener, and how both are made: nobody can connect before
//! the file has its group and its mode.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

/// Why a Unix listener could not be made.
#[derive(Debug)]
pub(super) enum ListenError {
    /// The file cannot be given to the group.
    Group(io::Error),
    /// Any other step has failed.
    System(io::Error),
}

impl From<io::Error> for ListenError {
    fn from(error: io::Error) -> ListenError {
        ListenError::System(error)
    }
}

/// Makes a Unix listener, which does not block, at a path where nothing is. `mode` are its permission bits, `group` is
/// the number of its group, `backlog` the number of connections that may wait to be accepted.
///
/// # Errors
/// The system's. No file is left then.
pub(super) fn listen(
    path: &Path,
    mode: u32,
    group: Option<u32>,
    backlog: i32,
) -> Result<(UnixListener, SocketFile), ListenError> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile::of(path)?;
    if group.is_some() {
        chown(path, None, group).map_err(ListenError::Group)?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    // Until here a connect is refused, whatever the mode is that the file was made with.
    socket.listen(backlog)?;
    Ok((socket.into(), file))
}

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
    fn of(path: &Path) -> io::Result<SocketFile> {
        Ok(SocketFile { path: path.to_owned(), heir_to: None, identity: identity(path)? })
    }

    /// To take the place of another at `path`, when [`SocketFile::take_over`] says so.
    pub(super) fn inherit(&mut self, path: &Path) {
        self.heir_to = Some(path.to_owned());
    }

    /// Whether this is its path, however that is spelled: through a symbolic link, or with `..` in it.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        identity(path).is_ok_and(|identity| identity == self.identity)
    }

    /// Where it is, or is going to be.
    pub(super) fn path(&self) -> &Path {
        self.heir_to.as_ref().unwrap_or(&self.path)
    }

    /// Takes the place that it has been waiting for; at no time nobody is there.
    ///
    /// # Errors
    /// If the directory has changed meanwhile. Nothing has happened then.
    pub(super) fn take_over(&mut self) -> io::Result<()> {
        if let Some(path) = &self.heir_to {
            fs::rename(&self.path, path)?;
            self.path.clone_from(path);
            self.heir_to = None;
        }
        Ok(())
    }

    /// Removes it, unless another has taken its place.
    pub(super) fn remove(&self) {
        if self.is_at(&self.path) {
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// A stranger connects again and again while listeners are made: whoever gets in finds the mode that was asked for.
    #[test]
    fn nobody_connects_to_a_unix_listener_before_its_mode_stands() {
        const ROUNDS: usize = 3000;
        let directory =
            std::env::temp_dir().join(format!("philote-socket-file-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        let path = directory.join("s");
        let (stop, connected) = (AtomicBool::new(false), AtomicBool::new(false));
        let early = std::thread::scope(|scope| {
            let stranger = scope.spawn(|| {
                let mut early = 0;
                while !stop.load(Ordering::Relaxed) {
                    if std::os::unix::net::UnixStream::connect(&path).is_ok() {
                        let found = fs::symlink_metadata(&path);
                        early +=
                            usize::from(found.is_ok_and(|found| found.mode() & 0o777 != 0o600));
                        connected.store(true, Ordering::Relaxed);
                    }
                }
                early
            });
            for _ in 0..ROUNDS {
                // Before it listens: the stranger waits once the backlog is full.
                connected.store(false, Ordering::Relaxed);
                let listening = listen(&path, 0o600, None, 16).expect("it listens");
                while !connected.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                }
                drop(listening);
            }
            stop.store(true, Ordering::Relaxed);
            stranger.join().expect("a stranger")
        });
        fs::remove_dir_all(&directory).expect("it is empty");
        assert_eq!(early, 0, "of {ROUNDS} listeners so many were open to others at first");
    }
}
