//! Owns what the files say and the environment of the process overrides: a running process cannot
//! see its environment change, so a reload that finds such a key changed says so.

use std::collections::BTreeMap;

use super::fault::{Origin, Warning};
use super::layer::Layer;
use super::load::Loaded;
use super::node::{Node, Value};
use super::{Secret, scalar};

/// For each key that the environment sets: its variable, and what the files say below it. Kept as
/// a [`Secret`], since it may be one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Overridden(BTreeMap<&'static str, (String, Secret)>);

impl Overridden {
    /// `layers` from the lowest to the highest, the last of which is the environment.
    pub(super) fn of(layers: &[Layer]) -> Self {
        let mut overridden = BTreeMap::new();
        let Some((environment, files)) = layers.split_last() else { return Self::default() };
        for given in &environment.given {
            let Some(variable) = given.node.origin.variable() else { continue };
            let mut below = Vec::new();
            for path in one_setting(given.key.path) {
                for layer in files {
                    if let Some(hidden) = layer.get(path) {
                        below.extend(path.as_bytes());
                        write(&hidden.node, &mut below);
                    }
                }
            }
            overridden.insert(given.key.path, (variable.to_owned(), Secret::from(below)));
        }
        Self(overridden)
    }
}

/// What a reload should say beside what changed: keys changed in a file that the environment
/// overrides, and that a secret from the environment cannot be replaced by a reload at all.
pub fn reload_warnings(old: &Loaded, new: &Loaded) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for (key, (variable, below)) in &new.overridden.0 {
        let origin = Origin::Environment { variable: variable.clone() };
        if *key == "auth.secret" {
            let text = "the secret comes from the environment, which a running process cannot see \
                        change; to replace it by a reload keep it in auth.secret_file or in the \
                        file of --env-file";
            warnings.push(Warning::new(origin.clone(), Some(key), text));
        }
        let before = old.overridden.0.get(key).map(|(_, below)| below);
        if before.is_some_and(|before| before != below) {
            let text = format!(
                "{key} has changed in a file, but this variable overrides it; take it out of the \
                 environment and restart"
            );
            warnings.push(Warning::new(origin, Some(key), text));
        }
    }
    warnings
}

/// The keys that make one setting with `path`.
fn one_setting(path: &'static str) -> Vec<&'static str> {
    match path {
        "auth.secret" | "auth.secret_file" => vec!["auth.secret", "auth.secret_file"],
        "auth.previous_secrets" | "auth.previous_secret_files" => {
            vec!["auth.previous_secrets", "auth.previous_secret_files"]
        }
        path => vec![path],
    }
}

/// The value, so that two that are equal as written are equal here.
fn write(node: &Node, bytes: &mut Vec<u8>) {
    match &node.value {
        Value::Array(items) => items.iter().for_each(|item| write(item, bytes)),
        Value::Boolean(value) => bytes.extend(value.to_string().bytes()),
        Value::Integer(digits, radix) => bytes.extend(format!("{digits}/{radix}").bytes()),
        Value::Text(_) | Value::Bare(_) => {
            bytes.extend(scalar::secret(node).unwrap_or_default());
        }
        Value::Other(_) => {}
    }
    bytes.push(0);
}
