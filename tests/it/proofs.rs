//! The tools of these tests, held against something else than philote: vectors from the RFCs,
//! and a WebSocket library by another hand.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::client::Client;
use crate::support::frame::{BINARY, CONTINUATION, Frame, Length, Out, PING, PONG, TEXT};
use crate::support::http::{Request, connect};
use crate::support::network::Namespace;
use crate::support::token::with_header;
use crate::support::tools::{in_tests, python, require_tool};

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

#[test]
fn a_cut_cable_loses_what_is_sent_and_tells_neither_end() {
    let Some(namespace) = Namespace::new() else { return };
    let Some(python) = require_tool("python3", "apt install python3") else { return };
    let cable = namespace.cable();
    let script = "import socket, sys\n\
        listener = socket.create_server((sys.argv[1], 0))\n\
        print(listener.getsockname()[1], flush=True)\n\
        peer = listener.accept()[0]\n\
        while data := peer.recv(100): peer.sendall(data)";
    let mut peer = Command::new("ip")
        .args(["netns", "exec", namespace.name()])
        .arg(python)
        .args(["-c", script, &cable.inside_address().to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("a peer within");
    let mut line = String::new();
    BufReader::new(peer.stdout.take().expect("its stdout")).read_line(&mut line).expect("a line");
    let port = line.trim().parse().expect("a port");
    let mut stream = connect(SocketAddr::from((cable.inside_address(), port)));
    let mut echo = [0; 4];
    stream.write_all(b"here").expect("taken");
    stream.read_exact(&mut echo).expect("an echo");
    cable.cut();
    stream.write_all(b"lost").expect("taken by our own kernel");
    stream.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    let error = stream.read(&mut echo).expect_err("nothing comes back");
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    assert!(peer.try_wait().expect("our child").is_none(), "the peer has noticed");
    peer.kill().expect("its end");
    peer.wait().expect("its end");
}
