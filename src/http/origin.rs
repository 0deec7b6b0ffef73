//! Whether a request may come from where it says it comes from.

use std::net::IpAddr;

use hyper::header::{HeaderName, ORIGIN};
use hyper::{HeaderMap, Uri};

use super::refusal::Refusal;
use super::rules::Rules;
use crate::connection::Peer;

/// Judges `Origin` and the host that was asked for, in a request that `sender` has sent.
///
/// # Errors
/// 403 where the rules do not let a page of that origin in, or where anyone can sign tokens and the
/// request names another host than this one.
pub(super) fn judge(rules: &Rules, sender: Peer, headers: &HeaderMap) -> Result<(), Refusal> {
    let origin = text(headers, ORIGIN);
    let host = rules.forwarding.host(sender, headers);
    if rules.loopback_only {
        let local = host.is_some_and(is_loopback)
            && origin
                .is_none_or(|origin| authority_of(origin).is_some_and(|(_, a)| is_loopback(a)));
        if !local {
            return Err(Refusal::NotLoopback);
        }
    }
    let Some(origin) = origin.filter(|_| rules.check_origin) else { return Ok(()) };
    let same_host = || match (authority_of(origin), host) {
        (Some((scheme, authority)), Some(host)) => {
            with_port(authority, scheme).eq_ignore_ascii_case(&with_port(host, scheme))
        }
        _ => false,
    };
    if rules.allowed_origins.iter().any(|allowed| allowed.matches(origin)) || same_host() {
        Ok(())
    } else {
        Err(Refusal::Origin)
    }
}

/// A header's text; the empty string where it is not text, which matches nothing.
fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).map(|value| value.to_str().unwrap_or(""))
}

fn authority_of(origin: &str) -> Option<(&str, &str)> {
    origin.split_once("://").filter(|(_, authority)| !authority.is_empty())
}

/// The host with its port, the scheme's default one filled in.
fn with_port(host: &str, scheme: &str) -> String {
    let has_port = host.rsplit_once(':').is_some_and(|(before, port)| {
        port.bytes().all(|b| b.is_ascii_digit()) && (!before.contains(':') || before.ends_with(']'))
    });
    let port = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
    if has_port { host.to_owned() } else { format!("{host}:{port}") }
}

/// Whether a host, with or without a port, is this machine's own.
fn is_loopback(host: &str) -> bool {
    let Ok(uri) = host.parse::<Uri>() else { return false };
    let Some(name) = uri.host() else { return false };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    is_localhost(name)
        || bare.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Whether a name is `localhost` or below it, with or without the dot of the root: such names lead nowhere else (RFC
/// 6761, section 6.3).
fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost"
        || name
            .strip_suffix(".localhost")
            .is_some_and(|labels| labels.split('.').all(|label| !label.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_loopback() {
        let local = [
            "localhost",
            "LOCALHOST:6380",
            "localhost.",
            "localhost.:6380",
            "app.localhost",
            "a.b.App.LocalHost:3000",
            "app.localhost.",
            "app.localhost.:3000",
            "127.0.0.1",
            "127.9.9.9:1",
            "[::1]",
            "[::1]:6380",
        ];
        for host in local {
            assert!(is_loopback(host), "{host}");
        }
        let others = [
            "",
            "localhost.evil.org",
            "app.localhost.evil.org",
            "evillocalhost",
            "evil-localhost:1",
            ".localhost",
            "a..localhost",
            "localhost..",
            ".",
            "evil.org:6380",
            "10.0.0.1",
            "[::2]:1",
            "0.0.0.0",
            "x",
        ];
        for host in others {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn the_default_port_is_filled_in() {
        assert_eq!(with_port("a.org", "http"), "a.org:80");
        assert_eq!(with_port("a.org", "https"), "a.org:443");
        assert_eq!(with_port("a.org:81", "https"), "a.org:81");
        assert_eq!(with_port("[::1]", "http"), "[::1]:80");
        assert_eq!(with_port("[::1]:9", "http"), "[::1]:9");
    }
}
