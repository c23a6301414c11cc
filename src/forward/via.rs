//! `Via` (RFC 9110 §7.6.3): requests say that they came through us, and one that comes back is a loop.
//!
//! None is added to answers: a gateway may leave it out, and a caller must not notice us.

use http::header::VIA;
use http::{HeaderMap, HeaderValue, Version};

/// Our name in `Via`, and the lines with it, ready to be set.
#[derive(Clone, Debug)]
pub struct Pseudonym {
    name: String,
    http_10: HeaderValue,
    http_11: HeaderValue,
    http_2: HeaderValue,
}

impl Pseudonym {
    /// A name that no other process has.
    pub fn random() -> Option<Self> {
        let name = format!("sidepass-{:08x}", fastrand::u32(..));
        let line = |version: &str| HeaderValue::from_str(&format!("{version} {name}")).ok();
        let (http_10, http_11, http_2) = (line("1.0")?, line("1.1")?, line("2")?);
        Some(Self { name, http_10, http_11, http_2 })
    }

    /// Whether the request has been here before.
    pub fn is_in(&self, headers: &HeaderMap) -> bool {
        let name = self.name.as_bytes();
        let names_us = |line: &HeaderValue| line.as_bytes().windows(name.len()).any(|part| part == name);
        headers.get_all(VIA).iter().any(names_us)
    }

    /// Adds our line; `received` is the version that the request came in.
    pub fn append(&self, headers: &mut HeaderMap, received: Version) {
        let line = match received {
            Version::HTTP_2 => &self.http_2,
            Version::HTTP_10 => &self.http_10,
            _ => &self.http_11,
        };
        headers.append(VIA, line.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_comes_back_is_known() {
        let (one, other) = (Pseudonym::random().unwrap(), Pseudonym::random().unwrap());
        let mut headers = HeaderMap::from_iter([(VIA, HeaderValue::from_static("1.1 edge"))]);
        other.append(&mut headers, Version::HTTP_10);
        assert!(!one.is_in(&headers) && other.is_in(&headers));
        one.append(&mut headers, Version::HTTP_2);
        assert!(one.is_in(&headers));
        let lines: Vec<_> = headers.get_all(VIA).iter().map(|line| line.to_str().unwrap()).collect();
        assert_eq!(lines[0], "1.1 edge");
        assert!(lines[1].starts_with("1.0 sidepass-") && lines[2].starts_with("2 sidepass-"), "{lines:?}");
    }
}
