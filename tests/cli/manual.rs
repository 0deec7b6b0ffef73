//! The manual pages, as `examples/manual` writes them: that they tell all there is, and that mandoc finds nothing
//! to say of them.

#[path = "../../examples/manual/configuration.rs"]
mod configuration;
#[path = "../../examples/manual/date.rs"]
mod date;
#[path = "../../examples/manual/page.rs"]
mod page;
#[path = "../../examples/manual/program.rs"]
mod program;

use std::process::Command;

use philote::cli::{EXIT_CODES, VARIABLES, command};
use philote::config::{reference, sections};
use philote::daemon::events::EVENTS;
use philote::daemon::signals::SIGNALS;
use time::OffsetDateTime;

use crate::dir::Dir;
use crate::program::{philote, run};
use crate::required::require_tool;

const DATE: &str = "2026-01-31";

pub(crate) fn configuration_page() -> String {
    configuration::page(DATE)
}

pub(crate) fn program_page() -> String {
    program::page(DATE).expect("writing to memory")
}

/// A page as it is read, without backticks, its lines joined and all space alike; `None` where there is no mandoc.
fn as_read(source: &str) -> Option<String> {
    let mandoc = require_tool("mandoc", "apt install mandoc")?;
    let dir = Dir::new();
    let path = dir.write("page", source);
    let output = Command::new(mandoc).args(["-T", "utf8", "-O", "width=1000"]).arg(path).output();
    let output = output.expect("mandoc runs");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    // Bold is a letter, a step back, and the letter again.
    let mut plain = String::new();
    for letter in text.chars() {
        if letter == '\u{8}' {
            plain.pop();
        } else {
            plain.push(letter);
        }
    }
    Some(plain.replace('`', "").split_whitespace().collect::<Vec<_>>().join(" "))
}

#[track_caller]
fn tells(page: &str, what: &str) {
    let what = what.replace('`', "");
    assert!(page.contains(&what), "{what:?} is missing in: {page}");
}

#[test]
fn the_page_of_the_program_tells_of_every_command_and_option() {
    let Some(page) = as_read(&program_page()) else { return };
    let mut program = command();
    program.build();
    let (mut options, mut commands) = (0, 0);
    for command in program.get_subcommands().chain([&program]) {
        let about = command.get_about().expect("a sentence").to_string();
        tells(&page, about.trim_end_matches('.'));
        if let Some((_, entry)) = page.split_once(&format!(" philote {} ", command.get_name())) {
            commands += usize::from(entry.contains(&about));
        }
        for argument in command.get_arguments() {
            options += 1;
            if let Some(long) = argument.get_long() {
                tells(&page, &format!("--{long}"));
            }
            if let Some(help) = argument.get_help() {
                let help = help.to_string();
                tells(&page, help.split_whitespace().collect::<Vec<_>>().join(" ").as_str());
            }
        }
    }
    assert!(options > 30, "{options}");
    assert_eq!(commands, program.get_subcommands().count());
}

#[test]
fn the_page_of_the_program_tells_of_signals_events_exit_codes_and_variables() {
    let Some(page) = as_read(&program_page()) else { return };
    for signal in SIGNALS {
        tells(&page, &signal.names.join(", "));
        tells(&page, &signal.meaning[1..]);
    }
    for event in EVENTS {
        tells(&page, &format!("{} (", event.name));
        tells(&page, event.meaning);
        tells(&page, &event.fields.join(", "));
        if let Some(id) = event.message_id {
            tells(&page, id);
        }
    }
    for (code, meaning) in EXIT_CODES {
        let (first, rest) = meaning.split_at(1);
        tells(&page, &format!("{code} {}{rest}", first.to_uppercase()));
    }
    for (variable, meaning) in VARIABLES {
        tells(&page, &format!("{variable} {meaning}"));
    }
    let told = run(&mut philote(&["--version", "--verbose"])).quietly();
    for path in ["configuration: ", "control socket: "] {
        let path = told.lines().find_map(|line| line.strip_prefix(path)).expect("a path");
        tells(page.split("FILES").last().expect("the files"), path);
    }
}

#[test]
fn the_page_of_the_configuration_tells_of_every_key() {
    let Some(page) = as_read(&configuration_page()) else { return };
    let keys = reference();
    assert!(!keys.is_empty());
    for entry in &keys {
        let doc = entry.doc.split_whitespace().collect::<Vec<_>>().join(" ");
        tells(&page, &format!("{} {doc} Default: {}", entry.key, entry.default));
        tells(&page, &format!("Allowed: {}", entry.allowed));
        tells(&page, &entry.variables.join(", "));
    }
    for (section, doc) in sections() {
        tells(&page, &format!("[{section}] {doc}"));
    }
}

#[test]
fn the_example_in_the_page_of_the_configuration_is_good() {
    let dir = Dir::new();
    let secret = dir.write("secret", "more than thirty-two bytes that nobody knows\n");
    let example = configuration::EXAMPLE
        .replace("/etc/philote/secret", secret.to_str().expect("text"))
        .replace("/run/philote", dir.path().to_str().expect("text"));
    assert!(!example.contains("/etc") && !example.contains("/run"));
    let path = dir.write("config.toml", &example);
    let path = path.to_str().expect("text");
    let mut check = philote(&["check", "--config", path]);
    let done = run(check.env_remove("SECRET"));
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(!done.err.contains("warning"), "{done:?}");
}

#[test]
fn the_page_gives_the_commands_of_the_documentation_which_are_tried_on_a_machine() {
    let page = include_str!("../../docs/operating.md");
    for commands in [program::ACTIVATE, program::STOP] {
        assert!(page.contains(&format!("\n{commands}\n```")), "{commands}");
        let page = program_page().replace("\\-", "-");
        commands.lines().for_each(|line| assert!(page.contains(&format!("\n{line}\n")), "{line}"));
    }
}

#[test]
fn mandoc_finds_nothing_to_say_of_the_pages() {
    let Some(mandoc) = require_tool("mandoc", "apt install mandoc") else { return };
    let dir = Dir::new();
    let lint = |name: &str, source: &str| {
        let path = dir.write(name, source);
        let output = Command::new(&mandoc).args(["-T", "lint", "-W", "warning"]).arg(path).output();
        output.expect("mandoc runs")
    };
    for (name, source) in [("philote.1", program_page()), ("philote.toml.5", configuration_page())]
    {
        let output = lint(name, &source);
        assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
        let broken = lint(name, &source.replace(DATE, ""));
        assert!(!broken.stdout.is_empty(), "it looks: {broken:?}");
    }
}

#[test]
fn the_date_is_the_epochs_or_the_changelogs() {
    let now = OffsetDateTime::from_unix_timestamp(86_400).expect("a time");
    let dated = "# Changelog\n\n## [1.1.0] - 2027-03-04\n\n## [1.0.0] - 2027-01-02\n";
    let undated = "# Changelog\n\n## [1.1.0] - Unreleased\n\n## [1.0.0] - 2027-01-02\n";
    let cases = [
        (Some("1800000000"), dated, Some("2027-01-15")),
        (None, dated, Some("2027-03-04")),
        (Some(""), undated, Some("1970-01-02")),
        (Some("yesterday"), dated, None),
    ];
    for (epoch, changelog, expected) in cases {
        assert_eq!(date::of(epoch, changelog, now).as_deref(), expected, "{epoch:?}");
    }
    date::of_the_pages().expect("a date");
    assert!(program_page().contains(DATE) && configuration_page().contains(DATE));
}
