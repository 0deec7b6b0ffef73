//! Owns [`Server`]: where a client connects to, from a URL or from the configuration, and whether under TLS.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use hyper::Uri;
use rustls::pki_types::ServerName;

use super::trust::{Security, Trust};
use crate::cli::failure::Failure;
use crate::config::{Config, ListenAddress};

/// The ports of `ws:` and `wss:` (RFC 6455, section 3).
const WS_PORT: u16 = 80;
const WSS_PORT: u16 = 443;

/// A server. `Display` names it without what stands behind its host.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Server {
    pub(super) place: Place,
    /// The header `Host`.
    pub(super) host: String,
    /// Path and query of the request.
    pub(super) path: String,
    /// Whether it wants the header of the PROXY protocol first.
    pub(super) wants_proxy_header: bool,
    /// TLS, under which everything else goes, where it speaks that.
    pub(super) security: Option<Box<Security>>,
}

/// How it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// One of these, tried in order.
    Addresses(Vec<SocketAddr>),
    /// A name to look up, and a port.
    Name(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Server {
    /// What `--url` says. Its text is never repeated in an error, since it may hold what is none of
    /// anybody's business.
    ///
    /// # Errors
    /// [`Failure::Usage`], with what to write instead.
    pub(in crate::cli) fn parse(url: &str) -> Result<Self, Failure> {
        let usage = |text: &str| Err(Failure::Usage(format!("the URL {text}")));
        if let Some(path) = url.strip_prefix("unix:") {
            if !path.starts_with('/') {
                return usage("names no absolute path; write unix:/run/philote/philote.sock");
            }
            return Ok(Self::unix(path.into()));
        }
        let Ok(uri) = url.parse::<Uri>() else {
            return usage("is malformed; write ws://HOST:PORT or wss://HOST");
        };
        let is_secure = match uri.scheme_str().map(str::to_ascii_lowercase).as_deref() {
            Some("ws" | "http") => false,
            Some("wss" | "https") => true,
            _ => return usage("begins with none of ws://, wss://, http://, https:// and unix:/"),
        };
        let (Some(authority), Some(host)) = (uri.authority(), uri.host()) else {
            return usage("names no host; write ws://HOST:PORT or wss://HOST");
        };
        if authority.as_str().contains('@') {
            return usage("holds a name before the host, which means nothing here; leave it out");
        }
        let is_token = |pair: &str| pair == "auth" || pair.starts_with("auth=");
        if uri.query().is_some_and(|query| query.split('&').any(is_token)) {
            return usage("holds a token, which others can see; use --token-file or PHILOTE_TOKEN");
        }
        let default_port = if is_secure { WSS_PORT } else { WS_PORT };
        let port = match (authority.port(), uri.port_u16()) {
            (None, _) if authority.as_str().ends_with(':') => default_port,
            (None, None) if authority.as_str() == host => default_port,
            (_, Some(port)) if port > 0 => port,
            _ => return usage("has a port that is none; write 1 to 65535"),
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let place = match bare.parse::<IpAddr>() {
            Ok(ip) => Place::Addresses(vec![SocketAddr::new(ip, port)]),
            Err(_) => Place::Name(bare.into(), port),
        };
        let security = match ServerName::try_from(bare.to_owned()) {
            Ok(name) if is_secure => Some(Box::new(Security::new(name, Trust::System))),
            Err(_) if is_secure => return usage("names a host that no certificate can be for"),
            _ => None,
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            place,
            host: authority.as_str().into(),
            path: path.into(),
            wants_proxy_header: false,
            security,
        })
    }

    /// The same server, whose certificate rests on those in this file, where one is named.
    ///
    /// # Errors
    /// [`Failure::Usage`] where the URL asks for no TLS, and where the file holds no certificate;
    /// [`Failure::NotPermitted`] where it cannot be read.
    pub(in crate::cli) fn trusting(mut self, file: Option<&Path>) -> Result<Self, Failure> {
        let Some(file) = file else { return Ok(self) };
        let Some(security) = &mut self.security else {
            let what = "--ca is for a server that speaks TLS; write wss:// or https:// in the URL";
            return Err(Failure::Usage(what.into()));
        };
        **security = Security::new(security.name.clone(), Trust::in_file(file)?);
        Ok(self)
    }

    /// The first listener of a configuration, of those that are neither for TLS nor for proxies alone where there are others;
    /// loopback where it is a wildcard.
    ///
    /// # Errors
    /// [`Failure::Configuration`] where nobody can know its port beforehand.
    pub(in crate::cli) fn of(config: &Config) -> Result<Self, Failure> {
        let first = config
            .listen_addresses()
            .into_iter()
            .min_by_key(|other| (other.preamble().tls, other.preamble().proxy));
        let Some(first) = first else { return Err(cannot_tell("nothing is listened on")) };
        let wants_proxy_header = first.preamble().proxy;
        let security = match &config.tls.identity {
            Some(identity) if first.preamble().tls => {
                let own = identity.certificate().clone();
                let name = IpAddr::V4(Ipv4Addr::LOCALHOST).into();
                Some(Box::new(Security::new(name, Trust::Own(own))))
            }
            _ => None,
        };
        let (address, ipv6only, localhost) = match first {
            ListenAddress::Tcp { address, ipv6only, localhost, .. } => {
                (address, ipv6only, localhost)
            }
            ListenAddress::Unix { path, .. } => {
                return Ok(Self { wants_proxy_header, security, ..Self::unix(path) });
            }
        };
        if address.port() == 0 {
            return Err(cannot_tell("the first listener's port is chosen by the system"));
        }
        let at = |ip: IpAddr| SocketAddr::new(ip, address.port());
        let addresses = match address.ip() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => vec![at(Ipv4Addr::LOCALHOST.into())],
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) if ipv6only => vec![at(Ipv6Addr::LOCALHOST.into())],
            // Which takes IPv4 too, and is IPv4 alone where the machine has no IPv6.
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {
                vec![at(Ipv6Addr::LOCALHOST.into()), at(Ipv4Addr::LOCALHOST.into())]
            }
            // The server leaves out a family that the machine lacks.
            IpAddr::V4(_) if localhost => vec![address, at(Ipv6Addr::LOCALHOST.into())],
            _ => vec![address],
        };
        Ok(Self {
            host: addresses[0].to_string(),
            place: Place::Addresses(addresses),
            path: "/".into(),
            wants_proxy_header,
            security,
        })
    }

    /// The header `Host`.
    pub(in crate::cli) fn host(&self) -> &str {
        &self.host
    }

    fn unix(path: PathBuf) -> Self {
        Self {
            place: Place::Unix(path),
            host: "localhost".into(),
            path: "/".into(),
            wants_proxy_header: false,
            security: None,
        }
    }
}

