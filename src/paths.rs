//! Where things are unless something says otherwise. Both directories are chosen when philote is built, by the
//! variables `PHILOTE_SYSCONFDIR` and `PHILOTE_RUNSTATEDIR`; units, plist and manual pages are filled in from the
//! same. Nothing here looks at the machine.

use std::path::{Path, PathBuf};

/// The directory of the configuration of programs, the GNU conventions' `sysconfdir`: `/etc`.
pub const SYSCONFDIR: &str = env!("PHILOTE_SYSCONFDIR");

/// The directory of what running programs leave for others, the GNU conventions' `runstatedir`: `/run`.
pub const RUNSTATEDIR: &str = env!("PHILOTE_RUNSTATEDIR");

/// What a control socket is called in its directory.
pub const CONTROL_SOCKET: &str = "control.sock";

/// The configuration file that is read where nobody names one.
pub fn configuration() -> PathBuf {
    Path::new(SYSCONFDIR).join("philote/config.toml")
}

/// Where tools look for a server's control socket where nobody names one.
pub fn control_socket() -> PathBuf {
    Path::new(RUNSTATEDIR).join("philote").join(CONTROL_SOCKET)
}
