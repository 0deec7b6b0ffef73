//! The README taken apart: its fenced blocks by their info strings, its tables, its inline code.

use std::path::Path;

/// The whole text.
pub(super) fn readme() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    std::fs::read_to_string(path).expect("README.md")
}

/// A fenced block.
pub(super) struct Block {
    /// What stands behind the opening fence.
    pub(super) info: String,
    pub(super) text: String,
}

/// All fenced blocks, and the text around them.
pub(super) fn parts() -> (Vec<Block>, String) {
    let (mut blocks, mut around): (Vec<Block>, _) = (Vec::new(), String::new());
    let mut is_open = false;
    for line in readme().lines() {
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
    assert!(!blocks.is_empty());
    (blocks, around)
}

/// The only block with this info string.
#[track_caller]
pub(super) fn block(info: &str) -> String {
    let (blocks, _) = parts();
    let mut found = blocks.into_iter().filter(|block| block.info == info);
    let block = found.next().unwrap_or_else(|| panic!("no block {info:?}"));
    assert!(found.next().is_none(), "two blocks {info:?}");
    block.text
}

/// Replaces what must stand there.
#[track_caller]
pub(super) fn with(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "no {from:?} in:\n{text}");
    text.replace(from, to)
}

/// The cells of the only table whose first column has this title; without its head.
#[track_caller]
pub(super) fn table(title: &str) -> Vec<Vec<String>> {
    let (_, around) = parts();
    let head = format!("| {title} |");
    let mut lines = around.lines().skip_while(|line| !line.starts_with(&head));
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
