//! A profile as meant: how to get a credential, whatever the type, and how to keep it.
//!
//! Every field of CPI's security material has its place here, and what other providers and a sidecar add.

pub mod answer;
pub mod assertion;
pub mod client;
pub mod describe;
pub mod grant;
pub mod login;
pub mod request;
pub mod written;

use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;

pub use self::answer::{AnswerRules, LifetimeUnit, MemberPath, Success};
pub use self::assertion::{Algorithm, AssertionConfig, JwtOptions, Thumbprint};
pub use self::client::{
    BasicEncoding, ClientAuthentication, ClientConfig, ClientSecret, DpopConfig, KeyPairConfig,
};
pub use self::grant::{
    ActorToken, AuthorizationCode, Grant, RefreshToken, SamlAssertion, SubjectToken, TargetSystem,
    TokenExchange, UserId,
};
pub use self::login::{FirstProfile, HttpLogin, LoginBody, LoginTemplate, LoginValue};
pub use self::request::{
    ContentType, CustomParameter, GrantTypePlace, ParameterPlace, RequestConfig, RequestMethod, Scope,
};
pub use self::written::Written;
use super::{Name, SecretSource};

/// A named credential: how to get it, and how to keep it.
#[derive(Clone, Debug)]
pub struct ProfileConfig {
    /// Its name: labels metrics and logs, and is what routes refer to.
    pub name: Name,
    /// Free text, for `/status`.
    pub description: Option<String>,
    /// How the credential is got.
    pub kind: ProfileKind,
    /// How its service is reached.
    pub transport: Transport,
    /// What its answer looks like.
    pub answer: AnswerRules,
    /// Whether `/startupz` and `/readyz` wait for this profile's first token.
    pub required: bool,
    /// Lifetime of a token whose answer names none.
    pub default_lifetime: Duration,
    /// How long after its expiry a token may still be used while the token service is down; zero is never.
    pub stale_if_error: Duration,
    /// How long a request may wait for a token when none is usable.
    pub token_wait: Duration,
    /// Where its settings were written.
    pub written: Written,
}

/// How a credential is got: the `type` of a profile.
#[derive(Clone, Debug)]
pub enum ProfileKind {
    /// `oauth2_*`: a token request to a token endpoint (RFC 6749).
    OAuth2(Box<OAuth2>),
    /// `http_login`: an HTTP request that is no OAuth, and an answer with a token somewhere in it.
    HttpLogin(Box<HttpLogin>),
    /// `self_signed_jwt`: a JWT that we sign is the token.
    SelfSignedJwt(Box<AssertionConfig>),
    /// `static_token`: a token that somebody else gave us.
    StaticToken(SecretSource),
    /// `user_credentials`: name and password, as Basic (RFC 7617).
    UserCredentials {
        /// The name; without a colon.
        user: SecretSource,
        /// The password.
        password: SecretSource,
    },
}

/// A token request: to whom, from whom, for what.
#[derive(Clone, Debug)]
pub struct OAuth2 {
    /// The token endpoint.
    pub endpoint: TokenEndpoint,
    /// The client, and how it proves itself.
    pub client: ClientConfig,
    /// The grant.
    pub grant: Grant,
    /// How the request is written, and what it asks for.
    pub request: RequestConfig,
    /// Whether tokens are bound to a key (RFC 9449).
    pub dpop: Option<DpopConfig>,
}

/// Where the token endpoint is.
#[derive(Clone, Debug)]
pub enum TokenEndpoint {
    /// `token_service_url`. Checked at load with [`super::HttpUrl::parse`]; read again at each fetch (it may be a file).
    Url(SecretSource),
    /// `issuer`: its metadata say (RFC 8414, OpenID Connect Discovery).
    Issuer(SecretSource),
}

/// How a service is reached.
#[derive(Clone, Debug, Default)]
pub struct Transport {
    /// PEM file of the certificate authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether the service may be `http://` on another machine.
    pub allow_cleartext: bool,
    /// Our certificate in TLS (`tls_client_auth`, RFC 8705, or beside another client authentication).
    pub key_pair: Option<KeyPairConfig>,
}

/// The word before the credential in `Authorization`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizationScheme {
    /// RFC 6750
    Bearer,
    /// RFC 7617
    Basic,
    /// RFC 9449
    Dpop,
}

impl AuthorizationScheme {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::Basic => "Basic",
            Self::Dpop => "DPoP",
        }
    }
}

