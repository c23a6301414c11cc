//! A request on the wire (RFC 9112 §3, §5, §7.1): its head, and the frames of a chunked body.
//!
//! Invariant: the framing is ours. What the head says of the body's length is what the writer keeps to, and it is said
//! once.

use std::io::Write;

use http::header::{CONTENT_LENGTH, TRAILER, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use http_body::Body;

use crate::forward::upload::Upload;

/// The last chunk of a body, without the empty line that ends the trailers.
const LAST_CHUNK: &[u8] = b"0\r\n";

/// How a request says where its body ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    Empty,
    /// By its length.
    Length(u64),
    /// Chunk by chunk; these trailers may follow.
    Chunked(Vec<HeaderName>),
}

impl Framing {
    /// What fits a body. One that was announced as chunked stays so when it is sent again and its length is known.
    pub(super) fn of(headers: &HeaderMap, body: &Upload) -> Self {
        if matches!(body, Upload::Empty) {
            return Self::Empty;
        }
        match body.size_hint().exact() {
            Some(length) if !headers.contains_key(TRANSFER_ENCODING) => Self::Length(length),
            _ => Self::Chunked(announced(headers)),
        }
    }
}

/// The fields that `Trailer` names.
fn announced(headers: &HeaderMap) -> Vec<HeaderName> {
    let lines = headers.get_all(TRAILER).iter();
    let names = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()).collect()
}

/// Writes the head of a request in origin-form; the lines are in the order of the map.
pub(super) fn head(out: &mut Vec<u8>, request: &Parts, framing: &Framing) {
    out.extend_from_slice(request.method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(request.uri.path_and_query().map_or("/", |target| target.as_str()).as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let mut framed = false;
    for (name, value) in &request.headers {
        let text = name.as_str();
        // Most names are ruled out by their length.
        match text.len() {
            14 if *name == CONTENT_LENGTH => {
                framed = write_framing(out, framing, framed, Place::OfLength);
                continue;
            }
            17 if *name == TRANSFER_ENCODING => {
                framed = write_framing(out, framing, framed, Place::OfCoding);
                continue;
            }
            _ => {}
        }
        line(out, text, value.as_bytes());
    }
    write_framing(out, framing, framed, Place::AtEnd);
    out.extend_from_slice(b"\r\n");
}

/// Where a line about the body stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    OfLength,
    OfCoding,
    AtEnd,
}

/// Writes the line about the body, unless it was `written` or belongs elsewhere; whether it is there.
fn write_framing(out: &mut Vec<u8>, framing: &Framing, written: bool, place: Place) -> bool {
    match framing {
        _ if written => return true,
        Framing::Empty if place == Place::OfLength => out.extend_from_slice(b"content-length: 0\r\n"),
        Framing::Length(length) if place != Place::OfCoding => {
            // Writing to a vector does not fail.
            let _ = write!(out, "content-length: {length}\r\n");
        }
        Framing::Chunked(_) if place != Place::OfLength => {
            out.extend_from_slice(b"transfer-encoding: chunked\r\n");
        }
        _ => return false,
    }
    true
}

/// Writes what stands before the bytes of a chunk, which are not none; CRLF stands behind them.
pub(super) fn chunk_size(out: &mut Vec<u8>, length: usize) {
    let _ = write!(out, "{length:X}\r\n");
}

/// Writes the end of a chunked body, with those of its trailers that were announced.
pub(super) fn last_chunk(out: &mut Vec<u8>, trailers: Option<&HeaderMap>, announced: &[HeaderName]) {
    out.extend_from_slice(LAST_CHUNK);
    for (name, value) in trailers.into_iter().flatten().filter(|(name, _)| announced.contains(name)) {
        line(out, name.as_str(), value.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

fn line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn encoded(fields: &[(&str, &str)], framing: &Framing) -> String {
        let mut request = Request::post("/a/b?c=d%20e");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let mut out = Vec::new();
        head(&mut out, &request.body(()).unwrap().into_parts().0, framing);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_head_is_written_line_by_line_with_nothing_added() {
        let fields = [("host", "h"), ("x-a", "1"), ("x-b", ""), ("x-a", "2")];
        let text = "POST /a/b?c=d%20e HTTP/1.1\r\nhost: h\r\nx-a: 1\r\nx-a: 2\r\nx-b: \r\n\r\n";
        assert_eq!(encoded(&fields, &Framing::Empty), text);
    }

    #[test]
    fn the_length_is_said_once_and_is_the_body_s() {
        let head = "POST /a/b?c=d%20e HTTP/1.1\r\n";
        let lying = [("content-length", "7"), ("content-length", "8"), ("transfer-encoding", "chunked")];
        assert_eq!(encoded(&lying, &Framing::Length(5)), format!("{head}content-length: 5\r\n\r\n"));
        assert_eq!(encoded(&lying, &Framing::Empty), format!("{head}content-length: 0\r\n\r\n"));
        let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n");
        assert_eq!(encoded(&lying, &Framing::Chunked(Vec::new())), chunked);
        assert_eq!(encoded(&[], &Framing::Chunked(Vec::new())), chunked);
        assert_eq!(encoded(&[], &Framing::Length(1)), format!("{head}content-length: 1\r\n\r\n"));
        assert_eq!(encoded(&[("transfer-encoding", "chunked")], &Framing::Empty), format!("{head}\r\n"));
    }

    #[test]
    fn only_announced_trailers_follow_the_last_chunk() {
        let mut headers = HeaderMap::new();
        headers.insert(TRAILER, http::HeaderValue::from_static("X-Sum , x-b,, a b"));
        let names = announced(&headers);
        assert_eq!(names, ["x-sum", "x-b"]);
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", http::HeaderValue::from_static("1"));
        trailers.insert("x-other", http::HeaderValue::from_static("2"));
        let mut out = Vec::new();
        chunk_size(&mut out, 26);
        last_chunk(&mut out, Some(&trailers), &names);
        assert_eq!(out, b"1A\r\n0\r\nx-sum: 1\r\n\r\n");
    }
}
