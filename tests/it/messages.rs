//! What a client may send, and what becomes of it.

use crate::support::client::{Client, publish};
use crate::support::frame::{CONTINUATION, Out, PING, PONG};
use crate::support::server::Server;

/// A server, a subscriber and a publisher of the channel `c`.
fn pair() -> (Server, Client, Client) {
    let server = Server::start();
    let subscriber = server.subscriber(&["c"]);
    let publisher = server.publisher(&["c"]);
    (server, subscriber, publisher)
}

/// Each of these messages is published to `c` with this data, and the connection stays open.
#[track_caller]
fn are_heard(messages: &[(&str, &str)]) {
    let (_server, mut subscriber, mut publisher) = pair();
    for (message, data) in messages {
        publisher.send_text(message);
        let heard = subscriber.delivery();
        assert_eq!((heard.channel.as_str(), heard.data.as_str()), ("c", *data), "{message}");
    }
    publisher.round_trip();
}

/// Each of these messages ends its connection with 1007 and a reason, and reaches nobody.
#[track_caller]
fn are_refused(messages: &[&str]) {
    let (server, mut subscriber, mut publisher) = pair();
    for message in messages {
        let mut faulty = server.publisher(&["c"]);
        faulty.send_text(message);
        let (code, reason) = faulty.frame().close();
        assert_eq!(code, 1007, "{message}: {reason}");
        assert!(!reason.is_empty() && reason.len() <= 123, "{message}: {reason:?}");
        faulty.send(&Out::close(1007, ""));
        faulty.ends();
    }
    publisher.publish("c", "the next");
    subscriber.hears("c", "the next");
}

/// Each of these messages is dropped, reaches nobody, and its connection stays open.
#[track_caller]
fn are_dropped(messages: &[&str]) {
    let (_server, mut subscriber, mut publisher) = pair();
    for message in messages {
        publisher.send_text(message);
        publisher.publish("c", message);
        subscriber.hears("c", message);
    }
    publisher.round_trip();
}

