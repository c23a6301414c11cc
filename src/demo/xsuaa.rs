//! The token service of SAP BTP (XSUAA, which is Cloud Foundry's UAA), as Conversational AI and Leonardo IoT use it.
//!
//! Invariant: a token is issued only to the right client, for the right grant, in a form body (or without a content type, as
//! a CPI artifact with a blank one sends it). Basic credentials are URL-decoded when `X-CF-ENCODED-CREDENTIALS: true` comes
//! with them and compared as they are without it: form-encoded ones without the header are refused, as UAA refuses them in
//! its URI-encoding compatibility mode.

use std::io;
use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};
use serde_json::json;

use super::call::{Answer, Call, allow, challenge, json as json_answer, not_found, oauth_error};
use super::counter::Counter;
use super::jwt::{Rejected, SigningKey, since_epoch};
use super::{form, random};
use crate::secret::Secret;

/// The path of the token service at its origin.
pub(super) const TOKEN_PATH: &str = "/oauth/token";

/// What makes one tenant's client of XSUAA.
pub(super) struct Client {
    /// `sb-<app>!b<n>|<service>!b<n>`.
    pub(super) id: &'static str,
    /// The service whose audience the tokens carry, `<service>!b<n>`.
    pub(super) service: &'static str,
    pub(super) scopes: &'static [&'static str],
}

/// One token service with one client.
pub(super) struct Xsuaa {
    client: Client,
    secret: Secret,
    key: SigningKey,
    issuer: String,
    zone: String,
    lifetime: Duration,
    pub(super) counter: Counter,
}

/// A refusal of the token request.
type Refusal = Box<Answer>;

impl Xsuaa {
    /// A token service at this origin; its tokens live `lifetime`, counted in whole seconds.
    pub(super) fn new(origin: &str, client: Client, key: SigningKey, lifetime: Duration) -> io::Result<Self> {
        Ok(Self {
            client,
            secret: Secret::new(random::client_secret()?),
            key,
            issuer: format!("{origin}{TOKEN_PATH}"),
            zone: random::uuid()?,
            lifetime,
            counter: Counter::default(),
        })
    }

    /// The token service URL.
    pub(super) fn token_url(&self) -> &str {
        &self.issuer
    }

    /// The client's id and secret, for the configuration that is to use them.
    pub(super) fn client_credentials(&self) -> (&str, &Secret) {
        (self.client.id, &self.secret)
    }

    /// Answers one request to the token service.
    pub(super) fn answer(&self, call: &Call) -> Answer {
        let answer = self.token(call).unwrap_or_else(|refusal| *refusal);
        self.counter.count(answer.status());
        answer
    }

    /// Whether a bearer token of this service lets the call pass; otherwise the API's 401 (RFC 6750, section 3).
    pub(super) fn check_bearer(&self, call: &Call) -> Result<(), Refusal> {
        let refuse =
            |text: &str| json_answer(StatusCode::UNAUTHORIZED, &json!({ "status": 401, "message": text }));
        let Some(token) = call.bearer() else {
            return Err(Box::new(challenge(refuse("Full authentication is required"), "Bearer")));
        };
        self.verify(token, SystemTime::now()).map_err(|rejected| {
            let why = format!("Bearer error=\"invalid_token\", error_description=\"{rejected}\"");
            Box::new(challenge(refuse(&rejected.to_string()), &why))
        })
    }

    fn verify(&self, token: &str, now: SystemTime) -> Result<(), Rejected> {
        let claims = self.key.verify(token, now)?;
        let audience = claims["aud"].as_array().is_some_and(|all| all.contains(&json!(self.client.service)));
        let ours = claims["iss"] == self.issuer.as_str() && audience;
        if ours { Ok(()) } else { Err(Rejected::Foreign) }
    }

