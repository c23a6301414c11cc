//! Why a key cannot sign.

use crate::config::profile::Algorithm;

/// Why a key cannot sign; reads on behind the name of its source, and never holds a part of the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is no PEM block of a private key.
    #[error("holds no private key (`-----BEGIN PRIVATE KEY-----`)")]
    NoKey,
    /// The PEM block is damaged.
    #[error("is a damaged PEM text: is it complete, with every line break?")]
    Pem,
    /// A key with a password.
    #[error("is a private key with a password: take it off with `openssl pkey -in KEY -out NEW`")]
    Encrypted,
    /// A key of ssh's own format.
    #[error("is a key in OpenSSH's format: convert a copy with `ssh-keygen -p -m PKCS8 -f KEY`")]
    OpenSsh,
    /// A public key or a certificate.
    #[error("is public: the private key belongs here")]
    Public,
    /// Nothing that can be used.
    #[error(
        "is no key that can be used: RSA from 2048 to 8192 bits, EC on P-256, P-384 or P-521, or Ed25519"
    )]
    Unusable,
    /// RFC 7518 §3.3
    #[error(
        "is an RSA key of less than 2048 bits, which nobody may accept any more (RFC 7518 §3.3): make a new one"
    )]
    SmallRsa,
    /// The algorithm needs another kind of key.
    #[error("is {key}, which cannot sign with {}: write algorithm: {fitting}, or use another key", algorithm.as_str())]
    Algorithm {
        /// What was asked for.
        algorithm: Algorithm,
        /// What the key is.
        key: &'static str,
        /// What it can sign with.
        fitting: &'static str,
    },
    /// RFC 7518 §3.2
    #[error(
        "is too short for {}, which needs at least {needed} bytes (RFC 7518 §3.2): have the service make a longer secret",
        algorithm.as_str()
    )]
    ShortSecret {
        /// What was asked for.
        algorithm: Algorithm,
        /// How many bytes it needs.
        needed: usize,
    },
    /// The algorithm needs a private key, and there is a shared secret.
    #[error("is a shared secret, which cannot sign with {}: write algorithm: HS256", .0.as_str())]
    Asymmetric(Algorithm),
    /// The crypto provider failed, without saying why.
    #[error("could not be used by the crypto provider")]
    Provider,
}
