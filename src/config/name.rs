//! Names of profiles, secure parameters and routes: they label metrics and logs, so they are short and plain.

use std::fmt;
use std::sync::Arc;

/// A name as CPI allows it: `[A-Za-z0-9_-]{1,150}`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// CPI's limit for the name of a security artifact.
    pub const MAX_LENGTH: usize = 150;

    /// A name, or nothing if a character or the length does not fit.
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=Self::MAX_LENGTH).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        fits.then(|| Self(Arc::from(text)))
    }

    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_names_of_cpi_and_nothing_else() {
        for name in ["a", "lms_admin_OAuth2", "Leonardo-IoT", "007", &"x".repeat(150)] {
            assert_eq!(Name::new(name).unwrap().as_str(), name);
        }
        for name in ["", "a b", "a.b", "ä", "a\n", "a/b", &"x".repeat(151)] {
            assert_eq!(Name::new(name), None);
        }
    }
}
