//! Owns [`ListenAddress`]: one entry of `listen`, in nginx's words. Looks up no name and binds
//! nothing.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// The port that philote has always listened on.
pub const DEFAULT_PORT: u16 = 6380;

/// Bytes of a Unix socket's path that fit `sockaddr_un` everywhere (104 on macOS, 108 on Linux,
/// one of them NUL).
const LONGEST_SOCKET_PATH: usize = 103;

/// What has to come on a connection before its first request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Preamble {
    /// The handshake of TLS, under which everything else goes.
    pub tls: bool,
    /// The header of the PROXY protocol, by which a proxy says whom it speaks for.
    pub proxy: bool,
}

/// One address to listen on. `Display` gives back what stands in the configuration.
#[derive(Clone, Debug)]
pub enum ListenAddress {
    /// `ADDRESS:PORT [tls] [proxy] [ipv6only]`
    Tcp {
        /// Address and port; port 0 is one that the system chooses.
        address: SocketAddr,
        /// Whether an IPv6 wildcard leaves IPv4 alone.
        ipv6only: bool,
        /// Whether it is one of the two addresses of `localhost`, which is left out if this machine lacks its family.
        localhost: bool,
        /// What comes before the first request.
        preamble: Preamble,
    },
    /// `unix:/path [mode=0660] [group=NAME] [tls] [proxy]`
    Unix {
        /// An absolute path.
        path: PathBuf,
        /// Permission bits; the directory guards the socket where neither this nor a group is set.
        mode: Option<u32>,
        /// A name or a number.
        group: Option<String>,
        /// What comes before the first request.
        preamble: Preamble,
    },
}

impl ListenAddress {
    /// Whether only this machine can connect: loopback addresses and Unix sockets.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp { address, .. } => address.ip().to_canonical().is_loopback(),
            Self::Unix { .. } => true,
        }
    }

    /// What comes before the first request of each of its connections.
    pub fn preamble(&self) -> Preamble {
        match self {
            Self::Tcp { preamble, .. } | Self::Unix { preamble, .. } => *preamble,
        }
    }

    pub(super) fn tcp(ip: impl Into<IpAddr>, port: u16) -> Self {
        Self::at(SocketAddr::new(ip.into(), port))
    }

    fn at(address: SocketAddr) -> Self {
        Self::Tcp { address, ipv6only: false, localhost: false, preamble: Preamble::default() }
    }

    /// The same at another TCP address, without what only the old one had.
    pub(crate) fn moved_to(&self, address: SocketAddr) -> Self {
        let mut moved = Self::at(address);
        *moved.preamble_mut() = self.preamble();
        moved
    }

    fn preamble_mut(&mut self) -> &mut Preamble {
        match self {
            Self::Tcp { preamble, .. } | Self::Unix { preamble, .. } => preamble,
        }
    }

    /// Both loopback addresses.
    pub(super) fn loopback(port: u16) -> Vec<Self> {
        let one = |ip: IpAddr| Self::Tcp {
            address: SocketAddr::new(ip, port),
            ipv6only: false,
            localhost: true,
            preamble: Preamble::default(),
        };
        vec![one(Ipv4Addr::LOCALHOST.into()), one(Ipv6Addr::LOCALHOST.into())]
    }

    /// What one entry means: `localhost` is two addresses, everything else one.
    pub(crate) fn parse(entry: &str) -> Result<Vec<Self>, String> {
        let mut words = entry.split_whitespace();
        let Some(first) = words.next() else {
            return Err("empty; write an address such as \"127.0.0.1:6380\"".into());
        };
        match first.strip_prefix("unix:") {
            Some(path) => unix(path, words).map(|address| vec![address]),
            None => tcp(first, words),
        }
    }
}