#[test]
fn a_text_message_is_published() {
    are_heard(&[(r#"{"channel":"c","data":"D"}"#, "D"), (r#"{"data":"D","channel":"c"}"#, "D")]);
}

#[test]
fn a_binary_message_is_published() {
    let (_server, mut subscriber, mut publisher) = pair();
    publisher.send(&Out::binary(publish("c", "as bytes: ü")));
    subscriber.hears("c", "as bytes: ü");
}

#[test]
fn a_fragmented_message_is_published_with_control_frames_in_between() {
    let (_server, mut subscriber, mut publisher) = pair();
    for whole in [Out::text, Out::binary] as [fn(Vec<u8>) -> Out; 2] {
        let message = publish("c", "in pieces: ü€😀").into_bytes();
        // Each byte its own frame, so characters are split, too.
        let (first, rest) = message.split_first().expect("bytes");
        let (last, middle) = rest.split_last().expect("bytes");
        publisher.send(&whole(vec![*first]).unfinished());
        for (count, byte) in middle.iter().enumerate() {
            if count % 7 == 0 {
                publisher.send(&Out::new(PING, [*byte]));
                let pong = publisher.frame();
                assert_eq!((pong.opcode, pong.payload), (PONG, vec![*byte]));
                publisher.send(&Out::new(PONG, "unasked"));
            }
            publisher.send(&Out::new(CONTINUATION, [*byte]).unfinished());
        }
        publisher.send(&Out::new(CONTINUATION, "").unfinished());
        publisher.send(&Out::new(CONTINUATION, [*last]));
        subscriber.hears("c", "in pieces: ü€😀");
    }
}

#[test]
fn a_message_may_come_in_any_segments() {
    let (_server, mut subscriber, mut publisher) = pair();
    for size in [1, 2, 3, 7] {
        let data = "segments ".repeat(30);
        publisher.trickle(&Out::text(publish("c", &data)).bytes(), size);
        subscriber.hears("c", &data);
    }
}

#[test]
fn a_mask_of_zeros_is_a_mask() {
    let (_server, mut subscriber, mut publisher) = pair();
    publisher.send(&Out::text(publish("c", "in the clear")).mask(Some([0; 4])));
    subscriber.hears("c", "in the clear");
}

#[test]
fn member_names_are_matched_in_any_case() {
    are_heard(&[
        (r#"{"Channel":"c","Data":"the Go client"}"#, "the Go client"),
        (r#"{"CHANNEL":"c","DATA":"loud"}"#, "loud"),
        (r#"{"cHaNnEl":"c","dAtA":"odd"}"#, "odd"),
        (r#"{"\u0063hannel":"c","d\u0061ta":"escaped"}"#, "escaped"),
        (r#"{"\u0043HANNEL":"c","\u0044ATA":"both"}"#, "both"),
    ]);
}

#[test]
fn of_a_repeated_member_the_last_counts() {
    are_heard(&[
        (r#"{"channel":"x","channel":"c","data":"1","data":"2"}"#, "2"),
        (r#"{"channel":"x","Channel":"c","DATA":"1","data":"2"}"#, "2"),
        (r#"{"data":"1","channel":"c","data":"2","data":"3"}"#, "3"),
        (r#"{"channel":"c","data":"1","data":null}"#, ""),
        (r#"{"channel":"c","data":null,"data":"1"}"#, "1"),
        (r#"{"channel":"c","data":5,"data":"only the last"}"#, "only the last"),
    ]);
    are_dropped(&[r#"{"channel":"c","channel":"x","data":"1"}"#]);
    are_refused(&[r#"{"channel":"c","data":"1","data":5}"#]);
}

#[test]
fn unknown_members_are_ignored() {
    are_heard(&[
        (
            r#"{"event":"message","channel":"c","data":"the JavaScript client"}"#,
            "the JavaScript client",
        ),
        (
            r#"{"event": "message", "channel": "c", "data": "the Python client"}"#,
            "the Python client",
        ),
        (r#"{"a":[1,{"b":[[]]}],"channel":"c","n":-1.5e300,"data":"x","z":null,"t":true}"#, "x"),
        (r#"{"":"","channels":"x","dat":1,"data ":2,"channel":"c","data":"x"}"#, "x"),
        (r#"{"channel":"c","data":"x","big":123456789012345678901234567890e400}"#, "x"),
    ]);
}

#[test]
fn absent_or_null_data_is_the_empty_string() {
    are_heard(&[
        (r#"{"channel":"c"}"#, ""),
        (r#"{"channel":"c","data":null}"#, ""),
        (r#"{"channel":"c","data":""}"#, ""),
    ]);
}

#[test]
fn white_space_around_and_within_is_json() {
    are_heard(&[(" \t\r\n{ \"channel\" :\n\"c\" ,\t\"data\" : \"D\" } \n", "D")]);
}

#[test]
fn data_that_is_no_string_ends_the_connection() {
    are_refused(&[
        r#"{"channel":"c","data":5}"#,
        r#"{"channel":"c","data":1.5}"#,
        r#"{"channel":"c","data":true}"#,
        r#"{"channel":"c","data":[]}"#,
        r#"{"channel":"c","data":{}}"#,
        r#"{"channel":"c","data":["D"]}"#,
        r#"{"channel":"c","Data":{"a":"b"}}"#,
    ]);
}

#[test]
fn a_channel_that_is_no_string_ends_the_connection() {
    are_refused(&[
        r#"{"channel":5,"data":"D"}"#,
        r#"{"channel":["c"],"data":"D"}"#,
        r#"{"channel":{},"data":"D"}"#,
    ]);
}

/// As to a server that reads it into a struct whose fields are empty to begin with.
#[test]
fn an_absent_or_null_channel_is_the_empty_name() {
    are_dropped(&["{}", r#"{"data":"D"}"#, r#"{"channel":null,"data":"D"}"#]);
    let server = Server::start();
    let mut subscriber = server.subscriber(&[""]);
    let mut publisher = server.publisher(&[""]);
    for message in
        [r#"{"data":"D"}"#, r#"{"channel":null,"data":"D"}"#, r#"{"channel":"","data":"D"}"#]
    {
        publisher.send_text(message);
        subscriber.hears("", "D");
    }
}

#[test]
fn what_is_no_json_object_ends_the_connection() {
    are_refused(&[
        "",
        " ",
        "x",
        "[]",
        r#"["c","D"]"#,
        r#""c""#,
        "5",
        "null",
        "true",
        "{",
        "}",
        r#"{"channel":"c","data":"D""#,
        r#"{"channel":"c","data":"D}"#,
        r#"{"channel":"c" "data":"D"}"#,
        r#"{"channel":"c","data":"D",}"#,
        r#"{channel:"c",data:"D"}"#,
        r#"{'channel':'c','data':'D'}"#,
        r#"{"channel":"c","data":"\x"}"#,
        r#"{"channel":"c","data":"\u12"}"#,
        "{\"channel\":\"c\",\"data\":\"a\nb\"}",
        "{\"channel\":\"c\",\"data\":\"a\0b\"}",
        r#"{"channel":"c","data":"D","n":01}"#,
        r#"{"channel":"c","data":"D","n":NaN}"#,
        r#"{"channel":"c","data":"D"/**/}"#,
    ]);
}

#[test]
fn bytes_after_the_object_end_the_connection() {
    are_refused(&[
        r#"{"channel":"c","data":"D"}x"#,
        r#"{"channel":"c","data":"D"}{"channel":"c","data":"E"}"#,
        "{\"channel\":\"c\",\"data\":\"D\"}\n{}",
        "{\"channel\":\"c\",\"data\":\"D\"}\0",
    ]);
}

#[test]
fn an_empty_binary_message_ends_the_connection() {
    let server = Server::start();
    let mut client = server.publisher(&["c"]);
    client.send(&Out::binary(""));
    client.closed_with(1007);
}

#[test]
fn a_publish_that_is_not_granted_is_dropped_and_nothing_else_happens() {
    are_dropped(&[
        r#"{"channel":"x","data":"D"}"#,
        r#"{"channel":"C","data":"D"}"#,
        r#"{"channel":"c ","data":"D"}"#,
        r#"{"channel":"","data":"D"}"#,
        r#"{"channel":"c\u0000","data":"D"}"#,
        r#"{"channel":"*","data":"D"}"#,
    ]);
    let server = Server::start();
    let mut reader = server.subscriber(&["c"]);
    let mut other = server.subscriber(&["c"]);
    reader.publish("c", "may read, not write");
    reader.round_trip();
    server.publisher(&["c"]).publish("c", "granted");
    other.hears("c", "granted");
    reader.hears("c", "granted");
}

#[test]
fn a_dropped_publish_is_logged_with_connection_and_channel_but_not_its_data() {
    let server = Server::with("[log]\nlevel = \"debug\"");
    let mut subscriber = server.subscriber(&["c"]);
    let mut publisher = server.publisher(&["c"]);
    publisher.publish("c", "granted");
    let id = subscriber.delivery().issuer;
    publisher.publish("forbidden channel", "payloadmark");
    publisher.round_trip();
    server.logs("the dropped publish", |line| {
        line.contains(&id) && line.contains("forbidden channel")
    });
    subscriber.close();
    publisher.close();
    assert!(!server.stop().contains("payloadmark"));
}

/// The line is for the administrator; a client that goes on cannot fill the disk with it.
#[test]
fn the_log_of_dropped_publishes_is_rate_limited() {
    let server = Server::with("[log]\nlevel = \"debug\"");
    let mut publisher = server.publisher(&["c"]);
    let message = Out::text(publish("forbidden channel", "D")).bytes();
    for _ in 0..100 {
        publisher.send_bytes(&message.repeat(100));
    }
    publisher.round_trip();
    publisher.close();
    let log = server.stop();
    let lines = log.lines().filter(|line| line.contains("forbidden channel")).count();
    assert!((1..500).contains(&lines), "{lines} lines for 10,000 drops");
}

#[test]
fn a_message_of_exactly_the_limit_is_taken_and_one_byte_more_is_1009() {
    for limit in [64, 4096, 100_000] {
        let server = Server::with(&format!("[limits]\nmax_message_size = {limit}"));
        let mut subscriber = server.subscriber(&["c"]);
        let mut publisher = server.publisher(&["c"]);
        let frame = publish("c", "").len();
        let data = "x".repeat(limit - frame);
        for whole in [Out::text, Out::binary] as [fn(String) -> Out; 2] {
            publisher.send(&whole(publish("c", &data)));
            subscriber.hears("c", &data);
            let mut over = server.publisher(&["c"]);
            over.send(&whole(publish("c", &format!("{data}x"))));
            over.closed_with(1009);
        }
        // The limit is the message's, however many frames it comes in.
        let message = publish("c", &data).into_bytes();
        let (one, two) = message.split_at(limit / 2);
        publisher.send(&Out::text(one).unfinished());
        publisher.send(&Out::new(CONTINUATION, two));
        subscriber.hears("c", &data);
        let mut over = server.publisher(&["c"]);
        over.send(&Out::text(one).unfinished());
        over.send(&Out::new(CONTINUATION, [two, &b" "[..]].concat()));
        over.closed_with(1009);
        publisher.publish("c", "");
        subscriber.hears("c", "");
    }
}

#[test]
fn the_default_limit_is_a_mebibyte() {
    let (server, mut subscriber, mut publisher) = pair();
    let data = "x".repeat(1024 * 1024 - publish("c", "").len());
    publisher.publish("c", &data);
    subscriber.hears("c", &data);
    let mut over = server.publisher(&["c"]);
    over.send_text(&publish("c", &format!("{data}x")));
    over.closed_with(1009);
}

/// The length alone gives it away: nobody waits for bytes that would be refused.
#[test]
fn a_message_over_the_limit_is_refused_at_its_header() {
    let server = Server::start();
    let mut client = server.publisher(&["c"]);
    let claim = crate::support::frame::Length::Claimed(1024 * 1024 + 1);
    client.send(&Out::text("").length(claim));
    client.close_frame(1009);
}

#[test]
fn a_refused_publish_is_logged_without_its_data_and_without_the_whole_of_a_long_name() {
    let server = Server::start();
    let mut publisher = server.publisher(&["c"]);
    let name = format!("not mine\n\u{1b}[2J{}", "\u{e9}".repeat(200_000));
    publisher.publish(&name, "confidential");
    publisher.round_trip();
    let line = server.logs("the refused publish", |line| line.contains("publish_refused"));
    assert!(line.contains("not mine"), "{line}");
    assert!(line.contains(&"\u{e9}".repeat(50)), "{line}");
    assert!(line.len() < 1000, "{} bytes", line.len());
    assert!(!server.log().contains("confidential"));
    assert!(!server.log().contains('\u{1b}'));
}
