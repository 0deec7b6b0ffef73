//! What an attacker may send on an open connection. After each, a healthy pair on the same
//! server still exchanges messages.

use crate::support::client::{Client, publish};
use crate::support::frame::{CLOSE, CONTINUATION, Length, Out, PING, PONG, TEXT};
use crate::support::server::Server;
use crate::support::token::grant;

/// Sends these bytes on a connection of its own and answers the code that it is closed with.
#[track_caller]
fn closed_with(server: &Server, bytes: &[u8]) -> u16 {
    let mut client = server.open(&grant(&["c"], &["c"]));
    client.send_bytes(bytes);
    let frames = client_rest(&mut client);
    let last = frames.last().unwrap_or_else(|| panic!("ended without a Close: {bytes:02x?}"));
    last.close().0
}

/// Reads to the Close, answers it, and reads to the end.
fn client_rest(client: &mut Client) -> Vec<crate::support::frame::Frame> {
    let mut frames = Vec::new();
    loop {
        let frame = client.frame();
        let closed = frame.opcode == CLOSE;
        frames.push(frame);
        if closed {
            let _ = client.try_send(&Out::close(1002, "").bytes());
            assert_eq!(client.rest(), [], "nothing comes after a Close");
            return frames;
        }
    }
}

#[track_caller]
fn each_is(code: u16, cases: &[Vec<u8>]) {
    assert!(!cases.is_empty());
    let server = Server::start();
    for bytes in cases {
        assert_eq!(closed_with(&server, bytes), code, "{:02x?}", &bytes[..bytes.len().min(40)]);
    }
    server.is_healthy();
}

