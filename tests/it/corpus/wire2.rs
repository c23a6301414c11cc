//! HTTP/2 as bytes: frames and header blocks written by hand, right or wrong, and as much of an answer as says what
//! became of a stream.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::support::patience::patience;

/// What a caller begins with (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const KINDS: &[&str] = &[
    "DATA",
    "HEADERS",
    "PRIORITY",
    "RST_STREAM",
    "SETTINGS",
    "PUSH_PROMISE",
    "PING",
    "GOAWAY",
    "WINDOW_UPDATE",
    "CONTINUATION",
];

/// RFC 9113 §7.
const ERRORS: &[&str] = &[
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];

/// The number of a kind of frame, by its name or as it is written.
pub(super) fn kind(name: &str) -> u8 {
    let known = KINDS.iter().position(|one| *one == name).map(|at| at as u8);
    known.or_else(|| name.parse().ok()).unwrap_or_else(|| panic!("what frame is {name}?"))
}

/// Flags by their names, `-` for none.
pub(super) fn flags(names: &str) -> u8 {
    let one = |name: &str| match name {
        "-" => 0,
        "END_STREAM" | "ACK" => 1,
        "END_HEADERS" => 4,
        "PADDED" => 8,
        "PRIORITY" => 32,
        other => other.parse().unwrap_or_else(|_| panic!("what flag is {other}?")),
    };
    names.split('|').map(one).sum()
}

/// The name of an error code.
pub(super) fn error(code: u32) -> String {
    ERRORS.get(code as usize).map_or_else(|| code.to_string(), |name| (*name).to_owned())
}

/// A frame (RFC 9113 §4.1).
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Adds a field to a header block: literal, never indexed anywhere, not compressed (RFC 7541 §6.2.2).
pub(super) fn field(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    block.push(0);
    for text in [name, value] {
        integer(block, text.len());
        block.extend_from_slice(text);
    }
}

/// An integer with a prefix of seven bits (RFC 7541 §5.1).
fn integer(block: &mut Vec<u8>, number: usize) {
    let Some(mut rest) = number.checked_sub(127) else {
        block.push(number as u8);
        return;
    };
    block.push(127);
    while rest >= 128 {
        block.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    block.push(rest as u8);
}

/// The status at the beginning of a block: from the static table, or three digits, as they are or compressed. `None`
/// where it is something else (an entry of the dynamic table).
pub(super) fn status(block: &[u8]) -> Option<u16> {
    const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    // Table size updates may come first (RFC 7541 §6.3).
    let block = &block[block.iter().take_while(|byte| **byte & 0xe0 == 0x20).count()..];
    match block {
        [first @ 0x88..=0x8e, ..] => Some(INDEXED[usize::from(first - 0x88)]),
        [0x08 | 0x18 | 0x48, 3, digits @ ..] => std::str::from_utf8(digits.get(..3)?).ok()?.parse().ok(),
        [0x08 | 0x18 | 0x48, length, rest @ ..] if length & 0x80 != 0 => {
            digits(rest.get(..usize::from(length & 0x7f))?)
        }
        _ => None,
    }
}

/// Digits in the code of RFC 7541, Appendix B: 0, 1, 2 have five bits, the others six.
fn digits(bytes: &[u8]) -> Option<u16> {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |n| byte >> n & 1)).collect();
    let (mut at, mut number) = (0, 0);
    for _ in 0..3 {
        let take = |count: usize| {
            bits.get(at..at + count).map(|bits| bits.iter().fold(0, |sum, bit| sum << 1 | u16::from(*bit)))
        };
        let (digit, length) = match take(5)? {
            short @ 0..=2 => (short, 5),
            _ => (take(6)?.checked_sub(0b01_1001)? + 3, 6),
        };
        number = number * 10 + digit;
        at += length;
    }
    Some(number)
}

/// A frame that came.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    /// The error code of RST_STREAM or GOAWAY.
    pub(super) fn code(&self) -> u32 {
        let at = if self.kind == kind("GOAWAY") { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    /// Its stream has sent everything.
    pub(super) fn ends_stream(&self) -> bool {
        let ends = matches!(self.kind, 0 | 1) && self.flags & flags("END_STREAM") != 0;
        ends || self.kind == kind("RST_STREAM")
    }
}

/// A caller that speaks in frames.
pub(super) struct Caller(TcpStream);

impl Caller {
    pub(super) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(patience() / 2)).unwrap();
        Self(stream)
    }

    /// Whether it was taken does not matter: what comes back says more.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    /// The next frame; an error at the end, or if nothing comes.
    pub(super) fn next(&mut self) -> std::io::Result<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head)?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.0.read_exact(&mut payload)?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Ok(Frame { kind: head[3], flags: head[4], stream, payload })
    }
}

#[test]
fn statuses_are_read_however_they_are_coded() {
    for (block, expected) in [
        (&[0x88][..], Some(200)),
        (&[0x20, 0x8c], Some(400)),
        (&[0x48, 3, b'4', b'2', b'1'], Some(421)),
        // 405: 011010 00000 011011, and ones
        (&[0x48, 0x83, 0b0110_1000, 0b0000_1101, 0b1111_1111], Some(405)),
        (&[0xbe], None),
    ] {
        assert_eq!(status(block), expected, "{block:x?}");
    }
    let mut block = Vec::new();
    field(&mut block, b"a", &[b'v'; 300]);
    assert_eq!(block[..5], [0, 1, b'a', 127, 173]);
}
