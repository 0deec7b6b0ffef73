//! The same contract, seen by a WebSocket library by another hand (Python's `websockets`).

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::support::server::Server;
use crate::support::token::SECRET;
use crate::support::tools::{in_tests, python};

/// Runs a function of `tests/python/behaviour.py` against this server.
fn behaves(server: &Server, name: &str) {
    let Some(python) = python() else { return };
    let output = command(&python, server, name).output().expect("python runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}\n{said}", output.status);
}

fn command(python: &std::path::Path, server: &Server, name: &str) -> Command {
    let mut command = Command::new(python);
    command
        .arg(in_tests("python/behaviour.py"))
        .arg(server.address().port().to_string())
        .arg(name)
        .env("PHILOTE_TEST_SECRET", SECRET);
    command
}

#[test]
fn a_library_publishes_and_subscribes() {
    let server = Server::start();
    for name in ["publish_and_subscribe", "each_algorithm", "token_in_the_header", "bad_token"] {
        behaves(&server, name);
    }
}

#[test]
fn a_library_sends_in_any_form() {
    let server = Server::start();
    for name in ["fragmented_publish", "binary_publish", "flood_in_order"] {
        behaves(&server, name);
    }
}

#[test]
fn a_library_pings_and_is_pinged() {
    behaves(&Server::start(), "ping_and_pong");
    let server = Server::with("[websocket]\nping_interval = \"200ms\"\npong_timeout = \"400ms\"");
    behaves(&server, "pings_of_the_server_are_answered");
}

#[test]
fn a_library_understands_each_close() {
    let server = Server::start();
    for name in ["own_close", "bad_messages", "large_messages"] {
        behaves(&server, name);
    }
}

#[test]
fn a_library_is_told_of_a_shutdown() {
    let Some(python) = python() else { return };
    let server = Server::start();
    let mut client = command(&python, &server, "server_shutdown")
        .stdout(Stdio::piped())
        .spawn()
        .expect("python runs");
    let mut line = String::new();
    let stdout = client.stdout.take().expect("its stdout");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    assert_eq!(line, "open\n");
    server.stop();
    assert!(client.wait().expect("its end").success(), "the client was told nothing");
}
