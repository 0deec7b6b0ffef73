//! Owns [`Setting`]: what `check --print` shows of one key.

use super::fault::Origin;
use super::field::{Field, list, quote};
use super::keys;
use super::layer::Given;
use super::node::{Node, Value};
use super::rules::Origins;
use super::{Config, Secret, scalar};

/// One key as it holds. Displays as `KEY = VALUE  # ORIGIN`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The path of the key.
    pub key: &'static str,
    /// Its value as TOML, secrets masked; `none` where there is none.
    pub value: String,
    /// Where it was set.
    pub origin: Origin,
}

impl std::fmt::Display for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A key without a value is no TOML; as a comment it is.
        let hash = if self.value == NONE { "# " } else { "" };
        write!(f, "{hash}{} = {}  # {}", self.key, self.value, self.origin)
    }
}

const NONE: &str = "none";

/// Every key that holds. `secrets` are the keys whose secrets are in force; of a setting that is
/// spread over two keys the other one is left out.
pub(super) fn of(config: &Config, origins: &Origins, secrets: &[&Given]) -> Vec<Setting> {
    let is_held = |path: &str| secrets.iter().find(|given| given.key.path == path);
    let mut settings = Vec::new();
    for key in keys::all() {
        let given = is_held(key.path);
        let value = match (&key.field, given) {
            (field, Some(given)) => {
                let is_file = matches!(field, Field::SecretFile | Field::PreviousSecretFiles);
                show(&given.node, is_file)
            }
            (Field::SecretFile | Field::PreviousSecretFiles, None) => continue,
            (Field::Secret, None) if is_held("auth.secret_file").is_some() => continue,
            (Field::PreviousSecrets, None) if is_held("auth.previous_secret_files").is_some() => {
                continue;
            }
            (field, None) => field.show(config).unwrap_or_else(|| NONE.into()),
        };
        let origin = match given {
            Some(given) => given.node.origin.clone(),
            None => origins.get(key.path).cloned().unwrap_or(Origin::Default),
        };
        settings.push(Setting { key: key.path, value, origin });
    }
    settings
}

/// Secrets masked, the names of their files in full.
fn show(node: &Node, is_file: bool) -> String {
    let text = |node: &Node| match is_file {
        true => scalar::path(node).map(|path| path.to_string_lossy().into_owned()),
        false => scalar::secret(node).map(|bytes| Secret::from(bytes).to_string()),
    };
    match &node.value {
        Value::Array(items) => list(items.iter().filter_map(|item| text(item).ok())),
        _ => text(node).map(|text| quote(&text)).unwrap_or_default(),
    }
}
