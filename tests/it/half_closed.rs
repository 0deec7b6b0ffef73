//! A peer that has sent all of its request may end its side of the stream at once, and gets its answer all the same.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;

use crate::support::dir::Dir;
use crate::support::http::{Request, connect};
use crate::support::server::{Server, Setup, file};
use crate::support::token::{grant, token};
use crate::support::until;

/// A stream whose sending side can be ended.
pub(crate) trait Stream: Read + Write {
    fn end(&self);
}

impl Stream for TcpStream {
    fn end(&self) {
        self.shutdown(Shutdown::Write).expect("the sending side is shut");
    }
}

impl Stream for UnixStream {
    fn end(&self) {
        self.shutdown(Shutdown::Write).expect("the sending side is shut");
    }
}

/// Requests of every kind, and the status of each one's answer.
fn requests() -> Vec<(Request, u16)> {
    let api = token(r#"{"api":true,"write":["c"]}"#);
    let body = |size: usize| format!(r#"{{"channel":"c","data":"{}"}}"#, "x".repeat(size));
    let publish = |size| {
        Request::new("POST", "/api/publish").bearer(&api).body("application/json", body(size))
    };
    vec![
        (Request::get("/healthz"), 200),
        (Request::get("/api/info").bearer(&api), 200),
        (Request::get("/nowhere"), 404),
        (publish(10), 200),
        (publish(300_000), 200),
        (Request::upgrade_with("no token"), 401),
        (Request::upgrade_with(&grant(&["c"], &[])), 101),
    ]
}

/// Sends each request so many times, ends the sending side, and demands the answer.
pub(crate) fn are_answered<S: Stream>(times: usize, open: impl Fn() -> S) {
    for (request, status) in requests() {
        let begins = format!("HTTP/1.1 {status} ");
        let mut others = Vec::new();
        for _ in 0..times {
            let mut stream = open();
            stream.write_all(&request.bytes()).expect("taken");
            stream.end();
            let mut answer = Vec::new();
            let end = stream.read_to_end(&mut answer);
            if !answer.starts_with(begins.as_bytes()) || end.is_err() {
                others.push((String::from_utf8_lossy(&answer).into_owned(), end));
            }
        }
        assert!(others.is_empty(), "{} of {times} of {status}: {:?}", others.len(), others[0]);
    }
}

#[test]
fn a_request_whose_sender_ends_its_side_at_once_is_answered() {
    let server = Server::start();
    are_answered(300, || connect(server.address()));
}

#[test]
fn a_request_whose_sender_ends_its_side_at_once_is_answered_on_a_unix_socket() {
    let dir = Dir::new();
    let socket = dir.path().join("socket");
    let listen = format!("listen = [\"unix:{}\"]", socket.display());
    let _server = Setup::of_file(&file(&[&listen])).spawn();
    until("it listens", || UnixStream::connect(&socket).is_ok());
    are_answered(300, || UnixStream::connect(&socket).expect("connected"));
}
