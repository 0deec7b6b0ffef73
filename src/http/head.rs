//! Owns what the head of every request has to satisfy, on every socket, before anything that it says is looked at
//! (RFC 9112). A request that two readers could understand in two ways is rejected: proxies in front may be the other
//! reader.
//!
//! Headers that are lists (`Connection`, `Upgrade`, `Accept`, the header of [`super::forwarding`]) may stand on several
//! lines. Of `X-Forwarded-Host` the last value counts, which is that of the nearest proxy. hyper itself rejects two
//! different `Content-Length` lines and lets `Transfer-Encoding` win over `Content-Length`; such a connection ends with
//! its answer.

use std::net::Ipv6Addr;

use hyper::header::{
    AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING,
};
use hyper::{HeaderMap, Method, Request, StatusCode, Version};

use super::answer::{self, Answer};

/// Headers that have one value, of which the first would be taken, and what is wrong with a second one.
const SINGLE: [(HeaderName, &str); 6] = [
    (HOST, "the header Host stands twice"),
    (ORIGIN, "the header Origin stands twice"),
    (AUTHORIZATION, "the header Authorization stands twice"),
    (CONTENT_TYPE, "the header Content-Type stands twice"),
    (SEC_WEBSOCKET_KEY, "the header Sec-WebSocket-Key stands twice"),
    (SEC_WEBSOCKET_VERSION, "the header Sec-WebSocket-Version stands twice"),
];

/// What is wrong with a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It can be read in several ways, or lacks something.
    #[error("malformed request: {0}")]
    Malformed(&'static str),
    /// It is longer than it may be.
    #[error("the request's line and headers are too long: see limits.max_head_size")]
    TooLong,
}

impl Fault {
    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        match self {
            Fault::Malformed(_) => StatusCode::BAD_REQUEST,
            Fault::TooLong => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        }
    }

    /// The answer to a plain request.
    pub fn answer(self) -> Answer {
        answer::fault(self.status(), "malformed", &self.to_string())
    }
}

/// Judges a head of at most so many bytes. The host of a target that has one takes the place of the header `Host`
/// (RFC 9112, 3.2.2), so that whoever looks at that header afterwards sees the one host that is asked for.
///
/// # Errors
/// What is wrong.
pub fn judge<B>(request: &mut Request<B>, longest: usize) -> Result<(), Fault> {
    if shortest_length(request) > longest {
        return Err(Fault::TooLong);
    }
    let headers = request.headers();
    for (name, fault) in &SINGLE {
        if headers.get_all(name).iter().nth(1).is_some() {
            return Err(Fault::Malformed(fault));
        }
    }
    if !is_chunked_alone(headers) {
        return Err(Fault::Malformed("the only Transfer-Encoding that is understood is chunked"));
    }
    match headers.get(HOST) {
        Some(host) if !is_host(host.as_bytes()) => {
            return Err(Fault::Malformed("the header Host is not a host, or a host and a port"));
        }
        // HTTP/1.0 has no such header.
        None if request.version() >= Version::HTTP_11 => {
            return Err(Fault::Malformed("the header Host is missing"));
        }
        _ => {}
    }
    let uri = request.uri();
    let Some(authority) = uri.authority() else { return Ok(()) };
    if uri.scheme().is_none() && request.method() != Method::CONNECT {
        return Err(Fault::Malformed("the target is neither a path nor a whole URL"));
    }
    let host = authority.as_str();
    if !is_host(host.as_bytes()) {
        return Err(Fault::Malformed("the target does not name a host, or a host and a port"));
    }
    let host = HeaderValue::from_str(host);
    let host = host.map_err(|_| Fault::Malformed("the target does not name a host"))?;
    request.headers_mut().insert(HOST, host);
    Ok(())
}

/// How many bytes the head has at least: blanks around values are not known any more. The first head of a socket is
/// measured exactly as it comes, by [`super::request_socket`].
fn shortest_length<B>(request: &Request<B>) -> usize {
    let uri = request.uri();
    let target = uri.path_and_query().map_or(0, |path| path.as_str().len())
        + uri.authority().map_or(0, |authority| authority.as_str().len());
    let line = request.method().as_str().len() + target + "  HTTP/1.1\r\n".len();
    let header = |(name, value): (&HeaderName, &HeaderValue)| {
        name.as_str().len() + value.len() + ":\r\n".len()
    };
    line + request.headers().iter().map(header).sum::<usize>() + "\r\n".len()
}

/// Whether a body is sent as it is, or in chunks and nothing else.
fn is_chunked_alone(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(only), None) => only.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"),
        _ => false,
    }
}

