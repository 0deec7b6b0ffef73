//! Owns which public keys are in force: those that the highest layer names, each read from its file.

use super::key_file::{self, Readers};
use super::layer::Layer;
use super::node::Value;
use super::report::Report;
use super::sources::Sources;
use super::{Config, PublicKey, scalar};

/// The key of the files.
pub(super) const PUBLIC_KEYS: &str = "auth.public_keys";

/// Each that fits the algorithm is tried for each token that does not verify, at some 20 us.
const MOST: usize = 4;

/// Puts the public keys into the configuration. What is not of the right shape has been told already.
pub(super) fn resolve(
    layers: &[Layer],
    config: &mut Config,
    sources: &dyn Sources,
    report: &mut Report,
) {
    let Some(given) = layers.iter().rev().find_map(|layer| layer.get(PUBLIC_KEYS)) else { return };
    let Value::Array(items) = &given.node.value else { return };
    if items.len() > MOST {
        let text =
            format!("{} public keys, each tried for a token; keep at most {MOST}", items.len());
        // No file of them is read.
        return report.fault(&given.node.origin, Some(PUBLIC_KEYS), text);
    }
    for item in items {
        let Ok(path) = scalar::path(item) else { continue };
        let place = (&item.origin, PUBLIC_KEYS);
        let Some(text) = key_file::read(sources, &path, Readers::All, place, report) else {
            continue;
        };
        match PublicKey::parse(&path, &text) {
            Ok(key) => config.auth.public_keys.push(key),
            Err(what) => {
                report.fault(&item.origin, Some(PUBLIC_KEYS), format!("{path:?}: {what}"));
            }
        }
    }
}
