//! The header names that only we may set.

use http::HeaderName;
use http::header::{AUTHORIZATION, PROXY_AUTHORIZATION};

use crate::sieve::Sieve;

/// Every header that some route injects, and the two that carry credentials by definition. The caller's copies are
/// dropped on every route, so that a credential of ours can never be confused with one of the caller's.
#[derive(Debug)]
pub struct Managed {
    /// Rules out nearly every name of a request.
    sieve: Sieve,
    /// The names of each length, sorted, with `-` for `_`.
    by_length: Vec<Vec<Box<[u8]>>>,
}

impl Managed {
    /// The managed names of these injected ones.
    pub fn new(injected: impl IntoIterator<Item = HeaderName>) -> Self {
        let (mut sieve, mut by_length) = (Sieve::of(&[]), Vec::new());
        for name in injected.into_iter().chain([AUTHORIZATION, PROXY_AUTHORIZATION]) {
            // A name may begin with either of the two.
            sieve = sieve.and(&name.as_str().replace('_', "-")).and(&name.as_str().replace('-', "_"));
            let folded: Box<[u8]> = name.as_str().bytes().map(dash).collect();
            by_length.resize_with(by_length.len().max(folded.len() + 1), Vec::new);
            by_length[folded.len()].push(folded);
        }
        for names in &mut by_length {
            names.sort();
            names.dedup();
        }
        Self { sieve, by_length }
    }

    /// Whether a caller's header must go: a managed name, or one that a CGI-like backend would read as one (`X_Token`).
    pub fn takes(&self, name: &str) -> bool {
        if !self.sieve.may_hold(name) {
            return false;
        }
        let same_length = self.by_length.get(name.len()).map_or(&[][..], Vec::as_slice);
        // Byte by byte: names are short and differ soon, which is cheaper than a call of memcmp.
        same_length.binary_search_by(|managed| managed.iter().copied().cmp(name.bytes().map(dash))).is_ok()
    }
}

/// CGI turns both into the same.
fn dash(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn managed_names_are_taken_with_their_underscore_twins() {
        let managed = Managed::new(["x-token", "x_user_id", "x-tokem"].map(HeaderName::from_static));
        for name in [
            "authorization",
            "proxy-authorization",
            "x-token",
            "x_token",
            "proxy_authorization",
            "x_user_id",
            "x-user-id",
        ] {
            assert!(managed.takes(name), "{name}");
        }
        for name in ["x-tokens", "accept", "x_tokel", "x-user_ie", "cache-control"] {
            assert!(!managed.takes(name), "{name}");
        }
    }
}
