//! Files and environment in, a [`Config`] or every fault at once out; and what differs between
//! two of them. A leaf that everything may read: it knows no runtime, and reaches the world only
//! through [`Sources`].
//!
//! Each key is defined once, in `keys/`. The parser, the variables' names, `check --print`,
//! the diff of a reload, `config.example.toml` and the table in `docs/configuration.md` come from there.
//!
//! The walk of a load: `files` reads the TOML file and the env file, `document` and `environment`
//! turn them and the variables into layers of nodes, each key's `Field` reads its node into the
//! configuration, lowest layer first, `public_keys`, `secrets`, `rules` and `missing_key` judge what no key can tell
//! alone. What a reload must not take although it is well formed, `cut` says.

mod allowed_origin;
mod auth;
mod browsers;
mod cut;
mod diff;
mod document;
mod effective;
mod env_file;
mod environment;
mod fault;
mod field;
mod files;
mod invisible;
mod key;
mod key_file;
mod keys;
mod layer;
mod lens;
mod listen;
mod load;
mod memory;
mod missing_key;
mod node;
mod overridden;
mod pem_file;
mod positions;
mod proxies;
mod public_key;
mod public_keys;
mod reference;
pub mod remedy;
mod report;
mod rules;
mod scalar;
mod secret;
mod secrets;
mod sections;
mod settings;
mod sources;
mod tls;
mod unit;
mod word;

#[cfg(test)]
mod tests;

pub use allowed_origin::AllowedOrigin;
pub use auth::{Auth, OnWithdrawal};
pub use cut::refused_by_reload;
pub use diff::{Change, diff};
pub use effective::{Config, MOST_WORKERS};
pub use fault::{Fault, Faults, Origin, Position, Warning};
pub use key::Reload;
pub use listen::{DEFAULT_PORT, ListenAddress, Preamble};
pub use load::{EnvFile, LoadOptions, Loaded, load, load_for_reload};
pub use memory::available as available_memory;
pub use overridden::reload_warnings;
pub(crate) use pem_file::certificates;
pub use proxies::{TrustedProxies, TrustedProxy};
pub use public_key::{PublicAlgorithm, PublicKey};
pub use reference::{Entry, example, markdown_table, reference, sections};
pub use secret::Secret;
pub use sections::{
    Control, Http, Limits, Log, LogFormat, LogLevel, LogOutput, Metrics, Proxy, Shutdown,
    SlowConsumer, WebSocket,
};
pub use settings::Setting;
pub use sources::{FileContent, ReadError, RealSources, Sources};
pub use tls::{Identity, Tls};
pub(crate) use tls::{date, validity};
pub use unit::show_duration;
