//! Owns what a reload must not take although it is well formed: a configuration that asks for less than the one in force
//! because a file is gone or was cut, as a full disk or half a copy leaves it.
//!
//! A start has nothing to compare with; of it `missing_key` demands that somebody names a key.

use std::path::Path;
use std::sync::Arc;

use super::fault::{Fault, Origin};
use super::layer::Layer;
use super::load::Loaded;
use super::secrets::{PREVIOUS, SECRET};
use super::{Auth, Secret, Setting};

/// The keys that keep strangers out, and whose defaults let them in.
const GUARDS: [&str; 6] = [
    "listen",
    "auth.issuer",
    "auth.audience",
    "auth.close_at_expiry",
    "auth.check_origin",
    "auth.allowed_origins",
];

/// The files that a configuration was read from, with their texts, which may hold secrets.
#[derive(Clone, Debug, Default)]
pub(super) struct FilesRead(Vec<FileRead>);

#[derive(Clone, Debug)]
struct FileRead {
    path: Arc<Path>,
    text: Secret,
}

impl FilesRead {
    pub(super) fn of(layers: &[Layer]) -> Self {
        let read = layers.iter().filter_map(|layer| {
            Some(FileRead { path: layer.path.clone()?, text: layer.text.clone() })
        });
        Self(read.collect())
    }

    fn get(&self, path: &Path) -> Option<&FileRead> {
        self.0.iter().find(|file| *file.path == *path)
    }
}

/// Why a reload refuses `new` while `old` is in force; nothing where it takes it.
pub fn refused_by_reload(old: &Loaded, new: &Loaded) -> Vec<Fault> {
    let mut faults = Vec::new();
    faults.extend(no_key_left(old, new));
    faults.extend(cut_secrets(&old.config.auth, new));
    let renamed = old.path.is_some() && new.path.is_some() && old.path != new.path;
    for before in &old.files.0 {
        let is_toml = old.path.as_deref() == Some(&*before.path);
        let nothing = FileRead { path: before.path.clone(), text: Secret::default() };
        match new.files.get(&before.path) {
            Some(now) => faults.extend(Cut { before, now, is_toml, renamed }.fault(old, new)),
            // Another file, which somebody has named.
            None if is_toml && renamed => {}
            None if is_toml => {
                let text = "was read before and is gone; put it back, or restart to do without it";
                faults.push(Fault::new(Origin::whole(&before.path), None, text));
            }
            // Whoever named it said that it may be absent: then it is like an empty one.
            None => faults.extend(Cut { before, now: &nothing, is_toml, renamed }.fault(old, new)),
        }
    }
    faults
}

fn no_key_left(old: &Loaded, new: &Loaded) -> Option<Fault> {
    let auth = &new.config.auth;
    if old.config.auth.accepts_empty_key() || !auth.accepts_empty_key() || auth.allow_empty_secret {
        return None;
    }
    let setting = new.settings.iter().find(|setting| setting.key == SECRET);
    let origin = setting.map_or(Origin::Default, |setting| setting.origin.clone());
    let text = "no key is left, and with the empty secret anyone could sign a token; set SECRET or auth.secret_file, or \
                if that is meant, set auth.allow_empty_secret = true, or restart";
    Some(Fault::new(origin, Some(SECRET), text))
}

/// The new secrets that are the beginning of one in force. A difference in white space alone is somebody's who mends the
/// end of a file.
fn cut_secrets(old: &Auth, new: &Loaded) -> Vec<Fault> {
    let before: Vec<_> = old.accepted_secrets().map(Secret::as_bytes).collect();
    let is_cut = |secret: &Secret| {
        let secret = secret.as_bytes();
        let rests = before.iter().filter_map(|old| old.strip_prefix(secret));
        !secret.is_empty()
            && !before.contains(&secret)
            && rests.into_iter().any(|rest| !rest.trim_ascii().is_empty())
    };
    let auth = &new.config.auth;
    let current = auth.signing_secret().into_iter().map(|secret| (SECRET, secret));
    let previous = auth.previous_secrets.iter().map(|secret| (PREVIOUS, secret));
    let cut = current.chain(previous).filter(|(_, secret)| is_cut(secret));
    cut.map(|(key, _)| {
        let text = "the beginning of a secret in force, as half a copy leaves it, and easier to guess; write the whole \
                    secret, or another one";
        Fault::new(Origin::Default, Some(key), text)
    })
    .collect()
}

/// A file that was read before and is read again.
struct Cut<'a> {
    before: &'a FileRead,
    now: &'a FileRead,
    /// Whether it is the configuration itself, and no file of variables.
    is_toml: bool,
    /// Whether another file is the configuration now.
    renamed: bool,
}

impl Cut<'_> {
    /// What is wrong with a file of which the beginning alone is left. One that ends with a whole line may have been
    /// edited, so that it is taken unless it has lost what keeps strangers out; so is a file of variables that is
    /// empty, which is allowed to be absent.
    fn fault(&self, old: &Loaded, new: &Loaded) -> Option<Fault> {
        let (was, is) = (self.before.text.as_bytes(), self.now.text.as_bytes());
        if is.len() >= was.len() || !was.starts_with(is) {
            return None;
        }
        let is_empty = is.trim_ascii().is_empty();
        let ends_a_line = is_empty || is.ends_with(b"\n") || was[is.len()..].starts_with(b"\n");
        let may_be_edit = ends_a_line && !(is_empty && self.is_toml);
        let lost = lost_from(&self.before.path, old, new);
        let mut named: Vec<_> = lost.filter(|key| !may_be_edit || GUARDS.contains(key)).collect();
        if self.renamed && !self.is_toml {
            // The variable that named the configuration stood in the rest.
            named.push("PHILOTE_CONFIG");
        }
        if named.is_empty() {
            return None;
        }
        let what = if is_empty { "nothing" } else { "the beginning alone" };
        let text = format!(
            "{what} is left of it, as a full disk or half a copy leaves it, and without the rest other values would hold \
             for {}; write the whole file, or if that is meant, add a comment at its end, or restart",
            named.join(", ")
        );
        Some(Fault::new(Origin::whole(&self.before.path), None, text))
    }
}

/// The keys that the file at `path` has set, and whose value is another one now.
fn lost_from<'a>(
    path: &'a Path,
    old: &'a Loaded,
    new: &'a Loaded,
) -> impl Iterator<Item = &'static str> + use<'a> {
    let stands_there = |setting: &Setting| match &setting.origin {
        Origin::File { path: file, .. } | Origin::EnvFile { path: file, .. } => **file == *path,
        Origin::Default | Origin::Environment { .. } => false,
    };
    let set_before = old.settings.iter().filter(move |setting| stands_there(setting));
    set_before
        .filter(move |setting| {
            let now = new.settings.iter().find(|other| other.key == setting.key);
            // A number that was cut stands there still.
            now.is_none_or(|now| now.value != setting.value)
        })
        .map(|setting| setting.key)
}
