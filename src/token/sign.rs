//! Signs JWTs (RFC 7515, RFC 7518, RFC 8037) with aws-lc-rs.
//!
//! Invariants: a [`SigningKey`] has one algorithm, and it fits the key; `Debug` and errors show nothing of the key.

mod error;
mod public;

use std::fmt;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair,
};
use aws_lc_rs::{error::KeyRejected, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::{self, PemObject};
use serde_json::{Map, Value};

pub use self::error::KeyError;
use self::public::PublicKey;
use crate::config::profile::Algorithm;
use crate::secret::Secret;

/// A key, and the algorithm that it signs with.
pub struct SigningKey {
    algorithm: Algorithm,
    private: Private,
    /// None of a shared secret.
    public: Option<PublicKey>,
}

enum Private {
    // Boxed: it is much larger than the others.
    Hmac(Box<hmac::Key>),
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

type Curve = (&'static str, Algorithm, &'static EcdsaSigningAlgorithm);

/// The curves of RFC 7518 §3.4: name, algorithm, and how aws-lc calls it.
const CURVES: [Curve; 3] = [
    ("P-256", Algorithm::Es256, &ECDSA_P256_SHA256_FIXED_SIGNING),
    ("P-384", Algorithm::Es384, &ECDSA_P384_SHA384_FIXED_SIGNING),
    ("P-521", Algorithm::Es512, &ECDSA_P521_SHA512_FIXED_SIGNING),
];

impl SigningKey {
    /// The first private key of a PEM text (PKCS#8, PKCS#1 or SEC 1), for this algorithm, or for the one that fits it:
    /// RS256, ES256/ES384/ES512 by the curve, EdDSA.
    pub fn from_pem(pem: &str, algorithm: Option<Algorithm>) -> Result<Self, KeyError> {
        Self::from_der(&private_key(pem)?, algorithm)
    }

    /// The same of a key that was taken out of its PEM text.
    pub fn from_der(der: &PrivateKeyDer<'_>, algorithm: Option<Algorithm>) -> Result<Self, KeyError> {
        let key = Self::parse(der)?;
        match algorithm {
            None => Ok(key),
            Some(algorithm) if key.fits(algorithm) => Ok(Self { algorithm, ..key }),
            Some(algorithm) => {
                Err(KeyError::Algorithm { algorithm, key: key.kind(), fitting: key.fitting() })
            }
        }
    }

    /// A shared secret. It has at least as many bytes as the hash (RFC 7518 §3.2).
    pub fn hmac(secret: &Secret, algorithm: Algorithm) -> Result<Self, KeyError> {
        let hash = match algorithm {
            Algorithm::Hs256 => hmac::HMAC_SHA256,
            Algorithm::Hs384 => hmac::HMAC_SHA384,
            Algorithm::Hs512 => hmac::HMAC_SHA512,
            _ => return Err(KeyError::Asymmetric(algorithm)),
        };
        let secret = secret.expose().as_bytes();
        let needed = hash.digest_algorithm().output_len();
        if secret.len() < needed {
            return Err(KeyError::ShortSecret { algorithm, needed });
        }
        Ok(Self { algorithm, private: Private::Hmac(Box::new(hmac::Key::new(hash, secret))), public: None })
    }

    /// A new key on P-256 that nobody else knows.
    pub fn generate_es256() -> Result<Self, KeyError> {
        let pair =
            EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| KeyError::Provider)?;
        Self::ec(pair, "P-256", Algorithm::Es256)
    }

    fn parse(der: &PrivateKeyDer<'_>) -> Result<Self, KeyError> {
        match der {
            PrivateKeyDer::Pkcs1(der) => Self::rsa(RsaKeyPair::from_der(der.secret_pkcs1_der())),
            PrivateKeyDer::Sec1(der) => Self::on_a_curve(der.secret_sec1_der()),
            PrivateKeyDer::Pkcs8(der) => {
                let der = der.secret_pkcs8_der();
                match RsaKeyPair::from_pkcs8(der) {
                    Err(rejected) if rejected.description_() != "TooSmall" => {}
                    rsa => return Self::rsa(rsa),
                }
                match Ed25519KeyPair::from_pkcs8(der) {
                    Ok(pair) => Self::ed25519(pair),
                    Err(_) => Self::on_a_curve(der),
                }
            }
            _ => Err(KeyError::Unusable),
        }
    }

    fn rsa(pair: Result<RsaKeyPair, KeyRejected>) -> Result<Self, KeyError> {
        let pair = pair.map_err(|rejected| match rejected.description_() {
            "TooSmall" => KeyError::SmallRsa,
            _ => KeyError::Unusable,
        })?;
        let public = PublicKey::rsa(pair.public_key().as_ref(), spki(pair.public_key())?)?;
        Ok(Self { algorithm: Algorithm::Rs256, private: Private::Rsa(pair), public: Some(public) })
    }

    fn on_a_curve(der: &[u8]) -> Result<Self, KeyError> {
        let pair = CURVES.iter().find_map(|(curve, algorithm, how)| {
            EcdsaKeyPair::from_private_key_der(how, der).ok().map(|pair| (pair, *curve, *algorithm))
        });
        let (pair, curve, algorithm) = pair.ok_or(KeyError::Unusable)?;
        Self::ec(pair, curve, algorithm)
    }

    fn ec(pair: EcdsaKeyPair, curve: &'static str, algorithm: Algorithm) -> Result<Self, KeyError> {
        let public = PublicKey::ec(curve, pair.public_key().as_ref(), spki(pair.public_key())?)?;
        Ok(Self { algorithm, private: Private::Ec(pair), public: Some(public) })
    }

    fn ed25519(pair: Ed25519KeyPair) -> Result<Self, KeyError> {
        let public = PublicKey::ed25519(pair.public_key().as_ref(), spki(pair.public_key())?);
        Ok(Self { algorithm: Algorithm::EdDsa, private: Private::Ed25519(pair), public: Some(public) })
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        match &self.private {
            Private::Rsa(_) => padding(algorithm).is_some(),
            _ => algorithm == self.algorithm,
        }
    }

    fn kind(&self) -> &'static str {
        match &self.private {
            Private::Hmac(_) => "a shared secret",
            Private::Rsa(_) => "an RSA key",
            Private::Ec(_) => {
                let curve = CURVES.iter().find(|(_, algorithm, _)| *algorithm == self.algorithm);
                match curve.map(|(name, ..)| *name) {
                    Some("P-256") => "an EC key on P-256",
                    Some("P-384") => "an EC key on P-384",
                    _ => "an EC key on P-521",
                }
            }
            Private::Ed25519(_) => "an Ed25519 key",
        }
    }

    fn fitting(&self) -> &'static str {
        match &self.private {
            Private::Rsa(_) => "RS256 or PS256",
            _ => self.algorithm.as_str(),
        }
    }

    /// What it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public key as a JWK of required members only, as RFC 7638 wants it; none of a shared secret.
    pub fn public_jwk(&self) -> Option<&Map<String, Value>> {
        self.public.as_ref().map(|public| &public.jwk)
    }

    /// The JWK's SHA-256 thumbprint (RFC 7638), in base64url; none of a shared secret.
    pub fn jwk_thumbprint(&self) -> Option<String> {
        self.public.as_ref().map(PublicKey::thumbprint)
    }

    /// The public key as a DER `SubjectPublicKeyInfo`; none of a shared secret.
    pub fn spki_der(&self) -> Option<&[u8]> {
        self.public.as_ref().map(|public| public.spki.as_slice())
    }

    /// Signs; in the form that a JWS carries (RFC 7518 §3.4: R and S side by side).
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let random = SystemRandom::new();
        let signed = match &self.private {
            Private::Hmac(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
            Private::Rsa(pair) => {
                let padding = padding(self.algorithm).ok_or(KeyError::Provider)?;
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut out).map(|()| out)
            }
            Private::Ec(pair) => pair.sign(&random, message).map(|out| out.as_ref().to_vec()),
            Private::Ed25519(pair) => pair.try_sign(message).map(|out| out.as_ref().to_vec()),
        };
        signed.map_err(|_| KeyError::Provider)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, [redacted])", self.algorithm.as_str())
    }
}

