//! `philote console`.

use std::process::Stdio;

use crate::play::play;
use crate::program::{Running, philote};

#[test]
fn what_is_typed_is_published_and_what_others_say_appears() {
    let server = play(async |mut peer| {
        peer.deliver(
            r#"{"issuer":"1b4e28ba-2fa1-41d2-883f-0016d3cca427","channel":"c","data":"hi\u0007"}"#,
        )
        .await;
        peer.deliver(r#"{"issuer":"x","channel":"another","data":"not here"}"#).await;
        let said = [peer.text().await, peer.text().await];
        peer.deliver(r#"{"channel":"c","data":"from nobody"}"#).await;
        peer.closed().await;
        said
    });
    let mut command = philote(&["console", "c", "--url", &server.url]);
    let mut console = Running::start(command.stdin(Stdio::piped()));
    assert_eq!(console.line(), "<1b4e28ba> hi\\u{7}");
    console.say("hello\n\nworld\n");
    assert_eq!(console.line(), "<> from nobody");
    let done = console.done();
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(done.out, "");
    let said = server.end();
    assert_eq!(
        said,
        ["hello", "world"].map(|data| format!(r#"{{"channel":"c","data":"{data}"}}"#))
    );
}

#[test]
fn a_server_that_closes_ends_the_talk() {
    let server = play(async |mut peer| peer.close(Some(4002), "by an administrator").await);
    let mut command = philote(&["console", "c", "--url", &server.url]);
    let console = Running::start(command.stdin(Stdio::piped()));
    let said = console.ended().failed(69);
    assert!(said.contains("4002 by an administrator"), "{said}");
    server.end();
}
