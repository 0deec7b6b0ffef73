//! The source has no reason not to build on macOS: what only Linux has stands behind a `cfg` that says so. No other
//! system's standard library is at hand here, so that this goes by a list of words.

use std::fs;
use std::path::{Path, PathBuf};

/// What only Linux has, of the libraries in use and of what could be.
const OF_LINUX: [&str; 27] = [
    "std::os::linux",
    "\"/proc/self/task",
    "accept4",
    "attach_filter",
    "bind_device",
    "epoll",
    "eventfd",
    "gettid",
    "inotify",
    "io_uring",
    "memfd",
    "pidfd",
    "prctl",
    "sched_",
    "sendfile",
    "set_cpu_affinity",
    "set_dumpable_behavior",
    "set_freebind",
    "set_mark",
    "set_priority",
    "set_tcp_notsent_lowat",
    "set_tcp_quickack",
    "set_tcp_user_timeout",
    "signalfd",
    "sysinfo(",
    "timerfd",
    "from_abstract_name",
];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The lines outside of what an attribute keeps to Linux or to tests, with their numbers. As rustfmt writes it, what
/// an attribute stands before ends at the first line, at the attribute's own indentation, that ends something.
fn everywhere(text: &str) -> Vec<(usize, &str)> {
    let mut lines = Vec::new();
    let mut kept: Option<usize> = None;
    for (at, line) in text.lines().enumerate() {
        let code = line.trim_start();
        let indentation = line.len() - code.len();
        match kept {
            Some(attribute) => {
                let ends = code.ends_with([';', '}', ',']);
                if indentation == attribute && ends && !code.starts_with("#[") {
                    kept = None;
                }
            }
            None if code.starts_with("#[cfg(") && !code.contains("not(") => {
                if ["\"linux\"", "(test)", ", test)"].iter().any(|word| code.contains(word)) {
                    kept = Some(indentation);
                }
            }
            None if code.starts_with("//") || code.is_empty() => {}
            None => lines.push((at + 1, line)),
        }
    }
    lines
}

#[test]
fn what_only_linux_has_stands_behind_a_cfg() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&directory, &mut files);
    let (mut bare, mut gated) = (Vec::new(), 0);
    for file in files {
        if file.ends_with("tests.rs") || file.components().any(|part| part.as_os_str() == "tests") {
            continue;
        }
        let text = fs::read_to_string(&file).expect("a source file");
        let open = everywhere(&text);
        for word in OF_LINUX {
            for (number, line) in open.iter().filter(|(_, line)| line.contains(word)) {
                bare.push(format!("{}:{number}: {word}: {line}", file.display()));
            }
            gated += text.lines().filter(|line| line.contains(word)).count();
        }
    }
    assert!(bare.is_empty(), "put them behind #[cfg(target_os = \"linux\")]:\n{}", bare.join("\n"));
    assert!(gated >= 5, "the list finds what there is: {gated}");
}

#[test]
fn what_an_attribute_keeps_ends_where_it_ends() {
    let text = "fn a() {\n    #[cfg(target_os = \"linux\")]\n    if let Some(x) = y {\n        one();\n    \
                }\n    two();\n    #[cfg(not(target_os = \"linux\"))]\n    three();\n}\n\
                #[cfg(target_os = \"linux\")]\n#[inline]\nfn b() {\n    four();\n}\nfn c() {}\n\
                #[cfg(test)]\nmod tests {\n    five();\n}\n";
    let left: Vec<&str> = everywhere(text).iter().map(|(_, line)| line.trim()).collect();
    let expected = ["fn a() {", "two();", "three();", "}", "fn c() {}"];
    assert_eq!(
        left.into_iter().filter(|line| !line.starts_with("#[")).collect::<Vec<_>>(),
        expected
    );
}
