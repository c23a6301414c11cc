//! The shapes of service keys and bindings: which member is the URL, the client id, the secret, the certificate, the key.
//!
//! Pure: JSON in, JSON pointers (RFC 6901) out, so that the one who reads a file anew knows where to look, and the one
//! who writes a message names a member instead of a value. It knows XSUAA's flat key, the services that nest it (`uaa`,
//! `oauth`, `credentials`, `oa2` of Event Mesh, and anything like them), SAP Cloud Identity, user-provided services that
//! spell the same in their own way, and Google's service-account key.
//!
//! Invariant: every pointer that is handed out leads to a string that is not empty.

use serde_json::{Map, Value};

/// XSUAA and Cloud Foundry's UAA: behind the base URL.
pub const OAUTH_TOKEN: &str = "/oauth/token";
/// SAP Cloud Identity Services: behind the tenant's URL.
pub const OAUTH2_TOKEN: &str = "/oauth2/token";
/// Where Google's keys are used if they do not say it.
pub const GOOGLE_TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

/// How deep and how far we look for a client id.
const MAX_DEPTH: usize = 5;
const MAX_LOOKED_AT: usize = 4096;

/// Whose key it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceKey {
    /// A client id with a secret or a certificate.
    Client(ClientKey),
    /// `"type": "service_account"`: a private key that signs assertions (RFC 7523).
    Google(GoogleKey),
}

/// A client id, how it is proved, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientKey {
    /// The token endpoint; for a certificate the one that asks for it.
    pub token_url: TokenUrl,
    /// Pointer to the client id.
    pub client_id: String,
    /// What the client proves itself with.
    pub proof: Proof,
    /// Pointer to the address of the API that the key is for, if the key tells it apart from the token service's.
    pub api_url: Option<String>,
}

/// A token endpoint: the text behind a pointer, and what comes after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenUrl {
    /// Pointer to the URL.
    pub pointer: String,
    /// What is missing behind it: nothing, [`OAUTH_TOKEN`] or [`OAUTH2_TOKEN`].
    pub suffix: &'static str,
}

/// What a client proves itself with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Pointer to the client secret.
    Secret(String),
    /// Mutual TLS (RFC 8705): pointers to the certificate chain and, unless its owner keeps it elsewhere, the key; both PEM.
    Certificate {
        /// The chain, the client's own certificate first.
        certificate: String,
        /// The private key; absent where the service only knows a certificate that its user made.
        key: Option<String>,
    },
    /// Neither is there: the owner keeps it elsewhere.
    Elsewhere,
}

/// Pointers into a Google service-account key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoogleKey {
    /// Who signs: `iss`.
    pub client_email: String,
    /// PKCS #8, PEM.
    pub private_key: String,
    /// `kid`, if it is there.
    pub private_key_id: Option<String>,
    /// The token endpoint and `aud`, if it is there; [`GOOGLE_TOKEN_URI`] otherwise.
    pub token_uri: Option<String>,
}

/// Why a JSON text is no service key. No text holds a value of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServiceKeyError {
    /// Something else than an object.
    #[error("a service key is a JSON object, and this is none")]
    NoObject,
    /// No object in it has a client id.
    #[error("no client id is in it: looked for `clientid`, also within `credentials`, `uaa` and `oauth`")]
    NoClientId,
    /// A client id has no URL beside it.
    #[error(
        "beside `{client_id}` stands no URL of a token service: looked for {}",
        if *.certificate { "`certurl`" } else { "`url`, `tokenurl` and `token_endpoint`" }
    )]
    NoUrl {
        /// Pointer to the client id.
        client_id: String,
        /// Whether it is a certificate's.
        certificate: bool,
    },
    /// A Google key without one of its members.
    #[error("this is a Google service-account key, but its `{0}` is missing")]
    GoogleMember(&'static str),
    /// gcloud's own credentials of a person, not of a service account.
    #[error(
        "this is a Google `{0}` credential and no service-account key; create a key of a service account (or use \
         `type: oauth2_refresh_token` with the members of this file)"
    )]
    GoogleOther(&'static str),
}

/// An object, the pointer to it, and the object around it.
type Spot<'j> = (String, &'j Map<String, Value>, Option<&'j Map<String, Value>>);

