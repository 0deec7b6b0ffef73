//! Owns [`Config`], everything that the daemon is told, and the rule of the default listeners.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroUsize;

use super::{
    Auth, Control, DEFAULT_PORT, Http, Limits, ListenAddress, Log, Metrics, Proxy, Shutdown, Tls,
    WebSocket,
};

/// The most threads that serve connections: what workers know of each other fits into one word.
pub const MOST_WORKERS: NonZeroUsize = NonZeroUsize::new(64).expect("64 is not 0");

/// A configuration that has been read and found right.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where to listen; `None` is the default, see [`Config::listen_addresses`].
    pub listen: Option<Vec<ListenAddress>>,
    /// The port of the default listeners: 6380, or what `PORT` says.
    pub default_port: u16,
    /// Threads that serve connections, at most [`MOST_WORKERS`].
    pub workers: NonZeroUsize,
    /// The section `auth`.
    pub auth: Auth,
    /// The section `limits`.
    pub limits: Limits,
    /// The section `websocket`.
    pub websocket: WebSocket,
    /// The section `tls`.
    pub tls: Tls,
    /// The section `proxy`.
    pub proxy: Proxy,
    /// The section `log`.
    pub log: Log,
    /// The section `metrics`.
    pub metrics: Metrics,
    /// The section `shutdown`.
    pub shutdown: Shutdown,
    /// The section `http`.
    pub http: Http,
    /// The section `control`.
    pub control: Control,
}

impl Config {
    /// The addresses to listen on. By default both loopback addresses while anyone can sign a
    /// token, and `[::]` (which takes IPv4 too) as soon as a secret is needed. What becomes of an address whose family
    /// this machine lacks is decided when it is bound.
    ///
    /// `[::]:P` leaves IPv4 alone where `0.0.0.0:P` is listed beside it.
    pub fn listen_addresses(&self) -> Vec<ListenAddress> {
        let Some(listen) = &self.listen else {
            return if self.auth.accepts_empty_key() {
                ListenAddress::loopback(self.default_port)
            } else {
                vec![ListenAddress::tcp(Ipv6Addr::UNSPECIFIED, self.default_port)]
            };
        };
        let mut addresses = listen.clone();
        for address in &mut addresses {
            if let ListenAddress::Tcp { address, ipv6only, .. } = address
                && address.ip() == Ipv6Addr::UNSPECIFIED
            {
                *ipv6only |= listen.iter().any(|other| {
                    matches!(other, ListenAddress::Tcp { address: v4, .. }
                        if v4.ip() == Ipv4Addr::UNSPECIFIED && v4.port() == address.port())
                });
            }
        }
        addresses
    }

    /// Whether people are shown a page at `/`: where nothing is said, only while the secret is empty and nobody has
    /// said that this is meant.
    pub fn shows_welcome(&self) -> bool {
        self.http.welcome.unwrap_or_else(|| self.auth.is_confined_to_loopback())
    }

    /// Whether nobody has said where to listen.
    pub fn listens_by_default(&self) -> bool {
        self.listen.is_none()
    }
}

impl Default for Config {
    /// The defaults that depend on no machine: one worker, and no control socket. [`super::load()`]
    /// puts in what this machine has.
    fn default() -> Self {
        Self {
            listen: None,
            default_port: DEFAULT_PORT,
            workers: NonZeroUsize::MIN,
            auth: Auth::default(),
            limits: Limits::default(),
            websocket: WebSocket::default(),
            tls: Tls::default(),
            proxy: Proxy::default(),
            log: Log::default(),
            metrics: Metrics::default(),
            shutdown: Shutdown::default(),
            http: Http::default(),
            control: Control::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(config: &Config) -> Vec<String> {
        config.listen_addresses().iter().map(ListenAddress::to_string).collect()
    }

    #[test]
    fn the_default_listeners_are_loopback_until_a_secret_is_needed() {
        let mut config = Config::default();
        assert!(config.listens_by_default());
        assert_eq!(shown(&config), ["127.0.0.1:6380", "[::1]:6380"]);
        config.auth.secret = "s".into();
        config.auth.secret_configured = true;
        config.default_port = 80;
        assert_eq!(shown(&config), ["[::]:80"]);
        config.auth.secret = "".into();
        config.auth.allow_empty_secret = true;
        assert_eq!(shown(&config), ["127.0.0.1:80", "[::1]:80"]);
    }

    #[test]
    fn the_ipv6_wildcard_makes_room_for_the_ipv4_one_beside_it() {
        let listen = ["0.0.0.0:1", "[::]:1", "[::]:2", "[::1]:1", "unix:/p"];
        let listen = listen.iter().flat_map(|entry| ListenAddress::parse(entry).unwrap());
        let config = Config { listen: Some(listen.collect()), ..Config::default() };
        assert!(!config.listens_by_default());
        let expected = ["0.0.0.0:1", "[::]:1 ipv6only", "[::]:2", "[::1]:1", "unix:/p"];
        assert_eq!(shown(&config), expected);
    }
}
