//! Owns [`diff`]: what differs between two configurations, key by key, and what each change takes.

use std::fmt;

use super::field::{Field, list};
use super::key::{Key, Reload};
use super::keys;
use super::tls::CERTIFICATE;
use super::{Config, PublicKey};

/// One key whose value differs. Displays as `KEY: OLD -> NEW`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The path of the key.
    pub key: &'static str,
    /// The old value as TOML, secrets masked, public keys told apart; `none` where there is none.
    pub old: String,
    /// The new value, likewise.
    pub new: String,
    /// What it takes for the new value to hold.
    pub reload: Reload,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} -> {}", self.key, self.old, self.new)
    }
}

/// Every key that differs, in the order of the reference. A secret is `auth.secret`, wherever it
/// was read from. `listen` needs a restart where the default listeners would be others: which of
/// them apply is decided at start.
pub fn diff(old: &Config, new: &Config) -> Vec<Change> {
    keys::all().filter(|key| differs(key, old, new)).map(|key| change(key, old, new)).collect()
}

fn change(key: &'static Key, old: &Config, new: &Config) -> Change {
    let show = |config: &Config| match key.field {
        // By their names alone, a key that was replaced in its file would look like the old one.
        Field::PublicKeys => list(config.auth.public_keys.iter().map(PublicKey::describe)),
        // So would a certificate.
        Field::File(_) if key.path == CERTIFICATE => config.tls.describe(),
        _ => key.field.show(config).unwrap_or_else(|| "none".into()),
    };
    let by_default = old.listens_by_default() && new.listens_by_default();
    let reload = match key.field {
        Field::Listen(_) if by_default => Reload::Restart,
        _ => key.reload,
    };
    Change { key: key.path, old: show(old), new: show(new), reload }
}

fn differs(key: &Key, old: &Config, new: &Config) -> bool {
    match &key.field {
        Field::Secret => old.auth.signing_secret() != new.auth.signing_secret(),
        Field::PublicKeys => old.auth.public_keys != new.auth.public_keys,
        Field::PreviousSecrets => old.auth.previous_secrets != new.auth.previous_secrets,
        // What is in them shows in the two above.
        Field::SecretFile | Field::PreviousSecretFiles => false,
        Field::Listen(_) => list(old.listen_addresses()) != list(new.listen_addresses()),
        Field::File(_) if key.path == CERTIFICATE => old.tls != new.tls,
        field => field.show(old) != field.show(new),
    }
}
