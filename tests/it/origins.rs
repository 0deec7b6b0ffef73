//! Which pages may connect.

use crate::support::http::Request;
use crate::support::server::Server;
use crate::support::token::grant;

fn from(host: &str, origin: Option<&str>) -> Request {
    let request = Request::upgrade_with(&grant(&["a"], &[])).header("Host", host);
    match origin {
        Some(origin) => request.header("Origin", origin),
        None => request,
    }
}

#[track_caller]
fn admits(server: &Server, host: &str, origin: Option<&str>) {
    server.open_with(&from(host, origin)).round_trip();
}

#[track_caller]
fn forbids(server: &Server, host: &str, origin: &str) {
    let refusal = server.refuses(&from(host, Some(origin)));
    assert_eq!(refusal.status, 403, "{host} {origin}: {refusal:?}");
}

#[test]
fn by_default_any_page_may_connect() {
    let server = Server::start();
    for origin in ["https://elsewhere.example", "http://philote.example:81", "null"] {
        admits(&server, "philote.example", Some(origin));
    }
}

#[test]
fn checked_an_origin_must_name_the_host_and_port_that_were_asked() {
    let server = Server::with("[auth]\ncheck_origin = true");
    admits(&server, "philote.example", None);
    admits(&server, "philote.example", Some("http://philote.example"));
    admits(&server, "philote.example:6380", Some("http://philote.example:6380"));
    admits(&server, "PHILOTE.example:6380", Some("http://philote.EXAMPLE:6380"));
    admits(&server, "[::1]:6380", Some("http://[::1]:6380"));
    for origin in [
        "http://elsewhere.example:6380",
        "http://philote.example:6381",
        "http://philote.example",
        "http://philote.example.elsewhere.example:6380",
        "http://sub.philote.example:6380",
        "null",
        "philote.example:6380",
        "",
    ] {
        // An empty Origin names nothing; whether that is "sent" is not for a browser to try.
        if !origin.is_empty() {
            forbids(&server, "philote.example:6380", origin);
        }
    }
}

#[test]
fn checked_a_port_that_is_not_said_is_the_schemes_own() {
    let server = Server::with("[auth]\ncheck_origin = true");
    admits(&server, "philote.example", Some("http://philote.example:80"));
    admits(&server, "philote.example:80", Some("http://philote.example"));
    admits(&server, "philote.example:443", Some("https://philote.example"));
    // Behind a proxy that ends TLS.
    admits(&server, "philote.example", Some("https://philote.example"));
    forbids(&server, "philote.example", "http://philote.example:8080");
    forbids(&server, "philote.example:8080", "https://philote.example");
}

#[test]
fn where_origins_are_listed_they_are_checked() {
    let server = Server::with(
        "[auth]\nallowed_origins = [\"https://app.example.org\", \"https://*.example.com\"]",
    );
    let host = "philote.example:6380";
    admits(&server, host, None);
    admits(&server, host, Some("https://app.example.org"));
    admits(&server, host, Some("https://APP.example.org"));
    admits(&server, host, Some("https://app.example.org:443"));
    admits(&server, host, Some("https://a.example.com"));
    for origin in [
        "https://example.org",
        "http://app.example.org",
        "https://app.example.org:8443",
        "https://app.example.org.elsewhere.example",
        "https://elsewhere.example/app.example.org",
        "https://xapp.example.org",
        "https://notexample.com",
        "http://a.example.com",
        "null",
    ] {
        forbids(&server, host, origin);
    }
}
