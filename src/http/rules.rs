//! What handshakes go by: made of the configuration as a whole, replaced as a whole.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use super::forwarding::Forwarding;
use crate::auth::{Keys, Policy};
use crate::config::{AllowedOrigin, Config, OnWithdrawal};
use crate::connection::network::Network;
use crate::connection::{Connection, Peer};

/// Who is admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Who has a token that a known key signed.
    Token,
    /// Anybody, with nothing granted: for a server that publishes nothing.
    Anybody,
}

/// What handshakes go by.
#[derive(Debug)]
pub struct Rules {
    /// Who is admitted.
    pub admission: Admission,
    /// Whose signatures count.
    pub keys: Keys,
    /// How claims are judged.
    pub policy: Policy,
    /// Whether a connection ends when its key is accepted no more.
    pub withdraws: bool,
    /// Whether a connection ends when its token expires.
    pub close_at_expiry: bool,
    /// Whether an `Origin` must be the host itself or one of `allowed_origins`.
    pub check_origin: bool,
    /// Origins that may connect.
    pub allowed_origins: Vec<AllowedOrigin>,
    /// Anyone can sign tokens, and nobody said that this is meant: only what names a loopback host is
    /// served, so that no web page in a developer's browser can help itself.
    pub loopback_only: bool,
    /// What TLS goes by, where there is a certificate.
    pub tls: Option<Arc<ServerConfig>>,
    /// Whether people are shown a page at `/`.
    pub welcome: bool,
    /// Which proxies are believed.
    pub forwarding: Forwarding,
    /// The most connections.
    pub max_connections: usize,
    /// The most connections of one network; None is any number.
    pub max_connections_per_ip: Option<usize>,
    /// The most handshakes of one network in a second; None is any number.
    pub handshakes_per_second_per_ip: Option<NonZeroU32>,
    /// The most bytes of a request's head.
    pub max_head_size: usize,
    /// The most bytes of a request's body.
    pub max_body: usize,
    /// How long a connection of HTTP may be idle between two requests; None ends it with each answer.
    pub keep_alive: Option<Duration>,
    /// From accept to the 101.
    pub handshake_timeout: Duration,
    /// How long a peer's TCP may take nothing of ours: `ping_interval` + `pong_timeout`.
    pub user_timeout: Option<Duration>,
    /// For `/api/info` alone.
    pub read_buffer_size: u32,
    /// For `/api/info` alone.
    pub write_buffer_size: u32,
}

impl Rules {
    /// The network whose limits a client counts for; None where no limit by address holds for it: it has none, or is
    /// a trusted proxy that speaks for itself.
    pub(super) fn network_of(&self, client: Peer) -> Option<Network> {
        Network::of(client).filter(|_| !self.forwarding.trusts(client))
    }

    /// Whether they accept the key that a connection rests on; one without a key rests on none.
    pub fn accept_key_of(&self, connection: &Connection) -> bool {
        connection.identity.key.is_none_or(|key| self.keys.accepts(&key))
    }
}

impl From<&Config> for Rules {
    fn from(config: &Config) -> Rules {
        Rules {
            admission: Admission::Token,
            keys: Keys::from(&config.auth),
            policy: Policy::from(config),
            withdraws: config.auth.on_withdrawal == OnWithdrawal::Close,
            close_at_expiry: config.auth.close_at_expiry,
            check_origin: config.auth.check_origin,
            allowed_origins: config.auth.allowed_origins.clone(),
            loopback_only: config.auth.is_confined_to_loopback(),
            welcome: config.shows_welcome(),
            tls: config.tls.identity.as_ref().map(|identity| identity.server.clone()),
            forwarding: Forwarding::from(&config.proxy),
            max_connections: config.limits.max_connections,
            max_connections_per_ip: config.limits.max_connections_per_ip,
            handshakes_per_second_per_ip: config
                .limits
                .handshakes_per_second_per_ip
                .and_then(|rate| NonZeroU32::new(u32::try_from(rate).unwrap_or(u32::MAX))),
            max_head_size: config.limits.max_head_size,
            max_body: config.http.max_body,
            keep_alive: config.http.keep_alive,
            handshake_timeout: config.websocket.handshake_timeout,
            user_timeout: config
                .websocket
                .ping_interval
                .map(|interval| interval + config.websocket.pong_timeout),
            read_buffer_size: config.websocket.read_buffer_size,
            write_buffer_size: config.websocket.write_buffer_size,
        }
    }
}
