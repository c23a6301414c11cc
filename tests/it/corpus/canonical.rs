//! The strictest reading of HTTP/1.1: what every byte that the proxy writes must satisfy, towards either side.
//!
//! Anything that one parser could read in another way than a second one is a fault, even where RFC 9112 lets a
//! recipient be lenient.

use super::text::latin;

/// A head, read strictly: first line and fields, a character a byte.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    /// Request line or status line.
    pub(super) line: String,
    /// Names as they were spelled, and values.
    pub(super) fields: Vec<(String, String)>,
}

impl Head {
    /// Reads a head with the empty line at its end.
    pub(super) fn read(raw: &[u8]) -> Result<Self, String> {
        let text = raw.strip_suffix(b"\r\n\r\n").ok_or("no empty line at the end")?;
        let text = latin(text);
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        // A tab may stand in a reason phrase, and nowhere else.
        let reason = line.starts_with("HTTP/");
        if line.contains(|c: char| c.is_control() && !(c == '\t' && reason)) {
            return Err(format!("a control character in the first line: {line:?}"));
        }
        let fields = lines.map(field).collect::<Result<_, _>>()?;
        let head = Self { line, fields };
        head.framing()?;
        Ok(head)
    }

    /// Every value of a name, in order.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let same = |field: &&(String, String)| field.0.eq_ignore_ascii_case(name);
        self.fields.iter().filter(same).map(|(_, value)| value.as_str()).collect()
    }

    /// How the body is framed: exactly one way (RFC 9112 §6.3).
    pub(super) fn framing(&self) -> Result<Framing, String> {
        match (self.all("transfer-encoding").as_slice(), self.all("content-length").as_slice()) {
            ([], []) => Ok(Framing::Unsaid),
            (["chunked"], []) => Ok(Framing::Chunked),
            ([], [length]) if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => {
                length.parse().map(Framing::Length).map_err(|_| format!("a length out of range: {length}"))
            }
            (codings, lengths) => Err(format!(
                "framed in more than one way: Transfer-Encoding {codings:?}, Content-Length {lengths:?}"
            )),
        }
    }
}

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// No field says so.
    Unsaid,
    /// Content-Length
    Length(usize),
    /// Transfer-Encoding: chunked
    Chunked,
}

fn field(line: &str) -> Result<(String, String), String> {
    let wrong = |why: &str| Err(format!("{why}: {line:?}"));
    let Some((name, value)) = line.split_once(':') else { return wrong("a line without a colon") };
    if name.is_empty() || !name.bytes().all(is_token_byte) || !name.is_ascii() {
        return wrong("a name that is no token");
    }
    let value = value.strip_prefix(' ').unwrap_or(value);
    if value.trim_matches([' ', '\t']) != value {
        return wrong("white space around a value");
    }
    if value.chars().any(|c| c != '\t' && (c < ' ' || c == '\u{7f}')) {
        return wrong("a control character in a value");
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// RFC 9110 §5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A chunked body, its trailers, and how many bytes both took.
pub(super) type Chunked = (Vec<u8>, Vec<(String, String)>, usize);

/// Reads a chunked body: no extensions, nothing but hexadecimal digits; `None` if more is to come.
pub(super) fn chunked(bytes: &[u8]) -> Result<Option<Chunked>, String> {
    let (mut body, mut at) = (Vec::new(), 0);
    while let Some(end) = line_end(&bytes[at..]) {
        let digits = latin(&bytes[at..at + end]);
        let plain = (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = usize::from_str_radix(&digits, 16).ok().filter(|_| plain);
        let size = size.ok_or_else(|| format!("no chunk size: {digits:?}"))?;
        at += end + 2;
        if size == 0 {
            return trailers(&bytes[at..]).map(|found| found.map(|(lines, took)| (body, lines, at + took)));
        }
        let Some(rest) = bytes.get(at..at + size + 2) else { return Ok(None) };
        if !rest.ends_with(b"\r\n") {
            return Err("no line end after a chunk".to_owned());
        }
        body.extend_from_slice(&rest[..size]);
        at += size + 2;
    }
    Ok(None)
}

type Trailers = (Vec<(String, String)>, usize);

fn trailers(bytes: &[u8]) -> Result<Option<Trailers>, String> {
    let (mut lines, mut at) = (Vec::new(), 0);
    while let Some(end) = line_end(&bytes[at..]) {
        let line = latin(&bytes[at..at + end]);
        at += end + 2;
        if line.is_empty() {
            return Ok(Some((lines, at)));
        }
        lines.push(field(&line)?);
    }
    Ok(None)
}

fn line_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|two| two == b"\r\n")
}

#[test]
fn only_one_reading_is_canonical() {
    let head = Head::read(b"GET / HTTP/1.1\r\nA: 1\r\nContent-Length: 2\r\n\r\n").unwrap();
    assert_eq!(
        (head.line.as_str(), head.all("a"), head.framing()),
        ("GET / HTTP/1.1", vec!["1"], Ok(Framing::Length(2)))
    );
    for bad in [
        "GET / HTTP/1.1\r\nA : 1\r\n\r\n",
        "GET / HTTP/1.1\nA: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nA: 1\rB: 2\r\n\r\n",
        "GET / HTTP/1.1\r\nA: 1\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nA: 1\x00\r\n\r\n",
        "GET / HTTP/1.1\r\nA:  1\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    ] {
        assert!(Head::read(bad.as_bytes()).is_err(), "{bad:?}");
    }
    assert_eq!(
        chunked(b"2\r\nab\r\n0\r\nT: 1\r\n\r\nx").unwrap(),
        Some((b"ab".to_vec(), vec![("T".to_owned(), "1".to_owned())], 18))
    );
    assert_eq!(chunked(b"2\r\nab\r\n0\r\n").unwrap(), None);
    for bad in ["+2\r\nab\r\n", "2;x\r\nab\r\n", "0x2\r\nab\r\n", "2\r\nabc\r\n", "\r\n"] {
        assert!(chunked(bad.as_bytes()).is_err(), "{bad:?}");
    }
}
