//! Owns [`TrustedProxies`]: who is believed when they say whom they speak for. Looks up no name.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

/// One entry of `proxy.trusted`. `Display` gives back what stands in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrustedProxy {
    /// Every address of a network; of a single one, its length is that of the address.
    Network(IpNet),
    /// Whoever comes by a Unix socket.
    Unix,
}

/// The proxies of `proxy.trusted`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(pub(super) Vec<TrustedProxy>);

impl TrustedProxies {
    /// Whether the peer at this address is one; `None` is one that came by a Unix socket.
    pub fn contains(&self, address: Option<IpAddr>) -> bool {
        let address = address.map(|address| address.to_canonical());
        self.0.iter().any(|entry| match (entry, &address) {
            (TrustedProxy::Network(network), Some(address)) => network.contains(address),
            (TrustedProxy::Unix, None) => true,
            _ => false,
        })
    }

    /// Whether nobody is trusted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each entry.
    pub(super) fn iter(&self) -> std::slice::Iter<'_, TrustedProxy> {
        self.0.iter()
    }
}

impl TrustedProxy {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text == "unix" {
            return Ok(Self::Unix);
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Network(address.to_canonical().into()));
        }
        let network = text.parse::<IpNet>().map_err(|_| {
            format!(
                "{text:?} is no network (names are not looked up); write \"10.0.0.0/8\", \
                 \"192.0.2.7\", \"2001:db8::/32\" or \"unix\""
            )
        })?;
        if network.trunc() != network {
            return Err(format!(
                "{text:?} has bits behind its length; write \"{}\"",
                network.trunc()
            ));
        }
        Ok(Self::Network(network))
    }

    /// Whether this is everybody of a family.
    pub(super) fn is_everybody(&self) -> bool {
        matches!(self, Self::Network(network) if network.prefix_len() == 0)
    }
}

impl fmt::Display for TrustedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) if network.prefix_len() == network.max_prefix_len() => {
                network.addr().fmt(f)
            }
            Self::Network(network) => network.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

/// A header's name, by which a proxy tells one address after another.
pub(super) fn header(name: &str) -> Result<String, String> {
    // RFC 9110, 5.6.2.
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > 64 || !name.bytes().all(token) {
        return Err(format!("{name:?} is no header's name; write \"X-Forwarded-For\""));
    }
    if name.eq_ignore_ascii_case("forwarded") {
        return Err(format!(
            "{name:?} is not read, since it is no list of addresses; have the proxy send \
             X-Forwarded-For"
        ));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_displays_as_it_is_written_and_one_address_is_one_network() {
        let cases = [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7/32", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:DB8::/32", "2001:db8::/32"),
            ("::1", "::1"),
            ("unix", "unix"),
        ];
        for (text, expected) in cases {
            assert_eq!(TrustedProxy::parse(text).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn what_is_no_network_is_told_with_what_would_be() {
        let cases = [
            ("", "is no network"),
            ("localhost", "names are not looked up"),
            ("10.0.0.1/8", "write \"10.0.0.0/8\""),
            ("2001:db8::1/32", "write \"2001:db8::/32\""),
            ("10.0.0.0/33", "is no network"),
            ("10.0.0.0/255.0.0.0", "is no network"),
            ("10.0.0", "is no network"),
            ("010.0.0.1", "is no network"),
            ("Unix", "is no network"),
            ("unix:/run/nginx.sock", "is no network"),
        ];
        for (text, expected) in cases {
            let error = TrustedProxy::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn an_address_of_a_network_is_trusted_whichever_way_it_is_written_and_no_other() {
        let trusted = ["10.0.0.0/8", "2001:db8::/32", "unix"];
        let trusted = trusted.map(|text| TrustedProxy::parse(text).unwrap());
        let trusted = TrustedProxies(trusted.to_vec());
        for (address, expected) in [
            ("10.255.255.255", true),
            ("::ffff:10.0.0.1", true),
            ("2001:db8:ffff::1", true),
            ("11.0.0.0", false),
            ("2001:db9::", false),
            ("::ffff:11.0.0.1", false),
            ("::10.0.0.1", false),
        ] {
            assert_eq!(trusted.contains(Some(address.parse().unwrap())), expected, "{address}");
        }
        assert!(trusted.contains(None));
        let nobody = TrustedProxies::default();
        assert!(!nobody.contains(None) && !nobody.contains(Some("::1".parse().unwrap())));
    }

    #[test]
    fn a_header_has_the_letters_of_one_and_its_value_is_a_list() {
        for name in ["X-Forwarded-For", "x-real-ip", "CF-Connecting-IP"] {
            assert_eq!(header(name).unwrap(), name);
        }
        for name in ["", "X Forwarded", "X-Forwarded-For:", "für", "Forwarded"] {
            assert!(header(name).is_err(), "{name}");
        }
    }
}
