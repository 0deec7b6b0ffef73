//! Owns the syntax of `--env-file`: that of systemd's `EnvironmentFile=`, with `export ` allowed
//! in front. Where systemd would guess or skip, this is an error.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::environment::Variable;
use super::fault::Origin;
use super::positions::Positions;
use super::report::Report;

/// Reads the lines `NAME=value`. The later of two lines with one name holds, as for systemd.
pub(super) fn read(path: &Arc<Path>, text: &str, report: &mut Report) -> Vec<Variable> {
    let positions = Positions::of(text);
    let mut variables: Vec<Option<Variable>> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut cursor = Cursor { text, at: 0 };
    while cursor.at < text.len() {
        match cursor.line() {
            Ok(None) => {}
            Ok(Some((at, name, value))) => {
                let origin = Origin::EnvFile {
                    path: path.clone(),
                    position: positions.at(at),
                    variable: name.clone(),
                };
                if let Some(before) = places.insert(name.clone(), variables.len()) {
                    variables[before] = None;
                }
                variables.push(Some(Variable { name, text: value.into(), origin }));
            }
            Err((at, what)) => {
                let position = Some(positions.at(at));
                report.fault(&Origin::File { path: path.clone(), position }, None, what);
                cursor.skip_line();
            }
        }
    }
    variables.into_iter().flatten().collect()
}

/// Where in the text, and what is wrong; never what stands there, which may be a secret.
type Complaint = (usize, &'static str);

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.next();
        }
    }

    fn skip_line(&mut self) {
        self.skip_while(|c| c != '\n');
        self.next();
    }

    /// One line, or several where a quote or a backslash goes over its end; `None` where nothing
    /// is set there.
    fn line(&mut self) -> Result<Option<(usize, String, String)>, Complaint> {
        self.skip_while(is_blank);
        match self.peek() {
            None | Some('\n' | '#' | ';') => {
                self.skip_line();
                return Ok(None);
            }
            Some(_) => {}
        }
        if let Some(rest) = self.text[self.at..].strip_prefix("export")
            && rest.starts_with([' ', '\t'])
        {
            self.at += "export".len();
            self.skip_while(is_blank);
        }
        let start = self.at;
        self.skip_while(|c| c.is_ascii_alphanumeric() || c == '_');
        let name = self.text[start..self.at].to_owned();
        self.skip_while(is_blank);
        if self.peek() == Some('\u{feff}') {
            // systemd would not know this name.
            return Err((self.at, "a byte order mark; save the file as UTF-8 without one"));
        }
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err((start, "no name of a variable; write NAME=value, or # before a comment"));
        }
        if self.peek() != Some('=') {
            return Err((self.at, "no = after the name; write NAME=value, or # before a comment"));
        }
        self.next();
        self.skip_while(is_blank);
        let value = match self.peek() {
            Some(quote @ ('\'' | '"')) => self.quoted(quote)?,
            _ => self.bare(),
        };
        Ok(Some((start, name, value)))
    }

    /// Up to the end of the line; a backslash takes the next character as it stands, or goes on in
    /// the next line.
    fn bare(&mut self) -> String {
        let mut value = String::new();
        let mut kept = 0;
        while let Some(c) = self.next() {
            match c {
                '\n' => break,
                '\\' => match self.next() {
                    Some('\n') => {}
                    Some('\r') if self.peek() == Some('\n') => drop(self.next()),
                    Some(c) => {
                        value.push(c);
                        kept = value.len();
                    }
                    None => {}
                },
                c => {
                    value.push(c);
                    if !is_blank(c) {
                        kept = value.len();
                    }
                }
            }
        }
        value.truncate(kept);
        value
    }

    /// Up to the closing quote, over line ends; then nothing more may stand in the line.
    fn quoted(&mut self, quote: char) -> Result<String, Complaint> {
        let start = self.at;
        self.next();
        let mut value = String::new();
        loop {
            match self.next() {
                None => {
                    self.at = start;
                    return Err((start, "the quote is never closed; close it"));
                }
                Some(c) if c == quote => break,
                Some('\\') if quote == '"' => match self.next() {
                    Some('\n') | None => {}
                    Some(c @ ('"' | '\\' | '`' | '$')) => value.push(c),
                    Some(c) => value.extend(['\\', c]),
                },
                Some(c) => value.push(c),
            }
        }
        self.skip_while(is_blank);
        match self.peek() {
            None => Ok(value),
            Some('\n') => {
                self.next();
                Ok(value)
            }
            Some(_) => {
                Err((self.at, "something after the closing quote; put the whole value in quotes"))
            }
        }
    }
}

