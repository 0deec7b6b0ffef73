//! Owns [`ServiceUser`]: whom the service runs as, and which files that user may not read. For root, who may read
//! everything and so does not notice. By modes and owners; a file with an access list is left to it.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::num::NonZeroUsize;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::config::{FileContent, Loaded, ReadError, RealSources, Sources};
use crate::paths;

/// The user that packages make, and that their units name.
const PACKAGED: &str = "philote";

/// Whom the service runs as.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ServiceUser {
    /// For people: a name, where it has one.
    name: String,
    uid: u32,
    gids: Vec<u32>,
}

impl ServiceUser {
    /// Whose service this configuration is for, where that is known. While a server runs, it is the owner of the
    /// control socket. Else, where the configuration stands in the directory that the packages' units read, it is the
    /// packages' user. Otherwise nobody knows; nor need root be told, who may read everything.
    pub(super) fn of(loaded: &Loaded) -> Option<ServiceUser> {
        let instance = loaded.path.as_deref().and_then(instance);
        let socket = loaded.config.control.socket.clone().or(instance.clone());
        let socket = socket.and_then(|path| fs::metadata(path).ok());
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let groups = fs::read_to_string("/etc/group").unwrap_or_default();
        let user = match socket.filter(|socket| socket.file_type().is_socket()) {
            Some(socket) => {
                let known = Self::find(&passwd, &groups, |_, uid| uid == socket.uid());
                let unknown = || ServiceUser {
                    name: format!("user {}", socket.uid()),
                    uid: socket.uid(),
                    gids: vec![],
                };
                let mut user = known.unwrap_or_else(unknown);
                if loaded.config.control.group.is_none() {
                    user.gids.push(socket.gid());
                }
                Some(user)
            }
            None => instance.and_then(|_| Self::find(&passwd, &groups, |name, _| name == PACKAGED)),
        };
        user.filter(|user| user.uid != 0)
    }

    /// One of the users in passwd(5), with all groups that group(5) puts it in.
    fn find(passwd: &str, groups: &str, wanted: impl Fn(&str, u32) -> bool) -> Option<ServiceUser> {
        let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
        passwd.lines().map(fields).find_map(|user| {
            let (name, uid) = (user.first()?, user.get(2)?.parse().ok()?);
            if !wanted(name, uid) {
                return None;
            }
            let mut gids = vec![user.get(3)?.parse().ok()?];
            for group in groups.lines().map(fields) {
                if group.get(3).is_some_and(|all| all.split(',').any(|member| member == name)) {
                    gids.extend(group.get(2).and_then(|gid| gid.parse::<u32>().ok()));
                }
            }
            Some(ServiceUser { name: name.clone(), uid, gids })
        })
    }

    /// What to say of a file that this user may not read, and how to mend it.
    pub(super) fn complaint(&self, path: &Path) -> Option<String> {
        let real = fs::canonicalize(path).ok()?;
        let mut directories: Vec<&Path> =
            path.ancestors().chain(real.ancestors()).skip(1).collect();
        directories.retain(|directory| directory.is_dir());
        directories.sort_by_key(|directory| directory.components().count());
        let name = &self.name;
        for directory in directories {
            if !self.may(directory, 0o1) {
                return Some(format!(
                    "{path:?}: {name}, whom the service runs as, cannot come to it: {directory:?} is closed to \
                     it ({}); move the file to a directory that it may enter",
                    shown(directory)
                ));
            }
        }
        (!self.may(&real, 0o4)).then(|| {
            format!(
                "{path:?}: {name}, whom the service runs as, cannot read it ({}); chgrp its group to it, and \
                 chmod g+r",
                shown(&real)
            )
        })
    }

    /// Whether it may read (4) or enter (1) this.
    fn may(&self, path: &Path, what: u32) -> bool {
        let Ok(metadata) = fs::metadata(path) else { return true };
        self.is_let(metadata.mode(), metadata.uid(), metadata.gid(), what) || has_access_list(path)
    }

    /// By the one of the three that holds for it (POSIX.1, 4.7).
    fn is_let(&self, mode: u32, owner: u32, group: u32, what: u32) -> bool {
        let shift = match () {
            () if owner == self.uid => 6,
            () if self.gids.contains(&group) => 3,
            () => 0,
        };
        (mode >> shift) & what == what
    }
}

