//! Owns which secrets are in force: the layer that wins, the files behind it, and what is refused.
//! "Nothing configured" and "configured as empty" are two things.

use std::path::Path;

use super::fault::Origin;
use super::invisible;
use super::key::Key;
use super::key_file::{self, Readers};
use super::layer::{Given, Layer};
use super::node::{Node, Value};
use super::report::Report;
use super::sources::Sources;
use super::{Config, PublicKey, Secret, scalar};

/// Each is tried for each token that does not verify.
const MOST_PREVIOUS: usize = 4;

/// RFC 7518, section 3.2: a key of the size of the hash output or larger, here SHA-256's.
const SHORTEST: usize = 32;

pub(super) const SECRET: &str = "auth.secret";
pub(super) const SECRET_FILE: &str = "auth.secret_file";
pub(super) const PREVIOUS: &str = "auth.previous_secrets";
pub(super) const PREVIOUS_FILES: &str = "auth.previous_secret_files";

/// Puts the secrets of the highest layer that has any into the configuration, which already has the
/// public keys, and says whether the empty secret is allowed. `secret` and `secret_file` are one setting, and so are
/// `previous_secrets` and `previous_secret_files`. What holds is returned.
pub(super) fn resolve<'a>(
    layers: &'a [Layer],
    config: &mut Config,
    sources: &dyn Sources,
    report: &mut Report,
) -> Vec<&'a Given> {
    for layer in layers {
        if let (Some(_), Some(file)) = (layer.get(SECRET), layer.get(SECRET_FILE)) {
            let text = "set beside auth.secret, and only one can hold; keep one of both";
            report.fault(&file.node.origin, Some(SECRET_FILE), text);
        }
        warn_of_readers(layer, report);
    }
    let mut reader =
        Reader { sources, allow_empty: config.auth.allow_empty_secret, short: Vec::new(), report };

    let secret = highest(layers, [SECRET, SECRET_FILE]);
    if let Some(given) = secret.first() {
        config.auth.secret_configured = true;
        config.auth.secret = reader.secret(given.key, &given.node).unwrap_or_default();
    }
    let previous = highest(layers, [PREVIOUS, PREVIOUS_FILES]);
    let items = || {
        previous.iter().flat_map(|given| match &given.node.value {
            Value::Array(items) => items.iter().map(|item| (given.key, item)).collect(),
            _ => Vec::new(),
        })
    };
    let count = items().count();
    // Of a list that is too long no file is read.
    for (key, item) in items().filter(|_| count <= MOST_PREVIOUS) {
        config.auth.previous_secrets.extend(reader.secret(key, item));
    }
    reader.tell_short();
    if let Some(last) = previous.last().filter(|_| count > MOST_PREVIOUS) {
        let text = format!("{count} previous secrets, each tried for each token; keep at most 4");
        report.fault(&last.node.origin, Some(last.key.path), text);
    }
    if let Some(given) = secret.first()
        && given.key.path == SECRET
        && config.auth.secret.is_empty()
        && config.auth.has_other_keys()
        && !config.auth.allow_empty_secret
    {
        let text = "empty beside another key, so anyone could sign a token; leave it out, and \
                    only the others hold, or set auth.allow_empty_secret = true";
        report.fault(&given.node.origin, Some(SECRET), text);
    }
    secret.into_iter().chain(previous).collect()
}

/// Of the highest layer that has one of the keys, those that it has.
fn highest<'a>(layers: &'a [Layer], keys: [&str; 2]) -> Vec<&'a Given> {
    let of = |layer: &'a Layer| keys.iter().filter_map(|key| layer.get(key)).collect::<Vec<_>>();
    layers.iter().rev().map(of).find(|given| !given.is_empty()).unwrap_or_default()
}

/// A file that holds a secret and that everybody can read is a leak, wherever the secret wins.
fn warn_of_readers(layer: &Layer, report: &mut Report) {
    let Some(path) = layer.path.as_ref().filter(|_| layer.world_readable) else { return };
    let held = [SECRET, PREVIOUS].into_iter().filter_map(|key| layer.get(key));
    let Some(given) = held.into_iter().find(|given| holds_text(&given.node)) else { return };
    let text = format!("everybody can read this file, which holds a secret; chmod o-r {path:?}");
    report.warn(&given.node.origin, Some(given.key.path), text);
}

