//! SAP Conversational AI: the runtime API that says which intent an utterance has.
//!
//! Invariant: it answers only when both are right, the bearer token of its token service and the bot's request token in
//! `X-Token: Token <request token>`.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::call::{Answer, Call, allow, json as json_answer, not_found};
use super::xsuaa::{Client, Xsuaa};
use super::{intent, random};
use crate::secret::Secret;

/// The bot's client.
pub(super) const CLIENT: Client =
    Client { id: "sb-bot!b1|cai!b2", service: "cai!b2", scopes: &["uaa.resource", "cai!b2.runtime"] };

/// The API with one bot.
pub(super) struct ConversationalAi {
    token_service: Arc<Xsuaa>,
    request_token: Secret,
}

impl ConversationalAi {
    /// An API that takes the tokens of this service.
    pub(super) fn new(token_service: Arc<Xsuaa>) -> io::Result<Self> {
        Ok(Self { token_service, request_token: Secret::new(random::hex_token()?) })
    }

    /// The bot's request token, which goes into `X-Token`.
    pub(super) fn request_token(&self) -> &Secret {
        &self.request_token
    }

    /// Answers one request to the API.
    pub(super) fn answer(&self, call: &Call) -> Answer {
        // Both paths are SAP's own: the tutorial has the first, the SDK and the blog the second.
        if !matches!(call.path.as_str(), "/train/v2/request" | "/v2/request") {
            return not_found(call);
        }
        if let Err(refusal) = self.token_service.check_bearer(call) {
            return *refusal;
        }
        if !self.knows_the_bot(call) {
            return failure(StatusCode::UNAUTHORIZED, "Request token is missing or invalid");
        }
        if call.method != Method::POST {
            return allow(failure(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"), "POST");
        }
        if call.media_type() != "application/json" {
            return failure(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Content-Type must be application/json");
        }
        let Ok(body) = serde_json::from_slice::<Value>(&call.body) else {
            return failure(StatusCode::BAD_REQUEST, "Request is not valid JSON");
        };
        match body["text"].as_str() {
            Some(text) if !text.trim().is_empty() => {
                understood(text, body["language"].as_str().unwrap_or("en"))
            }
            _ => failure(StatusCode::BAD_REQUEST, "Text is missing"),
        }
    }

    fn knows_the_bot(&self, call: &Call) -> bool {
        let sent = call.header("x-token").and_then(|value| value.strip_prefix("Token "));
        sent.is_some_and(|token| self.request_token == Secret::new(token.to_owned()))
    }
}

fn understood(text: &str, language: &str) -> Answer {
    let intents: Vec<Value> = intent::of(text)
        .map(|found| {
            json!({ "slug": found.slug, "confidence": found.confidence, "description": found.description })
        })
        .into_iter()
        .collect();
    let now = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    let results = json!({
        "uuid": random::uuid().unwrap_or_default(),
        "source": text,
        "intents": intents,
        "act": if text.trim_end().ends_with('?') { "wh-query" } else { "assert" },
        "type": null,
        "sentiment": "neutral",
        "entities": {},
        "language": language,
        "processing_language": language,
        "version": "2.0.0",
        "timestamp": now,
        "status": 200,
    });
    json_answer(StatusCode::OK, &json!({ "results": results, "message": "Requests rendered with success" }))
}

fn failure(status: StatusCode, message: &str) -> Answer {
    json_answer(status, &json!({ "results": null, "message": message }))
}