/// Where the control socket is of the packages' unit that reads this file; None where none does.
fn instance(configuration: &Path) -> Option<PathBuf> {
    let own = paths::configuration();
    if configuration == own {
        return Some(paths::control_socket());
    }
    let is_one = configuration.parent() == own.parent()
        && configuration.extension().is_some_and(|extension| extension == "toml");
    let name = configuration.file_stem().filter(|_| is_one)?.to_str()?;
    let directory = format!("philote-{name}");
    Some(Path::new(paths::RUNSTATEDIR).join(directory).join(paths::CONTROL_SOCKET))
}

/// Mode and owners, as `ls -n` has them.
fn shown(path: &Path) -> String {
    let told = |metadata: Metadata| {
        format!("mode {:04o}, {}:{}", metadata.mode() & 0o7777, metadata.uid(), metadata.gid())
    };
    fs::metadata(path).map_or_else(|error| error.to_string(), told)
}

#[cfg(target_os = "linux")]
fn has_access_list(path: &Path) -> bool {
    let mut nothing: [u8; 0] = [];
    rustix::fs::getxattr(path, "system.posix_acl_access", &mut nothing).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn has_access_list(_: &Path) -> bool {
    false
}

/// This machine, and which of its files have been read.
#[derive(Debug, Default)]
pub(super) struct Noting(RefCell<Vec<PathBuf>>);

impl Noting {
    /// The files, each once.
    pub(super) fn files(self) -> Vec<PathBuf> {
        let mut files = self.0.into_inner();
        files.sort();
        files.dedup();
        // What the kernel tells there is for everybody.
        files.retain(|path| !path.starts_with("/proc") && !path.starts_with("/sys"));
        files
    }
}

impl Sources for Noting {
    fn read(&self, path: &Path, limit: usize) -> Result<FileContent, ReadError> {
        let content = RealSources.read(path, limit)?;
        self.0.borrow_mut().push(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
        Ok(content)
    }

    fn environment(&self) -> Vec<(OsString, OsString)> {
        RealSources.environment()
    }

    fn machine_memory(&self) -> Option<u64> {
        RealSources.machine_memory()
    }

    fn parallelism(&self) -> NonZeroUsize {
        RealSources.parallelism()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/bash\nphilote:x:991:990::/:/usr/sbin/nologin\nbroken\n";
    const GROUP: &str =
        "root:x:0:\ncerts:x:70:www-data,philote\nphilote:x:990:\nothers:x:71:philotes\n";

    #[test]
    fn a_user_has_the_groups_of_both_files() {
        let user = ServiceUser::find(PASSWD, GROUP, |name, _| name == PACKAGED).expect("there");
        assert_eq!(user, ServiceUser { name: PACKAGED.into(), uid: 991, gids: vec![990, 70] });
        assert_eq!(ServiceUser::find(PASSWD, GROUP, |_, uid| uid == 991), Some(user));
        assert_eq!(ServiceUser::find(PASSWD, GROUP, |name, _| name == "broken"), None);
    }

    #[test]
    fn the_nearest_of_owner_group_and_others_decides_alone() {
        let user = ServiceUser { name: String::new(), uid: 991, gids: vec![990, 70] };
        for (mode, owner, group, may) in [
            (0o400, 991, 0, true),
            (0o077, 991, 990, false),
            (0o640, 0, 990, true),
            (0o640, 0, 70, true),
            (0o604, 0, 990, false),
            (0o640, 0, 0, false),
            (0o604, 0, 0, true),
            (0o600, 0, 0, false),
        ] {
            assert_eq!(user.is_let(mode, owner, group, 0o4), may, "{mode:o} {owner}:{group}");
        }
    }

    #[test]
    fn a_configuration_where_units_look_is_theirs() {
        let own = paths::configuration();
        assert_eq!(instance(&own), Some(paths::control_socket()));
        let second = instance(&own.with_file_name("second.toml")).expect("philote@second");
        assert!(second.ends_with("philote-second/control.sock"), "{second:?}");
        assert_eq!(instance(Path::new("/tmp/config.toml")), None);
        assert_eq!(instance(&own.with_file_name("secret")), None);
    }
}
