//! The grants: what a token request shows for the token it asks for.

use std::path::PathBuf;

use http::HeaderName;

use super::{AssertionConfig, KeyPairConfig};
use crate::config::SecretSource;

/// The grant of a profile.
#[derive(Clone, Debug)]
pub enum Grant {
    /// RFC 6749 §4.4
    ClientCredentials,
    /// Another `grant_type`, with parameters of its own (Zoom's `account_credentials`, Ariba's `openapi_2lo`).
    Custom(String),
    /// RFC 6749 §4.3
    Password {
        /// The resource owner's name.
        username: SecretSource,
        /// The resource owner's password.
        password: SecretSource,
    },
    /// RFC 6749 §6
    RefreshToken(RefreshToken),
    /// RFC 6749 §4.1: a person consents once (`sidepass authorize`); then as with a refresh token.
    AuthorizationCode(AuthorizationCode),
    /// RFC 7523 §2.1
    JwtBearer(Box<AssertionConfig>),
    /// RFC 7522 §2.1
    SamlBearer(Box<SamlAssertion>),
    /// RFC 8693
    TokenExchange(Box<TokenExchange>),
}

/// A refresh token, and where a new one is kept.
#[derive(Clone, Debug)]
pub struct RefreshToken {
    /// The first one; what `state_file` holds is newer, unless this was changed since.
    pub token: SecretSource,
    /// Where a rotated one is kept; without it, a service that rotates leaves nothing after a restart.
    pub state_file: Option<PathBuf>,
}

impl RefreshToken {
    /// Where a person puts another one, for a message.
    pub fn whence(&self) -> String {
        match &self.token {
            SecretSource::Literal(_) => "`refresh_token` of the profile".to_owned(),
            source => source.describe(),
        }
    }
}

/// Consent in a browser.
#[derive(Clone, Debug)]
pub struct AuthorizationCode {
    /// Where the person is sent; nothing means what the issuer's metadata say.
    pub authorization_url: Option<SecretSource>,
    /// Where the refresh token is kept.
    pub state_file: PathBuf,
    /// The port of `http://127.0.0.1:PORT/callback`; zero is any (RFC 8252 §7.3).
    pub redirect_port: u16,
}

/// A SAML 2.0 assertion that we sign, in the shape that SAP's services want.
#[derive(Clone, Debug)]
pub struct SamlAssertion {
    /// CPI "Target System Type".
    pub target: TargetSystem,
    /// The key that signs, and the certificate that names it.
    pub key: KeyPairConfig,
    /// CPI "Audience": the host of the target.
    pub audience: SecretSource,
    /// `Issuer`; nothing means the certificate's common name (BTP) or the client id (SuccessFactors).
    pub issuer: Option<SecretSource>,
    /// Whom the assertion speaks of.
    pub user: UserId,
    /// CPI "Company ID" (SuccessFactors).
    pub company_id: Option<SecretSource>,
}

/// CPI "Target System Type".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetSystem {
    /// `SuccessFactors`
    SuccessFactors,
    /// `SAP BTP (Neo)`
    BtpNeo,
    /// `SAP BTP (CF)`
    BtpCf,
}

/// Whom a SAML assertion speaks of.
#[derive(Clone, Debug)]
pub enum UserId {
    /// CPI "Key Pair Common Name (CN)".
    KeyPairCommonName,
    /// This user.
    Fixed(SecretSource),
}

/// One token for another.
#[derive(Clone, Debug)]
pub struct TokenExchange {
    /// The token to exchange.
    pub subject: SubjectToken,
    /// `subject_token_type`
    pub subject_type: String,
    /// Who acts for the subject.
    pub actor: Option<ActorToken>,
    /// `requested_token_type`
    pub requested_type: Option<String>,
}

/// Where the token to exchange comes from.
#[derive(Clone, Debug)]
pub enum SubjectToken {
    /// Read anew at each fetch.
    Source(SecretSource),
    /// This header of each request: every caller gets a token of its own.
    Header(HeaderName),
}

/// Who acts for a subject (RFC 8693 §2.1).
#[derive(Clone, Debug)]
pub struct ActorToken {
    /// `actor_token`
    pub token: SecretSource,
    /// `actor_token_type`
    pub kind: String,
}

impl Grant {
    /// The `type` of a profile with this grant.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::ClientCredentials | Self::Custom(_) => "oauth2_client_credentials",
            Self::Password { .. } => "oauth2_password",
            Self::RefreshToken(_) => "oauth2_refresh_token",
            Self::AuthorizationCode(_) => "oauth2_authorization_code",
            Self::JwtBearer(_) => "oauth2_jwt_bearer",
            Self::SamlBearer(_) => "oauth2_saml_bearer_assertion",
            Self::TokenExchange(_) => "oauth2_token_exchange",
        }
    }

    /// The `grant_type` parameter.
    pub fn grant_type(&self) -> &str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::Custom(grant_type) => grant_type,
            Self::Password { .. } => "password",
            Self::RefreshToken(_) | Self::AuthorizationCode(_) => "refresh_token",
            Self::JwtBearer(_) => "urn:ietf:params:oauth:grant-type:jwt-bearer",
            Self::SamlBearer(_) => "urn:ietf:params:oauth:grant-type:saml2-bearer",
            Self::TokenExchange(_) => "urn:ietf:params:oauth:grant-type:token-exchange",
        }
    }

    pub(super) fn sources<'a>(&'a self, into: &mut Vec<&'a SecretSource>) {
        match self {
            Self::ClientCredentials | Self::Custom(_) => {}
            Self::Password { username, password } => into.extend([username, password]),
            Self::RefreshToken(refresh) => into.push(&refresh.token),
            Self::AuthorizationCode(code) => into.extend(&code.authorization_url),
            Self::JwtBearer(assertion) => assertion.sources(into),
            Self::SamlBearer(saml) => {
                saml.key.sources(into);
                into.push(&saml.audience);
                into.extend(saml.issuer.iter().chain(&saml.company_id));
                if let UserId::Fixed(user) = &saml.user {
                    into.push(user);
                }
            }
            Self::TokenExchange(exchange) => {
                if let SubjectToken::Source(subject) = &exchange.subject {
                    into.push(subject);
                }
                into.extend(exchange.actor.as_ref().map(|actor| &actor.token));
            }
        }
    }
}
