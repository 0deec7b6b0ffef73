//! Owns [`Layer`]: what one source (the TOML file, the env file, the environment) says.

use std::path::Path;
use std::sync::Arc;

use super::Secret;
use super::key::Key;
use super::node::Node;

/// A key and the value that a layer gives it.
pub(super) struct Given {
    pub(super) key: &'static Key,
    pub(super) node: Node,
}

/// What one source says.
#[derive(Default)]
pub(super) struct Layer {
    pub(super) given: Vec<Given>,
    /// The variable `PORT`, which is no key.
    pub(super) port: Option<Node>,
    /// The file that it was read from, where there is one.
    pub(super) path: Option<Arc<Path>>,
    /// The text of that file.
    pub(super) text: Secret,
    /// Whether everybody can read that file.
    pub(super) world_readable: bool,
}

impl Layer {
    /// The value of one key.
    pub(super) fn get(&self, path: &str) -> Option<&Given> {
        self.given.iter().find(|given| given.key.path == path)
    }
}
