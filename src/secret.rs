//! Secret text: a client secret, a request token, an access token.
//!
//! Invariant: the only way to the text is [`Secret::expose`]. `Debug` prints `[redacted]`, there is no `Display` and no
//! `Serialize`, and the memory is wiped when the last owner lets go.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// A text that must not be seen: not in logs, errors, metrics, status pages or panics.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes ownership of the text; the caller's buffer becomes the secret's.
    pub fn new(text: String) -> Self {
        Self(SecretString::from(text))
    }

    /// The text itself. Every call site is a place where a secret leaves its cover: a header value, a request body.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl PartialEq for Secret {
    /// Takes the same time wherever the texts differ: a caller's access key is compared with it.
    fn eq(&self, other: &Self) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(self.expose().as_bytes(), other.expose().as_bytes())
            .is_ok()
    }
}

impl Eq for Secret {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_text() {
        let secret = Secret::new("hunter2$+=".to_owned());
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "[redacted] Some([redacted])");
    }

    #[test]
    fn equality_is_by_text() {
        assert_eq!(Secret::new("a".into()), Secret::new("a".into()));
        assert_ne!(Secret::new("a".into()), Secret::new("ab".into()));
    }
}