/// Blanks inside of a line; the carriage return of a file from Windows is one.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Vec<(String, String)>, Vec<String>) {
        let mut report = Report::default();
        let variables = read(&Path::new("/env").into(), text, &mut report);
        let named = variables
            .into_iter()
            .map(|variable| (variable.name, variable.text.into_string().expect("it was text")));
        (named.collect(), report.into_sorted().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_line_is_read_as_systemd_reads_it() {
        let cases = [
            ("A=b", "b"),
            ("A=b\r\n", "b"),
            ("export A=b", "b"),
            ("export\tA=b", "b"),
            ("  A = b c  \n", "b c"),
            ("A=", ""),
            ("A=\n", ""),
            ("A=b # no comment", "b # no comment"),
            ("A=b'c\"d", "b'c\"d"),
            ("A='b c' ", "b c"),
            ("A=\"b c\"\r\n", "b c"),
            ("A='b\\n\"c'", "b\\n\"c"),
            ("A=\"b\\\"c\\\\d\\$e\\`f\\ng\"", "b\"c\\d$e`f\\ng"),
            ("A=\"b\\\nc\"", "bc"),
            ("A='b\nc'", "b\nc"),
            ("A=\"b\nc\"", "b\nc"),
            ("A=b\\\nc", "bc"),
            ("A=b\\\r\nc", "bc"),
            ("A=b\\ ", "b "),
            ("A=b\\", "b"),
            ("A=$HOME", "$HOME"),
            ("A==b", "=b"),
            ("A=\u{e4}", "\u{e4}"),
            ("# B=1\n; C=2\n\n\t# D=3\nA=b", "b"),
            ("# B=1 \\\nA=b", "b"),
            ("A=1\nA=b", "b"),
        ];
        for (text, value) in cases {
            let expected = (vec![("A".to_owned(), value.to_owned())], Vec::new());
            assert_eq!(parse(text), expected, "{text:?}");
        }
        let (variables, _) = parse("exportA=1\nexport=2\n_A1=3");
        let names: Vec<_> = variables.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["exportA", "export", "_A1"]);
    }

    #[test]
    fn a_line_that_systemd_would_skip_or_guess_is_told_and_the_others_are_read() {
        let name = "no name of a variable; write NAME=value, or # before a comment";
        let equals = "no = after the name; write NAME=value, or # before a comment";
        let cases = [
            ("A", 2, equals),
            ("A B=c", 3, equals),
            ("A-B=c", 2, equals),
            ("=c", 1, name),
            ("\u{feff}A=c", 1, "a byte order mark; save the file as UTF-8 without one"),
            ("1A=c", 1, name),
            ("'A'=c", 1, name),
            ("export =c", 8, name),
            ("A='b", 3, "the quote is never closed; close it"),
            ("A='b' c", 7, "something after the closing quote; put the whole value in quotes"),
        ];
        for (line, column, what) in cases {
            let (variables, faults) = parse(&format!("X=1\n{line}\nY=2\n"));
            assert_eq!(faults, [format!("/env:2:{column}: {what}")], "{line}");
            let names: Vec<_> = variables.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["X", "Y"], "{line}");
        }
    }
}
