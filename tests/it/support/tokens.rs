//! What the token service issued, so that an upstream can tell a good token from a bad one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

/// How long after its expiry a token may still arrive: it was good when it left, and the machine is busy.
const TRANSIT: Duration = Duration::from_millis(750);

/// The register of one token service; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tokens(Arc<Mutex<HashMap<String, Issued>>>);

/// One token.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    /// The client it was issued to.
    pub(crate) client: String,
    /// The call of the token service that it answered.
    pub(crate) call: usize,
    /// When it stops being valid.
    pub(crate) expires: Instant,
    /// Whether it was revoked since.
    pub(crate) revoked: bool,
}

/// What an upstream thinks of the credential of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There is none.
    Missing,
    /// It is good.
    Valid,
    /// It was revoked: nobody but the token service can know.
    Revoked,
    /// It is past its expiry.
    Expired,
    /// It is not one that this upstream is meant for, or none that was ever issued.
    Foreign,
    /// There is more than one.
    Duplicate,
}

impl Tokens {
    /// Notes a token.
    pub(crate) fn issue(&self, text: &str, client: &str, call: usize, lifetime: Duration) {
        let expires = Instant::now() + lifetime;
        let issued = Issued { client: client.to_owned(), call, expires, revoked: false };
        self.0.lock().unwrap().entry(text.to_owned()).or_insert(issued);
    }

    /// What is known of a token.
    pub(crate) fn find(&self, text: &str) -> Option<Issued> {
        self.0.lock().unwrap().get(text).cloned()
    }

    /// Revokes every token issued so far.
    pub(crate) fn revoke_all(&self) {
        self.0.lock().unwrap().values_mut().for_each(|issued| issued.revoked = true);
    }

    /// Judges the values of `Authorization` of one request; with `client`, only that client's tokens will do.
    pub(crate) fn judge(&self, values: &[&str], client: Option<&str>) -> Verdict {
        let value = match values {
            [] => return Verdict::Missing,
            [value] => value,
            _ => return Verdict::Duplicate,
        };
        let text = value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("DPoP "));
        let Some(issued) = text.and_then(|text| self.find(text)) else {
            return Verdict::Foreign;
        };
        match () {
            () if client.is_some_and(|client| client != issued.client) => Verdict::Foreign,
            () if issued.revoked => Verdict::Revoked,
            () if issued.expires + TRANSIT < Instant::now() => Verdict::Expired,
            () => Verdict::Valid,
        }
    }
}
