//! What we need to know of a certificate of ours (RFC 5280 §4.1): whose it is, until when, and its public key.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use der::asn1::{AnyRef, GeneralizedTime, ObjectIdentifier, UtcTime};
use der::{Decode, Reader, SliceReader, Tag, TagNumber};
use rustls::pki_types::CertificateDer;

/// id-at-commonName
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// The fields of a certificate that matter here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The last common name of the subject, which is its most specific one.
    pub common_name: Option<String>,
    /// Valid from here on.
    pub not_before: SystemTime,
    /// Valid until here.
    pub not_after: SystemTime,
    /// The whole `SubjectPublicKeyInfo`, DER.
    pub spki: Vec<u8>,
    /// The whole certificate, DER.
    der: CertificateDer<'static>,
}

impl Certificate {
    /// Reads a certificate. Its signature is nobody's business here: it is our own.
    pub fn parse(certificate: &CertificateDer<'_>) -> Result<Self, der::Error> {
        SliceReader::new(certificate)?.sequence(|outer: &mut SliceReader<'_>| {
            let fields = outer.sequence(|tbs| {
                // version, serialNumber, signature and issuer
                if Tag::peek(tbs)? == (Tag::ContextSpecific { constructed: true, number: TagNumber(0) }) {
                    tbs.tlv_bytes()?;
                }
                for _ in 0..3 {
                    tbs.tlv_bytes()?;
                }
                let (not_before, not_after) = tbs.sequence(validity)?;
                let common_name = common_name(AnyRef::decode(tbs)?)?;
                let spki = tbs.tlv_bytes()?.to_vec();
                // Whatever follows, to the end.
                while !tbs.is_finished() {
                    tbs.tlv_bytes()?;
                }
                let der = certificate.clone().into_owned();
                Ok::<_, der::Error>(Self { common_name, not_before, not_after, spki, der })
            })?;
            // signatureAlgorithm and signatureValue
            outer.tlv_bytes()?;
            outer.tlv_bytes()?;
            Ok(fields)
        })
    }

    /// The whole certificate, DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-1 of the certificate in base64url (RFC 7515 §4.1.7).
    pub fn x5t(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &self.der))
    }

    /// SHA-256 of the certificate in base64url (RFC 7515 §4.1.8).
    pub fn x5t_s256(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, &self.der))
    }
}

/// `Validity`
fn validity(reader: &mut SliceReader<'_>) -> der::Result<(SystemTime, SystemTime)> {
    Ok((time(reader)?, time(reader)?))
}

/// `Time`
fn time(reader: &mut SliceReader<'_>) -> der::Result<SystemTime> {
    let since: Duration = match Tag::peek(reader)? {
        Tag::UtcTime => UtcTime::decode(reader)?.to_unix_duration(),
        _ => GeneralizedTime::decode(reader)?.to_unix_duration(),
    };
    Ok(UNIX_EPOCH + since)
}

/// The last common name of a `Name`; one in an encoding that is not UTF-8 or ASCII counts as none.
fn common_name(name: AnyRef<'_>) -> der::Result<Option<String>> {
    let mut found = None;
    name.sequence(|names: &mut SliceReader<'_>| {
        while !names.is_finished() {
            let set = AnyRef::decode(names)?;
            let mut set = SliceReader::new(set.value())?;
            while !set.is_finished() {
                let (kind, value) = set.sequence(|pair| {
                    Ok::<_, der::Error>((ObjectIdentifier::decode(pair)?, AnyRef::decode(pair)?))
                })?;
                if kind == COMMON_NAME {
                    found = std::str::from_utf8(value.value()).ok().map(str::to_owned);
                }
            }
        }
        Ok::<_, der::Error>(())
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rustls::pki_types::pem::PemObject;

    use super::*;
    use crate::token::sign::SigningKey;
    use crate::token::sign::testing as keys;

    fn certificate() -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(keys::CERTIFICATE.as_bytes()).unwrap()
    }

    #[test]
    fn reads_what_openssl_reads() {
        let read = Certificate::parse(&certificate()).unwrap();
        assert_eq!(read.common_name.as_deref(), Some("acme-client"));
        let date = |time| humantime::format_rfc3339_seconds(time).to_string();
        assert_eq!(date(read.not_before), "2020-01-01T00:00:00Z");
        assert_eq!(date(read.not_after), "2099-01-01T00:00:00Z", "a GeneralizedTime");
        assert_eq!(read.x5t(), "jN4Gt575mHtANm9k5wc32w4hbCc");
        assert_eq!(read.x5t_s256(), "OZsnqAoF7y3y_27XP8F5p-8KxcxlP_GC20hDn5A63Hs");
        assert_eq!(read.spki, SigningKey::from_pem(keys::P256, None).unwrap().spki_der().unwrap());
    }

    #[test]
    fn a_certificate_without_a_common_name_has_none() {
        let mut params = rcgen::CertificateParams::new(["x.test".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let key = rcgen::KeyPair::generate().unwrap();
        let made = params.self_signed(&key).unwrap();
        assert_eq!(Certificate::parse(made.der()).unwrap().common_name, None);
    }

    proptest! {
        #[test]
        fn damaged_bytes_are_an_error_or_a_certificate_but_no_panic(at in 0..600usize, byte in any::<u8>(), cut in 0..600usize) {
            let mut bytes = certificate().to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = Certificate::parse(&CertificateDer::from(bytes.clone()));
            bytes.truncate(cut.min(bytes.len()));
            let _ = Certificate::parse(&CertificateDer::from(bytes));
        }
    }
}
