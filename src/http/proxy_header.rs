//! The header of the PROXY protocol, versions 1 and 2, by which a proxy says whom it speaks for.
//!
//! It comes once, in front of everything else. It is looked at where it lies in the kernel, and then taken to
//! its last byte and no further: whatever comes behind it, in the same segment or not, is still there for
//! whoever reads on. What it says beyond the client's address is passed over.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use tokio::io::AsyncReadExt;

use crate::connection::socket::Socket;

/// What version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// What version 1 begins with.
const WORD: &[u8] = b"PROXY ";
/// The longest line of version 1, as its specification has it; the part of version 2 that is looked at is shorter.
const LONGEST_LINE: usize = 107;
/// The fixed part of version 2.
const FIXED: usize = 16;
/// The most that may stand behind the fixed part of version 2, in bytes. The addresses take 216 at most; what is
/// added to them (names, the client's certificate in short, a checksum) a few hundred.
const LONGEST_REST: usize = 4096;

/// A header that is whole, or whose length and client are known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Bytes, all of it.
    pub(crate) length: usize,
    /// Whom the proxy speaks for; itself, where it says so or speaks for nobody with an address.
    pub(crate) client: Option<SocketAddr>,
}

/// Takes the header from the front of what comes: the client that it names. None where the proxy speaks for itself,
/// as its own health checks do.
///
/// # Errors
/// `InvalidData` where something else comes, otherwise why nothing more does.
pub(super) async fn take(socket: &mut Socket) -> io::Result<Option<SocketAddr>> {
    let mut bytes = [0; LONGEST_LINE];
    let Header { length, client } = socket.peek_until(&mut bytes, judge).await?;
    let mut left = length;
    while left > 0 {
        let piece = left.min(bytes.len());
        left -= socket.read_exact(&mut bytes[..piece]).await?;
    }
    Ok(client)
}

/// What the first bytes say; None where more are needed.
pub(crate) fn judge(bytes: &[u8]) -> Option<io::Result<Header>> {
    let begins = |with: &[u8]| bytes.iter().zip(with).all(|(one, other)| one == other);
    if begins(SIGNATURE) {
        binary(bytes).transpose()
    } else if begins(WORD) {
        line(bytes).transpose()
    } else {
        Some(Err(malformed()))
    }
}

fn malformed() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// Version 2: a fixed part, addresses by their family, and more that is passed over.
fn binary(bytes: &[u8]) -> io::Result<Option<Header>> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED>() else { return Ok(None) };
    let &[.., command, family, high, low] = fixed;
    let announced = usize::from(u16::from_be_bytes([high, low]));
    if announced > LONGEST_REST {
        return Err(malformed());
    }
    let whole = |client| Ok(Some(Header { length: FIXED + announced, client }));
    match (command, family) {
        // LOCAL: the proxy itself, whatever else it says.
        (0x20, _) => whole(None),
        // PROXY, for a stream over IPv4, over IPv6, a Unix socket, or what it does not know.
        (0x21, 0x11) if announced < 12 => Err(malformed()),
        (0x21, 0x11) => match rest {
            [a, b, c, d, _, _, _, _, high, low, _, _, ..] => {
                whole(Some(client(Ipv4Addr::new(*a, *b, *c, *d), [*high, *low])))
            }
            _ => Ok(None),
        },
        (0x21, 0x21) if announced < 36 => Err(malformed()),
        (0x21, 0x21) => match rest.first_chunk::<36>() {
            Some(addresses) => {
                let (source, ports) = addresses.split_at(16);
                let source: [u8; 16] = source.try_into().expect("16 of 36");
                whole(Some(client(Ipv6Addr::from(source), [ports[16], ports[17]])))
            }
            None => Ok(None),
        },
        (0x21, 0x31 | 0x00) => whole(None),
        _ => Err(malformed()),
    }
}

fn client(address: impl Into<IpAddr>, port: [u8; 2]) -> SocketAddr {
    SocketAddr::new(address.into(), u16::from_be_bytes(port))
}