#[test]
fn reserved_bits_are_1002() {
    let frames = [TEXT, 2, CLOSE, PING, PONG, CONTINUATION];
    let bits = 1..8;
    each_is(
        1002,
        &bits
            .flat_map(|bits| frames.map(|opcode| Out::new(opcode, "").reserved(bits).bytes()))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn reserved_opcodes_are_1002() {
    let opcodes = (3..8).chain(11..16);
    each_is(
        1002,
        &opcodes
            .flat_map(|opcode| ["", "payload"].map(|payload| Out::new(opcode, payload).bytes()))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn unmasked_frames_are_1002() {
    let message = publish("c", "D");
    each_is(
        1002,
        &[
            Out::text(message.clone()).mask(None).bytes(),
            Out::binary(message).mask(None).bytes(),
            Out::new(PING, "").mask(None).bytes(),
            Out::close(1000, "").mask(None).bytes(),
            Out::text("x".repeat(70_000)).mask(None).bytes(),
        ],
    );
}

#[test]
fn control_frames_in_pieces_or_over_125_bytes_are_1002() {
    let long = vec![b'x'; 126];
    each_is(
        1002,
        &[
            Out::new(PING, "").unfinished().bytes(),
            Out::new(PONG, "x").unfinished().bytes(),
            Out::close(1000, "").unfinished().bytes(),
            Out::new(PING, long.clone()).bytes(),
            Out::new(PONG, long.clone()).bytes(),
            Out::new(CLOSE, [&[3, 0xe8][..], &long].concat()).bytes(),
            Out::new(PING, vec![b'x'; 70_000]).bytes(),
            Out::new(PING, "").length(Length::Claimed(1 << 40)).bytes(),
        ],
    );
}

#[test]
fn fragments_out_of_turn_are_1002() {
    let start = Out::text("{").unfinished().bytes();
    each_is(
        1002,
        &[
            Out::new(CONTINUATION, "x").bytes(),
            Out::new(CONTINUATION, "x").unfinished().bytes(),
            [start.clone(), Out::text("}").bytes()].concat(),
            [start.clone(), Out::binary("}").unfinished().bytes()].concat(),
            [Out::text(publish("c", "D")).bytes(), Out::new(CONTINUATION, "}").bytes()].concat(),
        ],
    );
}

#[test]
fn a_close_of_one_byte_or_of_a_code_that_none_may_send_is_1002() {
    let mut cases = vec![Out::new(CLOSE, [3]).bytes()];
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        cases.push(Out::close(code, "").bytes());
        cases.push(Out::close(code, "reason").bytes());
    }
    each_is(1002, &cases);
}

#[test]
fn text_that_is_not_utf_8_is_1007() {
    let with = |bytes: &[u8]| [&b"{\"channel\":\"c\",\"data\":\""[..], bytes, b"\"}"].concat();
    let mut cases = Vec::new();
    for bad in [
        &b"\xff"[..],
        b"\x80",
        b"\xc0\xaf",
        b"\xc3",
        b"\xe2\x82",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
    ] {
        cases.push(Out::text(with(bad)).bytes());
        // As JSON it must be UTF-8, too.
        cases.push(Out::binary(with(bad)).bytes());
        // A byte a fragment.
        let message = with(bad);
        let (last, first) = message.split_last().expect("bytes");
        let mut pieces = Out::text("").unfinished().bytes();
        for byte in first {
            pieces.extend(Out::new(CONTINUATION, [*byte]).unfinished().bytes());
        }
        pieces.extend(Out::new(CONTINUATION, [*last]).bytes());
        cases.push(pieces);
    }
    cases.push(Out::text(b"\xff\xfe".to_vec()).bytes());
    each_is(1007, &cases);
}

/// RFC 6455 knows 1007 for the bytes and 1002 for the frame; both blame the peer rightly.
#[test]
fn a_close_whose_reason_is_not_utf_8_is_refused() {
    let server = Server::start();
    for bad in [&b"\xff"[..], b"\xc3", b"fine so far \xed\xa0\x80"] {
        let payload = [&1000u16.to_be_bytes()[..], bad].concat();
        let code = closed_with(&server, &Out::new(CLOSE, payload).bytes());
        assert!(matches!(code, 1002 | 1007), "closed with {code}");
    }
    server.is_healthy();
}

#[test]
fn a_frame_that_claims_more_than_memory_is_refused_at_once() {
    let server = Server::start();
    let before = server.resident();
    for claim in [1 << 21, 1 << 32, 1 << 40, 1 << 62, (1 << 63) - 1, 1 << 63, u64::MAX] {
        for frame in [Out::text("{"), Out::binary("{"), Out::text("{").unfinished()] {
            let code = closed_with(&server, &frame.length(Length::Claimed(claim)).bytes());
            // The highest bit must be 0 (RFC 6455, 5.2), so from there on it is malformed, too.
            assert!(code == 1009 || (claim >= 1 << 63 && code == 1002), "{claim}: {code}");
        }
    }
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB more than before");
    server.is_healthy();
}

#[test]
fn a_length_in_more_bytes_than_it_needs_is_read_or_refused() {
    let server = Server::start();
    for length in [Length::Sixteen, Length::SixtyFour] {
        let mut client = server.open(&grant(&["c"], &["c"]));
        client.send(&Out::text(publish("c", "D")).length(length));
        client.send(&Out::new(PING, "and on"));
        let frame = client.frame();
        assert!(frame.opcode == PONG || frame.close().0 == 1002, "{frame:?}");
    }
    server.is_healthy();
}

#[test]
fn json_nested_ten_thousand_deep_harms_nobody() {
    let server = Server::start();
    for depth in [100, 127, 128, 10_000, 400_000] {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), ("[", "")] {
            let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            if deep.len() > 1_000_000 {
                continue;
            }
            for message in [
                format!(r#"{{"channel":"c","data":"D","x":{deep}}}"#),
                format!(r#"{{"channel":"c","data":{deep}}}"#),
                deep.clone(),
            ] {
                let mut client = server.open(&grant(&["c"], &["c"]));
                client.send_text(&message);
                client.send(&Out::new(PING, "and on"));
                let frame = client.frame();
                assert!(frame.opcode == PONG || frame.close().0 == 1007, "{frame:?}");
            }
        }
    }
    server.is_healthy();
}

#[test]
fn garbage_after_the_handshake_ends_its_connection_alone() {
    let server = Server::start();
    let mut neighbour = server.open(&grant(&["c"], &[]));
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for length in [1, 2, 3, 14, 100, 5_000, 100_000] {
        for _ in 0..5 {
            let garbage: Vec<u8> = (0..length)
                .map(|_| {
                    // Marsaglia's xorshift: the same bytes in each run.
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state as u8
                })
                .collect();
            let mut client = server.open(&grant(&["c"], &["c"]));
            let _ = client.try_send(&garbage);
            let _ = client.stream().shutdown(std::net::Shutdown::Write);
            client.rest();
        }
    }
    neighbour.round_trip();
    server.is_healthy();
    drop(neighbour);
    server.until_connections(0);
}

#[test]
fn garbage_after_a_close_is_ignored() {
    let server = Server::with("[websocket]\nclose_timeout = \"1s\"");
    for close in [Out::close(1000, ""), Out::new(7, "")] {
        let mut client = server.open(&grant(&["c"], &["c"]));
        client.send_bytes(&[close.bytes(), vec![0xa5; 10_000]].concat());
        let frames = client.rest();
        assert!(frames.len() <= 1, "{frames:?}");
    }
    server.is_healthy();
}

/// An unsent pong is replaced by the next, so they do not pile up (RFC 6455, 5.5.3 allows it).
#[test]
fn pings_of_a_peer_that_reads_nothing_cost_no_memory() {
    let server = Server::start();
    server.is_healthy();
    let before = server.resident();
    // Its kernel keeps some megabytes, then it is the server's turn. (With a small buffer, which
    // segments of 42 bytes overrun, the kernels at both ends soon wait for retransmissions.)
    let mut client = server.open(&grant(&["c"], &["c"]));
    let batch = Out::new(PING, [b'p'; 80]).bytes().repeat(1000);
    for _ in 0..400 {
        client.send_bytes(&batch);
    }
    // The last of them is answered once there is room, so all of them have been read.
    client.send(&Out::new(PING, "the last"));
    let mut pongs = 0;
    loop {
        let frame = client.frame();
        assert_eq!(frame.opcode, PONG);
        if frame.payload == b"the last" {
            break;
        }
        pongs += 1;
    }
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB more than before, after {pongs} pongs");
    server.is_healthy();
}

/// A large message on each of a hundred connections is no reason to stay large.
#[test]
fn large_messages_leave_no_memory_behind() {
    let server = Server::start();
    let large = publish("c", &"x".repeat(900_000));
    let mut clients: Vec<Client> = (0..100).map(|_| server.publisher(&["c"])).collect();
    for client in &mut clients {
        client.send_text(&large);
        client.round_trip();
    }
    let grown = server.resident();
    assert!(grown < 60 * 1024, "{grown} KiB after 100 messages of 900 KB, one after another");
    server.is_healthy();
}

#[test]
fn an_end_within_a_frame_or_a_message_leaves_nothing() {
    let server = Server::start();
    let whole = Out::text(publish("c", "D")).bytes();
    let mut watcher = server.subscriber(&["c"]);
    for at in 1..whole.len() {
        let mut client = server.publisher(&["c"]);
        client.send_bytes(&whole[..at]);
        if at % 2 == 0 { client.reset() } else { drop(client) }
    }
    let mut client = server.publisher(&["c"]);
    client.send(&Out::text(publish("c", "D")).unfinished());
    drop(client);
    server.until_connections(1);
    watcher.round_trip();
    server.is_healthy();
}

#[test]
fn a_peer_that_stops_sending_is_done() {
    let server = Server::start();
    let mut subscriber = server.subscriber(&["c"]);
    let mut client = server.open(&grant(&["c"], &["c"]));
    client.publish("c", "the last words");
    client.finish_sending();
    subscriber.hears("c", "the last words");
    let frames = client.rest();
    assert!(frames.iter().all(|frame| frame.opcode == CLOSE), "{frames:?}");
    server.until_connections(1);
    server.is_healthy();
}

/// Empty fragments for ever are no message and must not become memory.
#[test]
fn a_message_of_a_hundred_thousand_empty_fragments_is_one_message() {
    let server = Server::start();
    let mut subscriber = server.subscriber(&["c"]);
    let mut client = server.publisher(&["c"]);
    client.round_trip();
    let before = server.resident();
    client.send(&Out::text(publish("c", "D")).unfinished());
    let empty = Out::new(CONTINUATION, "").unfinished().bytes().repeat(1000);
    for _ in 0..100 {
        client.send_bytes(&empty);
    }
    client.send(&Out::new(PING, "in between"));
    assert_eq!(client.frame().payload, b"in between");
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB more than before");
    client.send(&Out::new(CONTINUATION, ""));
    subscriber.hears("c", "D");
    server.is_healthy();
}

/// The channel goes with its only subscriber, in the very turn that closed a batch of it.
#[test]
fn a_large_message_by_the_only_subscriber_of_a_channel_who_goes_at_once_is_harmless() {
    let server = Server::start();
    for round in 0..40 {
        let mut client = server.open(&grant(&["alone"], &["alone"]));
        client.send_text(&publish("alone", &"x".repeat(66_000 + round * 1_000)));
        client.finish_sending();
        client.rest();
    }
    server.is_healthy();
}
