//! The client of a token request, and how it proves itself (RFC 6749 §2.3, RFC 7523 §2.2, RFC 8705).

use super::{Algorithm, JwtOptions};
use crate::config::SecretSource;

/// Who asks for a token.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The client id; some assertions make it superfluous.
    pub id: Option<SecretSource>,
    /// How it proves itself.
    pub authentication: ClientAuthentication,
}

/// CPI "Client Authentication", and what other services want. Exactly one is sent.
#[derive(Clone, Debug)]
pub enum ClientAuthentication {
    /// "Send as Request Header": `Authorization: Basic …` (`client_secret_basic`).
    RequestHeader {
        /// The secret.
        secret: ClientSecret,
        /// What is done to id and secret before Base64.
        encoding: BasicEncoding,
        /// The word before the Base64: `Basic`, but for Workday, which wants `ID`.
        scheme: String,
    },
    /// "Send as Body Parameter": `client_id` and `client_secret` in the body, form or JSON (`client_secret_post`).
    BodyParameter {
        /// The secret.
        secret: ClientSecret,
    },
    /// `client_id` in the body, if there is one, and no proof.
    None,
    /// A JWT signed with the secret (`client_secret_jwt`, OpenID Connect Core §9).
    SecretJwt {
        /// The secret.
        secret: ClientSecret,
        /// How the JWT is signed.
        jwt: JwtOptions,
    },
    /// A JWT signed with a private key (`private_key_jwt`, RFC 7523 §2.2).
    KeyJwt {
        /// The key that signs; its certificate is only needed for thumbprints.
        key: KeyPairConfig,
        /// How the JWT is signed.
        jwt: JwtOptions,
    },
    /// The certificate in TLS, which is [`super::Transport::key_pair`] (`tls_client_auth`, RFC 8705 §2); `client_id` in the body.
    Tls,
    /// A JWT that somebody else signed, read anew at each fetch: a projected service-account token, a JWT-SVID.
    Assertion(SecretSource),
}

/// A client secret, and the one that takes its place.
#[derive(Clone, Debug)]
pub struct ClientSecret {
    /// In use.
    pub current: SecretSource,
    /// Tried when the service refuses the current one.
    pub next: Option<SecretSource>,
}

/// How id and secret are prepared for Basic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BasicEncoding {
    /// Form-encoded first (RFC 6749 §2.3.1); where that changes a byte, `X-CF-ENCODED-CREDENTIALS: true` goes with it.
    Form,
    /// As they are, and no such header.
    Raw,
}

/// A private key and its certificate, as PEM texts; they are read together, and anew when one of them changes.
#[derive(Clone, Debug)]
pub struct KeyPairConfig {
    /// The certificate, with its chain; where only a signature is needed there may be none.
    pub certificate: Option<SecretSource>,
    /// The private key: PKCS#8, PKCS#1 or SEC 1.
    pub private_key: SecretSource,
}

/// Tokens bound to a key (RFC 9449).
#[derive(Clone, Debug, Default)]
pub struct DpopConfig {
    /// The key; nothing means one that is made at start and never leaves the process.
    pub private_key: Option<SecretSource>,
    /// Its algorithm; nothing means what fits the key, or ES256.
    pub algorithm: Option<Algorithm>,
}

impl ClientConfig {
    pub(super) fn sources<'a>(&'a self, into: &mut Vec<&'a SecretSource>) {
        into.extend(&self.id);
        match &self.authentication {
            ClientAuthentication::RequestHeader { secret, .. }
            | ClientAuthentication::BodyParameter { secret } => secret.sources(into),
            ClientAuthentication::SecretJwt { secret, jwt } => {
                secret.sources(into);
                jwt.sources(into);
            }
            ClientAuthentication::KeyJwt { key, jwt } => {
                key.sources(into);
                jwt.sources(into);
            }
            ClientAuthentication::Assertion(assertion) => into.push(assertion),
            ClientAuthentication::None | ClientAuthentication::Tls => {}
        }
    }
}

impl ClientAuthentication {
    /// The shared secret, where there is one.
    pub fn secret(&self) -> Option<&ClientSecret> {
        match self {
            Self::RequestHeader { secret, .. }
            | Self::BodyParameter { secret }
            | Self::SecretJwt { secret, .. } => Some(secret),
            Self::None | Self::KeyJwt { .. } | Self::Tls | Self::Assertion(_) => None,
        }
    }

    /// As it is written in proxy.yaml.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::RequestHeader { .. } => "request_header",
            Self::BodyParameter { .. } => "body_parameter",
            Self::None => "none",
            Self::SecretJwt { .. } => "client_secret_jwt",
            Self::KeyJwt { .. } => "private_key_jwt",
            Self::Tls => "tls_client_auth",
            Self::Assertion(_) => "client_assertion",
        }
    }
}

impl ClientSecret {
    fn sources<'a>(&'a self, into: &mut Vec<&'a SecretSource>) {
        into.push(&self.current);
        into.extend(&self.next);
    }
}

impl KeyPairConfig {
    pub(super) fn sources<'a>(&'a self, into: &mut Vec<&'a SecretSource>) {
        into.extend(&self.certificate);
        into.push(&self.private_key);
    }
}
