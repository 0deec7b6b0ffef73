//! Owns [`Page`], a manual page as man(7) has it: what stands where, and nothing of what it says.

use clap_mangen::roff::{Inline, Roff, bold, roman};

/// A manual page that is being written.
pub(crate) struct Page {
    source: String,
    /// Whether a headline was the last thing written, behind which a paragraph begins by itself.
    below_headline: bool,
}

impl Page {
    /// A page with its title line: `name` in this section of the manual, last changed at `date`.
    pub(crate) fn new(name: &str, section: &str, date: &str) -> Self {
        let source = concat!("philote ", env!("CARGO_PKG_VERSION"));
        let mut title = Roff::new();
        title.control("TH", [name, section, date, source, "philote"]);
        Self { source: title.render(), below_headline: false }
    }

    /// The source of the page.
    pub(crate) fn finish(self) -> String {
        self.source
    }

    /// The page's name, and what it is about in half a sentence.
    pub(crate) fn name(&mut self, name: &str, about: &str) {
        self.section("NAME");
        self.add(|roff| {
            roff.text([roman(format!("{name} - {about}"))]);
        });
    }

    pub(crate) fn section(&mut self, title: &str) {
        self.add(|roff| {
            roff.control("SH", [title]);
        });
        self.below_headline = true;
    }

    pub(crate) fn subsection(&mut self, title: &str) {
        self.add(|roff| {
            roff.control("SS", [title]);
        });
        self.below_headline = true;
    }

    /// Prose; what stands in backticks is set in bold.
    pub(crate) fn paragraph(&mut self, text: &str) {
        let begins = !self.below_headline;
        self.add(|roff| {
            if begins {
                roff.control("PP", []);
            }
            roff.text(marked(text));
        });
    }

    /// Something, and behind it, further in, what there is to say of it.
    pub(crate) fn entry(&mut self, head: &str, text: &str) {
        self.add(|roff| {
            roff.control("TP", []);
            roff.text([bold(head)]);
            roff.text(marked(text));
        });
    }

    /// More to say of the last entry, a line of its own.
    pub(crate) fn more(&mut self, text: &str) {
        self.add(|roff| {
            roff.control("br", []);
            roff.text(marked(text));
        });
    }

    /// Lines that stay as they are.
    pub(crate) fn verbatim(&mut self, text: &str) {
        self.add(|roff| {
            roff.control("PP", []);
            roff.control("RS", ["4"]);
            roff.control("nf", []);
            for line in text.lines() {
                // An empty line would be a paragraph's end.
                if line.is_empty() {
                    roff.control("sp", []);
                } else {
                    roff.text([roman(line)]);
                }
            }
            roff.control("fi", []);
            roff.control("RE", []);
        });
    }

    /// A piece that other code has rendered.
    pub(crate) fn rendered(&mut self, piece: &str) {
        // Each piece begins with the definition of the apostrophe; the page has it already.
        let definition = Roff::new().render();
        self.below_headline = false;
        self.source.push_str(piece.strip_prefix(&*definition).unwrap_or(piece));
    }

    fn add(&mut self, write: impl FnOnce(&mut Roff)) {
        let mut roff = Roff::new();
        write(&mut roff);
        self.rendered(&roff.render());
    }
}

fn marked(text: &str) -> Vec<Inline> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let parts = text.split('`').enumerate();
    parts.map(|(at, part)| if at % 2 == 0 { roman(part) } else { bold(part) }).collect()
}