/// Finds out whose key it is, and where its members stand.
///
/// The outermost object that has a client id counts; at the same depth `credentials`, `uaa`, `oauth` go before others.
pub fn detect(json: &Value) -> Result<ServiceKey, ServiceKeyError> {
    let Value::Object(root) = json else { return Err(ServiceKeyError::NoObject) };
    let mut level: Vec<Spot<'_>> = vec![(String::new(), root, None)];
    let mut looked_at = 0;
    for _ in 0..MAX_DEPTH {
        for (pointer, object, parent) in &level {
            if let Some(key) = google(pointer, object) {
                return key.map(ServiceKey::Google);
            }
            if let Some(client_id) = member(pointer, object, &["clientid"]) {
                return client(pointer, object, *parent, client_id).map(ServiceKey::Client);
            }
        }
        let mut next = Vec::new();
        for (pointer, object, _) in level {
            for (key, value) in ordered(object) {
                looked_at += 1;
                if looked_at > MAX_LOOKED_AT {
                    return Err(ServiceKeyError::NoClientId);
                }
                let below = join(&pointer, key);
                match value {
                    Value::Object(map) => next.push((below, map, Some(object))),
                    // Event Mesh: `messaging: [{ oa2: {…}, uri }]`.
                    Value::Array(items) => {
                        next.extend(items.iter().take(MAX_LOOKED_AT).enumerate().filter_map(
                            |(index, item)| Some((format!("{below}/{index}"), item.as_object()?, None)),
                        ))
                    }
                    _ => {}
                }
            }
        }
        level = next;
    }
    Err(ServiceKeyError::NoClientId)
}

impl TokenUrl {
    /// The URL in a key of this shape.
    pub fn text(&self, json: &Value) -> Option<String> {
        let base = json.pointer(&self.pointer)?.as_str()?.trim();
        Some(self.complete(base))
    }

    /// The URL, made of what stands behind the pointer. Hosts without a scheme, as some brokers hand them out, are https.
    pub fn complete(&self, base: &str) -> String {
        super::source::complete(base, self.suffix)
    }
}

/// The object's members, those that usually hold a credential first.
fn ordered(object: &Map<String, Value>) -> impl Iterator<Item = (&str, &Value)> {
    const FIRST: [&str; 4] = ["credentials", "uaa", "oauth", "oa2"];
    let first = FIRST.iter().filter_map(|key| object.get_key_value(*key));
    let rest = object.iter().filter(|(key, _)| !FIRST.contains(&key.as_str()));
    first.chain(rest).map(|(key, value)| (key.as_str(), value))
}

fn google(pointer: &str, object: &Map<String, Value>) -> Option<Result<GoogleKey, ServiceKeyError>> {
    let kind = object.get("type").and_then(Value::as_str)?;
    let others = ["authorized_user", "external_account", "impersonated_service_account"];
    if let Some(other) = others.into_iter().find(|other| *other == kind) {
        return Some(Err(ServiceKeyError::GoogleOther(other)));
    }
    if kind != "service_account" {
        return None;
    }
    let needed = |name: &'static str| exact(pointer, object, name).ok_or(ServiceKeyError::GoogleMember(name));
    let key = || {
        Ok(GoogleKey {
            client_email: needed("client_email")?,
            private_key: needed("private_key")?,
            private_key_id: exact(pointer, object, "private_key_id"),
            token_uri: exact(pointer, object, "token_uri"),
        })
    };
    Some(key())
}

fn client(
    pointer: &str,
    object: &Map<String, Value>,
    parent: Option<&Map<String, Value>>,
    client_id: String,
) -> Result<ClientKey, ServiceKeyError> {
    let proof = proof(pointer, object);
    let certificate = matches!(proof, Proof::Certificate { .. });
    let token_url = token_url(pointer, object, certificate)
        .ok_or_else(|| ServiceKeyError::NoUrl { client_id: client_id.clone(), certificate })?;
    let api_url = api_url(pointer, object, parent, &token_url);
    Ok(ClientKey { token_url, client_id, proof, api_url })
}

/// A certificate counts where the key says so, or where there is no secret.
fn proof(pointer: &str, object: &Map<String, Value>) -> Proof {
    let secret = member(pointer, object, &["clientsecret"]);
    let certificate = member(pointer, object, &["certificate", "certificates", "cert"]);
    let says_x509 = object
        .get("credential-type")
        .and_then(Value::as_str)
        .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("x509"));
    match (secret, certificate) {
        (Some(secret), None) => Proof::Secret(secret),
        (Some(secret), Some(_)) if !says_x509 => Proof::Secret(secret),
        (_, Some(certificate)) => {
            Proof::Certificate { certificate, key: member(pointer, object, &["key", "privatekey"]) }
        }
        (None, None) => Proof::Elsewhere,
    }
}

