//! The page for people: who is shown it, what it may do, and how it works in a real browser.

use std::path::Path;
use std::process::Command;

use crate::support::dir::Dir;
use crate::support::http::Request;
use crate::support::server::{Server, Setup, file};
use crate::support::tls::{Authority, lines};
use crate::support::token::{grant, signed, token};
use crate::support::tools::{in_tests, python, require_tool};

/// What browsers send.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

fn by_a_browser() -> Request {
    Request::get("/").header("Accept", BROWSER)
}

#[track_caller]
fn is_shown(server: &Server, shown: bool) {
    let answer = server.ask(&by_a_browser());
    let html = answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
    assert_eq!((answer.status, html), if shown { (200, true) } else { (400, false) }, "{answer:?}");
}

#[test]
fn the_page_is_shown_while_the_secret_is_empty_and_with_a_secret_only_where_that_is_said() {
    is_shown(&Setup::new("").without_secret().start(), true);
    is_shown(&Setup::new("http.welcome = false").without_secret().start(), false);
    is_shown(&Setup::new("auth.allow_empty_secret = true").without_secret().start(), false);
    is_shown(&Server::start(), false);
    is_shown(&Server::with("http.welcome = true"), true);
}

#[test]
fn a_reload_shows_and_hides_it() {
    let server = Setup::of_file(&file(&[])).start();
    is_shown(&server, false);
    server.reconfigure(&file(&["http.welcome = true"]));
    server.reload();
    is_shown(&server, true);
    server.reconfigure(&file(&[]));
    server.reload();
    is_shown(&server, false);
}

#[test]
fn programs_are_told_what_they_always_were() {
    let server = Server::with("http.welcome = true");
    for accept in [None, Some("*/*"), Some("application/json"), Some("text/plain")] {
        let request = Request::get("/");
        let request = match accept {
            Some(accept) => request.header("Accept", accept),
            None => request,
        };
        assert_eq!(server.ask(&request).status, 400, "{accept:?}");
    }
    // An upgrade is one, whatever else it accepts.
    let upgrade = Request::upgrade_with(&grant(&["a"], &[])).header("Accept", BROWSER);
    server.open_with(&upgrade).round_trip();
}

#[test]
fn the_page_is_held_by_a_strict_policy_and_kept_by_nobody() {
    let server = Server::with("http.welcome = true");
    let answer = server.ask(&by_a_browser());
    let policy = answer.header("content-security-policy").expect("a policy");
    let parts: Vec<_> = policy.split("; ").collect();
    for part in [
        "default-src 'none'",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
    ] {
        assert!(parts.contains(&part), "{part} is missing: {policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    assert_eq!(answer.header("server"), None);
}

#[test]
fn while_anyone_can_sign_only_loopback_hosts_are_shown_it() {
    let server = Setup::new("").without_secret().start();
    for (host, status) in [("localhost:6380", 200), ("127.0.0.1", 200), ("elsewhere.example", 403)]
    {
        assert_eq!(server.ask(&by_a_browser().header("Host", host)).status, status, "{host}");
    }
}

/// What a person does with it: `tests/python/page.py` says what.
#[test]
fn in_a_browser_it_connects_hears_publishes_and_fits_a_phone_and_a_desk() {
    let (server, dir) = (Server::with("http.welcome = true"), Dir::new());
    as_a_person(&format!("http://127.0.0.1:{}/", server.address().port()), &dir, None);
}

/// The same under TLS, with a certificate whose authority the browser is told to trust, as an administrator of one of
/// their own does: the page comes by https:, and its socket by wss:.
#[test]
fn in_a_browser_that_trusts_the_authority_it_does_all_of_that_over_tls() {
    let Some(certutil) = require_tool("certutil", "apt install libnss3-tools") else { return };
    let (authority, dir) = (Authority::new(), Dir::new());
    let files = authority.signs(-1, 90).write(&dir);
    let server = Setup::new(&format!("http.welcome = true\n{}", lines(&files)))
        .environment("PHILOTE_LISTEN", "127.0.0.1:0 tls")
        .start();
    let pem = dir.write("authority.pem", &authority.pem());
    let known = dir.path().join(".pki/nssdb");
    std::fs::create_dir_all(&known).expect("a directory");
    let at = format!("sql:{}", known.display());
    for words in [
        &["-N", "--empty-password"][..],
        &["-A", "-n", "authority", "-t", "C,,", "-i", &pem.display().to_string()],
    ] {
        let done = Command::new(&certutil).args(["-d", &at]).args(words).output();
        let done = done.expect("certutil runs");
        assert!(done.status.success(), "{done:?}");
    }
    as_a_person(&format!("https://localhost:{}/", server.address().port()), &dir, Some(&pem));
}

#[track_caller]
fn as_a_person(url: &str, dir: &Dir, authority: Option<&Path>) {
    let Some(browser) = require_tool("chromium", "apt install chromium") else { return };
    let Some(python) = python() else { return };
    let good = token(r#"{"read":["c"],"write":["c"],"exp":4102444800}"#);
    let refused = signed("HS256", r#"{"read":["c"]}"#, "a secret that this server does not have");
    let output = Command::new(python)
        .arg(in_tests("python/page.py"))
        .arg(browser)
        .arg(url)
        .args([&good, &refused])
        .arg(dir.path())
        .args(authority)
        .env("HOME", dir.path())
        .output()
        .expect("python runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}", output.status);
    for picture in ["phone.png", "desk.png"] {
        let bytes = std::fs::read(dir.path().join(picture)).expect("a picture");
        assert!(bytes.starts_with(b"\x89PNG"), "{picture}");
    }
}
