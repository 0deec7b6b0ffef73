//! Writes philote(1): the program, its commands, and what an administrator meets while it runs.

use std::io;

use clap::builder::PossibleValue;
use clap::{Arg, Command};
use clap_mangen::Man;
use philote::cli::{EXIT_CODES, VARIABLES, command};
use philote::daemon::events::EVENTS;
use philote::daemon::signals::SIGNALS;
use philote::paths;

use super::page::Page;

/// How a service is moved to the listener of a socket unit. In this order: a socket cannot start while the service
/// holds its address.
pub(crate) const ACTIVATE: &str = "\
systemctl stop philote
systemctl enable --now philote.socket
systemctl start philote";

/// How a service with a socket unit is stopped: whoever connects would wake the service alone.
pub(crate) const STOP: &str = "systemctl stop philote.socket philote";

/// The page, with this date on it.
///
/// # Errors
/// None but those of writing to memory.
pub(crate) fn page(date: &str) -> io::Result<String> {
    let program = command();
    let mut page = Page::new("philote", "1", date);
    let about = program.get_about().map(ToString::to_string).unwrap_or_default();
    page.name("philote", about.trim_end_matches('.'));
    synopsis(&mut page, &program);
    description(&mut page);
    page.rendered(&options(&program)?);
    page.entry(
        "-v, --verbose",
        "With --version: print the paths that are built in too, which are looked at where nothing \
         names others.",
    );
    commands(&mut page, &program)?;
    page.section("SIGNALS");
    for signal in SIGNALS {
        page.entry(&signal.names.join(", "), &sentence(signal.meaning));
    }
    service(&mut page);
    log(&mut page);
    page.section("EXIT STATUS");
    for (code, meaning) in EXIT_CODES {
        page.entry(&code.to_string(), &sentence(meaning));
    }
    page.section("ENVIRONMENT");
    page.paragraph(
        "Each key of the configuration can be set by a variable; they stand with the keys in \
         `philote.toml`(5). A variable that is set to nothing is not set. Others are:",
    );
    for (variable, meaning) in VARIABLES {
        page.entry(variable, meaning);
    }
    files(&mut page);
    examples(&mut page, &program);
    page.section("SEE ALSO");
    page.paragraph("`philote.toml`(5), `systemctl`(1), `journalctl`(1), `systemd.socket`(5)");
    Ok(page.finish())
}

fn synopsis(page: &mut Page, program: &Command) {
    page.section("SYNOPSIS");
    page.paragraph(&format!("`{}`", usage(program)));
}

fn description(page: &mut Page) {
    page.section("DESCRIPTION");
    page.paragraph(
        "philote passes messages between WebSocket clients. A client opens a connection with a \
         signed token that names the channels it may read and write; what one of them publishes on \
         a channel reaches all others who read it. Nothing is kept.",
    );
    page.paragraph(
        "Without a command it serves, in the foreground, until it is told to stop. Without any \
         configuration it listens on port 6380, and only on loopback until it is given a secret. The \
         other commands test a configuration, steer a running server, or talk to one as its clients \
         do.",
    );
}

/// Arguments and options, as clap_mangen has them, with a headline.
fn options(command: &Command) -> io::Result<String> {
    let mut rendered = Vec::new();
    Man::new(command.clone().mut_args(with_its_values)).render_options_section(&mut rendered)?;
    String::from_utf8(rendered).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The values that an argument may have stand in its sentence: clap_mangen's list of them is a warning of mandoc's.
fn with_its_values(argument: Arg) -> Arg {
    if !argument.get_action().takes_values() {
        return argument;
    }
    let values = argument.get_possible_values();
    let names: Vec<&str> = values.iter().map(PossibleValue::get_name).collect();
    match argument.get_help() {
        Some(help) if !names.is_empty() => {
            let help = format!("{help}: {}", names.join(", "));
            argument.help(help).hide_possible_values(true)
        }
        _ => argument,
    }
}

fn commands(page: &mut Page, program: &Command) -> io::Result<()> {
    page.section("COMMANDS");
    page.paragraph("Each takes --config, --env-file and --help as well.");
    // Of the definition as it is written: built, it would repeat at each command what all have.
    for command in program.get_subcommands() {
        let built = format!("philote {}", command.get_name());
        let command = command.clone().bin_name(built).disable_help_flag(true);
        page.subsection(&usage(&command));
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        page.paragraph(&sentence(&about));
        if command.get_arguments().next().is_some() {
            let rendered = options(&command)?;
            let (_, entries) = rendered.split_once(".SH OPTIONS\n").unwrap_or_default();
            page.rendered(entries);
        }
    }
    Ok(())
}

/// `philote check [OPTIONS]`.
fn usage(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    usage.trim_start_matches("Usage:").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn service(page: &mut Page) {
    page.section("AS A SERVICE");
    page.paragraph(
        "Test a changed configuration before it is used, with `philote check --running`, which has \
         the server look at its own files. `systemctl reload philote` and `philote reload` then put \
         it in force and wait for the outcome: all of it or nothing, and no connection drops but \
         those whose secret is accepted no more.",
    );
    page.paragraph(
        "A stop is polite: connections are closed with a reason, evenly, within \
         shutdown.drain_timeout. The service manager has to wait longer than that.",
    );
    page.paragraph(
        "With the listener held by systemd a restart refuses nobody: who comes meanwhile waits for \
         the new process, and ports below 1024 need no privilege. The addresses of `philote.socket` \
         then replace listen as a whole. To go over to it:",
    );
    page.verbatim(ACTIVATE);
    page.paragraph("To stop then, since whoever connects wakes a service that is stopped alone:");
    page.verbatim(STOP);
}

fn log(page: &mut Page) {
    page.section("LOG");
    page.paragraph(
        "Where standard error is connected to the journal, the log goes there with fields: \
         PHILOTE_EVENT is the name of the event, and each field below has PHILOTE_ in front and \
         stands in capitals. Otherwise, and as log.output and log.format have it, the same stands in \
         text or JSON, where the name is in the field event. No token, secret, query or message is \
         ever among them. In brackets: the level, and the fields.",
    );
    for event in EVENTS {
        let level = event.level.as_str().to_lowercase();
        let facts = match event.fields {
            [] => level,
            fields => format!("{level}; {}", fields.join(", ")),
        };
        page.entry(event.name, &format!("({facts}) {}", event.meaning));
        if let Some(id) = event.message_id {
            page.more(&format!("MESSAGE_ID={id}"));
        }
    }
}

fn files(page: &mut Page) {
    page.section("FILES");
    page.entry(
        &paths::configuration().display().to_string(),
        "The configuration that is read where neither --config nor $PHILOTE_CONFIG names one; it may \
         be absent. See `philote.toml`(5).",
    );
    page.entry(
        &paths::control_socket().display().to_string(),
        "The control socket that the commands look for where nothing names one. It is open to the \
         server's user and root, unless control.mode or control.group say otherwise.",
    );
}

/// What help shows below the options: a line each, with its explanation behind two spaces.
fn examples(page: &mut Page, program: &Command) {
    page.section("EXAMPLES");
    let text = program.get_after_help().map(ToString::to_string).unwrap_or_default();
    for line in text.lines().skip(1) {
        if let Some((example, meaning)) = line.trim().split_once("  ") {
            page.entry(example, &sentence(meaning.trim()));
        }
    }
}

/// With a capital and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.trim_end_matches('.').chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
