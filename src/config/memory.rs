//! Owns how much memory the process may use: the machine's, or less where a control group
//! (cgroups(7), version 1 or 2) says so.

use std::path::Path;

use super::Sources;

/// More than any of these files has.
const FILE_LIMIT: usize = 64 << 10;

/// Bytes, where they can be told.
pub(super) fn available(sources: &dyn Sources) -> Option<u64> {
    let read = |path: &str| {
        let content = sources.read(Path::new(path), FILE_LIMIT).ok()?;
        String::from_utf8(content.bytes).ok()
    };
    let groups = read("/proc/self/cgroup").unwrap_or_default();
    let limits = groups.lines().flat_map(limit_files).filter_map(|path| {
        // "max" is no limit, and in version 1 so is a number beyond all memory.
        read(&path)?.trim().parse::<u64>().ok()
    });
    limits.chain(sources.machine_memory()).min()
}

/// The files that bound the group of a line of `/proc/self/cgroup`, its parents' counted in: a
/// limit on a slice bounds each service in it.
fn limit_files(line: &str) -> Vec<String> {
    let mut fields = line.splitn(3, ':');
    let (Some(_), Some(controllers), Some(group)) = (fields.next(), fields.next(), fields.next())
    else {
        return Vec::new();
    };
    let (root, file) = match controllers {
        "" => ("/sys/fs/cgroup", "memory.max"),
        _ if controllers.split(',').any(|name| name == "memory") => {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return Vec::new(),
    };
    let mut files = Vec::new();
    let mut group = group.trim_end_matches('/');
    loop {
        files.push(format!("{root}{group}/{file}"));
        match group.rsplit_once('/') {
            Some((parent, _)) => group = parent,
            None => return files,
        }
    }
}
