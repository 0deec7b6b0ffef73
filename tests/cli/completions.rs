//! What the shells' completions offer, asked of the shells themselves.

use std::collections::BTreeSet;
use std::process::Command;

use philote::cli::command;

use crate::dir::Dir;
use crate::program::{philote, run};
use crate::required::require_tool;

/// Asks a shell what it offers behind the last word of a line that begins with `philote `.
type Ask = fn(&Dir, &str) -> BTreeSet<String>;

const SHELLS: [(&str, Ask); 3] = [("bash", ask_bash), ("zsh", ask_zsh), ("fish", ask_fish)];

fn lines(command: &mut Command) -> BTreeSet<String> {
    let output =
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("TERM", "dumb");
    let output = output.output().expect("the shell runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

/// The function that bash calls, with what it sets for it; `compopt` works only when it is bash who calls.
fn ask_bash(dir: &Dir, line: &str) -> BTreeSet<String> {
    let words = line.split(' ').map(|word| format!("'{word}'")).collect::<Vec<_>>();
    let (last, before) = (&words[words.len() - 1], &words[words.len() - 2]);
    let script = format!(
        "set -eu\ncompopt() {{ :; }}\n. ./philote\nfunction=$(complete -p philote | sed 's/.*-F \\([^ ]*\\) .*/\\1/')\n\
         COMP_LINE='{line}' COMP_POINT={} COMP_WORDS=({}) COMP_CWORD={}\nset +eu\n\
         \"$function\" philote {last} {before}\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
        line.len(),
        words.join(" "),
        words.len() - 1,
    );
    lines(
        Command::new("bash").args(["--norc", "--noprofile", "-c", &script]).current_dir(dir.path()),
    )
}

/// An interactive zsh at a terminal of its own, whose completion is told to say what it offers.
fn ask_zsh(dir: &Dir, line: &str) -> BTreeSet<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/completions/ask.zsh");
    lines(Command::new("zsh").args(["-f", script, line]).current_dir(dir.path()))
}

fn ask_fish(dir: &Dir, line: &str) -> BTreeSet<String> {
    let home = dir.path().display();
    let script = format!("set -x HOME {home}; source ./philote; complete --do-complete '{line}'");
    let offers =
        lines(Command::new("fish").args(["--no-config", "-c", &script]).current_dir(dir.path()));
    // Behind a tab stands what it is.
    offers.iter().map(|offer| offer.split('\t').next().unwrap_or_default().to_owned()).collect()
}

/// The words among the offers; what fits every line, such as files, is not looked at.
#[track_caller]
fn offers(shell: &str, ask: Ask, dir: &Dir, line: &str, expected: &[&str]) {
    let offered = ask(dir, line);
    let expected: BTreeSet<String> = expected.iter().map(|&word| word.to_owned()).collect();
    assert_eq!(offered, expected, "{shell}: {line:?}");
}

#[test]
fn every_shell_offers_commands_options_and_values() {
    for (shell, ask) in SHELLS {
        if require_tool(shell, &format!("apt install {shell}")).is_none() {
            continue;
        }
        let dir = Dir::new();
        let script = run(&mut philote(&["completions", shell])).quietly();
        dir.write(if shell == "zsh" { "_philote" } else { "philote" }, &script);

        let offered = ask(&dir, "philote ");
        for command in command().get_subcommands() {
            assert!(offered.contains(command.get_name()), "{shell}: {offered:?}");
        }
        offers(shell, ask, &dir, "philote con", &["connections", "console"]);
        offers(shell, ask, &dir, "philote check --r", &["--running"]);
        offers(shell, ask, &dir, "philote subscribe --c", &["--ca", "--config", "--count"]);
        // For fish, clap_complete writes nothing of values that stand without an option.
        if shell != "fish" {
            offers(shell, ask, &dir, "philote completions f", &["fish"]);
        }
        // Files are offered where a file is wanted.
        dir.write("a-file", "");
        offers(shell, ask, &dir, "philote --config a-", &["a-file"]);
    }
}

#[test]
fn another_shell_is_wrong_usage() {
    let said = run(&mut philote(&["completions", "tcsh"])).failed(64);
    assert!(said.contains("[possible values: bash, zsh, fish]"), "{said}");
}