/// Whether this is `uri-host [":" port]` (RFC 9110, 7.2). The empty string is: a request for no host in particular.
fn is_host(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let (is_name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            let port = if rest.is_empty() { Some("") } else { rest.strip_prefix(':') };
            (address.parse::<Ipv6Addr>().is_ok(), port)
        }
        None => {
            let (name, port) = text.split_once(':').unwrap_or((text, ""));
            (is_name(name.as_bytes()) && (!name.is_empty() || text.is_empty()), Some(port))
        }
    };
    let is_port = |port: &str| {
        port.is_empty()
            || (port.bytes().all(|digit| digit.is_ascii_digit()) && port.parse::<u16>().is_ok())
    };
    is_name && port.is_some_and(is_port)
}

/// Whether this is a `reg-name` of RFC 3986, 3.2.2, which every IPv4 address is as well.
fn is_name(mut name: &[u8]) -> bool {
    loop {
        name = match name {
            [] => return true,
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest
            }
            [byte, rest @ ..]
                if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(byte) =>
            {
                rest
            }
            _ => return false,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: usize = 8 << 10;

    fn request(target: &str, version: Version, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().uri(target).version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request")
    }

    fn fault(target: &str, headers: &[(&str, &str)]) -> Option<Fault> {
        judge(&mut request(target, Version::HTTP_11, headers), LONGEST).err()
    }

    #[test]
    fn a_host_is_a_name_or_an_address_perhaps_with_a_port() {
        for host in [
            "localhost",
            "a.example:80",
            "under_score",
            "192.0.2.1:65535",
            "[::1]",
            "[2001:db8::1]:80",
            "xn--mnchen-3ya.example",
            "a%20b",
            "a:",
            "",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "a b",
            "user@localhost",
            "a:b",
            "a:65536",
            "a:-1",
            "a:+1",
            "a:80:80",
            ":80",
            "::1",
            "[::1",
            "[::1]80",
            "[localhost]",
            "http://a",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "a%2",
            "m\u{fc}nchen",
            "a,b c",
            "\"a\"",
            "<a>",
            "a\tb",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn http_1_1_needs_one_host_and_http_1_0_none() {
        assert_eq!(fault("/", &[("host", "a")]), None);
        for headers in [&[][..], &[("host", "a"), ("host", "a")], &[("host", "a b")]] {
            assert!(matches!(fault("/", headers), Some(Fault::Malformed(_))), "{headers:?}");
        }
        let old = |headers: &[_]| judge(&mut request("/", Version::HTTP_10, headers), LONGEST);
        assert_eq!((old(&[]), old(&[("host", "a")])), (Ok(()), Ok(())));
        assert!(old(&[("host", "a"), ("host", "a")]).is_err() && old(&[("host", "a b")]).is_err());
    }

    #[test]
    fn the_host_of_the_target_takes_the_place_of_the_header() {
        for version in [Version::HTTP_10, Version::HTTP_11] {
            let mut asked = request("http://target.example:81/x?y", version, &[("host", "other")]);
            assert_eq!(judge(&mut asked, LONGEST), Ok(()));
            let hosts: Vec<_> = asked.headers().get_all(HOST).iter().collect();
            assert_eq!(hosts, ["target.example:81"]);
            assert_eq!(asked.uri().path(), "/x");
        }
        assert!(fault("http://target.example/", &[]).is_some(), "HTTP/1.1 has the header too");
        assert!(fault("http://user@target.example/", &[("host", "a")]).is_some());
        assert!(fault("target.example", &[("host", "a")]).is_some());
    }

    #[test]
    fn a_second_line_of_a_header_with_one_value_is_a_fault() {
        for (name, _) in &SINGLE {
            let name = name.as_str();
            let twice = [("host", "a"), (name, "x"), (name, "x")];
            assert!(matches!(fault("/", &twice), Some(Fault::Malformed(_))), "{name}");
        }
        for list in ["connection", "upgrade", "accept", "x-forwarded-for", "x-forwarded-host"] {
            assert_eq!(fault("/", &[("host", "a"), (list, "x"), (list, "y")]), None, "{list}");
        }
    }

    #[test]
    fn chunked_is_the_only_transfer_coding() {
        let with = |values: &[&'static str]| {
            let lines = values.iter().map(|value| ("transfer-encoding", *value));
            fault("/", &std::iter::once(("host", "a")).chain(lines).collect::<Vec<_>>())
        };
        assert_eq!((with(&[]), with(&["chunked"]), with(&["Chunked"])), (None, None, None));
        for values in [&["gzip, chunked"][..], &["chunked, chunked"], &["gzip", "chunked"], &["x"]]
        {
            assert!(with(values).is_some(), "{values:?}");
        }
    }

    #[test]
    fn a_head_has_a_longest_length() {
        let long = "x".repeat(1000);
        let lines = |count: usize| {
            let mut lines = vec![("host", "a")];
            lines.resize(count + 1, ("x", long.as_str()));
            lines
        };
        assert_eq!(fault("/", &lines(8)), None);
        assert_eq!(fault("/", &lines(9)), Some(Fault::TooLong));
        assert_eq!(fault(&format!("/{}", "x".repeat(LONGEST)), &lines(0)), Some(Fault::TooLong));
    }
}
