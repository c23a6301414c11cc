//! JWTs that we sign: as a client's proof, as a grant, or as the token itself.

use std::time::Duration;

use serde_json::{Map, Value};

use super::KeyPairConfig;
use crate::config::SecretSource;

/// A JWS algorithm (RFC 7518 §3.1, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the registry's")]
pub enum Algorithm {
    Hs256,
    Hs384,
    Hs512,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::EdDsa,
    ];

    /// The name in `alg`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Whether it needs a shared secret rather than a private key.
    pub const fn is_symmetric(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }
}

/// How a JWT is signed and addressed.
#[derive(Clone, Debug)]
pub struct JwtOptions {
    /// The algorithm; nothing means what fits the key (RS256, ES256/384/512 by the curve, EdDSA), or HS256.
    pub algorithm: Option<Algorithm>,
    /// `kid`
    pub key_id: Option<SecretSource>,
    /// Which thumbprints of the certificate go along.
    pub thumbprint: Thumbprint,
    /// `aud`; nothing means the issuer where it is known, else the token endpoint.
    pub audience: Option<SecretSource>,
    /// From `iat` to `exp`.
    pub lifetime: Duration,
}

/// Thumbprints of the certificate in a JWT's header (RFC 7515 §4.1.7, §4.1.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thumbprint {
    /// None.
    None,
    /// `x5t`: SHA-1.
    X5t,
    /// `x5t#S256`: SHA-256.
    X5tS256,
    /// Both.
    Both,
}

/// A JWT that is a grant (RFC 7523 §2.1) or the token itself.
#[derive(Clone)]
pub struct AssertionConfig {
    /// The key that signs.
    pub key: KeyPairConfig,
    /// `iss`
    pub issuer: Option<SecretSource>,
    /// `sub`
    pub subject: Option<SecretSource>,
    /// `scope`, for services that want it in the JWT (Google).
    pub scope: Option<SecretSource>,
    /// Further claims, and other values for ours; `null` leaves one out.
    pub claims: Map<String, Value>,
    /// How it is signed and addressed.
    pub jwt: JwtOptions,
}

impl std::fmt::Debug for AssertionConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A variable may have brought a claim's value.
        f.debug_struct("AssertionConfig")
            .field("key", &self.key)
            .field("issuer", &self.issuer)
            .field("subject", &self.subject)
            .field("scope", &self.scope)
            .field("claims", &self.claims.keys().collect::<Vec<_>>())
            .field("jwt", &self.jwt)
            .finish()
    }
}

impl JwtOptions {
    pub(super) fn sources<'a>(&'a self, into: &mut Vec<&'a SecretSource>) {
        into.extend(self.key_id.iter().chain(&self.audience));
    }
}

impl AssertionConfig {
    pub(super) fn sources<'a>(&'a self, into: &mut Vec<&'a SecretSource>) {
        self.key.sources(into);
        into.extend(self.issuer.iter().chain(&self.subject).chain(&self.scope));
        self.jwt.sources(into);
    }
}
