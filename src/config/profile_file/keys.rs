//! The keys of a profile, and which of them belong to which `type`.

use super::super::node::{Node, Value};
use super::super::reader::{At, Broken};
use super::super::reader::{Fields, Keys, Read, fold_value};
use super::super::suggest::did_you_mean;

pub(super) const KEYS: Keys = Keys {
    known: &[
        "type",
        "preset",
        "description",
        "service_key",
        "from_binding",
        "token_service_url",
        "issuer",
        "client_id",
        "client_secret",
        "client_authentication",
        "basic_encoding",
        "authentication_scheme",
        "key_pair",
        "client_assertion",
        "dpop",
        "method",
        "grant_type",
        "grant_type_in",
        "scope",
        "scope_separator",
        "resource",
        "audience",
        "content_type",
        "custom_parameters",
        "answer",
        "username",
        "password",
        "refresh_token",
        "state_file",
        "authorization_url",
        "redirect_port",
        "assertion",
        "target_system_type",
        "company_id",
        "user_id",
        "subject_token",
        "subject_token_type",
        "actor_token",
        "actor_token_type",
        "requested_token_type",
        "request",
        "profile",
        "token",
        "user",
        "ca_file",
        "allow_cleartext",
        "required",
        "default_lifetime",
        "stale_if_error",
        "token_wait",
    ],
    aliases: &[
        ("binding", "from_binding"),
        ("service_binding", "from_binding"),
        ("credentials", "service_key"),
        ("key_file", "service_key"),
        ("token_url", "token_service_url"),
        ("token_endpoint", "token_service_url"),
        ("token_uri", "token_service_url"),
        ("access_token_url", "token_service_url"),
        ("url", "token_service_url"),
        ("uri", "token_service_url"),
        ("auth_url", "token_service_url"),
        ("issuer_url", "issuer"),
        ("discovery", "issuer"),
        ("id", "client_id"),
        ("clientid", "client_id"),
        ("app_id", "client_id"),
        ("client_key", "client_id"),
        ("api_key", "client_id"),
        ("secret", "client_secret"),
        ("clientsecret", "client_secret"),
        ("app_secret", "client_secret"),
        ("scopes", "scope"),
        ("scope_content_type", "content_type"),
        ("include_scope", "leave `scope` out, or write it: there is no switch for it"),
        ("client_auth", "client_authentication"),
        ("auth_style", "client_authentication"),
        ("auth_method", "client_authentication"),
        ("auth_type", "client_authentication"),
        ("token_endpoint_auth_method", "client_authentication"),
        ("send_as", "client_authentication"),
        (
            "certificate",
            "it stands under `key_pair`: key_pair: { certificate: { file: … }, private_key: { file: … } }",
        ),
        ("private_key", "it stands under `key_pair`: key_pair: { private_key: { file: … } }"),
        ("key", "key_pair"),
        ("client_certificate", "key_pair"),
        ("grant", "grant_type"),
        ("aud", "audience"),
        ("resources", "resource"),
        ("params", "custom_parameters"),
        ("parameters", "custom_parameters"),
        ("custom_parameter", "custom_parameters"),
        ("endpoint_params", "custom_parameters"),
        ("extra_params", "custom_parameters"),
        ("response", "answer"),
        ("ca", "ca_file"),
        ("cacert", "ca_file"),
        ("tls_ca", "ca_file"),
        ("insecure", "allow_cleartext"),
        ("lifetime", "default_lifetime"),
        ("expires_in", "default_lifetime"),
        ("token_fetch_retry_interval", "there is nothing to set: retries back off by themselves"),
        ("timeout", "token_wait"),
        ("tenant", "it is a parameter of presets: write it beside `preset: NAME`"),
        ("domain", "it is a parameter of presets: write it beside `preset: NAME`"),
        ("algorithm", "it stands within what signs: `client_assertion`, `assertion` or `dpop`"),
        ("name", "the name of a profile is its key: `profiles: { NAME: … }`"),
    ],
};

/// The `type` of a profile as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    ClientCredentials,
    Password,
    RefreshToken,
    AuthorizationCode,
    JwtBearer,
    SamlBearer,
    TokenExchange,
    HttpLogin,
    SelfSignedJwt,
    StaticToken,
    UserCredentials,
}

/// Types by name: ours first, then CPI's, and what others say.
const TYPES: &[(&str, Type)] = &[
    ("oauth2_client_credentials", Type::ClientCredentials),
    ("oauth2_password", Type::Password),
    ("oauth2_refresh_token", Type::RefreshToken),
    ("oauth2_authorization_code", Type::AuthorizationCode),
    ("oauth2_jwt_bearer", Type::JwtBearer),
    ("oauth2_saml_bearer_assertion", Type::SamlBearer),
    ("oauth2_token_exchange", Type::TokenExchange),
    ("http_login", Type::HttpLogin),
    ("self_signed_jwt", Type::SelfSignedJwt),
    ("static_token", Type::StaticToken),
    ("user_credentials", Type::UserCredentials),
    ("oauth2_credentials", Type::ClientCredentials),
    ("client_credentials", Type::ClientCredentials),
    ("password", Type::Password),
    ("oauth2_password_credentials", Type::Password),
    ("refresh_token", Type::RefreshToken),
    ("authorization_code", Type::AuthorizationCode),
    ("jwt_bearer", Type::JwtBearer),
    ("oauth2_saml_bearer", Type::SamlBearer),
    ("saml2_bearer", Type::SamlBearer),
    ("token_exchange", Type::TokenExchange),
    ("basic", Type::UserCredentials),
];

