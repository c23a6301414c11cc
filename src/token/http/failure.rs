//! What went wrong between us and a token service, in our own words.
//!
//! Invariant: nothing of the request is in them, neither its URL nor its body.

use std::error::Error as _;

use crate::tls::failure::told;
use crate::token::error::{FetchError, FetchErrorClass, FetchErrorCode};

/// Our own words for what reqwest reports: its own would show the URL, and a URL may hold a secret.
pub(super) fn classify(error: &reqwest::Error, host: &str) -> FetchError {
    if let Some(tls) = find::<rustls::Error>(error) {
        return of_tls(tls, host);
    }
    let root = root_cause(error);
    if error.is_dns() {
        return FetchError::new(FetchErrorCode::Dns, format!("cannot resolve {host}: {root}"));
    }
    let (code, message) = match (error.is_timeout(), error.is_connect()) {
        (true, true) => (FetchErrorCode::Timeout, format!("no connection to {host} in time")),
        (true, false) => (FetchErrorCode::Timeout, format!("{host} did not answer completely in time")),
        (false, true) => (FetchErrorCode::Connect, format!("cannot connect to {host}: {root}")),
        (false, false) => (
            FetchErrorCode::Interrupted,
            format!("{host} ended the connection, or did not answer in HTTP: {root}"),
        ),
    };
    FetchError::new(code, message)
}

/// A certificate that is not taken will not be taken in a second either.
fn of_tls(tls: &rustls::Error, host: &str) -> FetchError {
    let failed = FetchError::new(FetchErrorCode::Tls, format!("TLS with {host} failed: {}", told(tls)));
    match tls {
        rustls::Error::InvalidCertificate(_) => failed.with_class(FetchErrorClass::Permanent),
        _ => failed,
    }
}

/// The innermost error of those that are sure to hold nothing of the request: the system's, or hyper's.
fn root_cause(error: &reqwest::Error) -> String {
    if let Some(io) = find::<std::io::Error>(error) {
        return io.to_string();
    }
    find::<hyper::Error>(error).map_or_else(|| "no details".to_owned(), ToString::to_string)
}

fn find<T: std::error::Error + 'static>(error: &reqwest::Error) -> Option<&T> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        // An io::Error that wraps another error does not name it as its source.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner as &(dyn std::error::Error + 'static)),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use rustls::CertificateError;

    use super::*;

    #[test]
    fn a_certificate_that_is_not_taken_will_not_be_taken_soon() {
        for (error, class) in [
            (rustls::Error::InvalidCertificate(CertificateError::Revoked), FetchErrorClass::Permanent),
            (rustls::Error::HandshakeNotComplete, FetchErrorClass::Unavailable),
        ] {
            let failed = of_tls(&error, "id.example.com");
            assert!(failed.message.starts_with("TLS with id.example.com failed: "), "{failed}");
            assert_eq!(failed.class, class, "{failed}");
        }
    }
}
