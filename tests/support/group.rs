//! A control group with a limit on memory (cgroups(7), of either version), as the service manager makes one where a unit
//! says `MemoryMax=`.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// How many groups this process has made: tests run at the same time.
static NUMBER: AtomicUsize = AtomicUsize::new(0);

/// The group; it goes with this, as long as nobody is in it any more.
pub(crate) struct Group {
    path: PathBuf,
    /// The file that says how often a process of it was killed for want of memory.
    kills: &'static str,
}

impl Group {
    /// Of so many bytes. `None` where the machine lets nobody make one.
    pub(crate) fn limited(bytes: u64) -> Option<Group> {
        let name = format!("philote-test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let versions = [
            ("/sys/fs/cgroup", "memory.max", "memory.events"),
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.oom_control"),
        ];
        versions.into_iter().find_map(|(root, limit, kills)| {
            let path = PathBuf::from(root).join(&name);
            fs::create_dir(&path).ok()?;
            let group = Group { path, kills };
            // Where there is no such controller there is no such file, and none may be made.
            let mut file = OpenOptions::new().write(true).open(group.path.join(limit)).ok()?;
            file.write_all(bytes.to_string().as_bytes()).ok()?;
            Some(group)
        })
    }

    /// A command that goes there and becomes another by `exec`.
    pub(crate) fn launcher(&self) -> [String; 3] {
        let script =
            format!(r#"echo $$ >'{}/cgroup.procs' && exec "$0" "$@""#, self.path.display());
        ["/bin/sh".into(), "-c".into(), script]
    }

    /// How many of it were killed for want of memory.
    pub(crate) fn kills(&self) -> u64 {
        let text = fs::read_to_string(self.path.join(self.kills)).expect("what the group counts");
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.and_then(|count| count.parse().ok()).expect("a count")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
    }
}