/// Equal addresses bind the same socket in the same way. Whether one may be left out is no part of that, and does not
/// show in its text either.
impl PartialEq for ListenAddress {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Tcp { address, ipv6only, localhost: _, preamble },
                Self::Tcp {
                    address: its_address,
                    ipv6only: its_ipv6only,
                    localhost: _,
                    preamble: its_preamble,
                },
            ) => (address, ipv6only, preamble) == (its_address, its_ipv6only, its_preamble),
            (
                Self::Unix { path, mode, group, preamble },
                Self::Unix {
                    path: its_path,
                    mode: its_mode,
                    group: its_group,
                    preamble: its_preamble,
                },
            ) => (path, mode, group, preamble) == (its_path, its_mode, its_group, its_preamble),
            _ => false,
        }
    }
}

impl Eq for ListenAddress {}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { address, ipv6only, .. } => {
                write!(f, "{address}{}", if *ipv6only { " ipv6only" } else { "" })?;
            }
            Self::Unix { path, mode, group, .. } => {
                write!(f, "unix:{}", path.display())?;
                if let Some(mode) = mode {
                    write!(f, " mode={mode:04o}")?;
                }
                if let Some(group) = group {
                    write!(f, " group={group}")?;
                }
            }
        }
        self.preamble().fmt(f)
    }
}

/// The words for it, each with a space in front.
impl fmt::Display for Preamble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls { " tls" } else { "" })?;
        f.write_str(if self.proxy { " proxy" } else { "" })
    }
}

impl Preamble {
    /// Takes one word of an entry; whether it is one of these.
    fn take(&mut self, word: &str) -> bool {
        match word {
            "tls" => self.tls = true,
            "proxy" => self.proxy = true,
            _ => return false,
        }
        true
    }
}

/// What an entry of `metrics.listen` means: one of `listen` with a port of its own, where nothing but plain requests
/// is taken.
pub(super) fn for_metrics(entry: &str) -> Result<Vec<ListenAddress>, String> {
    let mut words = entry.split_whitespace();
    let address = words.next().unwrap_or_default();
    let goes_with =
        |word: &str| ["ipv6only", "mode=", "group="].iter().any(|known| word.starts_with(known));
    if let Some(word) = words.find(|word| !goes_with(word)) {
        return Err(format!("{word:?} does not go with metrics; leave it out"));
    }
    let addresses = ListenAddress::parse(entry)?;
    let has_port = address.parse::<SocketAddr>().is_ok() || address.starts_with("localhost:");
    if !has_port && !address.starts_with("unix:") {
        return Err(format!("{address:?} has no port; write one behind it, such as \":9638\""));
    }
    Ok(addresses)
}

fn tcp<'a>(
    first: &str,
    words: impl Iterator<Item = &'a str>,
) -> Result<Vec<ListenAddress>, String> {
    let mut addresses = address(first)?;
    for word in words {
        if addresses.iter_mut().all(|address| address.preamble_mut().take(word)) {
            continue;
        }
        if word != "ipv6only" {
            return Err(format!(
                "unknown word {word:?} after the address; it takes tls, proxy and ipv6only"
            ));
        }
        let [ListenAddress::Tcp { address: SocketAddr::V6(_), ipv6only, .. }] = &mut addresses[..]
        else {
            return Err(format!(
                "ipv6only goes with an IPv6 address, which {first:?} is not; leave it out"
            ));
        };
        *ipv6only = true;
    }
    Ok(addresses)
}

fn address(text: &str) -> Result<Vec<ListenAddress>, String> {
    if let Ok(address) = text.parse() {
        return Ok(vec![ListenAddress::at(address)]);
    }
    if let Ok(ip) = text.parse::<Ipv4Addr>() {
        return Ok(vec![ListenAddress::tcp(ip, DEFAULT_PORT)]);
    }
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some(ip) = bracketed.and_then(|ip| ip.parse::<Ipv6Addr>().ok()) {
        return Ok(vec![ListenAddress::tcp(ip, DEFAULT_PORT)]);
    }
    if let Some(port) = text.strip_prefix("localhost") {
        let port = match port.strip_prefix(':') {
            _ if port.is_empty() => Some(DEFAULT_PORT),
            Some(port) => self::port(port),
            None => None,
        };
        if let Some(port) = port {
            return Ok(ListenAddress::loopback(port));
        }
    }
    Err(not_an_address(text))
}