fn cannot_tell(why: &str) -> Failure {
    Failure::Configuration(format!("{why}; say with --url where the server is"))
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
            Place::Addresses(_) | Place::Name(..) => {
                let scheme = if self.security.is_some() { "wss" } else { "ws" };
                write!(f, "{scheme}://{}", self.host)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Preamble;

    fn place(url: &str) -> String {
        let server = Server::parse(url).unwrap_or_else(|failure| panic!("{url}: {failure}"));
        let place = match server.place {
            Place::Addresses(addresses) => format!("{addresses:?}"),
            Place::Name(name, port) => format!("{name} {port}"),
            Place::Unix(path) => path.display().to_string(),
        };
        let name = server.security.map(|security| format!(" | {}", security.name.to_str()));
        format!("{place} | {} | {}{}", server.host, server.path, name.unwrap_or_default())
    }

    #[test]
    fn a_url_says_host_port_and_path() {
        let cases = [
            ("ws://127.0.0.1:6380", "[127.0.0.1:6380] | 127.0.0.1:6380 | /"),
            ("ws://[::1]:6380/", "[[::1]:6380] | [::1]:6380 | /"),
            ("ws://localhost", "localhost 80 | localhost | /"),
            ("WS://Example.org:81/a/b?c=d", "Example.org 81 | Example.org:81 | /a/b?c=d"),
            ("http://localhost:81", "localhost 81 | localhost:81 | /"),
            ("wss://example.org", "example.org 443 | example.org | / | example.org"),
            (
                "HTTPS://example.org:8443/a",
                "example.org 8443 | example.org:8443 | /a | example.org",
            ),
            ("wss://192.0.2.1", "[192.0.2.1:443] | 192.0.2.1 | / | 192.0.2.1"),
            ("wss://[::1]:1", "[[::1]:1] | [::1]:1 | / | ::1"),
            ("unix:/run/p.sock", "/run/p.sock | localhost | /"),
        ];
        for (url, expected) in cases {
            assert_eq!(place(url), expected);
        }
    }

    #[test]
    fn a_url_that_means_something_else_is_refused_and_not_repeated() {
        let urls = [
            "localhost:6380",
            "ftp://secret",
            "wss://sec_ret-/secret",
            "wss://user:secret@host",
            "ws://",
            "ws:///secret",
            "secret",
            "ws://user:secret@host",
            "ws://host/?auth=secret",
            "ws://host/?a=b&auth=secret",
            "ws://host:0/secret",
            "ws://host:99999/secret",
            "ws://host:secret/",
            "unix:secret",
            "",
            "ws://ho st/secret",
        ];
        for url in urls {
            let failure = Server::parse(url).expect_err(url);
            assert_eq!(failure.exit_code(), 64, "{url}");
            assert!(!failure.to_string().contains("secret"), "{failure}");
        }
    }

    #[test]
    fn the_first_listener_is_the_server_and_a_wildcard_is_loopback() {
        let tcp = |address: &str, ipv6only| {
            let preamble = Preamble::default();
            let address = address.parse().unwrap();
            let address = ListenAddress::Tcp { address, ipv6only, localhost: false, preamble };
            Server::of(&Config { listen: Some(vec![address]), ..Config::default() })
        };
        let cases = [
            ("192.0.2.1:7", false, "ws://192.0.2.1:7", 1),
            ("0.0.0.0:7", false, "ws://127.0.0.1:7", 1),
            ("[::]:7", true, "ws://[::1]:7", 1),
            ("[::]:7", false, "ws://[::1]:7", 2),
        ];
        for (listen, ipv6only, shown, count) in cases {
            let server = tcp(listen, ipv6only).unwrap();
            assert_eq!(server.to_string(), shown);
            assert!(matches!(server.place, Place::Addresses(all) if all.len() == count));
        }
        assert_eq!(tcp("127.0.0.1:0", false).unwrap_err().exit_code(), 78);
        let by_default = Server::of(&Config::default()).unwrap();
        assert_eq!(by_default.to_string(), "ws://127.0.0.1:6380");
        // One of them may be left out on this machine.
        assert!(matches!(by_default.place, Place::Addresses(all) if all.len() == 2));
        let path = PathBuf::from("/run/p");
        let unix = |proxy| {
            let preamble = Preamble { proxy, ..Preamble::default() };
            ListenAddress::Unix { path: path.clone(), mode: None, group: None, preamble }
        };
        let of =
            |listen| Server::of(&Config { listen: Some(listen), ..Config::default() }).unwrap();
        assert_eq!(of(vec![unix(false)]).to_string(), "unix:/run/p");
        let tcp = |proxy| {
            let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 7);
            ListenAddress::Tcp {
                address,
                ipv6only: false,
                localhost: false,
                preamble: Preamble { proxy, ..Preamble::default() },
            }
        };
        let plain = of(vec![tcp(true), unix(false)]);
        assert_eq!((plain.to_string(), plain.wants_proxy_header), ("unix:/run/p".into(), false));
        let proxied = of(vec![tcp(true), unix(true)]);
        let expected = ("ws://127.0.0.1:7".into(), true);
        assert_eq!((proxied.to_string(), proxied.wants_proxy_header), expected);
    }
}