/// A signed JWT in its compact form. `alg` is set, and `typ` to `JWT` where the header does not say otherwise.
pub fn jws(
    mut header: Map<String, Value>,
    claims: &Map<String, Value>,
    key: &SigningKey,
) -> Result<Secret, KeyError> {
    header.insert("alg".to_owned(), key.algorithm().as_str().into());
    header.entry("typ").or_insert_with(|| "JWT".into());
    let encoded = |map: &Map<String, Value>| {
        let json = serde_json::to_vec(map).map_err(|_| KeyError::Provider)?;
        Ok::<_, KeyError>(URL_SAFE_NO_PAD.encode(json))
    };
    let mut text = encoded(&header)?;
    text.push('.');
    text.push_str(&encoded(claims)?);
    let signature = key.sign(text.as_bytes())?;
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut text);
    Ok(Secret::new(text))
}

/// A `jti` that was never used and cannot be guessed: 128 random bits in base64url.
pub fn fresh_id() -> Result<String, KeyError> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| KeyError::Provider)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn padding(algorithm: Algorithm) -> Option<&'static dyn RsaEncoding> {
    match algorithm {
        Algorithm::Rs256 => Some(&signature::RSA_PKCS1_SHA256),
        Algorithm::Rs384 => Some(&signature::RSA_PKCS1_SHA384),
        Algorithm::Rs512 => Some(&signature::RSA_PKCS1_SHA512),
        Algorithm::Ps256 => Some(&signature::RSA_PSS_SHA256),
        Algorithm::Ps384 => Some(&signature::RSA_PSS_SHA384),
        Algorithm::Ps512 => Some(&signature::RSA_PSS_SHA512),
        _ => None,
    }
}

fn spki<'a>(key: &impl AsDer<aws_lc_rs::encoding::PublicKeyX509Der<'a>>) -> Result<Vec<u8>, KeyError> {
    key.as_der().map(|der| der.as_ref().to_vec()).map_err(|_| KeyError::Provider)
}

/// The first private key of a PEM text, taken out of it.
pub fn private_key(text: &str) -> Result<PrivateKeyDer<'static>, KeyError> {
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| {
        // What stands there instead says more than what is missing.
        let holds = |label: &str| text.contains(&format!("-----BEGIN {label}-----"));
        match error {
            _ if holds("ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") => {
                KeyError::Encrypted
            }
            _ if holds("OPENSSH PRIVATE KEY") => KeyError::OpenSsh,
            pem::Error::NoItemsFound if holds("PUBLIC KEY") || holds("CERTIFICATE") => KeyError::Public,
            pem::Error::NoItemsFound => KeyError::NoKey,
            _ => KeyError::Pem,
        }
    })
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
