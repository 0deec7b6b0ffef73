//! WebSocket frames as bytes (RFC 6455, 5.2): written in any form, legal or not; read strictly.

/// Opcodes, as they stand on the wire.
pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// How the length of a frame is written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Length {
    /// In as few bytes as will do, as the RFC demands.
    Shortest,
    /// In two bytes, even where seven bits would do.
    Sixteen,
    /// In eight bytes, whatever would do.
    SixtyFour,
    /// In eight bytes that are not true.
    Claimed(u64),
}

/// A frame to be sent. What it says of itself need not be legal.
#[derive(Clone, Debug)]
pub(crate) struct Out {
    fin: bool,
    reserved: u8,
    opcode: u8,
    mask: Option<[u8; 4]>,
    length: Length,
    payload: Vec<u8>,
}

impl Out {
    /// A whole, masked frame.
    pub(crate) fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Out {
        Out {
            fin: true,
            reserved: 0,
            opcode,
            mask: Some([0x37, 0xfa, 0x21, 0x3d]),
            length: Length::Shortest,
            payload: payload.into(),
        }
    }

    pub(crate) fn text(payload: impl Into<Vec<u8>>) -> Out {
        Out::new(TEXT, payload)
    }

    pub(crate) fn binary(payload: impl Into<Vec<u8>>) -> Out {
        Out::new(BINARY, payload)
    }

    /// A Close with a code and a reason.
    pub(crate) fn close(code: u16, reason: &str) -> Out {
        let mut payload = code.to_be_bytes().to_vec();
        payload.extend_from_slice(reason.as_bytes());
        Out::new(CLOSE, payload)
    }

    /// More of the same message follows.
    pub(crate) fn unfinished(mut self) -> Out {
        self.fin = false;
        self
    }

    /// Sets reserved bits: 4 is RSV1, 2 is RSV2, 1 is RSV3.
    pub(crate) fn reserved(mut self, bits: u8) -> Out {
        self.reserved = bits;
        self
    }

    pub(crate) fn mask(mut self, mask: Option<[u8; 4]>) -> Out {
        self.mask = mask;
        self
    }

    pub(crate) fn length(mut self, length: Length) -> Out {
        self.length = length;
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.payload.len() + 14);
        out.push(u8::from(self.fin) << 7 | self.reserved << 4 | self.opcode);
        let masked = u8::from(self.mask.is_some()) << 7;
        let count = self.payload.len();
        match self.length {
            Length::Shortest if count < 126 => out.push(masked | count as u8),
            Length::Shortest if count < 0x1_0000 => {
                out.push(masked | 126);
                out.extend_from_slice(&(count as u16).to_be_bytes());
            }
            Length::Sixteen => {
                out.push(masked | 126);
                out.extend_from_slice(&u16::try_from(count).expect("16 bits").to_be_bytes());
            }
            Length::Shortest | Length::SixtyFour => {
                out.push(masked | 127);
                out.extend_from_slice(&(count as u64).to_be_bytes());
            }
            Length::Claimed(claim) => {
                out.push(masked | 127);
                out.extend_from_slice(&claim.to_be_bytes());
            }
        }
        let mask = self.mask.unwrap_or_default();
        out.extend_from_slice(self.mask.as_ref().map_or(&[][..], |mask| &mask[..]));
        out.extend(self.payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        out
    }
}

/// A frame that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) fin: bool,
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The first frame in `bytes` and how many of them it took, or `None` while it is not whole.
    /// A frame that no server may send (masked, reserved bits, a length in more bytes than it
    /// needs, a control frame in pieces or over 125 bytes) fails the test.
    pub(crate) fn parse(bytes: &[u8]) -> Option<(Frame, usize)> {
        let (&[first, second], rest) = bytes.split_first_chunk::<2>()?;
        assert_eq!(first & 0x70, 0, "the server set reserved bits: {first:#04x}");
        assert_eq!(second & 0x80, 0, "the server masked a frame");
        let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
        assert!(matches!(opcode, 0..=2 | 8..=10), "the server sent opcode {opcode}");
        let (count, rest) = match second & 0x7f {
            126 => {
                let (count, rest) = rest.split_first_chunk()?;
                let count = u16::from_be_bytes(*count) as usize;
                assert!(count > 125, "the server wrote {count} in two bytes");
                (count, rest)
            }
            127 => {
                let (count, rest) = rest.split_first_chunk()?;
                let count = u64::from_be_bytes(*count) as usize;
                assert!(count > 0xffff, "the server wrote {count} in eight bytes");
                (count, rest)
            }
            count => (count as usize, rest),
        };
        assert!(opcode < 8 || (fin && count < 126), "the server sent a bad control frame");
        let payload = rest.get(..count)?.to_vec();
        let taken = bytes.len() - rest.len() + count;
        Some((Frame { fin, opcode, payload }, taken))
    }

    /// The code of a Close, and its reason; 1005 where it has none.
    pub(crate) fn close(&self) -> (u16, String) {
        assert_eq!(self.opcode, CLOSE, "a Close was expected: {self:?}");
        match self.payload.split_first_chunk() {
            None => {
                assert!(self.payload.is_empty(), "a Close of one byte");
                (1005, String::new())
            }
            Some((code, reason)) => {
                let reason = String::from_utf8(reason.to_vec()).expect("a reason in UTF-8");
                (u16::from_be_bytes(*code), reason)
            }
        }
    }
}
