//! Owns what is written about the keys for people, all of it from the table: the example file, the
//! documentation's table, and the entries that a man page is made of.

use super::key::{Key, Reload, Unset};
use super::keys::{self, SECTIONS, TOP};
use super::secrets::SECRET;

/// What there is to say of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The path of the key.
    pub key: &'static str,
    /// In words, or as TOML.
    pub default: String,
    /// What may be written.
    pub allowed: String,
    /// `PHILOTE_...` first, then older names.
    pub variables: Vec<String>,
    /// When a changed value holds.
    pub reload: Reload,
    /// Sentences.
    pub doc: &'static str,
}

/// Every key, in the order in which they are shown.
pub fn reference() -> Vec<Entry> {
    let entry = |key: &Key| Entry {
        key: key.path,
        default: key.default_text(),
        allowed: key.field.allowed(),
        variables: key.variables(),
        reload: key.reload,
        doc: key.doc,
    };
    keys::all().map(entry).collect()
}

/// The sections of the file in the order in which they are shown, each with what it is about.
pub fn sections() -> impl Iterator<Item = (&'static str, &'static str)> {
    SECTIONS.iter().map(|section| (section.name, section.doc))
}

/// The text of `config.example.toml`: every key, commented out, with its default. Only the empty secret is not
/// commented out, since a file has to say that none is meant.
pub fn example() -> String {
    let mut text = String::new();
    paragraph(
        &mut text,
        "The configuration of philote: every key, commented out but for the empty secret, with its default or, where \
         that depends on the machine, an example. Times are \
         \"500ms\", \"25s\", \"2m\" or \"1h\", sizes \"64KiB\" or \"1MiB\" (a bare number is \
         bytes). Where something can be switched off, the value is \"off\".",
    );
    text.push_str("#\n");
    paragraph(
        &mut text,
        "Each key can be set by a variable too, which wins: PHILOTE_ and the path of the key in \
         capitals, such as PHILOTE_LIMITS_MAX_CONNECTIONS; lists with commas. `philote check` \
         tests this file, `philote check --print` shows what holds and where it was set.",
    );
    TOP.iter().for_each(|key| example_of(&mut text, key));
    for section in SECTIONS {
        text.push('\n');
        paragraph(&mut text, section.doc);
        text.push_str(&format!("[{}]\n", section.name));
        section.keys.iter().for_each(|key| example_of(&mut text, key));
    }
    text
}

fn example_of(text: &mut String, key: &Key) {
    text.push('\n');
    paragraph(text, key.doc);
    let facts = format!(
        "Default: {}. Allowed: {}. After a reload: {}.",
        key.default_text(),
        key.field.allowed(),
        key.reload
    );
    paragraph(text, &facts);
    if !key.other_variables.is_empty() {
        paragraph(text, &format!("Variable: also {}.", key.other_variables.join(", ")));
    }
    let hash = if key.path == SECRET { "" } else { "#" };
    text.push_str(&format!("{hash}{} = {}\n", key.split().1, key.example()));
}

/// Comment lines of at most 90 characters.
fn paragraph(text: &mut String, words: &str) {
    let mut line = String::from("#");
    for word in words.split_whitespace() {
        if line.len() + 1 + word.len() > 90 {
            text.push_str(&line);
            text.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}

/// The table of the keys in `docs/configuration.md`.
pub fn markdown_table() -> String {
    let mut text = String::from(
        "| key | default | allowed | other variable | after a reload | |\n|---|---|---|---|---|---|\n",
    );
    for key in keys::all() {
        let default = match key.unset {
            Unset::Fixed => format!("`{}`", key.default_text()),
            Unset::Told { words, .. } => words.to_owned(),
        };
        let variables: Vec<_> =
            key.other_variables.iter().map(|name| format!("`{name}`")).collect();
        text.push_str(&format!(
            "| `{}` | {default} | {} | {} | {} | {} |\n",
            key.path,
            key.field.allowed(),
            variables.join(", "),
            key.reload,
            key.doc
        ));
    }
    text
}
