//! `GET /api/info`: the names and types that existing tools print.

use crate::support::http::Request;
use crate::support::server::{Server, Setup};
use crate::support::token::{grant, token};

fn monitor() -> String {
    token(r#"{"api":true}"#)
}

#[test]
fn info_has_the_names_and_types_that_tools_print() {
    let server = Server::with("[limits]\nmax_connections = 77");
    let one = server.open(&grant(&["a"], &[]));
    let two = server.open(&grant(&["a"], &[]));
    let answer = server.ask(&Request::get("/api/info").bearer(&monitor()));
    assert_eq!(answer.status, 200);
    let kind = answer.header("content-type").unwrap_or_default();
    assert!(kind.starts_with("application/json"), "{answer:?}");
    let info: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    assert!(info["version"].is_string(), "{info}");
    for name in [
        "num_cpu",
        "uptime_in_seconds",
        "uptime_in_days",
        "pid",
        "connections",
        "max_connections",
        "read_buffer_size",
        "write_buffer_size",
    ] {
        assert!(info[name].is_number(), "{name}: {info}");
    }
    assert_eq!(info["pid"], server.pid());
    assert_eq!(info["connections"], 2);
    assert_eq!(info["max_connections"], 77);
    assert_eq!(info["tcp_port"], server.address().port().to_string());
    assert_eq!(info["check_origin"], false);
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        (&info["read_buffer_size"], &info["write_buffer_size"]),
        (&1024.into(), &1024.into())
    );
    one.close();
    two.close();
    server.until_connections(0);
}

#[test]
fn info_reports_what_is_configured() {
    let server = Setup::new("[auth]\ncheck_origin = true\n[websocket]\nread_buffer_size = 2048")
        .environment("WRITE_BUFFER_SIZE", "4096")
        .environment("MAX_CONNECTIONS", "12")
        .start();
    let info = server.info();
    assert_eq!(info["check_origin"], true);
    assert_eq!(info["read_buffer_size"], 2048);
    assert_eq!(info["write_buffer_size"], 4096);
    assert_eq!(info["max_connections"], 12);
}

#[test]
fn info_takes_its_token_from_the_query_too() {
    let server = Server::start();
    for target in
        [format!("/api/info?auth={}", monitor()), format!("/api/info?x=1&auth={}", monitor())]
    {
        assert_eq!(server.ask(&Request::get(&target)).status, 200);
    }
}

#[test]
fn info_without_the_grant_is_403() {
    let server = Server::start();
    for claims in ["{}", r#"{"api":false}"#, r#"{"api":null}"#, r#"{"read":["a"],"write":["a"]}"#] {
        let answer = server.ask(&Request::get("/api/info").bearer(&token(claims)));
        assert_eq!(answer.status, 403, "{claims}: {answer:?}");
    }
}

#[test]
fn info_without_a_good_token_is_401() {
    let server = Server::start();
    let plain = Request::get("/api/info");
    for request in [plain.clone(), plain.clone().bearer("bad"), Request::get("/api/info?auth=bad")]
    {
        let answer = server.ask(&request);
        assert_eq!(answer.status, 401, "{answer:?}");
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        assert!(challenge.starts_with("Bearer"), "{answer:?}");
    }
}

/// A page elsewhere cannot read an answer: no CORS header is ever sent.
#[test]
fn no_answer_is_shared_with_foreign_pages() {
    let server = Server::start();
    let request = Request::get("/api/info").header("Origin", "https://elsewhere.example");
    let answer = server.ask(&request.bearer(&monitor()));
    assert!(answer.headers.iter().all(|(name, _)| !name.starts_with("access-control")));
}

#[test]
fn health_and_readiness_are_told_to_everybody() {
    let server = Server::start();
    for path in ["/healthz", "/readyz", "/healthz?x=1"] {
        let answer = server.ask(&Request::get(path));
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
}
