//! The metadata document of an issuer (RFC 8414 §2, RFC 8705 §5, RFC 9449 §5.1).

use serde_json::{Map, Value};

use crate::config::HttpUrl;
use crate::config::profile::{ClientAuthentication, ProfileConfig};
use crate::secret::Secret;
use crate::token::redact::Redactor;
use crate::token::request::service;
use crate::token::response::{Answer, MAX_ANSWER};

/// How many names of a list are kept, and how long one may be: they are shown in messages.
const MAX_NAMES: usize = 20;
const MAX_NAME: usize = 40;

/// What an issuer says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The issuer, exactly as configured.
    pub issuer: String,
    /// Where tokens are got: for a client that presents a certificate the alias for those, if there is one.
    pub token_endpoint: HttpUrl,
    /// Where a person consents, if the issuer has such a place.
    pub authorization_endpoint: Option<HttpUrl>,
    /// Whether what comes back from there always names the issuer (RFC 9207 §3).
    pub names_issuer: bool,
    /// `token_endpoint_auth_methods_supported`; empty if nothing is said.
    pub auth_methods: Vec<String>,
    /// `dpop_signing_alg_values_supported`; empty if nothing is said.
    pub dpop_algorithms: Vec<String>,
}

/// Why a document cannot be used.
pub(super) struct Flaw {
    /// What it does, as the rest of a sentence.
    pub(super) message: String,
    /// Whether it is a metadata document, but not one of this issuer or not one that may be followed.
    pub(super) is_untrue: bool,
}

impl Metadata {
    /// Reads a document; the profile decides about certificates and clear text.
    pub(super) fn read(answer: &Answer, issuer: &str, profile: &ProfileConfig) -> Result<Self, Flaw> {
        let members = members(answer)?;
        same_issuer(&members, issuer)?;
        let alias = profile.transport.key_pair.as_ref().and(members.get("mtls_endpoint_aliases"));
        let (what, token_endpoint) = match alias.and_then(|aliases| aliases.get("token_endpoint")) {
            Some(alias) => ("mtls_endpoint_aliases.token_endpoint", Some(alias)),
            None => ("token_endpoint", members.get("token_endpoint")),
        };
        let Some(Value::String(text)) = token_endpoint else {
            return Err(untrue(format!("names no {what}: write token_service_url")));
        };
        let endpoint = |text: &str, what: &str| {
            service(profile, &Secret::new(text.to_owned()), what).map_err(|error| error.message)
        };
        let token_endpoint =
            endpoint(text, what).map_err(|message| untrue(format!("cannot be followed: {message}")))?;
        let authorization = members.get("authorization_endpoint").and_then(Value::as_str);
        Ok(Self {
            issuer: issuer.to_owned(),
            token_endpoint,
            authorization_endpoint: authorization
                .and_then(|text| endpoint(text, "authorization_endpoint").ok()),
            names_issuer: members.get("authorization_response_iss_parameter_supported")
                == Some(&Value::Bool(true)),
            auth_methods: names(&members, "token_endpoint_auth_methods_supported"),
            dpop_algorithms: names(&members, "dpop_signing_alg_values_supported"),
        })
    }

    /// Whether tokens are got on another host than the issuer's own.
    pub fn is_elsewhere(&self) -> bool {
        HttpUrl::parse(&self.issuer).is_ok_and(|issuer| issuer.host() != self.token_endpoint.host())
    }

    /// Whether the issuer takes this way of proof: nothing, if it does not say.
    pub fn takes(&self, authentication: &ClientAuthentication) -> Option<bool> {
        let registered: &[&str] = match authentication {
            ClientAuthentication::RequestHeader { .. } => &["client_secret_basic"],
            ClientAuthentication::BodyParameter { .. } => &["client_secret_post"],
            ClientAuthentication::None => &["none"],
            ClientAuthentication::SecretJwt { .. } => &["client_secret_jwt"],
            ClientAuthentication::KeyJwt { .. } | ClientAuthentication::Assertion(_) => &["private_key_jwt"],
            ClientAuthentication::Tls => &["tls_client_auth", "self_signed_tls_client_auth"],
        };
        let said = &self.auth_methods;
        (!said.is_empty()).then(|| said.iter().any(|method| registered.contains(&method.as_str())))
    }
}

fn members(answer: &Answer) -> Result<Map<String, Value>, Flaw> {
    if answer.cut {
        return Err(absent(format!("is larger than {} KiB", MAX_ANSWER / 1024)));
    }
    if answer.content_encoding.is_some() {
        return Err(absent("is compressed although nobody asked for it".to_owned()));
    }
    let body = answer.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&answer.body);
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) if members.contains_key("issuer") => Ok(members),
        Ok(_) => Err(absent("is JSON, but no metadata: it names no issuer".to_owned())),
        Err(_) => Err(absent("is no JSON".to_owned())),
    }
}

/// RFC 8414 §3.3: identical, byte for byte, or somebody else's document.
fn same_issuer(members: &Map<String, Value>, issuer: &str) -> Result<(), Flaw> {
    let Some(Value::String(named)) = members.get("issuer") else {
        return Err(untrue("names an issuer that is no text".to_owned()));
    };
    if named == issuer {
        return Ok(());
    }
    if named.contains("{tenantid}") {
        return Err(untrue(
            "speaks for every tenant (common, organizations), so that no token of it is an issuer's own: write the \
             tenant's id into `issuer`"
                .to_owned(),
        ));
    }
    let shown = Redactor::default().clean(named, 200);
    let same = named.trim_end_matches('/') == issuer.trim_end_matches('/');
    let hint = if same {
        ": write it so, the slash at the end counts"
    } else {
        "; where that is the one that is meant, write it there"
    };
    Err(untrue(format!("is of the issuer {shown}, not of the one in `issuer`{hint}")))
}

/// The names in a list, as far as they are words.
fn names(members: &Map<String, Value>, key: &str) -> Vec<String> {
    let word = |text: &&str| {
        (1..=MAX_NAME).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
    };
    let items = members.get(key).and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).filter(word).take(MAX_NAMES).map(str::to_owned).collect()
}

fn untrue(message: String) -> Flaw {
    Flaw { message, is_untrue: true }
}

fn absent(message: String) -> Flaw {
    Flaw { message, is_untrue: false }
}
