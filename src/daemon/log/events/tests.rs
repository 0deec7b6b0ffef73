//! Holds the code against the table: reads the source, finds each macro that logs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::{EVENTS, EventKind};

const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// Names that a line of JSON has already.
const RESERVED: [&str; 5] = ["timestamp", "level", "target", "event", "message"];

/// One macro that logs.
struct Site {
    place: String,
    level: String,
    arguments: Vec<String>,
}

#[test]
fn every_line_of_the_log_has_an_event_name_that_the_table_documents() {
    let sites = sites();
    assert!(sites.len() > 15, "only {} macros that log were found", sites.len());
    let mut wrong = Vec::new();
    for Site { place, level, arguments } in &sites {
        let name = arguments.first().and_then(|first| first.strip_prefix("event = "));
        let Some(name) = name.and_then(literal) else {
            wrong.push(format!("{place}: begin with `event = \"...\"`, a name in EVENTS"));
            continue;
        };
        let Some(event) = EVENTS.iter().find(|event| event.name == name) else {
            wrong.push(format!("{place}: describe the event {name} in EVENTS"));
            continue;
        };
        if !event.level.as_str().eq_ignore_ascii_case(level) {
            wrong
                .push(format!("{place}: {name} is logged at {level}, EVENTS says {}", event.level));
        }
        wrong.extend(
            fields(arguments)
                .filter(|field| !event.fields.contains(&field.as_str()))
                .map(|field| format!("{place}: add the field {field} to {name} in EVENTS")),
        );
        if literal(arguments.last().map_or("", |last| last)).is_none()
            && !arguments.iter().skip(1).any(|argument| argument.starts_with('"'))
        {
            wrong.push(format!("{place}: {name} says nothing in words"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_documented_event_and_field_is_logged_somewhere() {
    let mut logged: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for Site { arguments, .. } in sites() {
        let name = arguments.first().and_then(|first| first.strip_prefix("event = "));
        if let Some(name) = name.and_then(literal) {
            logged.entry(name.to_owned()).or_default().extend(fields(&arguments));
        }
    }
    for EventKind { name, fields, .. } in EVENTS {
        let Some(found) = logged.get(*name) else { panic!("nothing logs {name}") };
        let documented: BTreeSet<String> = fields.iter().map(|&field| field.into()).collect();
        assert_eq!(&documented, found, "the fields of {name}");
    }
}

#[test]
fn names_and_ids_are_well_formed_and_stand_once() {
    let mut names = BTreeSet::new();
    let mut ids = BTreeSet::new();
    let plain = |text: &str| text.chars().all(|c| c == '_' || c.is_ascii_lowercase());
    for event in EVENTS {
        assert!(plain(event.name) && names.insert(event.name), "{event:?}");
        assert!(event.meaning.ends_with('.'), "{event:?}");
        for field in event.fields {
            assert!(plain(field) && !RESERVED.contains(field), "{field} of {event:?}");
        }
        if let Some(id) = event.message_id {
            assert!(ids.insert(id), "{event:?}");
            let parsed = uuid::Uuid::parse_str(id).unwrap();
            assert_eq!((parsed.get_version_num(), parsed.simple().to_string()), (4, id.into()));
        }
    }
    assert_eq!(ids.len(), 6);
}

/// Every macro in `src/` that logs.
fn sites() -> Vec<Site> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&source, &mut files);
    files
        .iter()
        .filter(|path| *path != &source.join("daemon/log/events/tests.rs"))
        .flat_map(|path| {
            let text = fs::read_to_string(path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(&text);
            let code = without_comments(code);
            sites_in(&path.strip_prefix(&source).unwrap().display().to_string(), &code)
        })
        .collect()
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The text with its comment lines blank, so that line numbers stay.
fn without_comments(text: &str) -> String {
    let lines =
        text.lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line });
    lines.collect::<Vec<_>>().join("\n")
}

fn sites_in(file: &str, code: &str) -> Vec<Site> {
    let mut sites = Vec::new();
    for level in LEVELS {
        for (at, found) in code.match_indices(&format!("{level}!(")) {
            let before = &code[..at];
            if before.ends_with(|c: char| c == '_' || c.is_alphanumeric()) {
                continue;
            }
            let place = format!("{file}:{}", 1 + before.matches('\n').count());
            assert!(before.ends_with("tracing::"), "{place}: say tracing::{level}!, to be found");
            let arguments = arguments(&code[at + found.len()..]);
            sites.push(Site { place, level: level.into(), arguments });
        }
    }
    sites
}

/// The arguments of a macro, from behind its opening bracket on.
fn arguments(code: &str) -> Vec<String> {
    let (mut arguments, mut argument) = (Vec::new(), String::new());
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for c in code.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' if !quoted && depth == 0 => break,
            ')' | ']' | '}' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                arguments.push(argument.trim().to_owned());
                argument.clear();
                continue;
            }
            _ => {}
        }
        argument.push(c);
    }
    arguments.push(argument.trim().to_owned());
    arguments.retain(|argument| !argument.is_empty());
    arguments
}

/// The names of the fields, behind the event's own and before the message.
fn fields(arguments: &[String]) -> impl Iterator<Item = String> {
    arguments.iter().skip(1).take_while(|argument| !argument.starts_with('"')).map(|argument| {
        let name = argument.split(" = ").next().unwrap_or(argument);
        name.trim_start_matches(['%', '?']).to_owned()
    })
}

fn literal(argument: &str) -> Option<&str> {
    argument.strip_prefix('"')?.strip_suffix('"')
}