fn token_url(pointer: &str, object: &Map<String, Value>, certificate: bool) -> Option<TokenUrl> {
    let found =
        |names: &[&str], suffix| member(pointer, object, names).map(|pointer| TokenUrl { pointer, suffix });
    // What a key spells out wins over what is put together.
    let whole =
        ["tokenurl", "tokenendpoint", "tokenuri", "accesstokenurl", "tokenserviceurl", "oauthtokenurl"];
    let identity = is_identity(object);
    let behind = if identity { OAUTH2_TOKEN } else { OAUTH_TOKEN };
    let mutual = if certificate {
        found(&["mtlstokenendpoint"], "").or_else(|| found(&["certurl"], OAUTH_TOKEN))
    } else {
        None
    };
    mutual.or_else(|| found(&whole, "")).or_else(|| {
        // XSUAA asks for certificates on another host; the tenant URL of Cloud Identity does on its own.
        let base = ["url", "authdomain", "uaaurl"];
        if certificate && !identity { None } else { found(&base, behind) }
    })
}

/// The address of the API: beside the block of the token service, or beside a token URL that is spelled out.
fn api_url(
    pointer: &str,
    object: &Map<String, Value>,
    parent: Option<&Map<String, Value>>,
    token_url: &TokenUrl,
) -> Option<String> {
    const BESIDE: [&str; 4] = ["uri", "serviceurl", "baseurl", "endpoint"];
    let among = |pointer: &str, object: &Map<String, Value>| {
        let text = BESIDE.iter().find_map(|name| member(pointer, object, &[name]));
        text.or_else(|| only_url(pointer, object, "serviceurls"))
            .or_else(|| only_url(pointer, object, "endpoints"))
    };
    let url = |pointer: &str, object: &Map<String, Value>| member(pointer, object, &["url"]);
    // XSUAA's `url` is the token service's; beside a `tokenurl` it is the API's.
    let spelled_out = token_url.suffix.is_empty() && !is_identity(object);
    let own = if spelled_out { url(pointer, object) } else { None };
    own.or_else(|| among(pointer, object)).or_else(|| {
        let (up, below) = pointer.rsplit_once('/')?;
        // A wrapper such as `{ credentials, name, url }` does not speak of the API.
        let parent = parent.filter(|_| below != "credentials")?;
        url(up, parent).or_else(|| among(up, parent))
    })
}

/// The only URL of a group such as `serviceurls: { AI_API_URL: … }`; of several nobody can tell which is meant.
fn only_url(pointer: &str, object: &Map<String, Value>, group: &str) -> Option<String> {
    let is_url = |value: &Value| value.as_str().is_some_and(|text| text.starts_with("https://"));
    let mut urls = object.get(group)?.as_object()?.iter().filter(|(_, value)| is_url(value));
    match (urls.next(), urls.next()) {
        (Some((key, _)), None) => Some(join(&join(pointer, group), key)),
        _ => None,
    }
}

/// Whether this is SAP Cloud Identity Services, whose token endpoint has another path.
fn is_identity(object: &Map<String, Value>) -> bool {
    ["authorization_endpoint", "domains", "btp-tenant-api"].iter().any(|key| object.contains_key(*key))
}

/// Pointer to the first of these members, whose names are compared without case, `_` and `-`.
fn member(pointer: &str, object: &Map<String, Value>, names: &[&str]) -> Option<String> {
    let fold = |key: &str| {
        key.chars().filter(|c| !matches!(c, '_' | '-')).map(|c| c.to_ascii_lowercase()).collect::<String>()
    };
    let holds = |value: &Value| value.as_str().is_some_and(|text| !text.trim().is_empty());
    names.iter().find_map(|name| {
        let found = object.iter().find(|(key, value)| fold(key) == *name && holds(value));
        found.map(|(key, _)| join(pointer, key))
    })
}

fn exact(pointer: &str, object: &Map<String, Value>, name: &str) -> Option<String> {
    let text = object.get(name)?.as_str()?;
    (!text.trim().is_empty()).then(|| join(pointer, name))
}

/// RFC 6901 §3.
fn join(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests;