impl ProfileConfig {
    /// The `type` as it is written in proxy.yaml.
    pub const fn type_name(&self) -> &'static str {
        match &self.kind {
            ProfileKind::OAuth2(oauth2) => oauth2.grant.type_name(),
            ProfileKind::HttpLogin(_) => "http_login",
            ProfileKind::SelfSignedJwt(_) => "self_signed_jwt",
            ProfileKind::StaticToken(_) => "static_token",
            ProfileKind::UserCredentials { .. } => "user_credentials",
        }
    }

    /// How a route without a word of its own carries the credential.
    pub fn scheme(&self) -> AuthorizationScheme {
        match &self.kind {
            ProfileKind::UserCredentials { .. } => AuthorizationScheme::Basic,
            ProfileKind::OAuth2(oauth2) if oauth2.dpop.is_some() => AuthorizationScheme::Dpop,
            _ => AuthorizationScheme::Bearer,
        }
    }

    /// The OAuth2 part, for a profile that makes token requests.
    pub fn oauth2(&self) -> Option<&OAuth2> {
        match &self.kind {
            ProfileKind::OAuth2(oauth2) => Some(oauth2),
            _ => None,
        }
    }

    /// The issuer whose metadata name its endpoints, if it has one.
    pub fn issuer(&self) -> Option<&SecretSource> {
        match &self.oauth2()?.endpoint {
            TokenEndpoint::Issuer(issuer) => Some(issuer),
            TokenEndpoint::Url(_) => None,
        }
    }

    /// Its key pair, whatever it is for: in TLS, to sign, or both.
    pub fn key_pair(&self) -> Option<&KeyPairConfig> {
        let signs = match &self.kind {
            ProfileKind::OAuth2(oauth2) => match (&oauth2.client.authentication, &oauth2.grant) {
                (ClientAuthentication::KeyJwt { key, .. }, _) => Some(key),
                (_, Grant::JwtBearer(assertion)) => Some(&assertion.key),
                (_, Grant::SamlBearer(saml)) => Some(&saml.key),
                _ => None,
            },
            ProfileKind::SelfSignedJwt(assertion) => Some(&assertion.key),
            _ => None,
        };
        signs.or(self.transport.key_pair.as_ref())
    }

    /// What its key pair signs with, for each JWT that it signs; nothing means what fits the key.
    pub fn signs_with(&self) -> Vec<Option<Algorithm>> {
        let mut algorithms = Vec::new();
        match &self.kind {
            ProfileKind::OAuth2(oauth2) => {
                if let ClientAuthentication::KeyJwt { jwt, .. } = &oauth2.client.authentication {
                    algorithms.push(jwt.algorithm);
                }
                if let Grant::JwtBearer(assertion) = &oauth2.grant {
                    algorithms.push(assertion.jwt.algorithm);
                }
            }
            ProfileKind::SelfSignedJwt(assertion) => algorithms.push(assertion.jwt.algorithm),
            _ => {}
        }
        algorithms
    }

    /// The URL of its service, if it has one of its own: the token endpoint, the issuer, or where the login goes.
    pub fn service(&self) -> Option<&SecretSource> {
        match &self.kind {
            ProfileKind::OAuth2(oauth2) => match &oauth2.endpoint {
                TokenEndpoint::Url(url) | TokenEndpoint::Issuer(url) => Some(url),
            },
            ProfileKind::HttpLogin(login) => Some(&login.url),
            ProfileKind::SelfSignedJwt(_)
            | ProfileKind::StaticToken(_)
            | ProfileKind::UserCredentials { .. } => None,
        }
    }

    /// Everything that is read anew for each credential.
    pub fn sources(&self) -> Vec<&SecretSource> {
        let mut sources = Vec::new();
        match &self.kind {
            ProfileKind::OAuth2(oauth2) => oauth2.sources(&mut sources),
            ProfileKind::HttpLogin(login) => login.sources(&mut sources),
            ProfileKind::SelfSignedJwt(assertion) => assertion.sources(&mut sources),
            ProfileKind::StaticToken(token) => sources.push(token),
            ProfileKind::UserCredentials { user, password } => sources.extend([user, password]),
        }
        if let Some(pair) = &self.transport.key_pair {
            pair.sources(&mut sources);
        }
        sources
    }

    /// The header in which callers show whom they speak for; nothing where there is one token for all.
    pub fn subject_header(&self) -> Option<&HeaderName> {
        match &self.oauth2()?.grant {
            Grant::TokenExchange(exchange) => match &exchange.subject {
                SubjectToken::Header(name) => Some(name),
                SubjectToken::Source(_) => None,
            },
            _ => None,
        }
    }

    /// The file in which something is kept beyond the life of the process.
    pub fn state_file(&self) -> Option<&PathBuf> {
        match &self.oauth2()?.grant {
            Grant::RefreshToken(refresh) => refresh.state_file.as_ref(),
            Grant::AuthorizationCode(code) => Some(&code.state_file),
            _ => None,
        }
    }
}

impl OAuth2 {
    fn sources<'a>(&'a self, into: &mut Vec<&'a SecretSource>) {
        match &self.endpoint {
            TokenEndpoint::Url(url) | TokenEndpoint::Issuer(url) => into.push(url),
        }
        self.client.sources(into);
        self.grant.sources(into);
        self.request.sources(into);
        into.extend(self.dpop.as_ref().and_then(|dpop| dpop.private_key.as_ref()));
    }
}
