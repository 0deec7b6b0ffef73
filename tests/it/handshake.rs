//! How a connection opens: any path, a token in one of three places, nothing asked for more.

use crate::support::client::{Client, publish};
use crate::support::frame::Out;
use crate::support::http::{Request, connect};
use crate::support::server::Server;
use crate::support::token::{grant, token};

/// Opens by `request`, whose token reads `a`, and hears a message there.
#[track_caller]
fn opens(server: &Server, request: &Request) {
    let mut client = server.open_with(request);
    server.publisher(&["a"]).publish("a", "heard");
    client.hears("a", "heard");
}

#[test]
fn an_upgrade_on_any_path_opens_a_connection() {
    let server = Server::start();
    let token = grant(&["a"], &[]);
    for path in ["/", "//", "/ws", "/a/b/c.html", "/%20", "/healthz", "/api/info", "/api/nothing"] {
        opens(&server, &Request::upgrade(path).bearer(&token));
        opens(&server, &Request::upgrade(&format!("{path}?auth={token}")));
    }
}

#[test]
fn the_token_may_stand_among_other_keys_of_the_query() {
    let server = Server::start();
    let token = grant(&["a"], &[]);
    for query in [
        format!("auth={token}&v=1"),
        format!("v=1&auth={token}"),
        format!("v=1&&x&=&y=%&auth={token}&z"),
        format!("unauth=1&auth={token}&auths=2"),
    ] {
        opens(&server, &Request::upgrade(&format!("/?{query}")));
    }
}

#[test]
fn the_token_in_the_query_is_percent_decoded() {
    let server = Server::start();
    let token = grant(&["a"], &[]);
    let upper: String = token.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let lower: String = token.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let dots = token.replace('.', "%2e").replace('-', "%2D").replace('_', "%5f");
    for encoded in [upper, lower, dots] {
        opens(&server, &Request::upgrade(&format!("/?auth={encoded}")));
    }
}

#[test]
fn the_token_may_stand_in_the_header_with_its_scheme_or_without() {
    let server = Server::start();
    let token = grant(&["a"], &[]);
    opens(&server, &Request::upgrade("/").header("Authorization", &format!("Bearer {token}")));
    opens(&server, &Request::upgrade("/").header("Authorization", &token));
    opens(&server, &Request::upgrade("/").header("authorization", &format!("Bearer {token}")));
    // RFC 9110, 11.1: a scheme's name is matched without case.
    opens(&server, &Request::upgrade("/").header("Authorization", &format!("bearer {token}")));
}

#[test]
fn the_header_goes_before_the_query() {
    let server = Server::start();
    let good = grant(&["a"], &[]);
    opens(&server, &Request::upgrade("/?auth=bad").bearer(&good));
    let refusal = server.refuses(&Request::upgrade(&format!("/?auth={good}")).bearer("bad"));
    assert_eq!(refusal.status, 401);
}

#[test]
fn an_empty_header_falls_through_to_the_query() {
    let server = Server::start();
    let token = grant(&["a"], &[]);
    let request = Request::upgrade(&format!("/?auth={token}")).header("Authorization", "");
    opens(&server, &request);
}

#[test]
fn another_scheme_falls_through_to_the_query() {
    let server = Server::start();
    let token = grant(&["a"], &[]);
    let basic = "Basic dXNlcjpwYXNzd29yZA==";
    opens(&server, &Request::upgrade(&format!("/?auth={token}")).header("Authorization", basic));
    let refusal = server.refuses(&Request::upgrade("/").header("Authorization", basic));
    assert_eq!(refusal.status, 401);
}

#[test]
fn header_names_and_values_of_the_upgrade_are_matched_without_case() {
    let server = Server::start();
    let token = grant(&["a"], &[]);
    let request = Request::upgrade("/")
        .bearer(&token)
        .without("Upgrade")
        .without("Connection")
        .header("UPGRADE", "WebSocket")
        .header("connection", "keep-alive, upgrade");
    opens(&server, &request);
}

/// `Client::open` checks that the answer names neither.
#[test]
fn no_subprotocol_and_no_extension_is_served() {
    let server = Server::start();
    let token = grant(&["a"], &[]);
    let request = Request::upgrade_with(&token)
        .header("Sec-WebSocket-Protocol", "philote.v2, chat")
        .header("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits");
    opens(&server, &request);
}

#[test]
fn a_token_without_any_grant_opens_a_connection() {
    let server = Server::start();
    let mut client = server.open(&token("{}"));
    client.round_trip();
    client.close();
}

#[test]
fn a_connection_may_read_and_write_the_same_channel() {
    let server = Server::start();
    let mut one = server.open(&grant(&["a"], &["a"]));
    let mut two = server.open(&grant(&["a"], &["a"]));
    one.publish("a", "from one");
    two.hears("a", "from one");
    two.publish("a", "from two");
    one.hears("a", "from two");
}

#[test]
fn a_name_that_stands_twice_in_a_grant_counts_once() {
    let server = Server::start();
    let mut client = server.open(&token(r#"{"read":["a","b","a","a"]}"#));
    let mut publisher = server.publisher(&["a", "b"]);
    publisher.publish("a", "once");
    client.hears("a", "once");
    publisher.publish("a", "and once more");
    client.hears("a", "and once more");
    client.round_trip();
}

/// Eleven bytes, half a frame, and more than one read's worth stand right behind the request.
#[test]
fn what_is_sent_right_behind_the_request_arrives() {
    let server = Server::start();
    let mut subscriber = server.subscriber(&["a"]);
    let request = Request::upgrade_with(&grant(&[], &["a"])).bytes();
    let long = "l".repeat(8 * 1024);
    let whole = Out::text(publish("a", "whole")).bytes();
    let large = Out::text(publish("a", &long)).bytes();
    let ping = Out::new(crate::support::frame::PING, "hello").bytes();
    assert_eq!(ping.len(), 11);

    for (behind, later, heard) in [
        (ping.clone(), Vec::new(), vec![]),
        (whole.clone(), Vec::new(), vec!["whole"]),
        (whole[..whole.len() / 2].to_vec(), whole[whole.len() / 2..].to_vec(), vec!["whole"]),
        (whole[..1].to_vec(), whole[1..].to_vec(), vec!["whole"]),
        (large.clone(), Vec::new(), vec![long.as_str()]),
        (large[..5000].to_vec(), large[5000..].to_vec(), vec![long.as_str()]),
        (whole.repeat(100), Vec::new(), vec!["whole"; 100]),
    ] {
        let pinged = behind == ping;
        let bytes = [request.clone(), behind].concat();
        let mut client = Client::open_on(connect(server.address()), &bytes).expect("admitted");
        client.send_bytes(&later);
        if pinged {
            let pong = client.frame();
            assert_eq!(pong.payload, b"hello");
        }
        for data in heard {
            subscriber.hears("a", data);
        }
        client.close();
    }
}

#[test]
fn a_request_may_come_in_single_bytes() {
    let server = Server::start();
    let bytes = Request::upgrade_with(&grant(&["a"], &[])).bytes();
    let (last, first) = bytes.split_last().expect("bytes");
    let mut stream = connect(server.address());
    for byte in first {
        std::io::Write::write_all(&mut stream, &[*byte]).expect("a byte is taken");
    }
    let mut client = Client::open_on(stream, &[*last]).expect("admitted");
    server.publisher(&["a"]).publish("a", "heard");
    client.hears("a", "heard");
}
