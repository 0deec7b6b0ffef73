//! Frames as a client writes and reads them (RFC 6455, section 5.2), by code that is not the server's.

/// A frame of a client.
pub fn masked(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        0..126 => frame.push(0x80 | payload.len() as u8),
        126..65536 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(payload.len() as u16).to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

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
