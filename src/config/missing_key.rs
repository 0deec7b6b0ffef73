//! Owns the rule of the mode without a secret: a machine without any configuration file has it, and elsewhere it is asked
//! for. A file that names no key may have been cut, by a full disk or half a copy, and then anyone could sign a token.

use super::environment::Variable;
use super::fault::{Fault, Origin};
use super::key::Key;
use super::layer::Layer;
use super::node::Value;
use super::public_keys::PUBLIC_KEYS;
use super::secrets::{PREVIOUS, PREVIOUS_FILES, SECRET, SECRET_FILE};

/// The fault of a configuration that has a file, and in which neither a file nor the environment names a key or says
/// that none is meant: by `secret = ""`, or by a variable of that key which is set to nothing.
pub(super) fn fault(layers: &[Layer], variables: &[&[Variable]]) -> Option<Fault> {
    let path = layers.iter().find_map(|layer| layer.path.as_ref())?;
    if layers.iter().any(names_a_key) || variables.iter().any(|all| says_none_is_meant(all)) {
        return None;
    }
    let text = "neither a file nor the environment names a key, and with the empty secret anyone could sign a token; set \
                SECRET or auth.secret_file, or write secret = \"\" under [auth] if no secret is meant";
    Some(Fault::new(Origin::whole(path), Some(SECRET), text))
}

fn names_a_key(layer: &Layer) -> bool {
    let is_set = |key| layer.get(key).is_some();
    let has_items = |key| {
        let given = layer.get(key);
        given.is_some_and(
            |given| !matches!(&given.node.value, Value::Array(items) if items.is_empty()),
        )
    };
    [SECRET, SECRET_FILE].into_iter().any(is_set)
        || [PREVIOUS, PREVIOUS_FILES, PUBLIC_KEYS].into_iter().any(has_items)
}

fn says_none_is_meant(variables: &[Variable]) -> bool {
    let Some(names) = Key::find(SECRET).map(Key::variables) else { return false };
    variables.iter().any(|variable| variable.text.is_empty() && names.contains(&variable.name))
}
