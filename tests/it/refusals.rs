//! Who is not let in, and how that is said: proper statuses, one line of text, no token in it.

use crate::support::client::Client;
use crate::support::http::{Request, Response};
use crate::support::server::{Server, Setup};
use crate::support::token::{SECRET, grant, seconds_from_now, signed, token};
use crate::support::until;

/// A refusal's body is one line of plain text.
#[track_caller]
fn says_why(refusal: &Response) {
    let kind = refusal.header("content-type").unwrap_or_default();
    assert!(kind.starts_with("text/plain"), "{refusal:?}");
    let line = refusal.body.strip_suffix('\n').unwrap_or(&refusal.body);
    assert!(!line.trim().is_empty() && !line.contains(['\n', '\r']), "{refusal:?}");
}

#[test]
fn a_bad_token_is_401_with_a_challenge_and_a_reason() {
    let server = Server::start();
    let expired = token(&format!(r#"{{"exp":{}}}"#, seconds_from_now(-60)));
    let early = token(&format!(r#"{{"nbf":{}}}"#, seconds_from_now(60)));
    let foreign = signed("HS256", "{}", "another secret");
    let mut reasons = Vec::new();
    for bad in [expired, early, foreign, "no-token-at-all".to_owned()] {
        let in_query = server.refuses(&Request::upgrade(&format!("/?auth={bad}")));
        for refusal in [server.refuses_token(&bad), in_query] {
            assert_eq!(refusal.status, 401, "{refusal:?}");
            let challenge = refusal.header("www-authenticate").unwrap_or_default();
            assert!(challenge.starts_with("Bearer"), "{refusal:?}");
            says_why(&refusal);
            assert!(!format!("{refusal:?}").contains(&bad), "the token stands in the refusal");
            reasons.push(refusal.body);
        }
    }
    assert_ne!(reasons[0], reasons[2], "expired and not yet valid are told apart");
    assert_ne!(reasons[0], reasons[4], "expired and badly signed are told apart");

    let missing = server.refuses(&Request::upgrade("/"));
    assert_eq!(missing.status, 401);
    assert!(missing.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")));
    says_why(&missing);
}

/// The claims of a token whose signature is wrong are nobody's words: nothing is said of them.
#[test]
fn an_expired_token_with_a_bad_signature_is_told_only_the_signature() {
    let server = Server::start();
    let expired = format!(r#"{{"exp":{}}}"#, seconds_from_now(-60));
    let refusal = server.refuses_token(&signed("HS256", &expired, "another secret"));
    let plain = server.refuses_token(&signed("HS256", "{}", "another secret"));
    assert_eq!((refusal.status, refusal.body), (401, plain.body));
}

#[test]
fn neither_token_nor_secret_nor_query_reaches_the_log() {
    let server = Server::with("[log]\nlevel = \"trace\"");
    let bad = signed("HS256", "{}", "another secret");
    let good = grant(&["a"], &["a"]);
    server.refuses(&Request::upgrade(&format!("/?auth={bad}&mark=querymark")));
    server.refuses_token(&bad);
    let mut client = server.open_with(&Request::upgrade(&format!("/?auth={good}&mark=querymark")));
    client.publish("a", "payloadmark");
    client.publish("ungranted", "payloadmark");
    client.send_text(r#"{"channel":"a","data":{"payloadmark":1}}"#);
    client.closed_with(1007);
    server.ask(&Request::get(&format!("/nothing?auth={good}&mark=querymark")));
    let log = server.stop();
    assert!(!log.is_empty());
    let signatures = [&bad, &good].map(|token| token.rsplit_once('.').expect("parts").1);
    for secret in [bad.as_str(), &good, signatures[0], signatures[1], SECRET] {
        assert!(!log.contains(secret), "a secret is logged:\n{log}");
    }
    for mark in ["querymark", "payloadmark"] {
        assert!(!log.contains(mark), "{mark} is logged:\n{log}");
    }
}

#[test]
fn over_the_connection_limit_is_503_with_a_time_to_retry() {
    let server = Server::with("[limits]\nmax_connections = 2");
    let token = grant(&["a"], &["a"]);
    let first = server.open(&token);
    let mut second = server.open(&token);
    let refusal = server.refuses_token(&token);
    assert_eq!(refusal.status, 503);
    let seconds = refusal.header("retry-after").expect("Retry-After");
    assert!(seconds.parse::<u32>().is_ok_and(|seconds| seconds > 0), "{refusal:?}");
    says_why(&refusal);
    // Who is in stays in.
    second.round_trip();

    first.close();
    let mut third = None;
    until("the place is free again", || {
        third = Client::open(server.address(), &Request::upgrade_with(&token)).ok();
        third.is_some()
    });
    let mut third = third.expect("a connection");
    third.publish("a", "a newcomer");
    second.hears("a", "a newcomer");
    assert_eq!(server.refuses_token(&token).status, 503);
    // A connection that was reset gives its place back, too.
    third.reset();
    until("the place is free again", || {
        Client::open(server.address(), &Request::upgrade_with(&token)).is_ok()
    });
}

#[test]
fn a_bad_token_takes_no_place() {
    let server = Server::with("[limits]\nmax_connections = 1");
    for _ in 0..20 {
        assert_eq!(server.refuses_token("bad").status, 401);
    }
    server.open(&grant(&["a"], &[])).round_trip();
}

#[test]
fn a_get_of_the_root_that_is_no_upgrade_is_told_what_this_is() {
    let server = Server::start();
    for request in [
        Request::get("/"),
        Request::get("/").bearer(&grant(&["a"], &[])),
        Request::get(&format!("/?auth={}", grant(&["a"], &[]))),
        Request::get("/").header("Upgrade", "h2c").header("Connection", "Upgrade"),
        Request::upgrade("/").without("Sec-WebSocket-Version"),
    ] {
        let answer = server.ask(&request);
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.body.starts_with("this is a WebSocket server"), "{answer:?}");
        // Through a proxy this header would come into HTTP/2, where it is forbidden.
        assert_eq!(answer.header("upgrade"), None, "{answer:?}");
        says_why(&answer);
    }
}

#[test]
fn another_version_of_the_protocol_is_told_which_is_spoken() {
    let server = Server::start();
    let token = grant(&["a"], &[]);
    for version in ["8", "0", "12", "14", "130", "thirteen"] {
        let refusal =
            server.refuses(&Request::upgrade_with(&token).header("Sec-WebSocket-Version", version));
        assert_eq!(refusal.status, 426, "{version}: {refusal:?}");
        assert_eq!(refusal.header("sec-websocket-version"), Some("13"));
        // RFC 9110, 15.5.22 and 7.8: a 426 names what to upgrade to, in both headers.
        assert_eq!(refusal.header("upgrade"), Some("websocket"));
        assert_eq!(refusal.header("connection"), Some("Upgrade"));
        says_why(&refusal);
    }
}

#[test]
fn a_malformed_upgrade_is_400() {
    let server = Server::start();
    let good = Request::upgrade_with(&grant(&["a"], &[]));
    for bad in [
        good.clone().without("Sec-WebSocket-Key"),
        good.clone().header("Sec-WebSocket-Key", ""),
        good.clone().header("Sec-WebSocket-Key", "c2hvcnQ="),
        good.clone().header("Sec-WebSocket-Key", "not base64 at all!!!!!!!"),
        good.clone().header("Sec-WebSocket-Key", "dGhpcyBpcyBtb3JlIHRoYW4gMTYgYnl0ZXM="),
        // RFC 9112, 3.2.
        good.clone().without("Host"),
    ] {
        let refusal = server.refuses(&bad);
        assert_eq!(refusal.status, 400, "{bad:?}: {refusal:?}");
        says_why(&refusal);
    }
}

#[test]
fn an_upgrade_by_another_method_or_an_older_http_is_refused() {
    let server = Server::start();
    let good = Request::upgrade_with(&grant(&["a"], &[]));
    let posted = server.refuses(&good.clone().method("POST").header("Content-Length", "0"));
    assert!(matches!(posted.status, 400 | 405), "{posted:?}");
    let old = server.refuses(&good.version("HTTP/1.0"));
    assert_eq!(old.status, 400, "{old:?}");
}

#[test]
fn an_unknown_path_without_an_upgrade_is_404() {
    let server = Server::start();
    let token = grant(&["a"], &[]);
    for path in ["/nothing", "/api", "/api/", "/api/nothing", "/favicon.ico", "/../etc/passwd"] {
        let answer = server.ask(&Request::get(path));
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
        let answer = server.ask(&Request::get(&format!("{path}?auth={token}")));
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
        assert!(!format!("{answer:?}").contains(&token));
        assert_eq!(fault(&answer), "not_found");
    }
}

/// The stable word of an error in JSON, which has a sentence too.
#[track_caller]
fn fault(answer: &Response) -> String {
    assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
    let body: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    let reason = body["reason"].as_str().unwrap_or_default();
    assert!(!reason.is_empty() && !reason.contains('\n'), "{answer:?}");
    body["error"].as_str().expect("a word").to_owned()
}

#[test]
fn a_plain_request_that_may_not_ask_is_told_in_json() {
    let server = Server::start();
    let plain = Request::get("/api/info");
    assert_eq!(fault(&server.ask(&plain)), "no_token");
    assert_eq!(fault(&server.ask(&plain.clone().bearer("bad"))), "token_malformed");
    assert_eq!(fault(&server.ask(&plain.bearer(&token("{}")))), "no_api_grant");
}

#[test]
fn another_method_is_405_with_those_that_would_do() {
    let server = Server::start();
    let request = Request::new("POST", "/api/info")
        .bearer(&token(r#"{"api":true}"#))
        .header("Content-Length", "0");
    let answer = server.ask(&request);
    assert_eq!(answer.status, 405, "{answer:?}");
    assert_eq!(answer.header("allow"), Some("GET, HEAD"), "{answer:?}");
    assert_eq!(fault(&answer), "method_not_allowed");
}

#[test]
fn a_grant_of_too_many_channels_is_403_that_names_the_key() {
    let server = Server::with("[limits]\nmax_channels = 3");
    let many: &[&str] = &["a", "b", "c", "d"];
    for grant in [grant(many, &[]), grant(&[], many)] {
        let refusal = server.refuses_token(&grant);
        assert_eq!(refusal.status, 403, "{refusal:?}");
        assert!(refusal.body.contains("max_channels"), "{refusal:?}");
        says_why(&refusal);
    }
    server.open(&grant(&many[..3], &[])).round_trip();
    server.open(&grant(&["a", "b", "a", "a", "c"], &[])).round_trip();
}

#[test]
fn a_channel_name_that_is_too_long_is_403_that_names_the_key() {
    let server = Server::with("[limits]\nmax_channel_length = 8");
    for long in ["123456789", "äöüäö"] {
        for grant in [grant(&["a", long], &[]), grant(&[], &[long])] {
            let refusal = server.refuses_token(&grant);
            assert_eq!(refusal.status, 403, "{refusal:?}");
            assert!(refusal.body.contains("max_channel_length"), "{refusal:?}");
            says_why(&refusal);
        }
    }
    server.open(&grant(&["12345678", "äöüä"], &[])).round_trip();
}

#[test]
fn a_grant_of_a_thousand_channels_is_admitted_by_the_defaults() {
    let server = Server::start();
    let names: Vec<String> = (0..1000).map(|count| format!("channel {count:030}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    // Go's server took heads of 1 MB; ours are 64 KiB.
    let mut client = server.open_with(&Request::upgrade_with(&grant(&names, &[])));
    server.publisher(&[names[999]]).publish(names[999], "to the last of them");
    client.hears(names[999], "to the last of them");
}

/// With the empty secret any page in a browser could sign a token: only pages and hosts of this
/// machine may come near.
#[test]
fn with_the_empty_secret_host_and_origin_must_be_of_this_machine() {
    let server = Setup::new("").without_secret().start();
    let port = server.address().port();
    let good = Request::upgrade_with(&signed("HS256", "{}", ""));
    let host = |host: &str| good.clone().header("Host", host);
    let origin = |origin: &str| good.clone().header("Origin", origin);
    for request in [
        host("localhost"),
        host("LOCALHOST"),
        host("localhost."),
        host(&format!("app.localhost:{port}")),
        host(&format!("a.b.localhost.:{port}")),
        origin("http://app.localhost:3000"),
        origin("https://app.LocalHost."),
        host(&format!("localhost:{port}")),
        host(&format!("127.0.0.1:{port}")),
        host("127.1.2.3"),
        host(&format!("[::1]:{port}")),
        origin("http://localhost:3000"),
        origin("https://127.0.0.1"),
        origin("http://[::1]:8080"),
    ] {
        server.open_with(&request).round_trip();
    }
    for request in [
        host("philote.example"),
        host(&format!("philote.example:{port}")),
        host("192.0.2.1"),
        host("localhost.example"),
        host("127.0.0.1.example"),
        host("notlocalhost"),
        host("app.localhost.example"),
        host(".localhost"),
        origin("http://app.localhost.example"),
        origin("http://notlocalhost:3000"),
        origin("http://philote.example"),
        origin("https://localhost.example"),
        origin("http://127.0.0.1.example:80"),
        origin("null"),
    ] {
        let refusal = server.refuses(&request);
        assert_eq!(refusal.status, 403, "{request:?}: {refusal:?}");
        says_why(&refusal);
    }
    // A name that an attacker points to 127.0.0.1 reads no answers, either.
    let api = signed("HS256", r#"{"api":true}"#, "");
    let info = Request::get("/api/info").bearer(&api);
    assert_eq!(server.ask(&info).status, 200);
    assert_eq!(server.ask(&info.clone().header("Host", "philote.example")).status, 403);
    assert_eq!(server.ask(&info.header("Origin", "http://philote.example")).status, 403);
}

#[test]
fn an_administrator_may_lift_that() {
    let server = Setup::new("[auth]\nallow_empty_secret = true").without_secret().start();
    let good = Request::upgrade_with(&signed("HS256", "{}", ""));
    server.open_with(&good.clone().header("Host", "philote.example")).round_trip();
    server.open_with(&good.header("Origin", "http://philote.example")).round_trip();
}