impl Type {
    /// The type that a profile names.
    pub(super) fn read(fields: &Fields<'_>) -> Read<Self> {
        let Some(at) = fields.get("type") else { return Ok(Self::ClientCredentials) };
        let text = at.text()?;
        if let Some(found) = Self::named(&text) {
            return Ok(found);
        }
        let ours: Vec<_> = TYPES.iter().map(|(name, _)| *name).take(11).collect();
        let hint = did_you_mean(&text, TYPES.iter().map(|(name, _)| *name))
            .unwrap_or_else(|| format!("there are: {}", ours.join(", ")));
        Err(at.error_hint(format!("{} is not a type of profile that is there", at.quoted()), hint))
    }

    /// The type that a profile seems to name; nothing where there is no such type. Reports nothing.
    pub(super) fn expected(profile: &Node) -> Option<Self> {
        match profile.get("type").map(|node| &node.value) {
            None => Some(Self::ClientCredentials),
            Some(Value::Scalar(kind)) => Self::named(&kind.text()),
            Some(_) => None,
        }
    }

    /// The type of this name.
    pub(super) fn named(text: &str) -> Option<Self> {
        let folded = fold_value(text);
        TYPES.iter().find(|(name, _)| fold_value(name) == folded).map(|(_, found)| *found)
    }

    /// As it is written in proxy.yaml.
    pub(super) fn as_str(self) -> &'static str {
        TYPES.iter().find(|(_, found)| *found == self).map_or("", |(name, _)| name)
    }

    fn is_oauth2(self) -> bool {
        !matches!(self, Self::HttpLogin | Self::SelfSignedJwt | Self::StaticToken | Self::UserCredentials)
    }

    /// Whether a profile of this type may have this key.
    pub(super) fn allows(self, key: &str) -> bool {
        match key {
            "type" | "preset" | "description" | "required" | "default_lifetime" | "stale_if_error"
            | "token_wait" => true,
            "token_service_url" | "allow_cleartext" | "ca_file" | "answer" => {
                self.is_oauth2() || self == Self::HttpLogin
            }
            "service_key" | "from_binding" => self.is_oauth2() || self == Self::SelfSignedJwt,
            "key_pair" => self.is_oauth2() || matches!(self, Self::HttpLogin | Self::SelfSignedJwt),
            "grant_type" => self == Self::ClientCredentials,
            "username" => self == Self::Password,
            "password" => matches!(self, Self::Password | Self::UserCredentials),
            "refresh_token" => self == Self::RefreshToken,
            "state_file" => matches!(self, Self::RefreshToken | Self::AuthorizationCode),
            "authorization_url" | "redirect_port" => self == Self::AuthorizationCode,
            "assertion" => matches!(self, Self::JwtBearer | Self::SelfSignedJwt),
            "target_system_type" | "company_id" | "user_id" => self == Self::SamlBearer,
            "subject_token"
            | "subject_token_type"
            | "actor_token"
            | "actor_token_type"
            | "requested_token_type" => self == Self::TokenExchange,
            "request" | "profile" => self == Self::HttpLogin,
            "token" => self == Self::StaticToken,
            "user" => self == Self::UserCredentials,
            _ => self.is_oauth2(),
        }
    }

    /// Reports the keys that belong to other types.
    pub(super) fn check(self, fields: &Fields<'_>) -> Read<()> {
        let mut sound = Ok(());
        for at in KEYS.known.iter().filter(|key| !self.allows(key)).filter_map(|key| fields.get(key)) {
            sound = Err(self.foreign(at));
        }
        sound
    }

    fn foreign(self, at: &At<'_>) -> Broken {
        let ours = match (at.key, self.is_oauth2()) {
            ("username" | "user", true) => Some("client_id"),
            ("password" | "token", true) => Some("client_secret"),
            ("username", false) => Some("user"),
            _ => None,
        };
        let hint = match ours.filter(|key| self.allows(key)) {
            Some(ours) => format!("here it is called `{ours}`"),
            None => {
                let owners: Vec<_> = TYPES
                    .iter()
                    .take(11)
                    .filter(|(_, other)| other.allows(at.key))
                    .map(|(name, _)| *name)
                    .collect();
                format!("it belongs to {}", owners.join(", "))
            }
        };
        at.key_error(format!("`{}` is not for a profile of type {}", at.key, self.as_str()), Some(hint))
    }
}