/// Version 1: one line.
fn line(bytes: &[u8]) -> io::Result<Option<Header>> {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return if bytes.len() < LONGEST_LINE { Ok(None) } else { Err(malformed()) };
    };
    let line = bytes[..end].strip_suffix(b"\r").ok_or_else(malformed)?;
    let line = std::str::from_utf8(line).map_err(|_| malformed())?;
    let words: Vec<&str> = line.split(' ').collect();
    let client = match words[..] {
        // Whatever follows is to be passed over.
        ["PROXY", "UNKNOWN", ..] => None,
        ["PROXY", "TCP4", source, destination, from, to] => {
            Some(named::<Ipv4Addr>([source, destination], [from, to])?)
        }
        ["PROXY", "TCP6", source, destination, from, to] => {
            Some(named::<Ipv6Addr>([source, destination], [from, to])?)
        }
        _ => return Err(malformed()),
    };
    Ok(Some(Header { length: end + 1, client }))
}

/// The first of two addresses and ports; the others have to be right too.
fn named<A: FromStr + Into<IpAddr>>(
    addresses: [&str; 2],
    ports: [&str; 2],
) -> io::Result<SocketAddr> {
    let address = |text: &str| text.parse::<A>().map_err(|_| malformed());
    let port = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse::<u16>().map_err(|_| malformed()),
        false => Err(malformed()),
    };
    let ([source, _], [from, _]) =
        ([address(addresses[0])?, address(addresses[1])?], [port(ports[0])?, port(ports[1])?]);
    Ok(SocketAddr::new(source.into(), from))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::connection::socket::AcceptedSocket;

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend((rest.len() as u16).to_be_bytes());
        bytes.extend_from_slice(rest);
        bytes
    }

    /// Each header that is right, with the client that it names.
    fn headers() -> Vec<(Vec<u8>, Option<&'static str>)> {
        let v4 = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x67, 0, 80];
        let mut v6 = [0; 36];
        v6[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        v6[15] = 9;
        v6[32..34].copy_from_slice(&[0, 81]);
        let mut with_more = v4.to_vec();
        with_more.extend([0x03, 0, 4, 1, 2, 3, 4]);
        with_more.extend([0x04, 1, 0]);
        with_more.extend([0; 256]);
        let text = |line: &str| format!("{line}\r\n").into_bytes();
        vec![
            (v2(0x21, 0x11, &v4), Some("192.0.2.7:4711")),
            (v2(0x21, 0x11, &with_more), Some("192.0.2.7:4711")),
            (v2(0x21, 0x21, &v6), Some("[2001:db8::9]:81")),
            (v2(0x21, 0x31, &[b'/'; 216]), None),
            (v2(0x21, 0x00, b""), None),
            (v2(0x21, 0x00, b"anything"), None),
            (v2(0x20, 0x00, b""), None),
            (v2(0x20, 0x11, &v4), None),
            (v2(0x20, 0xff, &[0; LONGEST_REST]), None),
            (text("PROXY TCP4 192.0.2.7 10.0.0.1 4711 80"), Some("192.0.2.7:4711")),
            (text("PROXY TCP6 2001:db8::9 ::1 81 65535"), Some("[2001:db8::9]:81")),
            (text("PROXY UNKNOWN"), None),
            (text("PROXY UNKNOWN ffff::1 ffff::2 65535 65535"), None),
            (text(&format!("PROXY UNKNOWN {}", "x".repeat(91))), None),
        ]
    }

    #[test]
    fn a_header_is_understood_when_it_is_whole_and_not_before() {
        let mut cases = 0;
        for (bytes, client) in headers() {
            let expected = client.map(|client| client.parse().unwrap());
            let mut followed = bytes.clone();
            followed.extend_from_slice(b"GET / HTTP/1.1\r\n");
            for found in [judge(&bytes), judge(&followed)] {
                let header = found.expect("whole").expect("right");
                assert_eq!(header, Header { length: bytes.len(), client: expected });
            }
            // What is looked at of version 2 ends with the addresses.
            for length in 0..bytes.len() {
                match judge(&bytes[..length]) {
                    None => cases += 1,
                    Some(header) => {
                        let header = header.expect("right so far");
                        assert_eq!(header, Header { length: bytes.len(), client: expected });
                        assert!(length >= FIXED && bytes.starts_with(SIGNATURE));
                    }
                }
            }
        }
        assert!(cases > 300, "{cases}");
    }

    #[test]
    fn what_is_no_header_is_refused_as_soon_as_it_shows() {
        let text = |line: &str| format!("{line}\r\n").into_bytes();
        let v4 = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x67, 0, 80];
        let cases = [
            b"G".to_vec(),
            b"GET / HTTP/1.1\r\n".to_vec(),
            b"\x16\x03\x01".to_vec(),
            b"\r\n\r\n\0\r\nQUIT\r".to_vec(),
            b"PROXX".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\n".to_vec(),
            b"proxy TCP4".to_vec(),
            text("PROXY "),
            text("PROXY TCP5 192.0.2.7 10.0.0.1 4711 80"),
            text("PROXY tcp4 192.0.2.7 10.0.0.1 4711 80"),
            text("PROXY TCP4 2001:db8::9 10.0.0.1 4711 80"),
            text("PROXY TCP6 192.0.2.7 10.0.0.1 4711 80"),
            text("PROXY TCP4 192.0.2.7 10.0.0.1 4711"),
            text("PROXY TCP4 192.0.2.7 10.0.0.1 4711 80 "),
            text("PROXY TCP4  192.0.2.7 10.0.0.1 4711 80"),
            text("PROXY TCP4 192.0.2.7 10.0.0.1 65536 80"),
            text("PROXY TCP4 192.0.2.7 10.0.0.1 +80 80"),
            text("PROXY TCP4 192.0.2.7 10.0.0.1 80 -1"),
            text("PROXY TCP4 192.0.2.7 evil.example 80 80"),
            text("PROXY TCP4 \u{664}.0.2.7 10.0.0.1 80 80"),
            vec![b'P'; 200],
            [WORD, &[b'x'; 101]].concat(),
            v2(0x11, 0x11, &v4),
            v2(0x22, 0x11, &v4),
            v2(0x21, 0x12, &v4),
            v2(0x21, 0x41, &v4),
            v2(0x21, 0x11, &v4[..11]),
            v2(0x21, 0x21, &[0; 35]),
            v2(0x21, 0x11, &[0; LONGEST_REST + 1]),
        ];
        for bytes in cases {
            let judged = judge(&bytes).expect("enough to see it");
            assert_eq!(
                judged.expect_err("no header").kind(),
                io::ErrorKind::InvalidData,
                "{bytes:?}"
            );
        }
    }

    /// What is behind the header stays, wherever the bytes are cut on their way.
    #[test]
    fn nothing_behind_a_header_is_taken_wherever_it_is_cut() {
        let behind = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut cases = 0;
        for (header, client) in headers().into_iter().filter(|(header, _)| header.len() < 200) {
            let expected = client.map(|client| client.parse().unwrap());
            let bytes = [&header[..], behind].concat();
            for cut in 0..bytes.len() {
                let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
                theirs.set_nonblocking(true).unwrap();
                runtime.block_on(async {
                    let mut socket =
                        Socket::from_accepted(AcceptedSocket::Unix(theirs)).expect("registered");
                    ours.write_all(&bytes[..cut]).unwrap();
                    let rest = async {
                        tokio::task::yield_now().await;
                        ours.write_all(&bytes[cut..]).unwrap();
                    };
                    let (taken, ()) = tokio::join!(take(&mut socket), rest);
                    assert_eq!(taken.expect("a header"), expected, "cut at {cut}");
                    let mut left = vec![0; behind.len()];
                    socket.read_exact(&mut left).await.expect("what is behind");
                    assert_eq!(left, behind);
                });
                cases += 1;
            }
        }
        assert!(cases > 500, "{cases}");
    }

    #[test]
    fn a_proxy_that_goes_in_the_middle_of_it_is_not_waited_for() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for said in [&b""[..], b"PROXY TCP4 192.0.2.7", &SIGNATURE[..], b"PROXY UNKNOWN"] {
            let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
            theirs.set_nonblocking(true).unwrap();
            ours.write_all(said).unwrap();
            drop(ours);
            let ended = runtime.block_on(async {
                let mut socket =
                    Socket::from_accepted(AcceptedSocket::Unix(theirs)).expect("registered");
                take(&mut socket).await
            });
            assert_eq!(ended.expect_err("gone").kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
