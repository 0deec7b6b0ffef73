//! The contract, tested on the real binary over real sockets: what a client sees, what an
//! attacker meets, what happens at each bound. Each test starts a server of its own.

#[path = "../support/mod.rs"]
mod support;

mod activation;
mod api;
mod attacks;
mod bounds;
mod browser;
mod check;
mod clock;
mod closing;
mod control;
mod cut;
mod deliveries;
mod drain;
mod families;
mod faults;
mod half_closed;
mod handover;
mod handshake;
mod hostile_frames;
mod hostile_handshakes;
mod info;
mod keepalive;
mod logs;
mod machine;
mod manager;
mod memory;
mod messages;
mod metrics;
mod opening;
mod order;
mod origins;
mod pending;
mod proofs;
mod proxied;
mod proxy_protocol;
mod public_keys;
mod rates;
mod readme;
mod refusals;
mod reload;
mod reload_table;
mod requests;
mod second_opinion;
mod secrets;
mod tls;
mod tls_tools;
mod tokens;
mod units;
mod vanished;
mod watch;
mod welcome;
