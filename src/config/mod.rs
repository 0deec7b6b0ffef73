//! Files and environment in, a [`Config`] or every fault at once out; and what differs between
//! two of them. A leaf that everything may read: it knows no runtime, and reaches the world only
//! through [`Sources`].
//!
//! Each key is defined once, in `keys.rs`. The parser, the variables' names, `check --print`,
//! the diff of a reload, `config.example.toml` and the README's table come from there.

mod allowed_origin;
mod auth;
mod effective;
mod fault;
mod listen;
mod secret;
mod sections;
mod sources;
mod word;

pub use allowed_origin::AllowedOrigin;
pub use auth::{Auth, OnWithdrawal};
pub use effective::Config;
pub use fault::{Fault, Faults, Origin, Position, Warning};
pub use listen::{DEFAULT_PORT, ListenAddress};
pub use secret::Secret;
pub use sections::{
    Control, Limits, Log, LogFormat, LogLevel, LogOutput, Shutdown, SlowConsumer, WebSocket,
};
pub use sources::{FileContent, ReadError, RealSources, Sources};
