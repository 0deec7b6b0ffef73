//! The tools of these tests, held against something else than philote: vectors from the RFCs,
//! and a WebSocket library by another hand.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};

use crate::support::client::Client;
use crate::support::frame::{BINARY, CONTINUATION, Frame, Length, Out, PING, PONG, TEXT};
use crate::support::http::Request;
use crate::support::token::with_header;
use crate::support::tools::{in_tests, python};

/// The header and claims of RFC 7515, appendix A.1, without its line breaks, and the published
/// default token of the debugger at jwt.io.
#[test]
fn a_token_is_signed_as_elsewhere() {
    let minted = with_header(
        r#"{"alg":"HS256","typ":"JWT"}"#,
        "HS256",
        r#"{"sub":"1234567890","name":"John Doe","iat":1516239022}"#,
        "your-256-bit-secret",
    );
    let known = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.\
        eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.\
        SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c";
    assert_eq!(minted, known);
}

/// RFC 6455, 5.7.
#[test]
fn a_frame_is_written_as_in_the_rfc() {
    let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(Out::text("Hello").bytes(), masked);
    let unmasked = Out::text("Hello").mask(None);
    assert_eq!(unmasked.bytes(), b"\x81\x05Hello");
    assert_eq!(Out::text("Hel").mask(None).unfinished().bytes(), b"\x01\x03Hel");
    assert_eq!(Out::new(CONTINUATION, "lo").mask(None).bytes(), b"\x80\x02lo");
    let long = Out::binary(vec![0; 256]).mask(None).bytes();
    assert_eq!((&long[..4], long.len()), (&[0x82, 0x7e, 1, 0][..], 260));
    let longer = Out::binary(vec![0; 0x1_0000]).mask(None).bytes();
    assert_eq!((&longer[..10], longer.len()), (&[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0][..], 65546));
    assert_eq!(unmasked.clone().length(Length::Sixteen).bytes(), b"\x81\x7e\0\x05Hello");
    assert_eq!(unmasked.length(Length::SixtyFour).bytes(), b"\x81\x7f\0\0\0\0\0\0\0\x05Hello");
    assert_eq!(Out::text("").reserved(5).bytes()[..2], [0xd1, 0x80]);
}

/// RFC 6455, 5.7, read from the first byte on until it is whole.
#[test]
fn a_frame_is_read_once_it_is_whole() {
    for bytes in [b"\x81\x05Hello".to_vec(), Out::text(vec![7; 70_000]).mask(None).bytes()] {
        for short in [0, 1, 2, bytes.len() - 1] {
            assert_eq!(Frame::parse(&bytes[..short]), None);
        }
        let (frame, taken) = Frame::parse(&bytes).expect("a whole frame");
        assert_eq!((frame.fin, frame.opcode, taken), (true, TEXT, bytes.len()));
    }
}

#[test]
fn the_raw_client_and_a_library_understand_each_other() {
    let Some(python) = python() else { return };
    let mut peer = Command::new(python)
        .arg(in_tests("python/echo.py"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("the echo server starts");
    let mut said = BufReader::new(peer.stdout.take().expect("its stdout")).lines();
    let mut line = || said.next().expect("a line").expect("text");
    let port = line().parse().expect("a port");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));

    let mut client = Client::open(address, &Request::upgrade("/")).expect("admitted");
    client.send_text("whole");
    assert_eq!(client.message(), "whole");
    client.send(&Out::text("in ").unfinished());
    client.send(&Out::new(PING, "between"));
    client.trickle(&Out::new(CONTINUATION, "pieces").bytes(), 1);
    let pong = client.frame();
    assert_eq!((pong.opcode, pong.payload.as_slice()), (PONG, &b"between"[..]));
    assert_eq!(client.message(), "in pieces");
    for count in [0, 1, 125, 126, 65_535, 65_536, 300_000] {
        client.send(&Out::binary(vec![b'x'; count]));
        let echo = client.frame();
        assert_eq!((echo.opcode, echo.payload.len()), (BINARY, count));
    }
    client.round_trip();
    client.close();
    assert_eq!(line(), "1000 done");
    assert!(peer.wait().expect("its end").success());
}
