//! The public half of a key: as a JWK (RFC 7517) and as a DER `SubjectPublicKeyInfo`.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use der::asn1::UintRef;
use der::{Decode, Reader, SliceReader};
use serde_json::{Map, Value};

use super::KeyError;

/// A public key, made once.
pub(super) struct PublicKey {
    /// The members that RFC 7638 §3.2 requires, and no others.
    pub(super) jwk: Map<String, Value>,
    pub(super) spki: Vec<u8>,
}

impl PublicKey {
    /// From an `RSAPublicKey` (RFC 8017).
    pub(super) fn rsa(pkcs1: &[u8], spki: Vec<u8>) -> Result<Self, KeyError> {
        let read =
            |text| SliceReader::new(text)?.sequence(|key| Ok((UintRef::decode(key)?, UintRef::decode(key)?)));
        let (n, e) = read(pkcs1).map_err(|_: der::Error| KeyError::Provider)?;
        let members = [("kty", "RSA".to_owned()), ("n", encode(n.as_bytes())), ("e", encode(e.as_bytes()))];
        Ok(Self { jwk: jwk(members), spki })
    }

    /// From an uncompressed point (SEC 1 §2.3.3).
    pub(super) fn ec(curve: &str, point: &[u8], spki: Vec<u8>) -> Result<Self, KeyError> {
        let Some((4, coordinates)) = point.split_first() else { return Err(KeyError::Provider) };
        let (x, y) = coordinates.split_at(coordinates.len() / 2);
        let members =
            [("kty", "EC".to_owned()), ("crv", curve.to_owned()), ("x", encode(x)), ("y", encode(y))];
        Ok(Self { jwk: jwk(members), spki })
    }

    /// RFC 8037 §2
    pub(super) fn ed25519(key: &[u8], spki: Vec<u8>) -> Self {
        let members = [("kty", "OKP".to_owned()), ("crv", "Ed25519".to_owned()), ("x", encode(key))];
        Self { jwk: jwk(members), spki }
    }

    /// RFC 7638 §3: the map is ordered by name, and written without white space.
    pub(super) fn thumbprint(&self) -> String {
        let json = Value::Object(self.jwk.clone()).to_string();
        encode(digest(&SHA256, json.as_bytes()).as_ref())
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn jwk<const N: usize>(members: [(&str, String); N]) -> Map<String, Value> {
    members.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}
