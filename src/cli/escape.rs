//! Owns [`escaped`] and [`escaped_json`]: text of strangers on somebody's terminal, on one line.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Control characters (C0, DEL, C1) as Rust writes them: `\n`, `\t`, `\u{1b}`. Everything else, a
/// backslash too, stays as it is, so that what holds JSON stays JSON; who must tell `\n` from a
/// newline asks for JSON.
pub(super) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    Cow::Owned(line)
}

/// The same for JSON text, where control characters beyond U+001F may stand raw in strings; it means
/// what it meant.
pub(super) fn escaped_json(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c.is_control() {
            let _ = write!(line, "\\u{:04x}", u32::from(c));
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
    fn control_characters_are_written_out_and_nothing_else() {
        let cases = [
            ("plain \\n é 😀 \"x\"", "plain \\n é 😀 \"x\""),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{1b}[31m\0\u{7f}\u{9b}", "\\u{1b}[31m\\u{0}\\u{7f}\\u{9b}"),
        ];
        for (text, expected) in cases {
            assert_eq!(escaped(text), expected);
        }
    }

    #[test]
    fn json_keeps_its_meaning() {
        let json = "\"\u{7f}\u{9b}é\\u001b\"";
        let line = escaped_json(json);
        assert_eq!(line, "\"\\u007f\\u009bé\\u001b\"");
        let meaning = |text: &str| serde_json::from_str::<String>(text).unwrap();
        assert_eq!(meaning(&line), meaning(json));
    }
}
