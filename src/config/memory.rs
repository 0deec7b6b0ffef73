//! Owns how much memory the process may use: the machine's, or less where a control group
//! (cgroups(7), version 1 or 2) says so.

use std::path::Path;

use super::Sources;

/// More than any of these files has.
const FILE_LIMIT: usize = 64 << 10;

/// Bytes of memory that the process may use, where they can be told.
pub fn available(sources: &dyn Sources) -> Option<u64> {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ffi::OsString;
    use std::num::NonZeroUsize;

    use super::*;
    use crate::config::{FileContent, ReadError};

    struct Machine(BTreeMap<String, &'static str>, Option<u64>);

    impl Sources for Machine {
        fn read(&self, path: &Path, _: usize) -> Result<FileContent, ReadError> {
            let text = self.0.get(&path.to_string_lossy().into_owned()).ok_or(ReadError::Absent)?;
            Ok(FileContent { bytes: (*text).into(), mode: 0o444, own_group: false })
        }

        fn environment(&self) -> Vec<(OsString, OsString)> {
            Vec::new()
        }

        fn machine_memory(&self) -> Option<u64> {
            self.1
        }

        fn parallelism(&self) -> NonZeroUsize {
            NonZeroUsize::MIN
        }
    }

    #[test]
    fn the_least_of_the_machine_and_each_group_above_the_process_counts() {
        let v2 = ("/proc/self/cgroup", "0::/a.slice/b.service\n");
        let v1 = ("/proc/self/cgroup", "5:cpu:/x\n4:memory:/x\n1:name=systemd:/x\n0::/y\n");
        type Case<'a> = (&'a [(&'a str, &'static str)], Option<u64>, Option<u64>);
        let cases: &[Case<'_>] = &[
            (&[], None, None),
            (&[], Some(1000), Some(1000)),
            (&[v2], Some(1000), Some(1000)),
            (&[v2, ("/sys/fs/cgroup/a.slice/b.service/memory.max", "max\n")], Some(9), Some(9)),
            (
                &[v2, ("/sys/fs/cgroup/a.slice/b.service/memory.max", "500\n")],
                Some(1000),
                Some(500),
            ),
            (&[v2, ("/sys/fs/cgroup/a.slice/memory.max", "300\n")], Some(1000), Some(300)),
            (&[v2, ("/sys/fs/cgroup/memory.max", "200\n")], Some(1000), Some(200)),
            (&[v2, ("/sys/fs/cgroup/memory.max", "2000\n")], Some(1000), Some(1000)),
            (
                &[v1, ("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "9223372036854771712\n")],
                Some(1000),
                Some(1000),
            ),
            (&[v1, ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "70")], Some(1000), Some(70)),
            (&[("/proc/self/cgroup", "0::/\n"), ("/sys/fs/cgroup/memory.max", "5")], None, Some(5)),
            (&[("/proc/self/cgroup", "nonsense\n::\n\n")], Some(3), Some(3)),
        ];
        for (files, machine, expected) in cases {
            let files = files.iter().map(|(path, text)| ((*path).to_owned(), *text)).collect();
            let machine = Machine(files, *machine);
            assert_eq!(available(&machine), *expected, "{:?}", machine.0);
        }
    }
}
