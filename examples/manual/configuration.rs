//! Writes philote.toml(5): the configuration file, its keys and their variables.

use philote::config::{Entry, reference, sections};
use philote::paths;

use super::page::Page;

/// A file to start from.
pub(crate) const EXAMPLE: &str = "\
listen = [\"127.0.0.1:6380\", \"unix:/run/philote/clients.sock mode=0660 group=www-data\"]

[auth]
secret_file = \"/etc/philote/secret\"

[limits]
max_connections = 10000";

/// The page, with this date on it.
pub(crate) fn page(date: &str) -> String {
    let path = paths::configuration().display().to_string();
    let mut page = Page::new("philote.toml", "5", date);
    page.name("philote.toml", "configuration file of the WebSocket server philote");
    page.section("SYNOPSIS");
    page.paragraph(&format!("`{path}`"));
    description(&mut page);
    page.section("KEYS");
    let keys = reference();
    let (top, below): (Vec<_>, Vec<_>) = keys.iter().partition(|entry| !entry.key.contains('.'));
    page.paragraph("Before the first section:");
    top.into_iter().for_each(|entry| key(&mut page, entry));
    for (section, doc) in sections() {
        page.subsection(&format!("[{section}]"));
        page.paragraph(doc);
        let of_it = |entry: &&&Entry| entry.key.split('.').next() == Some(section);
        below.iter().filter(of_it).for_each(|entry| key(&mut page, entry));
    }
    environment(&mut page);
    page.section("FILES");
    page.entry(
        &path,
        "Read where neither --config nor $PHILOTE_CONFIG names another; it may be absent.",
    );
    page.section("EXAMPLES");
    page.paragraph("Behind a proxy on the same machine, for ten thousand clients:");
    page.verbatim(EXAMPLE);
    page.section("SEE ALSO");
    page.paragraph("`philote`(1)");
    page.finish()
}

fn description(page: &mut Page) {
    page.section("DESCRIPTION");
    page.paragraph(
        "A file in TOML. Every key may be left out, and the file too. What philote does not know is \
         an error, and all errors are told at once, each with its place and how to mend it: see \
         `philote check`. `philote check --print` shows what holds, and where each value was set.",
    );
    page.paragraph(
        "Times are strings such as \"500ms\", \"25s\", \"2m\" or \"1h\", sizes such as \"64KiB\" or \
         \"1MiB\", or a number of bytes. What can be switched off is \"off\".",
    );
    page.paragraph(
        "A changed file is put in force by `philote reload`, all of it or nothing. With each key stands \
         what it takes to hold: `at once`, for all connections; `new handshakes` or `new connections`, \
         which leaves those that are open as they are; or a restart.",
    );
}

fn key(page: &mut Page, entry: &Entry) {
    page.entry(entry.key, entry.doc);
    page.more(&format!("Default: {}", entry.default));
    page.more(&format!("Allowed: {}", entry.allowed));
    page.more(&format!("After a reload: {}", entry.reload));
    page.more(&format!("Variable: {}", entry.variables.join(", ")));
}

fn environment(page: &mut Page) {
    page.section("ENVIRONMENT");
    page.paragraph(
        "Every key has a variable: PHILOTE_ and the path of the key in capitals, joined by _. Some have \
         an older name too. Lists are written with commas, or as in TOML. A variable that is set to \
         nothing is not set; one that begins with PHILOTE_ and means nothing is a warning.",
    );
    page.paragraph(
        "The environment wins over the file of --env-file, that over the configuration file, that over \
         the defaults, key by key; a secret and its file are one key in that. A running process cannot \
         see its environment change, so what shall be changed by a reload belongs into one of the \
         files.",
    );
    page.paragraph(
        "The file of --env-file has the syntax of systemd's EnvironmentFile=: lines of KEY=value, \
         comments that begin with # or ;, quotes around a value, and no expansion.",
    );
}
