//! Owns [`Positions`]: where bytes of a text stand, in lines and columns, found without reading the text again for each.

use super::fault::Position;

/// Bytes between two counts of characters: what a position costs to find, against a word of memory.
const STEP: usize = 256;

/// The lines and columns of one text.
pub(super) struct Positions<'a> {
    text: &'a [u8],
    /// Where each line begins, in bytes.
    lines: Vec<usize>,
    /// For each multiple of [`STEP`], how many characters begin before it.
    characters: Vec<usize>,
}

impl<'a> Positions<'a> {
    /// Reads the text once.
    pub(super) fn of(text: &'a str) -> Self {
        let text = text.as_bytes();
        let (mut lines, mut characters, mut count) = (vec![0], vec![0], 0);
        for block in text.chunks(STEP) {
            count += begun_in(block);
            characters.push(count);
        }
        let newlines = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        lines.extend(newlines.map(|(at, _)| at + 1));
        Self { text, lines, characters }
    }

    /// The line of byte `offset`, from 1.
    pub(super) fn line_of(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset)
    }

    /// The position of byte `offset`; an offset beyond the end is the end.
    pub(super) fn at(&self, offset: usize) -> Position {
        let offset = offset.min(self.text.len());
        let line = self.line_of(offset);
        let start = self.lines[line - 1];
        Position {
            line,
            column: self.characters_before(offset) - self.characters_before(start) + 1,
        }
    }

    fn characters_before(&self, offset: usize) -> usize {
        let block = offset / STEP;
        self.characters[block] + begun_in(&self.text[block * STEP..offset])
    }
}

/// How many characters begin in a piece of UTF-8: bytes that continue one are not counted.
fn begun_in(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xC0 != 0x80).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_counts_columns_in_characters() {
        let text = "x = [\"\u{e4}\u{1f980}\", 1]";
        let at = |text: &str, offset| Positions::of(text).at(offset);
        assert_eq!(at(text, text.len() - 2), Position { line: 1, column: 12 });
        assert_eq!(at("a\nb", 2), Position { line: 2, column: 1 });
        assert_eq!(at("a\n", 99), Position { line: 2, column: 1 });
        assert_eq!(at("", 0), Position { line: 1, column: 1 });
    }

    #[test]
    fn every_byte_of_a_long_text_is_where_counting_from_its_beginning_finds_it() {
        let text = "k = \"\u{e4}\u{1f980}\"\n# \u{20ac}\n\n".repeat(60) + &"\u{e4}x".repeat(400);
        let positions = Positions::of(&text);
        let (mut line, mut column) = (1, 1);
        for (offset, character) in text.char_indices() {
            assert_eq!(positions.at(offset), Position { line, column }, "{offset}");
            (line, column) = if character == '\n' { (line + 1, 1) } else { (line, column + 1) };
        }
        assert_eq!(positions.at(text.len()), Position { line, column });
        assert!(line > 100 && column > 800, "{line}:{column}");
    }
}
