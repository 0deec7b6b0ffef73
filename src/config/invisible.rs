//! Owns what nobody sees in a secret and yet belongs to it, so that tokens signed without it are refused: a byte order
//! mark, white space at an end, quotes around it. Never shows the rest of the secret.

/// The most places that are named; more are more of the same.
const MOST: usize = 4;

/// What is there that an eye misses, each with its place, from the beginning to the end; nothing of a secret that is
/// what it looks like, or no text at all.
pub(super) fn found_in(secret: &[u8]) -> Vec<String> {
    if secret.starts_with(b"\xff\xfe") || secret.starts_with(b"\xfe\xff") {
        return vec!["the byte order mark of UTF-16 at its beginning".into()];
    }
    let Ok(text) = std::str::from_utf8(secret) else { return Vec::new() };
    let visible = text.trim_matches(is_invisible);
    let start = text.len() - text.trim_start_matches(is_invisible).len();
    let end = start + visible.len();
    let mut found = Vec::new();
    for (at, character) in text.char_indices().filter(|(_, character)| is_invisible(*character)) {
        let place = match at {
            at if at < start => "at its beginning".to_owned(),
            at if at >= end => "at its end".to_owned(),
            // Words with blanks between them are what they look like.
            _ if character == ' ' => continue,
            at => format!("at byte {}", at + 1),
        };
        found.push(format!("{} {place}", name(character)));
    }
    if found.len() > MOST {
        found.truncate(MOST);
        found.push("more of the kind".into());
    }
    let quotes = ['"', '\'', '`', '\u{201c}', '\u{2018}'];
    let ends = visible.chars().next().zip(visible.chars().next_back());
    if let Some((first, last)) = ends
        && visible.chars().count() > 1
        && quotes.contains(&first)
        && [first, '\u{201d}', '\u{2019}'].contains(&last)
    {
        found.push("quotes around it".into());
    }
    found
}

/// Characters without ink: white space, control characters, and those that only steer others (Unicode's Cf, as far as
/// editors and web pages leave them behind).
fn is_invisible(character: char) -> bool {
    character.is_whitespace()
        || character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}'
        )
}

fn name(character: char) -> String {
    let known = match character {
        '\n' => "a newline",
        '\r' => "a carriage return",
        '\t' => "a tab",
        ' ' => "a blank",
        '\0' => "a NUL",
        '\u{feff}' => "a byte order mark",
        '\u{a0}' => "a blank that does not break",
        _ => return format!("an invisible character (U+{:04X})", u32::from(character)),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_named_with_its_place() {
        let cases: [(&[u8], &[&str]); 22] = [
            (b"", &[]),
            (b"0123456789abcdef", &[]),
            (b"correct horse battery staple", &[]),
            (b"pass\"word\"", &[]),
            (b"\"", &[]),
            ("gr\u{fc}\u{df}e".as_bytes(), &[]),
            (b"\xff\x00\n\x80", &[]),
            (b"\xef\xbb\xbfabc", &["a byte order mark at its beginning"]),
            (b"\xff\xfea\0b\0", &["the byte order mark of UTF-16 at its beginning"]),
            (b"abc\n", &["a newline at its end"]),
            (b"abc\r", &["a carriage return at its end"]),
            (b"abc\r\n", &["a carriage return at its end", "a newline at its end"]),
            (b"abc ", &["a blank at its end"]),
            (b" abc", &["a blank at its beginning"]),
            (b"\tabc", &["a tab at its beginning"]),
            (b"ab\nc", &["a newline at byte 3"]),
            (b"ab\0c", &["a NUL at byte 3"]),
            ("ab\u{200b}c".as_bytes(), &["an invisible character (U+200B) at byte 3"]),
            ("abc\u{a0}".as_bytes(), &["a blank that does not break at its end"]),
            (b"\"abc\"", &["quotes around it"]),
            ("\u{201c}abc\u{201d}\n".as_bytes(), &["a newline at its end", "quotes around it"]),
            (b" ", &["a blank at its beginning"]),
        ];
        for (secret, expected) in cases {
            assert_eq!(found_in(secret), expected, "{secret:?}");
        }
    }

    #[test]
    fn a_long_file_is_named_in_one_line() {
        let found = found_in("line\n".repeat(1000).as_bytes());
        assert_eq!(found.len(), MOST + 1);
        assert_eq!(found[MOST], "more of the kind");
    }
}
