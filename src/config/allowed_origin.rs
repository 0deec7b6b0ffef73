//! Owns [`AllowedOrigin`]: one entry of `auth.allowed_origins` (RFC 6454).

use std::fmt;

/// `https://app.example.org`, or `https://*.example.org` for every host below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedOrigin {
    scheme: String,
    /// Whether the host is what comes after `*.`.
    below: bool,
    host: String,
    /// `None` where neither the entry nor its scheme names one.
    port: Option<u16>,
}

impl AllowedOrigin {
    /// Whether the value of an `Origin` header is this origin: scheme and host without case, the
    /// scheme's default port filled in. `null` and what is no origin never are.
    pub fn matches(&self, origin: &str) -> bool {
        let Ok((scheme, host, port)) = split(origin) else { return false };
        let host_fits = if self.below {
            // A label at least in front of the dot.
            host.strip_suffix(&*self.host)
                .and_then(|labels| labels.strip_suffix('.'))
                .is_some_and(|labels| !labels.is_empty())
        } else {
            host == self.host
        };
        host_fits && scheme == self.scheme && port == self.port
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if matches!(text, "*" | "null") {
            return Err(format!(
                "{text:?} is no origin; to accept every page leave both \
                                allowed_origins and check_origin out"
            ));
        }
        let (scheme, host, port) = split(text).map_err(|what| {
            format!(
                "{text:?} {what}; write \"https://app.example.org\" or \"https://*.example.org\""
            )
        })?;
        let (below, host) = match host.strip_prefix("*.") {
            Some(rest) => (true, rest.to_owned()),
            None => (false, host),
        };
        if host.contains('*') {
            return Err(format!(
                "{text:?} has a * that is not the first label; write \
                                \"https://*.example.org\""
            ));
        }
        Ok(Self { scheme, below, host, port })
    }
}

impl fmt::Display for AllowedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, if self.below { "*." } else { "" }, self.host)?;
        match self.port {
            Some(port) if default_port(&self.scheme) != Some(port) => write!(f, ":{port}"),
            _ => Ok(()),
        }
    }
}

/// Scheme and host in lower case, and the port, by default the scheme's.
fn split(text: &str) -> Result<(String, String, Option<u16>), &'static str> {
    let (scheme, rest) = text.split_once("://").ok_or("has no scheme")?;
    let scheme_fits = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    if !scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        || !scheme.bytes().all(scheme_fits)
    {
        return Err("has no scheme");
    }
    let scheme = scheme.to_ascii_lowercase();
    if rest.contains(['/', '?', '#', '@']) {
        return Err("has more than scheme, host and port");
    }
    let (host, port) = match rest.rsplit_once(':') {
        // The colons inside of an IPv6 address are not the port's.
        Some((host, port)) if !port.ends_with(']') => {
            let digits = port.bytes().all(|byte| byte.is_ascii_digit());
            (host, Some(port.parse().ok().filter(|_| digits).ok_or("has no port after its colon")?))
        }
        _ => (rest, default_port(&scheme)),
    };
    let host_fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._*".contains(&byte);
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host_is_one = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && !host.starts_with('.') && host.bytes().all(host_fits),
    };
    if !host_is_one {
        return Err(
            "has no host (other letters than ASCII are written in punycode, as browsers do)",
        );
    }
    Ok((scheme, host.to_ascii_lowercase(), port))
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_matches_without_case_and_with_its_default_port() {
        let cases = [
            ("https://app.example.org", "https://app.example.org", true),
            ("https://app.example.org", "https://APP.example.org:443", true),
            ("https://app.example.org:443", "https://app.example.org", true),
            ("HTTPS://App.Example.Org", "https://app.example.org", true),
            ("http://localhost:3000", "http://localhost:3000", true),
            ("http://[::1]:3000", "http://[::1]:3000", true),
            ("http://[::1]", "http://[::1]:80", true),
            ("capacitor://localhost", "capacitor://localhost", true),
            ("https://*.example.org", "https://a.example.org", true),
            ("https://*.example.org", "https://a.b.EXAMPLE.org", true),
            ("https://*.example.org:8443", "https://a.example.org:8443", true),
            ("https://*.example.org", "https://example.org", false),
            ("https://*.example.org", "https://.example.org", false),
            ("https://*.example.org", "https://badexample.org", false),
            ("https://*.example.org", "https://a.example.org.evil.net", false),
            ("https://*.example.org", "https://a.example.org:8443", false),
            ("https://app.example.org", "http://app.example.org", false),
            ("https://app.example.org", "http://app.example.org:443", false),
            ("https://app.example.org", "https://app.example.org:80", false),
            ("https://app.example.org", "https://app.example.org/", false),
            ("https://app.example.org", "https://app.example.org@evil.net", false),
            ("https://app.example.org", "null", false),
            ("https://app.example.org", "", false),
            ("https://app.example.org", "https://", false),
        ];
        for (entry, origin, expected) in cases {
            let allowed = AllowedOrigin::parse(entry).unwrap();
            assert_eq!(allowed.matches(origin), expected, "{entry} {origin}");
        }
    }

    #[test]
    fn an_origin_displays_as_it_is_written() {
        let cases = [
            ("HTTPS://App.example.org:443", "https://app.example.org"),
            ("https://*.Example.org:8443", "https://*.example.org:8443"),
            ("app://local", "app://local"),
        ];
        for (text, expected) in cases {
            assert_eq!(AllowedOrigin::parse(text).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn what_is_no_origin_is_told() {
        let cases = [
            ("*", "leave both"),
            ("null", "leave both"),
            ("app.example.org", "no scheme"),
            ("://x", "no scheme"),
            ("https://", "no host"),
            ("https://b\u{fc}cher.example", "punycode"),
            ("https://a.example.org/", "more than"),
            ("https://a.example.org:", "no port"),
            ("https://a.example.org:+1", "no port"),
            ("https://a.*.example.org", "not the first label"),
            ("https://*", "not the first label"),
            ("https://[::1", "no host"),
        ];
        for (text, expected) in cases {
            let error = AllowedOrigin::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