    fn token(&self, call: &Call) -> Result<Answer, Refusal> {
        if call.path != TOKEN_PATH {
            return Err(Box::new(not_found(call)));
        }
        if call.method != Method::POST {
            let text = format!("Request method '{}' not supported", call.method);
            let answer = oauth_error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &text);
            return Err(Box::new(allow(answer, "POST")));
        }
        let parameters = parameters(call)?;
        self.authenticate(call, &parameters)?;
        match find(&parameters, "grant_type") {
            None | Some("") => Err(bad_request("invalid_request", "Missing grant type")),
            Some("client_credentials") => self.issue(find(&parameters, "scope")),
            Some(other) => {
                Err(bad_request("unsupported_grant_type", &format!("Unsupported grant type: {other}")))
            }
        }
    }

    /// The client proves itself by Basic or by parameters of the body.
    fn authenticate(&self, call: &Call, parameters: &[(String, String)]) -> Result<(), Refusal> {
        let in_body = (find(parameters, "client_id"), find(parameters, "client_secret"));
        if call.header("authorization").is_some() {
            let sent = call.basic().and_then(|(id, secret)| {
                let encoded = call.header("x-cf-encoded-credentials") == Some("true");
                if encoded { Some((form::decode(&id)?, form::decode(&secret)?)) } else { Some((id, secret)) }
            });
            let (id, secret) = sent.ok_or_else(bad_credentials)?;
            // The body may repeat the id, but not name another client.
            if in_body.0.is_some_and(|repeated| repeated != id) {
                return Err(bad_credentials());
            }
            return self.check_client(&id, secret);
        }
        match in_body {
            (Some(id), Some(secret)) => self.check_client(id, secret.to_owned()),
            _ => {
                let text = "An Authentication object was not found in the SecurityContext";
                Err(unauthorized("unauthorized", text))
            }
        }
    }

    fn check_client(&self, id: &str, secret: String) -> Result<(), Refusal> {
        let right = self.secret == Secret::new(secret);
        if right && id == self.client.id { Ok(()) } else { Err(bad_credentials()) }
    }

    fn issue(&self, wanted: Option<&str>) -> Result<Answer, Refusal> {
        let scopes: Vec<&str> = match wanted {
            None | Some("") => self.client.scopes.to_vec(),
            Some(list) => list.split_whitespace().collect(),
        };
        if let Some(foreign) = scopes.iter().find(|scope| !self.client.scopes.contains(*scope)) {
            return Err(bad_request("invalid_scope", &format!("{foreign} is invalid.")));
        }
        let (token, id) = self.sign(&scopes, SystemTime::now()).map_err(|_| {
            Box::new(oauth_error(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "Internal Server Error"))
        })?;
        Ok(json_answer(
            StatusCode::OK,
            &json!({
                "access_token": token,
                "token_type": "bearer",
                "expires_in": self.lifetime.as_secs(),
                "scope": scopes.join(" "),
                "jti": id,
            }),
        ))
    }

    /// A signed token and its id. `exp` is in whole seconds and must not come before `expires_in` has run out: UAA announces
    /// 43199 of 43200 s for that, we add the second.
    fn sign(&self, scopes: &[&str], now: SystemTime) -> io::Result<(String, String)> {
        let id = random::uuid()?.replace('-', "");
        let issued = since_epoch(now).as_secs();
        let claims = json!({
            "jti": id,
            "ext_attr": { "enhancer": "XSUAA", "subaccountid": self.zone, "zdn": "acme" },
            "sub": self.client.id,
            "authorities": scopes,
            "scope": scopes,
            "client_id": self.client.id,
            "cid": self.client.id,
            "azp": self.client.id,
            "grant_type": "client_credentials",
            "iat": issued,
            "exp": issued + self.lifetime.as_secs() + 1,
            "iss": self.issuer,
            "zid": self.zone,
            "aud": [self.client.id, self.client.service, "uaa"],
        });
        Ok((self.key.sign(&claims)?, id))
    }
}

/// The parameters of the body and, but for credentials, of the query: CPI's "Send as part of URL".
fn parameters(call: &Call) -> Result<Vec<(String, String)>, Refusal> {
    let media_type = call.media_type();
    if !matches!(media_type.as_str(), "" | "application/x-www-form-urlencoded") {
        let text = format!("Content-Type '{media_type}' is not supported");
        let answer = oauth_error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", &text);
        return Err(Box::new(answer));
    }
    let malformed = || bad_request("invalid_request", "The parameters are malformed");
    let body = std::str::from_utf8(&call.body).ok().and_then(form::pairs).ok_or_else(malformed)?;
    let mut all = call.query_pairs().ok_or_else(malformed)?;
    all.retain(|(name, _)| name != "client_id" && name != "client_secret");
    all.extend(body);
    Ok(all)
}

fn find<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn bad_request(error: &str, description: &str) -> Refusal {
    Box::new(oauth_error(StatusCode::BAD_REQUEST, error, description))
}

/// XSUAA's own words; older releases of UAA said `unauthorized` instead of RFC 6749's `invalid_client`.
fn bad_credentials() -> Refusal {
    unauthorized("invalid_client", "Bad credentials")
}

fn unauthorized(error: &str, description: &str) -> Refusal {
    let why = format!("Basic realm=\"UAA/client\", error=\"{error}\", error_description=\"{description}\"");
    Box::new(challenge(oauth_error(StatusCode::UNAUTHORIZED, error, description), &why))
}
