//! A reader of HTTP/1.1 messages that accepts what RFC 9112 lets a sender write and nothing more: no bare LF, no folded
//! lines, no second way to say how long a body is. What the proxy sends must be readable by it.

use crate::rules::{Line, values};

/// A request as it stands in the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: Vec<u8>,
    pub target: Vec<u8>,
    pub version: Vec<u8>,
    pub lines: Vec<Line>,
    pub body: Vec<u8>,
}

/// Why bytes are no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// More bytes are needed.
    Incomplete,
    /// The head is not what RFC 9112 §§ 2-5 lets a sender write.
    Syntax(&'static str),
    /// The head says in two ways how long the body is, or in none that is known (RFC 9112 §6).
    Framing(&'static str),
}

/// The first request in these bytes, and how many of them it takes up.
pub fn request(bytes: &[u8]) -> Result<(Request, usize), Fault> {
    let end = find(bytes, b"\r\n\r\n").ok_or(Fault::Incomplete)?;
    let mut request = head(&bytes[..end])?;
    let rest = &bytes[end + 4..];
    let (body, taken) = match length(&request.lines)? {
        Length::Bytes(length) => {
            let body = rest.get(..length).ok_or(Fault::Incomplete)?;
            (body.to_vec(), length)
        }
        Length::Chunked => chunked(rest)?,
    };
    request.body = body;
    Ok((request, end + 4 + taken))
}

/// An answer as it stands in the bytes, behind its interim answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub version: Vec<u8>,
    pub status: u16,
    pub lines: Vec<Line>,
    pub body: Vec<u8>,
    /// How many bytes it takes up; nothing where only the end of the connection ends it.
    pub taken: Option<usize>,
}

/// The answer in these bytes, behind which the connection ends, to a HEAD request or to another one. More bytes are needed
/// where its body is cut; a head that is cut is no head.
pub fn answer(bytes: &[u8], to_head: bool) -> Result<Answer, Fault> {
    let mut at = 0;
    loop {
        let end = at + find(&bytes[at..], b"\r\n\r\n").ok_or(Fault::Syntax("no end of the head"))?;
        let mut answer = answer_head(&bytes[at..end])?;
        at = end + 4;
        if answer.status == 101 {
            return Err(Fault::Syntax("a switch that nobody asked for"));
        }
        if answer.status < 200 {
            continue;
        }
        let bare = to_head || matches!(answer.status, 204 | 304);
        let length = length(&answer.lines)?;
        let framed = !values(&answer.lines, b"content-length").is_empty();
        let rest = &bytes[at..];
        let (body, taken) = match length {
            _ if bare => (Vec::new(), Some(at)),
            Length::Bytes(length) if framed => {
                (rest.get(..length).ok_or(Fault::Incomplete)?.to_vec(), Some(at + length))
            }
            Length::Bytes(_) => (rest.to_vec(), None),
            Length::Chunked => chunked(rest).map(|(body, taken)| (body, Some(at + taken)))?,
        };
        (answer.body, answer.taken) = (body, taken);
        return Ok(answer);
    }
}

/// Status line and fields, without the empty line at the end.
fn answer_head(bytes: &[u8]) -> Result<Answer, Fault> {
    let mut lines = split(bytes).into_iter();
    let first = lines.next().unwrap_or_default();
    let mut parts = first.splitn(3, |byte| *byte == b' ');
    let (Some(version), Some(status), Some(reason)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Fault::Syntax("status line"));
    };
    if version != b"HTTP/1.1" && version != b"HTTP/1.0" {
        return Err(Fault::Syntax("version"));
    }
    if status.len() != 3 || !matches!(status[0], b'1'..=b'5') || !status.iter().all(u8::is_ascii_digit) {
        return Err(Fault::Syntax("status"));
    }
    if !reason.iter().all(is_text) {
        return Err(Fault::Syntax("reason phrase"));
    }
    let status = status.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
    let lines = lines.map(field).collect::<Result<_, _>>()?;
    Ok(Answer { version: version.to_vec(), status, lines, body: Vec::new(), taken: None })
}

/// Whether a head is complete whose sender waits for `100 Continue`.
pub fn expects(bytes: &[u8]) -> bool {
    let head = find(bytes, b"\r\n\r\n").and_then(|end| head(&bytes[..end]).ok());
    head.is_some_and(|head| !values(&head.lines, b"expect").is_empty())
}

