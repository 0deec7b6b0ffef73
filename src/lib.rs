//! philote: a WebSocket publish/subscribe server.

pub mod auth;
pub mod cli;
pub mod config;
pub mod connection;
pub mod counters;
pub mod daemon;
pub mod http;
pub mod hub;
pub mod protocol;
pub mod worker;
