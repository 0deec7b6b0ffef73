//! `make install` and `make uninstall`, into a directory of the test's own.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap_complete::Shell;
use philote::cli::command;

use crate::dir::Dir;
use crate::manual::{configuration_page, program_page};
use crate::required::require_tool;

/// What is installed, and where from and to.
struct Installation {
    dir: Dir,
    system: &'static str,
}

impl Installation {
    /// With the manual and the completions as `make man` writes them, and something for the notices.
    fn of(system: &'static str) -> Installation {
        let dir = Dir::new();
        for sub in ["man", "completions"] {
            fs::create_dir(dir.path().join(sub)).expect("a directory");
        }
        dir.write("man/philote.1", &program_page());
        dir.write("THIRD-PARTY", "what `make notices` writes\n");
        dir.write("man/philote.toml.5", &configuration_page());
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let completions = dir.path().join("completions");
            clap_complete::generate_to(shell, &mut command(), "philote", completions)
                .expect("a script is written");
        }
        Installation { dir, system }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn make(&self, target: &str) -> String {
        let pages = self.dir.path().display();
        let mut make = Command::new("make");
        make.current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["--no-print-directory", target, "PREFIX=/opt/philote", "SYSCONFDIR=/opt/etc"])
            .arg(format!("SYSTEM={}", self.system))
            .arg(format!("DESTDIR={}", self.root().display()))
            .arg(format!("PAGES={pages}"))
            .arg(format!("PHILOTE={}", env!("CARGO_BIN_EXE_philote")))
            .env_remove("MAKEFLAGS")
            .env_remove("MAKELEVEL");
        let output = make.output().expect("make runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The files, by their paths without the root.
    fn files(&self) -> BTreeSet<String> {
        let (root, mut found) = (self.root(), BTreeSet::new());
        let mut directories = vec![root.clone()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    let path = path.strip_prefix(&root).expect("below the root");
                    found.insert(path.display().to_string());
                }
            }
        }
        found
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root().join(path)).expect("an installed file")
    }

    fn mode(&self, path: &str) -> u32 {
        fs::metadata(self.root().join(path)).expect("it is there").permissions().mode() & 0o7777
    }
}

const EVERYWHERE: [&str; 12] = [
    "opt/etc/philote/config.toml",
    "opt/philote/bin/philote",
    "opt/philote/share/bash-completion/completions/philote",
    "opt/philote/share/doc/philote/CHANGELOG.md",
    "opt/philote/share/doc/philote/LICENSE",
    "opt/philote/share/doc/philote/README.md",
    "opt/philote/share/doc/philote/THIRD-PARTY",
    "opt/philote/share/doc/philote/config.example.toml",
    "opt/philote/share/fish/vendor_completions.d/philote.fish",
    "opt/philote/share/man/man1/philote.1",
    "opt/philote/share/man/man5/philote.toml.5",
    "opt/philote/share/zsh/site-functions/_philote",
];

