//! SuccessFactors Learning: its own token service, and the item search of its OData API.
//!
//! Invariant: the token service takes only a JSON body whose `scope` is an object, with `companyId:secret` as Basic; a wrong
//! secret is a 403 without a token. Its tokens are opaque: no dots, what they hold is the service's own business.

use std::io;
use std::time::{Duration, SystemTime};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::call::{Answer, Call, allow, challenge, json as json_answer, not_found};
use super::counter::Counter;
use super::jwt::since_epoch;
use super::{form, items, random};
use crate::secret::Secret;

/// The path of the token service at its origin.
pub(super) const TOKEN_PATH: &str = "/learning/oauth-api/rest/v1/token";
/// The one company of the sandbox; a client id is the same as the company id here.
pub(super) const COMPANY: &str = "acme";
/// The only resource that tokens are issued for.
const RESOURCE: &str = "learning_public_api";

/// The token service and the API, which trust each other's key.
pub(super) struct Learning {
    secret: Secret,
    key: hmac::Key,
    lifetime: Duration,
    pub(super) counter: Counter,
}

type Refusal = Box<Answer>;

impl Learning {
    /// Both services; tokens live `lifetime`, counted in whole seconds.
    pub(super) fn new(lifetime: Duration) -> io::Result<Self> {
        let mut key = [0u8; 32];
        random::fill(&mut key)?;
        Ok(Self {
            // Learning gives out 64 hex digits; it keeps only a hash of them.
            secret: Secret::new(random::hex_token()? + &random::hex_token()?),
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            lifetime,
            counter: Counter::default(),
        })
    }

    /// The company's client secret.
    pub(super) fn client_secret(&self) -> &Secret {
        &self.secret
    }

    /// Answers one request to the token service.
    pub(super) fn answer_token(&self, call: &Call) -> Answer {
        let answer = self.token(call).unwrap_or_else(|refusal| *refusal);
        self.counter.count(answer.status());
        answer
    }

    /// Answers one request to the API.
    pub(super) fn answer_items(&self, call: &Call) -> Answer {
        if call.path != items::PATH {
            return not_found(call);
        }
        match self.check_bearer(call, SystemTime::now()) {
            Ok(()) => items::answer(call),
            Err(refusal) => *refusal,
        }
    }

    fn token(&self, call: &Call) -> Result<Answer, Refusal> {
        if call.path != TOKEN_PATH {
            return Err(Box::new(not_found(call)));
        }
        if call.method != Method::POST {
            let answer =
                *refuse(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "Only POST is supported");
            return Err(Box::new(allow(answer, "POST")));
        }
        if call.media_type() != "application/json" {
            let text = "Content-Type must be application/json";
            return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", text));
        }
        self.authenticate(call)?;
        let body: Value =
            serde_json::from_slice(&call.body).map_err(|_| bad_request("The body is not JSON"))?;
        if body["grant_type"] != "client_credentials" {
            return Err(bad_request("grant_type must be client_credentials"));
        }
        let token = self.opaque(&checked_scope(&body["scope"])?, SystemTime::now());
        Ok(json_answer(
            StatusCode::OK,
            &json!({ "access_token": token, "expires_in": self.lifetime.as_secs(), "token_type": "Bearer" }),
        ))
    }

    /// Id and secret hold nothing that form encoding changes, so both ways of Basic arrive alike.
    fn authenticate(&self, call: &Call) -> Result<(), Refusal> {
        let right = call.basic().is_some_and(|(id, secret)| {
            let decoded = form::decode(&secret).unwrap_or(secret);
            (self.secret == Secret::new(decoded)) & (id == COMPANY)
        });
        if right {
            return Ok(());
        }
        Err(refuse(StatusCode::FORBIDDEN, "INVALID_CLIENT", "Client id and client secret do not match"))
    }

    /// A token in the shape of the real one: base64 of a JSON object that holds a signature and a JSON text.
    fn opaque(&self, scope: &Scope, now: SystemTime) -> String {
        let content = json!({
            "userId": scope.user,
            "userType": scope.kind,
            "companyId": COMPANY,
            "clientId": COMPANY,
            "issuedAt": u64::try_from(since_epoch(now).as_millis()).unwrap_or(u64::MAX),
            "expiresIn": self.lifetime.as_secs(),
            "issuedFor": RESOURCE,
            "personGuid": null,
        })
        .to_string();
        let signature = STANDARD.encode(hmac::sign(&self.key, content.as_bytes()));
        STANDARD.encode(json!({ "signature": signature, "tokenContent": content }).to_string())
    }

    fn check_bearer(&self, call: &Call, now: SystemTime) -> Result<(), Refusal> {
        let Some(token) = call.bearer() else {
            let answer = *refuse(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "An access token is required");
            return Err(Box::new(challenge(answer, "Bearer")));
        };
        let invalid = |text: &str| {
            let answer = *refuse(StatusCode::UNAUTHORIZED, "INVALID_TOKEN", text);
            Box::new(challenge(answer, "Bearer error=\"invalid_token\""))
        };
        let content = self.content(token).ok_or_else(|| invalid("The access token is invalid"))?;
        let issued = content["issuedAt"].as_u64().unwrap_or(0);
        let lives = content["expiresIn"].as_u64().unwrap_or(0);
        if since_epoch(now) >= Duration::from_millis(issued) + Duration::from_secs(lives) {
            return Err(invalid("The access token expired"));
        }
        // The path says /public/admin/: a learner's token is good for other services only.
        if content["userType"] != "admin" {
            return Err(refuse(StatusCode::FORBIDDEN, "FORBIDDEN", "The token's user is not an admin"));
        }
        Ok(())
    }

    /// What a token says, if we signed it.
    fn content(&self, token: &str) -> Option<Value> {
        let outer: Value = serde_json::from_slice(&STANDARD.decode(token).ok()?).ok()?;
        let content = outer["tokenContent"].as_str()?;
        let signature = STANDARD.decode(outer["signature"].as_str()?).ok()?;
        hmac::verify(&self.key, content.as_bytes(), &signature).ok()?;
        serde_json::from_str(content).ok()
    }
}

/// The scope object of a token request, checked.
struct Scope {
    user: String,
    kind: String,
}

fn checked_scope(scope: &Value) -> Result<Scope, Refusal> {
    let Value::Object(fields) = scope else { return Err(bad_request("scope must be an object")) };
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("companyId") != COMPANY {
        return Err(bad_request("scope.companyId is not this company"));
    }
    if text("resourceType") != RESOURCE {
        return Err(bad_request("scope.resourceType must be learning_public_api"));
    }
    if !matches!(text("userType"), "admin" | "user") {
        return Err(bad_request("scope.userType must be admin or user"));
    }
    if text("userId").is_empty() {
        return Err(bad_request("scope.userId is missing"));
    }
    Ok(Scope { user: text("userId").to_owned(), kind: text("userType").to_owned() })
}

fn bad_request(message: &str) -> Refusal {
    refuse(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
}

/// Learning's error shape.
fn refuse(status: StatusCode, code: &str, message: &str) -> Refusal {
    Box::new(json_answer(status, &json!({ "error": { "errorCode": code, "message": message } })))
}
