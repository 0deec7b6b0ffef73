//! How the clients find a server, and what they make of its refusal.

use std::net::TcpListener;

use crate::dir::Dir;
use crate::play::{answer, play, play_unix};
use crate::program::{philote, run};

#[test]
fn a_refused_token_is_told_with_the_servers_line_wherever_packets_end() {
    let cases: [(&[&str], i32, &str); 7] = [
        (
            &["HTTP/1.1 401 Unauthorized\r\ncontent-length: 18\r\n\r\ntoken has expired\n"],
            77,
            "401: token has expired",
        ),
        (
            &["HTTP/1.1 401 Unauthorized\r\ncontent-length: 18\r\n\r\n", "token has", " expired\n"],
            77,
            "401: token has expired",
        ),
        (&["HTTP/1.1 403 Forbidden\r\n\r\n", "more\u{1b}\r\nnot this"], 77, "403: more\\u{1b}"),
        (&["HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"], 77, "403 Forbidden"),
        (
            &["HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\r\ndraining\n"],
            69,
            "it answers 503: draining",
        ),
        (&["HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"], 69, "it answers 200: hello"),
        (&["SSH-2.0-OpenSSH_9.2\r\n"], 69, "cannot connect"),
    ];
    for (parts, code, text) in cases {
        let parts: &'static [&'static str] = parts.to_vec().leak();
        let server = answer(parts);
        let said = run(&mut philote(&["subscribe", "c", "--url", &server.url])).failed(code);
        assert!(said.contains(text), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        server.end();
    }
}

#[test]
fn an_upgrade_that_proves_nothing_is_refused() {
    let server = answer(&[
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
    ]);
    let said = run(&mut philote(&["publish", "c", "x", "--url", &server.url])).failed(69);
    assert!(said.contains("does not speak WebSocket"), "{said}");
    server.end();
}

#[test]
fn no_server_is_exit_code_69() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("ws://{}", listener.local_addr().expect("its address"));
    drop(listener);
    for arguments in [["publish", "c", "x"], ["subscribe", "c", "d"], ["console", "c", "-v"]] {
        let said = run(philote(&arguments).args(["--url", &url])).failed(69);
        assert!(said.contains(&format!("cannot connect to {url}")), "{said}");
    }
}

#[test]
fn the_server_is_the_first_listener_unless_something_else_is_said() {
    let dir = Dir::new();
    let file = |url: &str| {
        let port = url.rsplit_once(':').expect("a port").1;
        let text = format!("listen = [\"0.0.0.0:{port}\", \"127.0.0.1:1\"]\n");
        dir.write("config.toml", &text).display().to_string()
    };
    let server = play(async |peer| {
        let seen = (peer.host.clone(), peer.path.clone());
        peer.closed().await;
        seen
    });
    let host = server.url.strip_prefix("ws://").expect("a URL").to_owned();
    let config = file(&server.url);
    run(philote(&["publish", "c", "-"]).args(["--config", &config])).quietly();
    assert_eq!(server.end(), (host, "/".into()));

    let server = play(async |peer| {
        let path = peer.path.clone();
        peer.closed().await;
        path
    });
    let url = format!("{}/a/b?c=d", server.url);
    run(philote(&["publish", "c", "-", "--config", &config]).env("PHILOTE_URL", &url)).quietly();
    assert_eq!(server.end(), "/a/b?c=d");
}

#[test]
fn a_unix_socket_serves_as_well() {
    let dir = Dir::new();
    let server = play_unix(dir.path().join("s"), async |peer| {
        let host = peer.host.clone();
        peer.closed().await;
        host
    });
    run(&mut philote(&["publish", "c", "-", "--url", &server.url])).quietly();
    assert_eq!(server.end(), "localhost");
}

#[test]
fn what_is_done_is_said_where_it_is_asked_for() {
    let server = play(async |mut peer| {
        peer.text().await;
        peer.closed().await;
    });
    let done = run(&mut philote(&["publish", "-v", "c", "x", "--url", &server.url]));
    server.end();
    assert_eq!((done.code, &*done.out), (Some(0), ""), "{done:?}");
    assert!(done.err.contains("made a token for 60 s with the secret"), "{done:?}");
    assert!(done.err.contains("connected to ws://127.0.0.1:"), "{done:?}");
}
