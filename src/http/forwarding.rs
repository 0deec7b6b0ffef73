//! Owns [`Forwarding`]: whom a request comes from, where proxies pass it on. Only a peer that the configuration
//! trusts is believed, and only the one header that it names.

use std::net::{IpAddr, SocketAddr};

use hyper::HeaderMap;
use hyper::header::{HOST, HeaderName};

use crate::config::{Proxy, TrustedProxies};
use crate::connection::Peer;

/// The host that a proxy was asked for.
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Who is believed, and where they say it.
#[derive(Debug)]
pub struct Forwarding {
    trusted: TrustedProxies,
    header: HeaderName,
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// Who sent it: the peer of the connection.
    pub sender: Peer,
    /// On whose behalf; the sender's own, where it is no trusted proxy.
    pub client: Peer,
}

impl From<&Proxy> for Forwarding {
    fn from(proxy: &Proxy) -> Forwarding {
        let header = HeaderName::from_bytes(proxy.header.as_bytes());
        Forwarding {
            trusted: proxy.trusted.clone(),
            header: header.expect("checked when it was read"),
        }
    }
}

impl Forwarding {
    /// Whether what this peer says is believed.
    pub(super) fn trusts(&self, peer: Peer) -> bool {
        self.trusted.contains(peer.ip())
    }

    /// Whether nobody is.
    pub(super) fn trusts_nobody(&self) -> bool {
        self.trusted.is_empty()
    }

    /// Where a request with these headers comes from.
    pub(crate) fn source(&self, sender: Peer, headers: &HeaderMap) -> Source {
        Source { sender, client: self.client(sender, headers) }
    }

    /// Each proxy has added at the end whom it heard from: so from the end backwards as long as those are trusted,
    /// and the first who is not is the client. What stands before that is the client's own word. Where the chain
    /// breaks off, at the beginning or at what is no address, whoever was reached last is.
    fn client(&self, sender: Peer, headers: &HeaderMap) -> Peer {
        let mut reached = sender;
        let values = headers.get_all(&self.header);
        for element in values.iter().rev().flat_map(|value| value.as_bytes().rsplit(|b| *b == b','))
        {
            if !self.trusts(reached) {
                break;
            }
            match address(element) {
                Some(peer) => reached = peer,
                None => break,
            }
        }
        reached
    }

    /// The host that was asked for: what a trusted proxy says, else the header `Host`. The empty string where it is
    /// no text, which is nobody's.
    pub(super) fn host<'a>(&self, sender: Peer, headers: &'a HeaderMap) -> Option<&'a str> {
        let told = || headers.get_all(FORWARDED_HOST).iter().next_back();
        let told = self.trusts(sender).then(told).flatten();
        if let Some(value) = told {
            // The proxy next to us has added its own at the end.
            let last = value.to_str().ok().and_then(|text| text.rsplit(',').next());
            return Some(last.map_or("", str::trim));
        }
        headers.get(HOST).map(|value| value.to_str().unwrap_or(""))
    }
}

