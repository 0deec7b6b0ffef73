//! What subscribers get: the shape, the issuer, the names, and nothing else.

use crate::support::client::{Client, publish};
use crate::support::frame::{Out, TEXT};
use crate::support::server::Server;
use crate::support::token::{grant, token};

/// A UUID version 4 as RFC 9562 writes it: 8-4-4-4-12 lower-case hexadecimal digits, version 4,
/// variant 8 to b.
fn is_uuid_version_4(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.concat().chars().all(|digit| matches!(digit, '0'..='9' | 'a'..='f'))
        && groups[2].starts_with('4')
        && groups[3].starts_with(['8', '9', 'a', 'b'])
}

#[test]
fn a_delivery_is_one_text_frame_of_issuer_channel_and_data_in_this_order() {
    let server = Server::start();
    let mut subscriber = server.subscriber(&["C"]);
    let mut publisher = server.publisher(&["C"]);
    publisher.send_text(r#"{"data":"D","event":"message","channel":"C"}"#);
    let frame = subscriber.frame();
    assert_eq!((frame.opcode, frame.fin), (TEXT, true));
    let text = String::from_utf8(frame.payload).expect("UTF-8");
    let id = text.get(11..47).expect("an id");
    assert!(is_uuid_version_4(id), "{text}");
    assert_eq!(text, format!(r#"{{"issuer":"{id}","channel":"C","data":"D"}}"#));
}

#[test]
fn a_binary_publish_is_delivered_as_text() {
    let server = Server::start();
    let mut subscriber = server.subscriber(&["c"]);
    server.publisher(&["c"]).send(&Out::binary(publish("c", "D")));
    assert_eq!(subscriber.frame().opcode, TEXT);
}

#[test]
fn a_member_that_is_empty_is_left_out() {
    let server = Server::start();
    let mut subscriber = server.subscriber(&["c", ""]);
    let mut publisher = server.publisher(&["c", ""]);
    publisher.publish("c", "");
    let text = subscriber.message();
    let id = text.get(11..47).expect("an id").to_owned();
    assert_eq!(text, format!(r#"{{"issuer":"{id}","channel":"c"}}"#));
    publisher.publish("", "D");
    assert_eq!(subscriber.message(), format!(r#"{{"issuer":"{id}","data":"D"}}"#));
    publisher.publish("", "");
    assert_eq!(subscriber.message(), format!(r#"{{"issuer":"{id}"}}"#));
}

#[test]
fn the_issuer_is_one_for_a_connection_and_different_for_each() {
    let server = Server::start();
    let mut subscriber = server.subscriber(&["a", "b"]);
    let token = grant(&[], &["a", "b"]);
    let mut ids = std::collections::HashSet::new();
    for _ in 0..20 {
        // The same token each time: the id is the connection's, not the token's.
        let mut publisher = server.open(&token);
        publisher.publish("a", "1");
        let id = subscriber.hears("a", "1");
        publisher.publish("b", "2");
        assert_eq!(subscriber.hears("b", "2"), id);
        assert!(is_uuid_version_4(&id), "{id}");
        assert!(ids.insert(id), "an id was given twice");
    }
}

#[test]
fn a_client_cannot_forge_its_issuer() {
    let server = Server::start();
    let mut subscriber = server.subscriber(&["c"]);
    let mut publisher = server.open(&token(
        r#"{"write":["c"],"issuer":"forged","iss":"forged","sub":"forged","jti":"forged"}"#,
    ));
    publisher.publish("c", "true");
    let id = subscriber.hears("c", "true");
    for message in [
        r#"{"issuer":"forged","channel":"c","data":"D"}"#,
        r#"{"Issuer":"forged","channel":"c","data":"D"}"#,
        r#"{"channel":"c","data":"D","issuer":null,"id":"forged"}"#,
    ] {
        publisher.send_text(message);
        assert_eq!(subscriber.hears("c", "D"), id);
    }
}

/// Were a publisher to hear its own, that would stand before the answer in the channel's order.
#[test]
fn a_publisher_never_hears_its_own_and_all_others_do() {
    let server = Server::start();
    let token = grant(&["c"], &["c"]);
    let mut clients: Vec<Client> = (0..6).map(|_| server.open(&token)).collect();
    for round in 0..30 {
        let from = round % clients.len();
        clients[from].publish("c", &format!("round {round}"));
        for (index, client) in clients.iter_mut().enumerate() {
            if index != from {
                client.hears("c", &format!("round {round}"));
            }
        }
    }
    for client in &mut clients {
        client.round_trip();
    }
}

#[test]
fn messages_back_to_back_of_a_publisher_that_subscribes_skip_only_itself() {
    let server = Server::start();
    let token = grant(&["c"], &["c"]);
    let (mut one, mut two) = (server.open(&token), server.open(&token));
    let mut third = server.subscriber(&["c"]);
    let batch = |name: &str| -> Vec<u8> {
        (0..200).flat_map(|n| Out::text(publish("c", &format!("{name} {n}"))).bytes()).collect()
    };
    one.send_bytes(&batch("one"));
    two.send_bytes(&batch("two"));
    for n in 0..200 {
        two.hears("c", &format!("one {n}"));
        one.hears("c", &format!("two {n}"));
    }
    let all: Vec<String> = (0..400).map(|_| third.delivery().data).collect();
    for name in ["one", "two"] {
        let of_one: Vec<&String> = all.iter().filter(|data| data.starts_with(name)).collect();
        assert!(of_one.iter().enumerate().all(|(n, data)| **data == format!("{name} {n}")));
        assert_eq!(of_one.len(), 200);
    }
    one.round_trip();
    two.round_trip();
}

#[test]
fn only_the_channels_of_the_grant_are_heard() {
    let server = Server::start();
    let mut subscriber = server.subscriber(&["a", "c"]);
    let mut publisher = server.publisher(&["a", "b", "c", "A", "a ", "*", ""]);
    for channel in ["b", "A", "a ", "*", "", "a", "b", "c"] {
        publisher.publish(channel, "D");
    }
    // Between channels there is no order.
    let mut heard = [subscriber.delivery().channel, subscriber.delivery().channel];
    heard.sort();
    assert_eq!(heard, ["a", "c"]);
    publisher.publish("a", "the last");
    subscriber.hears("a", "the last");
    subscriber.round_trip();
}

#[test]
fn a_star_in_a_name_is_a_star() {
    let server = Server::start();
    let mut subscriber = server.subscriber(&["*", "room/*"]);
    let mut publisher = server.publisher(&["*", "room/*", "room/1", "x"]);
    publisher.publish("room/1", "D");
    publisher.publish("x", "D");
    publisher.publish("room/*", "to the star");
    subscriber.hears("room/*", "to the star");
    publisher.publish("*", "to the star");
    subscriber.hears("*", "to the star");
    // What it may write, it may write by that name alone.
    let mut narrow = server.publisher(&["room/*"]);
    let mut room = server.subscriber(&["room/1"]);
    narrow.publish("room/1", "not granted");
    narrow.round_trip();
    publisher.publish("room/1", "granted");
    room.hears("room/1", "granted");
}

/// Names that need care in JSON, in the token, in a table of channels.
const NAMES: [&str; 18] = [
    "",
    " ",
    "\"",
    "a\"b",
    "\\",
    "a\\u0061",
    "\0",
    "a\0b",
    "a\0c",
    "\u{1}\u{1f}\u{7f}",
    "\n\r\t",
    "ü",
    "u\u{308}",
    "😀",
    "👩‍👩‍👧‍👦",
    "\u{fffd}",
    "\u{feff}",
    "/",
];

#[test]
fn names_with_quotes_nuls_and_emoji_are_names_like_any_other() {
    let server = Server::start();
    let mut subscribers: Vec<Client> =
        NAMES.iter().map(|name| server.subscriber(&[name])).collect();
    let mut all = server.subscriber(&NAMES);
    let mut publisher = server.publisher(&NAMES);
    for (name, subscriber) in NAMES.iter().zip(&mut subscribers) {
        publisher.publish(name, name);
        subscriber.hears(name, name);
        all.hears(name, name);
    }
    // Nobody heard what was another's.
    for subscriber in &mut subscribers {
        subscriber.round_trip();
    }
    let long = "long ".repeat(200);
    let mut subscriber = server.subscriber(&[&long]);
    server.publisher(&[&long]).publish(&long, "D");
    subscriber.hears(&long, "D");
}

#[test]
fn a_name_is_the_same_however_it_is_escaped() {
    let server = Server::start();
    for (name, ways) in [
        ("a", &[r"a", r"\u0061", "\\u0061"][..]),
        ("a/b", &[r"a/b", r"a\/b", r"a\u002fb", r"a\u002Fb"]),
        ("\"", &[r#"\""#, r"\u0022"]),
        ("\n", &[r"\n", r"\u000a", r"\u000A"]),
        ("😀", &["😀", r"\ud83d\ude00", r"\uD83D\uDE00"]),
        ("\0", &[r"\u0000"]),
        ("ü", &["ü", r"\u00fc"]),
    ] {
        for in_grant in ways {
            let mut subscriber = server.open(&token(&format!(r#"{{"read":["{in_grant}"]}}"#)));
            let mut publisher = server.open(&token(&format!(r#"{{"write":["{in_grant}"]}}"#)));
            for in_message in ways {
                publisher.send_text(&format!(r#"{{"channel":"{in_message}","data":"D"}}"#));
                subscriber.hears(name, "D");
            }
        }
    }
}

#[test]
fn data_of_any_text_arrives_unchanged() {
    let server = Server::start();
    let mut subscriber = server.subscriber(&["c"]);
    let mut publisher = server.publisher(&["c"]);
    let every: String = (0..0x800).filter_map(char::from_u32).collect();
    for data in NAMES.iter().copied().filter(|name| !name.is_empty()).chain([
        every.as_str(),
        "{\"issuer\":\"forged\",\"channel\":\"c\"}",
        "\u{2028}\u{2029}</script>",
        "\u{10ffff}\u{e000}\u{d7ff}",
    ]) {
        publisher.publish("c", data);
        subscriber.hears("c", data);
    }
    for (escaped, data) in [
        (r"\u0041\/\b\f\n\r\t\\\u0022", "A/\u{8}\u{c}\n\r\t\\\""),
        (r"\ud83d\ude00", "😀"),
        (r"\u0000", "\0"),
    ] {
        publisher.send_text(&format!(r#"{{"channel":"c","data":"{escaped}"}}"#));
        subscriber.hears("c", data);
    }
}

/// A browser's `JSON.stringify` sends them, and browsers take them.
#[test]
fn lone_surrogates_in_data_pass_as_they_stand() {
    let server = Server::start();
    let mut subscriber = server.subscriber(&["c"]);
    let mut publisher = server.publisher(&["c"]);
    for data in [
        r"\ud800",
        r"\uDFFF",
        r"a\ud83db",
        r"\ude00\ud83d",
        r"\ud800\ud800",
        r"\ud83d\n",
        r"\ud83d\ud83d\ude00",
    ] {
        publisher.send_text(&format!(r#"{{"channel":"c","data":"{data}"}}"#));
        let text = subscriber.message();
        let end = format!(r#","channel":"c","data":"{data}"}}"#);
        assert!(text.ends_with(&end), "{data}: {text}");
    }
}

#[test]
fn lone_surrogates_in_a_channel_become_the_replacement_character() {
    let server = Server::start();
    let mut subscriber = server.subscriber(&["a\u{fffd}", "\u{fffd}b"]);
    let mut publisher = server.publisher(&["a\u{fffd}", "\u{fffd}b"]);
    for (escaped, name) in
        [(r"a\ud800", "a\u{fffd}"), (r"a\uDC00", "a\u{fffd}"), (r"\ud83db", "\u{fffd}b")]
    {
        publisher.send_text(&format!(r#"{{"channel":"{escaped}","data":"D"}}"#));
        subscriber.hears(name, "D");
    }
}

/// The Go and Python clients hand any other frame to the application.
#[test]
fn a_client_gets_nothing_but_messages_and_what_it_asked_for() {
    let server = Server::start();
    let mut client = server.open(&grant(&["c"], &["w"]));
    let mut publisher = server.publisher(&["c"]);
    // Dropped publishes, granted ones that nobody hears, unknown requests: no answer to any.
    client.publish("w", "nobody hears this");
    client.publish("c", "not granted");
    client.send_text(r#"{"auth":"x","id":"1","subscribe":"d"}"#);
    client.send_text("{}");
    client.round_trip();
    publisher.publish("c", "the first");
    client.hears("c", "the first");
    client.round_trip();
    client.close();
}

#[test]
fn a_publish_that_nobody_reads_does_no_harm() {
    let server = Server::start();
    let mut publisher = server.publisher(&["c"]);
    for _ in 0..100 {
        publisher.publish("c", "to nobody");
    }
    publisher.round_trip();
    let mut late = server.subscriber(&["c"]);
    publisher.publish("c", "to somebody");
    late.hears("c", "to somebody");
}