fn holds_text(node: &Node) -> bool {
    match &node.value {
        Value::Array(items) => items.iter().any(holds_text),
        _ => scalar::secret(node).is_ok_and(|bytes| !bytes.is_empty()),
    }
}

struct Reader<'a> {
    sources: &'a dyn Sources,
    allow_empty: bool,
    /// Keys with a secret that is shorter than it should be, and where the first stands.
    short: Vec<(&'static str, Origin)>,
    report: &'a mut Report,
}

impl Reader<'_> {
    /// One secret, from the configuration or from its file. What is not of the right shape has
    /// been told already.
    fn secret(&mut self, key: &'static Key, node: &Node) -> Option<Secret> {
        let is_file = matches!(key.path, SECRET_FILE | PREVIOUS_FILES);
        let bytes = if is_file {
            let path = scalar::path(node).ok()?;
            self.file(key, node, &path)?
        } else {
            scalar::secret(node).ok()?
        };
        if PublicKey::is_within(&bytes) {
            let text = "holds a key of its own kind (-----BEGIN), and whoever has a public key could \
                        sign tokens with its text; use a random secret (openssl rand -hex 32), and \
                        auth.public_keys for public keys";
            self.report.fault(&node.origin, Some(key.path), text);
            return None;
        }
        if key.path == PREVIOUS && bytes.is_empty() && !self.allow_empty {
            let text = "an empty secret, so anyone could sign a token; take it out, or set \
                        auth.allow_empty_secret = true";
            self.report.fault(&node.origin, Some(key.path), text);
            return None;
        }
        self.warn_of_invisible(key, node, &bytes);
        if (1..SHORTEST).contains(&bytes.len()) {
            self.short.push((key.path, node.origin.clone()));
        }
        Some(Secret::from(bytes))
    }

    fn file(&mut self, key: &'static Key, node: &Node, path: &Path) -> Option<Vec<u8>> {
        let origin = &node.origin;
        let mut bytes =
            key_file::read(self.sources, path, Readers::Few, (origin, key.path), self.report)?;
        if bytes.trim_ascii().is_empty() && !self.allow_empty {
            let text = format!(
                "{path:?}: nothing in it, so anyone could sign a token; put a secret there \
                 (openssl rand -hex 32), or set auth.allow_empty_secret = true"
            );
            self.report.fault(origin, Some(key.path), text);
            return None;
        }
        if bytes.pop_if(|byte| *byte == b'\n').is_some() {
            bytes.pop_if(|byte| *byte == b'\r');
        }
        Some(bytes)
    }

    /// The bytes stay the key: an application may well sign with all of them.
    fn warn_of_invisible(&mut self, key: &'static Key, node: &Node, secret: &[u8]) {
        let found = invisible::found_in(secret);
        if found.is_empty() {
            return;
        }
        let file = match key.path {
            SECRET_FILE | PREVIOUS_FILES => {
                scalar::path(node).map(|path| format!("{path:?}: ")).unwrap_or_default()
            }
            _ => String::new(),
        };
        let text = format!(
            "{file}to the secret belongs what is easily missed: {}; tokens that are signed without it are refused, so \
             take it out here, or have the application sign with it too",
            found.join(", ")
        );
        self.report.warn(&node.origin, Some(key.path), text);
    }

    /// One warning for all of them.
    fn tell_short(self) {
        let Some((_, origin)) = self.short.first() else { return };
        let mut keys: Vec<_> = self.short.iter().map(|(key, _)| *key).collect();
        keys.dedup();
        let text = format!(
            "a secret shorter than {SHORTEST} bytes can be guessed ({}); use a longer one \
             (openssl rand -hex 32)",
            keys.join(", ")
        );
        self.report.warn(origin, Some(keys[0]), text);
    }
}