fn port(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn not_an_address(text: &str) -> String {
    if let Ok(ip) = text.parse::<Ipv6Addr>() {
        // The end of it may have been meant as the port.
        let parts = text.rsplit_once(':').map(|(host, end)| (host.parse::<Ipv6Addr>(), port(end)));
        let meant = match parts {
            Some((Ok(host), Some(port))) => format!("\"[{host}]:{port}\" or "),
            _ => String::new(),
        };
        return format!("an IPv6 address wants brackets; write {meant}\"[{ip}]:{DEFAULT_PORT}\"");
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    if let (true, Some(port)) = (matches!(host, "" | "*"), self::port(port)) {
        return format!(
            "{text:?} has no address; write \"[::]:{port}\" for all, or \"127.0.0.1:{port}\""
        );
    }
    let known = host == "localhost"
        || host.parse::<Ipv4Addr>().is_ok()
        || (host.starts_with('[') && host.ends_with(']'));
    if known && self::port(port).is_none() {
        return format!("{port:?} is no port; use 0 to 65535, where 0 is any that is free");
    }
    format!("{text:?} is no address (names are not looked up); write one in numbers, or localhost")
}

fn unix<'a>(path: &str, words: impl Iterator<Item = &'a str>) -> Result<ListenAddress, String> {
    if !path.starts_with('/') {
        return Err(format!("{path:?} is no absolute path; write \"unix:/run/philote/http.sock\""));
    }
    if path.len() > LONGEST_SOCKET_PATH {
        return Err(format!(
            "a path of {} bytes is too long for a socket; use {LONGEST_SOCKET_PATH} at most",
            path.len()
        ));
    }
    if path.contains(char::is_control) {
        return Err("a path with a control character in it; leave that out".into());
    }
    let (mut mode, mut group, mut preamble) = (None, None, Preamble::default());
    for word in words {
        if let Some(text) = word.strip_prefix("mode=") {
            mode = Some(self::mode(text)?);
        } else if let Some(name) = word.strip_prefix("group=") {
            group = Some(self::group(name)?);
        } else if !preamble.take(word) {
            return Err(format!(
                "unknown word {word:?} after the path; it takes mode=0660, group=NAME, tls and proxy"
            ));
        }
    }
    Ok(ListenAddress::Unix { path: path.into(), mode, group, preamble })
}

/// Permission bits in octal, three or four digits.
pub(super) fn mode(text: &str) -> Result<u32, String> {
    let octal = matches!(text.len(), 3 | 4) && text.bytes().all(|byte| byte.is_ascii_digit());
    match u32::from_str_radix(text, 8) {
        Ok(mode) if octal && mode <= 0o777 => Ok(mode),
        _ => Err(format!("{text:?} is no mode; use octal digits from 0000 to 0777, such as 0660")),
    }
}

/// A group's name or number; whether there is one is seen when the socket is made.
pub(super) fn group(name: &str) -> Result<String, String> {
    // What useradd of Debian and of Fedora let through, NAME_REGEX aside.
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-$".contains(&byte);
    if name.is_empty() || name.len() > 32 || name.starts_with('-') || !name.bytes().all(fits) {
        return Err(format!("{name:?} is no group; write its name or its number"));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_as_nginx_would_write_it_and_displays_as_it_was_written() {
        let cases = [
            ("127.0.0.1:6380", "127.0.0.1:6380"),
            ("0.0.0.0", "0.0.0.0:6380"),
            ("[::]:443 ipv6only", "[::]:443 ipv6only"),
            ("  [::1]  ", "[::1]:6380"),
            ("[fe80::1%2]:80", "[fe80::1%2]:80"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("localhost:80", "127.0.0.1:80, [::1]:80"),
            ("localhost", "127.0.0.1:6380, [::1]:6380"),
            ("unix:/run/p.sock", "unix:/run/p.sock"),
            ("unix:/p mode=660 group=www-data", "unix:/p mode=0660 group=www-data"),
            ("unix:/p group=33", "unix:/p group=33"),
            ("127.0.0.1:80 proxy", "127.0.0.1:80 proxy"),
            ("[::]:443 ipv6only tls", "[::]:443 ipv6only tls"),
            ("127.0.0.1:443 proxy tls", "127.0.0.1:443 tls proxy"),
            ("unix:/p tls", "unix:/p tls"),
            ("[::]:80 proxy ipv6only", "[::]:80 ipv6only proxy"),
            ("localhost:80 proxy", "127.0.0.1:80 proxy, [::1]:80 proxy"),
            ("unix:/p proxy mode=0600", "unix:/p mode=0600 proxy"),
        ];
        for (entry, expected) in cases {
            let read = ListenAddress::parse(entry).unwrap();
            let shown: Vec<_> = read.iter().map(ListenAddress::to_string).collect();
            assert_eq!(shown.join(", "), expected);
            for (address, text) in read.iter().zip(&shown) {
                assert_eq!(ListenAddress::parse(text).unwrap(), std::slice::from_ref(address));
            }
        }
    }

    #[test]
    fn what_is_no_address_is_told_with_what_would_be() {
        let cases = [
            ("", "empty; write"),
            ("6380", "write \"[::]:6380\" for all"),
            (":6380", "write \"[::]:6380\" for all"),
            ("*:80", "write \"[::]:80\" for all"),
            ("::1", "write \"[::1]:6380\""),
            ("::1:6380", "wants brackets"),
            ("example.org:80", "names are not looked up"),
            ("localhosts:80", "names are not looked up"),
            ("127.0.0.1:70000", "\"70000\" is no port; use 0 to 65535"),
            ("localhost:+1", "\"+1\" is no port"),
            ("[::1]:http", "\"http\" is no port"),
            ("127.0.0.1:80 ssl", "unknown word \"ssl\""),
            ("127.0.0.1:80 PROXY", "unknown word \"PROXY\""),
            ("127.0.0.1:80 ipv6only", "leave it out"),
            ("localhost:80 ipv6only", "leave it out"),
            ("unix:run/p.sock", "no absolute path"),
            ("unix:", "no absolute path"),
            ("unix:/p mode=0888", "no mode"),
            ("unix:/p mode=1777", "no mode"),
            ("unix:/p mode=+77", "no mode"),
            ("unix:/p group=", "no group"),
            ("unix:/p ipv6only", "mode=0660, group=NAME, tls and proxy"),
        ];
        for (entry, expected) in cases {
            let error = ListenAddress::parse(entry).unwrap_err();
            assert!(error.contains(expected), "{entry:?}: {error}");
        }
        let long = format!("unix:/{}", "x".repeat(LONGEST_SOCKET_PATH));
        assert!(ListenAddress::parse(&long).unwrap_err().contains("too long"));
    }

    #[test]
    fn a_listener_for_metrics_names_its_port_and_takes_plain_requests_alone() {
        for entry in ["127.0.0.1:1", "[::1]:1", "localhost:1", "unix:/p mode=0600 group=adm"] {
            assert_eq!(for_metrics(entry), ListenAddress::parse(entry), "{entry}");
        }
        let cases = [
            ("127.0.0.1", "has no port"),
            ("[::1]", "has no port"),
            ("localhost", "has no port"),
            ("", "empty"),
            ("127.0.0.1:1 tls", "\"tls\" does not go with metrics"),
            ("unix:/p proxy", "\"proxy\" does not go with metrics"),
        ];
        for (entry, expected) in cases {
            let error = for_metrics(entry).unwrap_err();
            assert!(error.contains(expected), "{entry:?}: {error}");
        }
    }

    #[test]
    fn loopback_and_unix_are_local_and_nothing_else_is() {
        let cases = [
            ("127.0.0.1", true),
            ("127.8.9.1", true),
            ("[::1]", true),
            ("[::ffff:127.0.0.1]", true),
            ("unix:/p", true),
            ("0.0.0.0", false),
            ("[::]", false),
            ("192.0.2.1", false),
            ("[::ffff:192.0.2.1]", false),
            ("[fe80::1]", false),
        ];
        for (entry, local) in cases {
            assert_eq!(ListenAddress::parse(entry).unwrap()[0].is_local(), local, "{entry}");
        }
    }
}