/// Request line and fields, without the empty line at the end.
pub fn head(bytes: &[u8]) -> Result<Request, Fault> {
    let mut lines = split(bytes).into_iter();
    let first = lines.next().unwrap_or_default();
    let mut parts = first.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Fault::Syntax("request line"));
    };
    if !is_token(method)
        || target.is_empty()
        || !target.iter().all(|byte| matches!(byte, 0x21..=0x7E | 0x80..))
    {
        return Err(Fault::Syntax("method or target"));
    }
    if version != b"HTTP/1.1" && version != b"HTTP/1.0" {
        return Err(Fault::Syntax("version"));
    }
    let lines = lines.map(field).collect::<Result<_, _>>()?;
    let (method, target, version) = (method.to_vec(), target.to_vec(), version.to_vec());
    Ok(Request { method, target, version, lines, body: Vec::new() })
}

fn field(line: &[u8]) -> Result<Line, Fault> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or(Fault::Syntax("no colon"))?;
    let (name, value) = (&line[..colon], ows(&line[colon + 1..]));
    if !is_token(name) || !value.iter().all(is_text) {
        return Err(Fault::Syntax("field"));
    }
    Ok((name.to_vec(), value.to_vec()))
}

/// What a value or a reason phrase is made of (RFC 9110 §5.5).
fn is_text(byte: &u8) -> bool {
    matches!(byte, b'\t' | 0x20..=0x7E | 0x80..)
}

fn is_one_number(lengths: &[&[u8]]) -> bool {
    let mut numbers =
        lengths.iter().flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let first = numbers.next().unwrap_or_default();
    !first.is_empty() && first.iter().all(u8::is_ascii_digit) && numbers.all(|number| number == first)
}

/// Without the spaces and tabs around it (RFC 9110 §5.6.3); a CR among them is no space.
fn ows(value: &[u8]) -> &[u8] {
    let space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let Some(start) = value.iter().position(|byte| !space(byte)) else { return &[] };
    let end = value.iter().rposition(|byte| !space(byte)).unwrap_or(start);
    &value[start..=end]
}

enum Length {
    Bytes(usize),
    Chunked,
}

fn length(lines: &[Line]) -> Result<Length, Fault> {
    match (values(lines, b"transfer-encoding").as_slice(), values(lines, b"content-length").as_slice()) {
        ([], []) => Ok(Length::Bytes(0)),
        ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Length::Chunked),
        ([], [length]) if !length.is_empty() && length.iter().all(u8::is_ascii_digit) => {
            let text = String::from_utf8_lossy(length);
            text.parse().map(Length::Bytes).map_err(|_| Fault::Framing("length beyond any number"))
        }
        // One length said twice is one length to some (RFC 9110 §8.6).
        ([], lengths) if is_one_number(lengths) => Err(Fault::Syntax("length said twice")),
        ([], _) => Err(Fault::Framing("not one number as length")),
        (_, []) => Err(Fault::Framing("not chunked alone")),
        _ => Err(Fault::Framing("length and coding")),
    }
}

/// A chunked body without extensions, with its trailer fields checked and left out; and how many bytes it takes up.
fn chunked(bytes: &[u8]) -> Result<(Vec<u8>, usize), Fault> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let line = find(&bytes[at..], b"\r\n").ok_or(Fault::Incomplete)?;
        let digits = &bytes[at..at + line];
        if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(Fault::Syntax("chunk size"));
        }
        let text = String::from_utf8_lossy(digits);
        let size = usize::from_str_radix(&text, 16).map_err(|_| Fault::Syntax("chunk size"))?;
        at += line + 2;
        if size == 0 {
            break;
        }
        let chunk = bytes.get(at..at + size + 2).ok_or(Fault::Incomplete)?;
        body.extend_from_slice(&chunk[..size]);
        if &chunk[size..] != b"\r\n" {
            return Err(Fault::Syntax("no end of chunk"));
        }
        at += size + 2;
    }
    if bytes[at..].starts_with(b"\r\n") {
        return Ok((body, at + 2));
    }
    let end = find(&bytes[at..], b"\r\n\r\n").ok_or(Fault::Incomplete)?;
    for line in split(&bytes[at..at + end]) {
        let (name, _) = field(line)?;
        let lower = name.to_ascii_lowercase();
        if ["authorization", "x-token", "host", "content-length"].iter().any(|bad| lower == bad.as_bytes()) {
            return Err(Fault::Syntax("a trailer that must not be one"));
        }
    }
    Ok((body, at + end + 4))
}

/// The position of a text.
pub fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}

/// Lines between CRLFs; a bare CR or LF stays in its line, where no field or request line accepts it.
fn split(bytes: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = bytes;
    while let Some(end) = find(rest, b"\r\n") {
        lines.push(&rest[..end]);
        rest = &rest[end + 2..];
    }
    lines.push(rest);
    lines
}

fn is_token(bytes: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(fits)
}
