//! An answer as a caller receives it, read strictly.

use super::canonical::{Framing, Head, chunked};
use crate::support::message::head_end;

/// A canonical answer and where it ends; cut ones end with the bytes.
pub(super) struct Got {
    pub(super) head: Head,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Vec<(String, String)>,
    pub(super) cut: bool,
    pub(super) end: usize,
}

impl Got {
    /// Reads one from the front of `bytes`.
    pub(super) fn read(bytes: &[u8], method: &str) -> Result<Self, String> {
        let end = head_end(bytes).ok_or("no head")?;
        let head = Head::read(&bytes[..end])?;
        let status = status(&head)?;
        let rest = &bytes[end..];
        if method == "HEAD" || status == 204 || status == 304 {
            return Ok(Self { head, body: Vec::new(), trailers: Vec::new(), cut: false, end });
        }
        let cut = |body: &[u8]| (body.to_vec(), Vec::new(), true, rest.len());
        let (body, trailers, cut, took) = match head.framing()? {
            Framing::Length(length) => match rest.get(..length) {
                Some(body) => (body.to_vec(), Vec::new(), false, length),
                None => cut(rest),
            },
            Framing::Chunked => match chunked(rest)? {
                Some((body, trailers, took)) => (body, trailers, false, took),
                None => cut(b""),
            },
            Framing::Unsaid => return Err("an answer that ends with its connection".to_owned()),
        };
        Ok(Self { head, body, trailers, cut, end: end + took })
    }
}

/// `HTTP/1.1 200 OK`
pub(super) fn status(head: &Head) -> Result<u16, String> {
    let wrong = || format!("no status line of ours: {:?}", head.line);
    let rest = head.line.strip_prefix("HTTP/1.1 ").ok_or_else(wrong)?;
    let (digits, phrase) = rest.split_at_checked(3).ok_or_else(wrong)?;
    let status: u16 = digits.parse().map_err(|_| wrong())?;
    if (200..600).contains(&status) && phrase.starts_with(' ') { Ok(status) } else { Err(wrong()) }
}
