//! Owns the TOML file: its text in, the keys it gives out. Every fault of the text is reported,
//! those of the syntax and those of unknown names, with line and column.

use std::path::Path;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::fault::Origin;
use super::key::{Key, is_section, nearest};
use super::keys::{self, SECTIONS};
use super::layer::Given;
use super::node::Node;
use super::positions::Positions;
use super::report::Report;

/// Reads the text of the file at `path`.
pub(super) fn read(path: &Arc<Path>, text: &str, report: &mut Report) -> Vec<Given> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let positions = Positions::of(text);
    let place = |offset| Origin::File { path: path.clone(), position: Some(positions.at(offset)) };
    let offset = |error: &toml::de::Error| error.span().map_or(text.len(), |span| span.start);
    let mut errors: Vec<_> = errors.iter().map(|error| (offset(error), error.message())).collect();
    errors.sort_by_key(|(offset, _)| *offset);
    let mut last = 0;
    for (offset, message) in errors {
        let line = positions.line_of(offset);
        // After the first error of a line the parser guesses; after an open bracket so it does in
        // the next line.
        if line != last {
            last = line;
            report.fault_of_file(|| place(offset), || syntax(message));
        }
        report.guess(line..=line + usize::from(message.starts_with("unclosed")));
    }
    let mut walk = Walk { place: &place, report, found: Vec::new() };
    walk.top(table.get_ref());
    walk.found
}

/// The parser's words for people: what, and how to mend it. Names nothing that stands in the file,
/// which may be a secret.
fn syntax(message: &str) -> String {
    let (what, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    let known = match what {
        "duplicate key" => "set twice; keep one",
        "key with no value" => "a key without a value; write KEY = VALUE, or # before a comment",
        "string values must be quoted"
        | "missing opening quote"
        | "invalid boolean"
        | "invalid float"
        | "invalid date-time"
        | "invalid integer number"
        | "invalid mantissa"
        | "invalid fraction"
        | "invalid exponent" => "text without quotes; put it in quotes, as in \"info\" or \"25s\"",
        "invalid basic string" | "invalid literal string" => {
            "a string that is not closed, or has a control character in it; close it in its line"
        }
        "invalid multi-line basic string" | "invalid multi-line literal string" => {
            "a string that is not closed, or has a control character in it; close it with three \
             quotes"
        }
        "missing escaped value" => {
            "an unknown escape; write \\\\ for a backslash, or put the text in single quotes"
        }
        "invalid key" | "invalid unquoted key" => {
            "a character that is in no name; write KEY = VALUE, or # before a comment"
        }
        _ => "",
    };
    match (known, expected) {
        ("", "") => format!("{what}; mend the line"),
        ("", "nothing") => format!("{what}; take it out"),
        ("", expected) => format!("{what}; expected {expected}"),
        (known, _) => known.to_owned(),
    }
}

struct Walk<'a> {
    place: &'a dyn Fn(usize) -> Origin,
    report: &'a mut Report,
    found: Vec<Given>,
}

impl Walk<'_> {
    fn top(&mut self, table: &DeTable<'_>) {
        for (name, value) in table {
            let (origin, name) = ((self.place)(name.span().start), name.get_ref().as_ref());
            let key = Key::find(name).filter(|key| key.split().0.is_empty());
            match (key, value.get_ref()) {
                (Some(key), _) => self.give(key, value),
                (None, DeValue::Table(section)) if is_section(name) => self.section(name, section),
                (None, _) if is_section(name) => {
                    self.fault(&origin, name, || {
                        format!("is a section; write [{name}] above its keys")
                    });
                }
                (None, DeValue::Table(_) | DeValue::Array(_)) => {
                    // [name] or [[name]], and not name = [...].
                    let is_meant = match value.get_ref() {
                        DeValue::Array(items) => {
                            items.first().is_some_and(|item| item.get_ref().is_table())
                        }
                        _ => true,
                    };
                    self.fault(&origin, name, || match is_meant {
                        true => format!("unknown section; {}", section_meant(name)),
                        false => format!("unknown key; {}", suggestion("", name)),
                    });
                }
                (None, _) => {
                    self.fault(&origin, name, || format!("unknown key; {}", suggestion("", name)));
                }
            }
        }
    }

    fn section(&mut self, section: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let path = format!("{section}.{}", name.get_ref());
            match Key::find(&path) {
                Some(key) => self.give(key, value),
                None => {
                    let origin = (self.place)(name.span().start);
                    self.fault(&origin, &path, || {
                        format!("unknown key; {}", suggestion(section, name.get_ref()))
                    });
                }
            }
        }
    }

    fn give(&mut self, key: &'static Key, value: &toml::Spanned<DeValue<'_>>) {
        self.found.push(Given { key, node: Node::new(value, self.place) });
    }

    fn fault(&mut self, origin: &Origin, key: &str, text: impl FnOnce() -> String) {
        // A name in quotes can be anything, line breaks and escapes of a terminal included.
        let key: String = key.chars().take(100).flat_map(char::escape_debug).collect();
        self.report.fault_with(origin, Some(&key), text);
    }
}

/// What to write instead of the unknown section `name`.
fn section_meant(name: &str) -> String {
    let sections = || SECTIONS.iter().map(|section| section.name);
    match nearest(name, sections()) {
        Some(section) => format!("did you mean [{section}]?"),
        None => format!("there are {}", sections().collect::<Vec<_>>().join(", ")),
    }
}

/// What to write instead of the unknown `name` in `section`.
fn suggestion(section: &str, name: &str) -> String {
    let names = || keys::all().map(Key::split);
    let here = || names().filter(|(of, _)| *of == section).map(|(_, name)| name);
    if let Some(meant) = nearest(name, here()) {
        return format!("did you mean {meant}?");
    }
    // The right key in the wrong section.
    if let Some(meant) = nearest(name, names().map(|(_, name)| name))
        && let Some(key) = keys::all().find(|key| key.split().1 == meant)
    {
        return format!("did you mean {}?", key.path);
    }
    let all: Vec<_> = here().collect();
    match section {
        "" => format!("there are {} and the sections", all.join(", ")),
        _ => format!("[{section}] has {}", all.join(", ")),
    }
}
