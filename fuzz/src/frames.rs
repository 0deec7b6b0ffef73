//! Frames as a client writes and reads them (RFC 6455, section 5.2), by code that is not the server's.

pub use philote::fuzzing::masked;

/// The first frame that a server has written: its first byte, its payload, its length. `None` where it is not whole.
///
/// # Panics
/// Where it is masked, which no server's may be, or longer than it needs to be.
pub fn first(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let short = *bytes.get(1)?;
    assert!(short < 0x80, "a server masks nothing");
    let (header, length) = match short {
        126 => (4, usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?) as usize),
        short => (2, usize::from(short)),
    };
    assert!(header == 2 || length > 125, "the shortest form of a length");
    assert!(header < 10 || length > 65535, "the shortest form of a length");
    let payload = bytes.get(header..header + length)?;
    Some((bytes[0], payload, header + length))
}
