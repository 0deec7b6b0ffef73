//! Owns [`of`]: the text as a whole. Crates with the same words stand together.

use std::collections::BTreeMap;
use std::io;

use super::crates::Crate;
use super::licence;

/// What stands in front, beside the crates: what every program in Rust is linked with.
const HEAD: &str = "\
Third-party notices

philote is made with the Rust crates below, whose authors ask that the following goes with it. Where one of them may be
had under the MIT licence or another, it was taken under the MIT licence.

The standard library of Rust is in it as well, which is Copyright (c) The Rust Project Contributors, and was taken under
the MIT licence as it stands below for many (https://www.rust-lang.org). A static binary holds the GNU C Library
besides, which is under the GNU Lesser General Public License, version 2.1 or later
(https://www.gnu.org/software/libc): with philote's source and its Makefile it can be linked anew with another one.
";

const RULE: &str =
    "================================================================================\n";

/// The notices of these crates.
///
/// # Errors
/// Where one of them has none, or they cannot be read.
pub(crate) fn of(crates: &[Crate]) -> io::Result<String> {
    let mut alike: Vec<(Vec<String>, Vec<&Crate>)> = Vec::new();
    let mut places: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    for one in crates {
        let texts = licence::texts(one)?;
        let place = *places.entry(texts.clone()).or_insert(alike.len());
        match alike.get_mut(place) {
            Some((_, crates)) => crates.push(one),
            None => alike.push((texts, vec![one])),
        }
    }
    let mut text = HEAD.to_owned();
    for (texts, crates) in alike {
        text.push('\n');
        text.push_str(RULE);
        for Crate { name, version, licence, repository, .. } in crates {
            text.push_str(format!("{name} {version} ({licence}) {repository}").trim_end());
            text.push('\n');
        }
        for part in texts {
            text.push('\n');
            text.push_str(&part);
            text.push('\n');
        }
    }
    Ok(text)
}
