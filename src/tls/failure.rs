//! Why TLS with a server failed, and what may be done about it, for a log.

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

/// The error in words, and a way out where one is known.
pub fn told(error: &Error) -> String {
    match error {
        // rustls has no word of its own for this one; `openssl req -x509` makes such certificates.
        Error::InvalidCertificate(reason) if format!("{reason:?}").contains("CaUsedAsEndEntity") => {
            "the server shows the certificate of an authority as its own: it needs one that says CA:FALSE"
                .to_owned()
        }
        _ => format!("{error}{}", way_out(error)),
    }
}

fn way_out(error: &Error) -> &'static str {
    match error {
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "; is this the name that the server goes by?",
        Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => "; the server needs a new certificate, or the clock here is wrong",
        Error::InvalidCertificate(_) => "; if the server has a certificate authority of its own, set ca_file",
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "; what answers there does not speak TLS: is the port right, or is it http://?"
        }
        Error::AlertReceived(alert) if about_our_certificate(*alert) => {
            "; the server wants a certificate of ours, or another one: see key_pair, of a route client_certificate"
        }
        _ => "",
    }
}

fn about_our_certificate(alert: AlertDescription) -> bool {
    use AlertDescription::{
        AccessDenied, BadCertificate, CertificateExpired, CertificateRequired, CertificateRevoked,
        CertificateUnknown, NoCertificate, UnknownCA, UnsupportedCertificate,
    };
    let ours = [
        AccessDenied,
        BadCertificate,
        CertificateExpired,
        CertificateRequired,
        CertificateRevoked,
        CertificateUnknown,
        NoCertificate,
        UnknownCA,
        UnsupportedCertificate,
    ];
    ours.contains(&alert)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_may_be_done() {
        let cases = [
            (Error::InvalidCertificate(CertificateError::UnknownIssuer), "set ca_file"),
            (
                Error::InvalidCertificate(CertificateError::NotValidForName),
                "the name that the server goes by",
            ),
            (Error::InvalidCertificate(CertificateError::Expired), "a new certificate, or the clock"),
            (Error::InvalidMessage(InvalidMessage::InvalidContentType), "does not speak TLS"),
            (Error::AlertReceived(AlertDescription::CertificateRequired), "key_pair"),
        ];
        for (error, way_out) in cases {
            let told = told(&error);
            assert!(told.starts_with(&error.to_string()) && told.contains(way_out), "{told}");
        }
    }
}
