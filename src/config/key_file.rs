//! Owns how the file of a key is read: what is refused of it, and what is warned of, whatever is in it.

use std::path::Path;

use super::fault::Origin;
use super::report::Report;
use super::sources::Sources;

/// More than any key needs; a larger file is another file.
const LIMIT: usize = 64 << 10;

/// Whom a file of a key may be read by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readers {
    /// Whoever has it can sign tokens.
    Few,
    /// It is public.
    All,
}

/// The content of the key's file at `path`, which `key` names at `origin`; `None` where it is refused.
/// What is in it is not looked at.
pub(super) fn read(
    sources: &dyn Sources,
    path: &Path,
    readers: Readers,
    (origin, key): (&Origin, &'static str),
    report: &mut Report,
) -> Option<Vec<u8>> {
    let name = Some(key);
    let content = match sources.read(path, LIMIT) {
        Ok(content) => content,
        Err(error) => {
            let mend = error.remedy("use a file of at most 64 KiB");
            let text = format!("{path:?}: {error}; {mend}");
            if error.is_unreadable() {
                report.unreadable(origin, name, text);
            } else {
                report.fault(origin, name, text);
            }
            return None;
        }
    };
    if content.mode & 0o002 != 0 {
        let text = format!("{path:?}: everybody can write it; chmod o-w {path:?}");
        report.fault(origin, name, text);
        return None;
    }
    // Not refused: secrets are mounted into containers like that.
    if content.mode & 0o004 != 0 && readers == Readers::Few {
        let text = format!("{path:?}: everybody can read it; chmod o-r {path:?}");
        report.warn(origin, name, text);
    }
    if content.mode & 0o020 != 0 && !content.own_group {
        let text = format!("{path:?}: a group that is not ours can write it; chmod g-w {path:?}");
        report.warn(origin, name, text);
    }
    Some(content.bytes)
}
