//! The documentation taken apart: its pages, their fenced blocks by info string, tables and inline code.

use std::path::{Path, PathBuf};

/// The root of the project.
pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A page of the documentation.
pub(super) struct Page {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// README.md and everything in docs/, in the order of their names.
pub(super) fn pages() -> Vec<Page> {
    let entries = std::fs::read_dir(root().join("docs")).expect("docs/");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.sort();
    assert!(paths.len() > 10, "{paths:?}");
    paths.insert(0, root().join("README.md"));
    let read = |path: PathBuf| Page { text: std::fs::read_to_string(&path).expect("a page"), path };
    paths.into_iter().map(read).collect()
}

/// The text of all pages, one after the other.
pub(super) fn documentation() -> String {
    pages().into_iter().map(|page| page.text).collect::<Vec<_>>().join("\n")
}

/// A fenced block.
pub(super) struct Block {
    /// The text behind the opening fence.
    pub(super) info: String,
    pub(super) text: String,
}

/// All fenced blocks of a text, and the text around them.
pub(super) fn parts_of(text: &str) -> (Vec<Block>, String) {
    let (mut blocks, mut around): (Vec<Block>, _) = (Vec::new(), String::new());
    let mut is_open = false;
    for line in text.lines() {
        match (line.strip_prefix("```"), is_open) {
            (Some(info), false) => blocks.push(Block { info: info.into(), text: String::new() }),
            (Some(""), true) => {}
            (Some(more), true) => panic!("a fence within a block: {more}"),
            (None, true) => {
                let block = blocks.last_mut().expect("an open block");
                block.text.push_str(line);
                block.text.push('\n');
                continue;
            }
            (None, false) => {
                around.push_str(line);
                around.push('\n');
                continue;
            }
        }
        is_open = !is_open;
    }
    assert!(!is_open, "the last block has no end");
    (blocks, around)
}

/// The fenced blocks of all pages, and the text around them.
pub(super) fn parts() -> (Vec<Block>, String) {
    let (blocks, around) = parts_of(&documentation());
    assert!(!blocks.is_empty());
    (blocks, around)
}

/// The block with this info string. If several pages show it, they show the same.
#[track_caller]
pub(super) fn block(info: &str) -> String {
    let (blocks, _) = parts();
    let mut found = blocks.into_iter().filter(|block| block.info == info);
    let block = found.next().unwrap_or_else(|| panic!("no block {info:?}"));
    for other in found {
        assert_eq!(other.text, block.text, "two different blocks {info:?}");
    }
    block.text
}

/// Replaces what must stand there.
#[track_caller]
pub(super) fn with(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "no {from:?} in:\n{text}");
    text.replace(from, to)
}

/// The cells of the first table whose first column has this title; without its head.
#[track_caller]
pub(super) fn table(title: &str) -> Vec<Vec<String>> {
    let (_, around) = parts();
    rows(&around, title)
}

/// The same of one text.
#[track_caller]
pub(super) fn rows(text: &str, title: &str) -> Vec<Vec<String>> {
    let head = format!("| {title} |");
    let mut lines = text.lines().skip_while(|line| !line.starts_with(&head));
    assert!(lines.next().is_some(), "no table of {title:?}");
    let rule = lines.next().unwrap_or_default();
    assert!(rule.starts_with("|---"), "{rule}");
    let rows: Vec<Vec<String>> = lines
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().to_owned()).collect()
        })
        .collect();
    assert!(!rows.is_empty(), "an empty table of {title:?}");
    rows
}

/// Each piece of inline code, with what follows it in its line.
pub(super) fn inline_code() -> Vec<(String, String)> {
    let (_, around) = parts();
    let mut found = Vec::new();
    for line in around.lines() {
        let pieces: Vec<&str> = line.split('`').collect();
        assert!(pieces.len() % 2 == 1, "inline code without an end: {line}");
        for (at, piece) in pieces.iter().enumerate().skip(1).step_by(2) {
            found.push(((*piece).to_owned(), pieces[at + 1].to_owned()));
        }
    }
    assert!(!found.is_empty());
    found
}
