//! Looks for Content-Length beside Transfer-Encoding in the raw bytes of a head.
//!
//! Two parsers may disagree about the length of such a request (RFC 9112 §6.3); hyper drops the Content-Length before
//! anybody sees it, so it has to be noticed here, where hyper says that the body is chunked. Only names count, at the
//! beginning of a line: what stands before the colon is checked by hyper. A head that came in one read with the request
//! before it is not looked at: for that one hyper's reading holds (chunked wins, and the connection closes after it).

use std::cell::RefCell;

const CONTENT_LENGTH: &[u8] = b"content-length:";

/// The raw bytes of the head that is being read, as it arrives; hyper bounds it.
#[derive(Debug, Default)]
pub(super) struct RawHead(RefCell<Vec<u8>>);

impl RawHead {
    /// Keeps more of it, until its request is there.
    pub(super) fn keep(&self, bytes: &[u8]) {
        self.0.borrow_mut().extend_from_slice(bytes);
    }

    /// Forgets it, its request being there; says whether it had a Content-Length where `asks` wants to know.
    pub(super) fn forget(&self, asks: bool) -> bool {
        let mut head = self.0.borrow_mut();
        let found = asks && has_length(&head);
        head.clear();
        found
    }

    /// Gives its memory back.
    pub(super) fn free(&self) {
        self.0.take();
    }
}

/// Whether the first head in these bytes has a Content-Length. Empty lines before it are skipped (RFC 9112 §2.2), and
/// what stands behind it is no head.
fn has_length(head: &[u8]) -> bool {
    let lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut lines = lines.skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty());
    lines.any(|line| {
        line.get(..CONTENT_LENGTH.len()).is_some_and(|start| start.eq_ignore_ascii_case(CONTENT_LENGTH))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_found_in_the_first_head_only() {
        let table = [
            ("POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", true),
            ("\r\n\r\nPOST / HTTP/1.1\r\nHost: x\r\nCONTENT-LENGTH:5\r\n\r\n", true),
            ("POST / HTTP/1.1\nContent-Length: 5\nTransfer-Encoding: chunked\n\n", true),
            ("POST / HTTP/1.1\r\nX-Content-Length: 5\r\n\r\n", false),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nContent-Length: 5\r\n", false),
            ("GET /content-length: HTTP/1.1\r\nX: content-length: 1\r\n\r\n", false),
        ];
        for (head, expected) in table {
            assert_eq!(has_length(head.as_bytes()), expected, "{head:?}");
        }
    }
}
