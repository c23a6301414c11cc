//! What a server wants in the next proof (RFC 9449 §8, §9).

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::HeaderValue;

/// Longer than any nonce.
const LONGEST: usize = 1024;

/// The newest nonce of an upstream; one atomic load for each proof.
#[derive(Debug, Default)]
pub struct Nonce(ArcSwapOption<String>);

impl Nonce {
    /// The newest one, if there ever was one.
    pub fn load(&self) -> Option<Arc<String>> {
        self.0.load_full()
    }

    /// Takes in the nonce of an answer; nonsense is left out.
    pub fn learn(&self, value: &HeaderValue) {
        let bytes = value.as_bytes();
        let known = self.0.load().as_ref().is_some_and(|held| held.as_bytes() == bytes);
        if !known && is_nonce(bytes) {
            self.0.store(Some(Arc::new(String::from_utf8_lossy(bytes).into_owned())));
        }
    }
}

/// `1*NQCHAR` (RFC 9449 §8.1).
pub(super) fn is_nonce(bytes: &[u8]) -> bool {
    let allowed = |byte: &u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    !bytes.is_empty() && bytes.len() <= LONGEST && bytes.iter().all(allowed)
}
