//! `http_login` as written.

use super::super::SecretSource;
use super::super::profile::HttpLogin;
use super::super::reader::{Fields, Read};

/// Reads the login request.
pub(super) fn login(fields: &Fields<'_>, url: Read<SecretSource>) -> Read<HttpLogin> {
    url?;
    Err(fields.at.key_error("a profile of type http_login is not there yet", None))
}
