//! `philote subscribe`.

use tokio_tungstenite::tungstenite::Message;

use crate::play::{Play, play};
use crate::program::{Running, philote, run};

/// A server that delivers these and then waits for the client's close.
fn delivering(deliveries: &'static [&'static str]) -> Play<()> {
    play(async move |mut peer| {
        for delivery in deliveries {
            peer.deliver(delivery).await;
        }
        peer.closed().await;
    })
}

#[test]
fn the_data_of_one_channel_is_printed_a_line_a_message() {
    let server = delivering(&[
        r#"{"issuer":"i","channel":"c","data":"plain"}"#,
        r#"{"issuer":"i","channel":"other","data":"not asked for"}"#,
        r#"{"issuer":"i","channel":"c"}"#,
        r#"{"issuer":"i","channel":"c","data":"{\"json\":\"\\n\"}"}"#,
        r#"{"issuer":"i","channel":"c","data":"a\nb\u001b[31m\u009bé\ud800"}"#,
    ]);
    let done = run(&mut philote(&["subscribe", "c", "--count", "4", "--url", &server.url]));
    let expected = "plain\n\n{\"json\":\"\\n\"}\na\\nb\\u{1b}[31m\\u{9b}é\u{FFFD}\n";
    assert_eq!(done.quietly(), expected);
    server.end();
}

#[test]
fn several_channels_are_told_apart_by_a_tab() {
    let server = delivering(&[
        r#"{"issuer":"i","channel":"a\tb","data":"x\ty"}"#,
        r#"{"issuer":"i","channel":"c","data":"z"}"#,
    ]);
    let done = run(&mut philote(&["subscribe", "a\tb", "c", "--count", "2", "--url", &server.url]));
    assert_eq!(done.quietly(), "a\\tb\tx\\ty\nc\tz\n");
    server.end();
}

#[test]
fn json_has_one_object_a_line_and_passes_the_data_on_as_it_came() {
    let server = delivering(&[
        r#"{"issuer":"i","channel":"c","data":"a\nb\ud800"}"#,
        "{ \"channel\" : \"c\",\n \"data\" : \"\u{9b}31m\" }",
    ]);
    let done =
        run(&mut philote(&["subscribe", "c", "--json", "--count", "2", "--url", &server.url]));
    let expected = "{\"issuer\":\"i\",\"channel\":\"c\",\"data\":\"a\\nb\\ud800\"}\n\
                    {\"issuer\":\"\",\"channel\":\"c\",\"data\":\"\\u009b31m\"}\n";
    assert_eq!(done.quietly(), expected);
    server.end();
}

#[test]
fn what_is_no_delivery_is_left_out_and_said() {
    let server = play(async |mut peer| {
        peer.deliver("hello").await;
        peer.send(Message::binary(&br#"{"channel":"c","data":"in binary"}"#[..])).await;
        peer.closed().await;
    });
    let done = run(&mut philote(&["subscribe", "c", "--count", "1", "--url", &server.url]));
    assert_eq!((done.code, &*done.out), (Some(0), "in binary\n"), "{done:?}");
    assert!(done.err.contains("no delivery"), "{done:?}");
    server.end();
}

#[test]
fn each_message_is_printed_when_it_comes_and_pings_are_answered_between() {
    let server = play(async |mut peer| {
        peer.deliver(r#"{"channel":"c","data":"first"}"#).await;
        for round in 0..3_u8 {
            peer.send(Message::Ping(vec![round].into())).await;
            let Some(Message::Pong(payload)) = peer.next().await else { panic!("no pong") };
            assert_eq!(&payload[..], [round]);
        }
        peer.close(Some(1001), "the server is shutting down").await;
    });
    let mut subscribing = Running::start(&mut philote(&["subscribe", "c", "--url", &server.url]));
    assert_eq!(subscribing.line(), "first");
    let said = subscribing.done().failed(69);
    assert_eq!(
        said,
        "philote: the server closed the connection: 1001 the server is shutting down\n"
    );
    server.end();
}

#[test]
fn a_close_without_a_reason_and_a_loss_are_failures() {
    let empty = play(async |mut peer| peer.close(None, "").await);
    let said = run(&mut philote(&["subscribe", "c", "--url", &empty.url])).failed(69);
    assert!(said.contains("without a reason"), "{said}");
    empty.end();
    let lost = play(async |peer| drop(peer));
    let said = run(&mut philote(&["subscribe", "c", "--url", &lost.url])).failed(69);
    assert!(said.contains("the connection is lost"), "{said}");
    lost.end();
}

#[test]
fn it_ends_quietly_when_nobody_reads_its_output_any_more() {
    let server = play(async |mut peer| {
        peer.deliver(r#"{"channel":"c","data":"first"}"#).await;
        // One message after the other, until there is nobody to take it.
        while peer.can_deliver(r#"{"channel":"c","data":"more"}"#).await {
            tokio::task::yield_now().await;
        }
    });
    let mut subscribing = Running::start(&mut philote(&["subscribe", "c", "--url", &server.url]));
    assert_eq!(subscribing.line(), "first");
    subscribing.unread().quietly();
    server.end();
}
