//! How to mend what the system says of a path, error by error. Permissions are the caller's: they depend on what the
//! path is for.

use std::io;

use rustix::io::Errno;

/// What an administrator can do about this error at a path; `None` if that depends on what the path is for.
pub fn of_path(error: &io::Error) -> Option<&'static str> {
    Some(match Errno::from_io_error(error)? {
        Errno::NOTDIR => "a part of the path that has to be a directory is none; correct the path",
        Errno::LOOP => "its symbolic links lead in a circle; correct them",
        Errno::NAMETOOLONG => "the path is too long; choose a shorter one",
        Errno::ISDIR => "it is a directory; name a file in it",
        Errno::MFILE => {
            "this process has too many files open; raise its limit (LimitNOFILE=, ulimit -n)"
        }
        Errno::NFILE => "the machine has too many files open; raise fs.file-max",
        Errno::ROFS => {
            "the file system is read-only here; choose another path, or make it writable (ReadWritePaths= of the unit)"
        }
        Errno::NOSPC => "the disk is full; make room on it",
        Errno::DQUOT => "the user's quota is used up; make room or raise it",
        Errno::IO => "the disk is at fault; look into the kernel's log",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_remedy_of_its_own_and_permissions_have_none_here() {
        let errors = [
            Errno::NOTDIR,
            Errno::LOOP,
            Errno::NAMETOOLONG,
            Errno::ISDIR,
            Errno::MFILE,
            Errno::NFILE,
            Errno::ROFS,
            Errno::NOSPC,
            Errno::DQUOT,
            Errno::IO,
        ];
        let mut remedies: Vec<_> =
            errors.iter().filter_map(|errno| of_path(&(*errno).into())).collect();
        remedies.sort_unstable();
        remedies.dedup();
        assert_eq!(remedies.len(), errors.len(), "{remedies:?}");
        assert_eq!(of_path(&Errno::ACCESS.into()), None);
        assert_eq!(of_path(&io::ErrorKind::InvalidInput.into()), None);
    }
}