#[test]
fn an_installation_puts_everything_in_its_place_and_its_removal_leaves_the_configuration() {
    if require_tool("make", "apt install make").is_none() {
        return;
    }
    let there = Installation::of("Linux");
    there.make("install");
    let expected: BTreeSet<String> = EVERYWHERE
        .into_iter()
        .chain([
            "opt/philote/lib/systemd/system/philote.service",
            "opt/philote/lib/systemd/system/philote.socket",
            "opt/philote/lib/systemd/system/philote@.service",
            "opt/philote/lib/sysusers.d/philote.conf",
        ])
        .map(str::to_owned)
        .collect();
    let documents = "opt/philote/share/doc/philote/";
    let folders = ["docs/", "examples/"].map(|folder| format!("{documents}{folder}"));
    let files = there.files();
    for folder in &folders {
        assert!(files.iter().any(|path| path.starts_with(folder)), "{folder}: {files:?}");
    }
    let found: BTreeSet<String> = files
        .into_iter()
        .filter(|path| !folders.iter().any(|folder| path.starts_with(folder)))
        .collect();
    assert_eq!(found, expected);
    assert_eq!(there.mode("opt/philote/bin/philote"), 0o755);
    assert_eq!(there.mode("opt/etc/philote/config.toml"), 0o640);
    assert_eq!(there.mode("opt/philote/lib/systemd/system/philote.service"), 0o644);
    let unit = there.read("opt/philote/lib/systemd/system/philote.service");
    let start = "\nExecStart=/opt/philote/bin/philote serve --env-file=-/opt/etc/default/philote\n";
    assert!(unit.contains(start), "{unit}");
    for path in ["opt/philote/lib/systemd/system/philote@.service", "opt/etc/philote/config.toml"] {
        let text = there.read(path);
        assert!(text.contains("/opt/etc/philote/"), "{text}");
        for elsewhere in [" /etc/", "\"/etc/", "=/etc/", "/usr/"] {
            assert!(!text.contains(elsewhere), "{elsewhere}: {text}");
        }
    }

    // Again: what was changed and what was added stay.
    let config = there.root().join("opt/etc/philote/config.toml");
    fs::write(&config, "# Changed.\n").expect("it is written");
    fs::write(config.with_file_name("secret"), "a secret\n").expect("it is written");
    let said = there.make("install");
    assert!(said.contains("config.toml is kept as it is"), "{said}");
    assert_eq!(there.read("opt/etc/philote/config.toml"), "# Changed.\n");

    there.make("uninstall");
    let kept = ["opt/etc/philote/config.toml", "opt/etc/philote/secret"].map(str::to_owned);
    assert_eq!(there.files(), BTreeSet::from(kept));
    assert_eq!(there.read("opt/etc/philote/secret"), "a secret\n");
    there.make("uninstall");
}

#[test]
fn an_installation_on_macos_brings_what_launchd_takes() {
    if require_tool("make", "apt install make").is_none() {
        return;
    }
    let there = Installation::of("Darwin");
    there.make("install");
    let plist = "Library/LaunchDaemons/io.github.pote.philote.plist";
    let rotation = "opt/philote/share/doc/philote/newsyslog.conf";
    let expected: BTreeSet<String> =
        EVERYWHERE.into_iter().chain([plist, rotation]).map(str::to_owned).collect();
    let docs = "opt/philote/share/doc/philote/docs/";
    let found: BTreeSet<String> =
        there.files().into_iter().filter(|path| !path.starts_with(docs)).collect();
    assert_eq!(found, expected);
    assert_eq!(there.mode(plist), 0o644);
    for (path, words) in [
        (plist, "exec /opt/philote/bin/philote serve --config /opt/etc/philote/config.toml"),
        (plist, "/opt/philote/var/run/philote/philote.pid;"),
        (rotation, "\n/opt/philote/var/log/philote/philote.log "),
        (rotation, " /opt/philote/var/run/philote/philote.pid "),
        ("opt/etc/philote/config.toml", "socket = \"/opt/philote/var/run/philote/control.sock\""),
        ("opt/etc/philote/config.toml", "secret_file = \"/opt/etc/philote/secret\""),
    ] {
        let text = there.read(path);
        assert!(text.contains(words), "{words}: {text}");
        assert!(!text.contains("/usr/local"), "{text}");
    }
    there.make("uninstall");
    assert_eq!(there.files(), BTreeSet::from(["opt/etc/philote/config.toml".to_owned()]));
}

/// What of the machine itself `make install` touches where DESTDIR is empty stands in a script of its own, which is
/// followed on a machine of its own.
#[test]
fn nothing_beside_the_directory_is_touched_where_there_is_one() {
    let makefile = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Makefile"));
    let makefile = makefile.expect("Makefile").replace("\\\n", " ");
    let mut guarded = 0;
    for line in makefile
        .lines()
        .filter(|line| ["packaging/settle", "systemctl"].iter().any(|word| line.contains(word)))
    {
        assert!(line.contains(r#"test -z "$(DESTDIR)""#), "{line}");
        guarded += 1;
    }
    assert_eq!(guarded, 2);
}