/// One element of the list: an address, perhaps in brackets, perhaps with a port.
fn address(element: &[u8]) -> Option<Peer> {
    let text = std::str::from_utf8(element).ok()?.trim_matches([' ', '\t']);
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.into());
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some(Ok(address)) = bare.map(str::parse::<std::net::Ipv6Addr>) {
        return Some(IpAddr::from(address).into());
    }
    text.parse::<SocketAddr>().ok().map(Peer::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FileContent, LoadOptions, ReadError, Sources, load};

    /// No files, and these variables.
    struct Variables(Vec<(&'static str, &'static str)>);

    impl Sources for Variables {
        fn read(&self, _: &std::path::Path, _: usize) -> Result<FileContent, ReadError> {
            Err(ReadError::Absent)
        }
        fn environment(&self) -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
            self.0.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
        }
        fn machine_memory(&self) -> Option<u64> {
            None
        }
        fn parallelism(&self) -> std::num::NonZeroUsize {
            std::num::NonZeroUsize::MIN
        }
    }

    fn forwarding(variables: &[(&'static str, &'static str)]) -> Forwarding {
        let loaded = load(&Variables(variables.to_vec()), &LoadOptions::default());
        Forwarding::from(&loaded.expect("good").config.proxy)
    }

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().expect("a value"));
        }
        headers
    }

    const TRUSTED: &[(&str, &str)] = &[("PHILOTE_PROXY_TRUSTED", "10.0.0.0/8,2001:db8::/32,unix")];

    fn peer(text: &str) -> Peer {
        match text.parse::<SocketAddr>() {
            Ok(address) => address.into(),
            Err(_) => Peer::Unix,
        }
    }

    #[test]
    fn the_client_is_the_first_from_the_right_that_is_not_trusted() {
        let forwarding = forwarding(TRUSTED);
        let cases: [(&str, &[&str], &str); 26] = [
            ("10.0.0.1:5", &["192.0.2.7"], "192.0.2.7"),
            ("unix", &["192.0.2.7"], "192.0.2.7"),
            ("[2001:db8::1]:5", &["192.0.2.7"], "192.0.2.7"),
            ("10.0.0.1:5", &["203.0.113.9, 192.0.2.7"], "192.0.2.7"),
            ("10.0.0.1:5", &["192.0.2.7, 10.0.0.2"], "192.0.2.7"),
            ("10.0.0.1:5", &["203.0.113.9,192.0.2.7,10.0.0.2,2001:db8::2"], "192.0.2.7"),
            // Several headers are one list, in their order.
            ("10.0.0.1:5", &["203.0.113.9", "192.0.2.7"], "192.0.2.7"),
            ("10.0.0.1:5", &["192.0.2.7", "10.0.0.2, 10.0.0.3"], "192.0.2.7"),
            // What the client has written itself counts for nothing.
            ("10.0.0.1:5", &["10.0.0.9, 192.0.2.7"], "192.0.2.7"),
            ("10.0.0.1:5", &["127.0.0.1", "192.0.2.7"], "192.0.2.7"),
            // Everybody is trusted: the first of all.
            ("10.0.0.1:5", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1:5", &[], "10.0.0.1:5"),
            ("unix", &[], "unix"),
            // A sender that is not trusted speaks for itself.
            ("192.0.2.1:5", &["203.0.113.9"], "192.0.2.1:5"),
            ("127.0.0.1:5", &["203.0.113.9"], "127.0.0.1:5"),
            ("[2001:db9::1]:5", &["203.0.113.9"], "[2001:db9::1]:5"),
            // Where the chain breaks, whoever was reached.
            ("10.0.0.1:5", &["unknown"], "10.0.0.1:5"),
            ("10.0.0.1:5", &["192.0.2.7, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1:5", &["192.0.2.7,, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1:5", &[""], "10.0.0.1:5"),
            ("10.0.0.1:5", &["192.0.2.7, 10.0.0.256"], "10.0.0.1:5"),
            // With a port, in brackets, mapped.
            ("10.0.0.1:5", &["192.0.2.7:4711"], "192.0.2.7:4711"),
            ("10.0.0.1:5", &["[2001:db9::9]:4711"], "[2001:db9::9]:4711"),
            ("10.0.0.1:5", &["[2001:db9::9]"], "2001:db9::9"),
            ("10.0.0.1:5", &["2001:db9::9"], "2001:db9::9"),
            ("10.0.0.1:5", &["192.0.2.7, ::ffff:10.0.0.2"], "192.0.2.7"),
        ];
        for (sender, values, client) in cases {
            let lines: Vec<_> = values.iter().map(|value| ("x-forwarded-for", *value)).collect();
            let source = forwarding.source(peer(sender), &headers(&lines));
            assert_eq!(source.sender, peer(sender));
            assert_eq!(source.client.to_string(), client, "{sender} {values:?}");
        }
    }

    #[test]
    fn a_value_that_is_no_text_ends_the_walk() {
        let mut headers = headers(&[("x-forwarded-for", "192.0.2.7")]);
        let odd = hyper::header::HeaderValue::from_bytes(b"\xff, 10.0.0.2").expect("a value");
        headers.append("x-forwarded-for", odd);
        let source = forwarding(TRUSTED).source(peer("10.0.0.1:5"), &headers);
        assert_eq!(source.client.to_string(), "10.0.0.2");
    }

    #[test]
    fn only_the_header_that_is_configured_is_read() {
        let lines = headers(&[
            ("forwarded", "for=203.0.113.1"),
            ("x-real-ip", "203.0.113.2"),
            ("x-client", "203.0.113.3"),
        ]);
        let source = forwarding(TRUSTED).source(peer("10.0.0.1:5"), &lines);
        assert_eq!(source.client.to_string(), "10.0.0.1:5");
        let other = [TRUSTED[0], ("PHILOTE_PROXY_HEADER", "X-Client")];
        let source = forwarding(&other).source(peer("10.0.0.1:5"), &lines);
        assert_eq!(source.client.to_string(), "203.0.113.3");
    }

    #[test]
    fn a_trusted_proxy_says_which_host_was_asked_for_and_nobody_else_does() {
        let forwarding = forwarding(TRUSTED);
        let lines = headers(&[("host", "inner:6380"), ("x-forwarded-host", "app.example.org")]);
        assert_eq!(forwarding.host(peer("10.0.0.1:5"), &lines), Some("app.example.org"));
        assert_eq!(forwarding.host(peer("192.0.2.1:5"), &lines), Some("inner:6380"));
        let lines =
            headers(&[("host", "inner:6380"), ("x-forwarded-host", "evil, app.example.org")]);
        assert_eq!(forwarding.host(peer("unix"), &lines), Some("app.example.org"));
        let lines =
            headers(&[("x-forwarded-host", "evil"), ("x-forwarded-host", "app.example.org")]);
        assert_eq!(forwarding.host(peer("unix"), &lines), Some("app.example.org"));
        let lines = headers(&[("host", "inner:6380")]);
        assert_eq!(forwarding.host(peer("unix"), &lines), Some("inner:6380"));
        assert_eq!(forwarding.host(peer("unix"), &HeaderMap::new()), None);
    }
}
