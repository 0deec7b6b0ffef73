//! Owns [`is_hidden`]: which characters of somebody else's text a terminal or a page must not be given as they are,
//! since they do something, or are not seen.

use std::fmt::{self, Write};

/// Whether a character is a control (C0, DEL, C1), a format character (bidirectional embeddings, overrides and
/// isolates, zero-width joiners, byte order marks, tags), a separator of lines or paragraphs, or one that has no
/// meaning (private use, unassigned). Blanks of every other kind and combining marks are seen.
pub fn is_hidden(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    if c.is_whitespace() {
        return c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    }
    // The standard library escapes what is not printable, and combining marks at the beginning of a text alone.
    let mut text = [b'a'; 5];
    let length = c.encode_utf8(&mut text[1..]).len();
    let text = std::str::from_utf8(&text[..=length]).expect("two characters");
    text.escape_debug().nth(2).is_some()
}

/// Writes a character as JSON has it in a string, `\uXXXX`, in two halves beyond the first plane (RFC 8259, 7).
///
/// # Errors
/// Those of `text`.
pub fn write_json(text: &mut impl Write, c: char) -> fmt::Result {
    c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(text, "\\u{unit:04x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All of Unicode 16 whose category is Cf, and the separators Zl and Zp.
    const FORMATS: &[std::ops::RangeInclusive<u32>] = &[
        0xad..=0xad,
        0x600..=0x605,
        0x61c..=0x61c,
        0x6dd..=0x6dd,
        0x70f..=0x70f,
        0x890..=0x891,
        0x8e2..=0x8e2,
        0x180e..=0x180e,
        0x200b..=0x200f,
        0x2028..=0x202e,
        0x2060..=0x2064,
        0x2066..=0x206f,
        0xfeff..=0xfeff,
        0xfff9..=0xfffb,
        0x110bd..=0x110bd,
        0x110cd..=0x110cd,
        0x13430..=0x1343f,
        0x1bca0..=0x1bca3,
        0x1d173..=0x1d17a,
        0xe0001..=0xe0001,
        0xe0020..=0xe007f,
    ];

    #[test]
    fn every_control_and_format_character_is_hidden() {
        let controls = (0..=0x9f).filter_map(char::from_u32).filter(|c| c.is_control());
        let formats = FORMATS.iter().cloned().flatten().filter_map(char::from_u32);
        let all: Vec<char> = controls.chain(formats).collect();
        assert!(all.len() > 200);
        let seen: Vec<_> = all.iter().filter(|c| !is_hidden(**c)).collect();
        assert!(seen.is_empty(), "{seen:?}");
    }

    #[test]
    fn text_of_every_script_is_seen() {
        let text = "plain \\ \"text\" 'é' ÄÖÜß e\u{301} \u{a0}日本語\u{3000}한국어 العربية עברית ภาษาไทย हिन्दी 😀👍\u{fe0f} €";
        assert_eq!(text.chars().find(|c| is_hidden(*c)), None);
    }

    #[test]
    fn a_character_of_json_means_the_same() {
        for c in ['\u{7f}', '\u{202e}', '\u{2028}', '\u{e0001}'] {
            let mut json = String::from("\"");
            write_json(&mut json, c).expect("a string");
            json.push('"');
            assert!(json.is_ascii());
            assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), c.to_string());
        }
    }
}
