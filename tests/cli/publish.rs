//! `philote publish`.

use std::sync::mpsc;
use std::time::Duration;

use tokio_tungstenite::tungstenite::Message;

use crate::play::play;
use crate::program::{Running, philote, run, run_with};

#[test]
fn one_message_is_published_and_the_connection_closed_politely() {
    let server = play(async |mut peer| {
        let text = peer.text().await;
        peer.closed().await;
        text
    });
    run(&mut philote(&["publish", "c", "say \"hi\"\né", "--url", &server.url])).quietly();
    let json: serde_json::Value = serde_json::from_str(&server.end()).expect("JSON");
    assert_eq!(json, serde_json::json!({"channel": "c", "data": "say \"hi\"\né"}));
}

#[test]
fn publishing_is_not_done_before_the_server_has_answered_the_close() {
    let (arrived, arrival) = mpsc::channel();
    let (go_on, on) = tokio::sync::oneshot::channel::<()>();
    let server = play(async move |mut peer| {
        let text = peer.text().await;
        // The answer to a close leaves when the socket is read again.
        assert!(matches!(peer.next().await, Some(Message::Close(_))));
        assert!(peer.stays_open(Duration::from_millis(300)).await, "it has not waited");
        arrived.send(()).expect("the test waits");
        on.await.expect("the test goes on");
        while peer.next().await.is_some() {}
        text
    });
    let mut publishing = Running::start(&mut philote(&["publish", "c", "x", "--url", &server.url]));
    arrival.recv().expect("the message arrives");
    assert!(publishing.is_running());
    go_on.send(()).expect("the server waits");
    publishing.done().quietly();
    server.end();
}

#[test]
fn each_line_of_standard_input_is_a_message_and_pings_are_answered_meanwhile() {
    for dash in [None, Some("-")] {
        let (silent, silence) = mpsc::channel();
        let server = play(async move |mut peer| {
            let first = peer.text().await;
            peer.send(Message::Ping("still there?".into())).await;
            let Some(Message::Pong(payload)) = peer.next().await else { panic!("no pong") };
            assert_eq!(&payload[..], b"still there?");
            silent.send(()).expect("the test waits");
            let rest = [peer.text().await, peer.text().await, peer.text().await];
            peer.closed().await;
            (first, rest)
        });
        let mut command = philote(&["publish", "c"]);
        command.args(dash).args(["--url", &server.url]).stdin(std::process::Stdio::piped());
        let mut publishing = Running::start(&mut command);
        publishing.say("one\n");
        silence.recv().expect("the ping is answered while standard input is silent");
        publishing.say("\n two \nthree");
        publishing.done().quietly();
        let (first, rest) = server.end();
        assert_eq!(first, r#"{"channel":"c","data":"one"}"#);
        let expected =
            ["", " two ", "three"].map(|data| format!(r#"{{"channel":"c","data":"{data}"}}"#));
        assert_eq!(rest, expected);
    }
}

#[test]
fn nothing_on_standard_input_is_no_message() {
    let server = play(async |peer| peer.closed().await);
    run_with(&mut philote(&["publish", "c", "--url", &server.url]), "").quietly();
    server.end();
}

#[test]
fn a_line_that_is_no_text_ends_it_and_what_came_before_is_published() {
    use std::io::Write as _;
    let server = play(async |mut peer| {
        let text = peer.text().await;
        peer.closed().await;
        text
    });
    let mut child = philote(&["publish", "c", "--url", &server.url])
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the program starts");
    let input = child.stdin.take();
    input.expect("a pipe").write_all(b"good\n\xFF\xFE\nunread\n").expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("UTF-8"), "{output:?}");
    assert_eq!(server.end(), r#"{"channel":"c","data":"good"}"#);
}

#[test]
fn a_server_that_closes_is_heard_while_standard_input_is_silent() {
    let cases = [
        (Some(1001), "shutting down", 69, "1001 shutting down"),
        (Some(1000), "", 69, "1000"),
        (Some(4000), "slow \u{1b}[31mconsumer", 69, "4000 slow \\u{1b}[31mconsumer"),
        (Some(1008), "its key was withdrawn", 77, "1008 its key was withdrawn"),
        (None, "", 69, "without a reason"),
    ];
    for (code, reason, exit, text) in cases {
        let server = play(async move |mut peer| peer.close(code, reason).await);
        let mut command = philote(&["publish", "c", "--url", &server.url]);
        let publishing = Running::start(command.stdin(std::process::Stdio::piped()));
        let said = publishing.ended().failed(exit);
        assert!(said.contains(text), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        server.end();
    }
}

#[test]
fn a_message_that_the_server_refuses_is_told_with_its_word() {
    let server = play(async |mut peer| {
        peer.text().await;
        peer.close(Some(1009), "message larger than limits.max_message_size").await;
    });
    let said = run(&mut philote(&["publish", "c", "x", "--url", &server.url])).failed(69);
    assert!(said.contains("1009 message larger than limits.max_message_size"), "{said}");
    server.end();
}

#[test]
fn a_connection_that_is_lost_before_the_close_is_answered_is_told() {
    let server = play(async |mut peer| drop(peer.text().await));
    let said = run(&mut philote(&["publish", "c", "x", "--url", &server.url])).failed(69);
    assert!(said.contains("the connection is lost"), "{said}");
    server.end();
}
