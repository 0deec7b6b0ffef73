//! What the targets share: JSON as others read it, frames as a client has them, and a server on this thread.

pub mod frames;
pub mod json;
pub mod server;

/// The secret of the servers here. What is signed with it stands in the corpora.
pub const SECRET: &str = "a secret of the fuzz targets, which is no secret";

/// A token for all of [`SECRET`]'s servers: reads and writes `a` and `b`, `api`, never expires.
pub const TOKEN: &str = include_str!("token.txt").trim_ascii();
