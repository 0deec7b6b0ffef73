//! Owns [`escaped`] and [`escaped_json`]: text of strangers on somebody's terminal, on one line.

use std::borrow::Cow;

use crate::visible::{is_hidden, write_json};

/// Control and format characters ([`is_hidden`]) as Rust writes them: `\n`, `\t`, `\u{1b}`, `\u{202e}`. Everything
/// else, a backslash too, stays as it is, so that what holds JSON stays JSON; who must tell `\n` from a
/// newline asks for JSON.
pub(super) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_hidden(c) {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    Cow::Owned(line)
}

/// The same for JSON text, where control and format characters beyond U+001F may stand raw in strings; it means
/// what it meant.
pub(super) fn escaped_json(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_hidden(c) {
            // A string takes everything.
            let _ = write_json(&mut line, c);
        } else {
            line.push(c);
        }
    }
    Cow::Owned(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_format_characters_are_written_out_and_nothing_else() {
        let cases = [
            ("plain \\n é 😀 \"x\"", "plain \\n é 😀 \"x\""),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{1b}[31m\0\u{7f}\u{9b}", "\\u{1b}[31m\\u{0}\\u{7f}\\u{9b}"),
            ("a\u{202e}b\u{2028}c\u{feff}", "a\\u{202e}b\\u{2028}c\\u{feff}"),
        ];
        for (text, expected) in cases {
            assert_eq!(escaped(text), expected);
        }
    }

    #[test]
    fn json_keeps_its_meaning() {
        let json = "\"\u{7f}\u{9b}é\\u001b\u{202e}\u{e0001}\"";
        let line = escaped_json(json);
        assert_eq!(line, "\"\\u007f\\u009bé\\u001b\\u202e\\udb40\\udc01\"");
        let meaning = |text: &str| serde_json::from_str::<String>(text).unwrap();
        assert_eq!(meaning(&line), meaning(json));
    }
}
