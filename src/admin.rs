//! The listener for probes, metrics and status.
//!
//! `/livez`   this thread runs          `/readyz`   every required profile has a usable token, every route its headers
//! `/startupz` every required profile has had its first token   `/metrics`  for Prometheus
//! `/status`  profiles and routes, for people                   Nothing here changes state.
//!
//! On an address that other machines can reach, everything but `/status` is served without a rule; a token is never shown.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::Serialize;

use crate::clock::{Clock, Moment};
use crate::error::ProxyError;
use crate::guard::{Caller, Guard, Refusal};
use crate::inject::Injection;
use crate::metrics::{self, Metrics};
use crate::profile::{Profile, ProfileStatus};
use crate::proxy::Destination;
use crate::readiness::Readiness;
use crate::server::{Handler, Origin};
use crate::shutdown::Stop;

/// What `/status` says of a route.
#[derive(Clone, Debug, Serialize)]
pub struct RouteStatus {
    /// Its name.
    pub name: String,
    /// What it matches, in words.
    pub matches: String,
    /// The upstream's origin and base path.
    pub upstream: String,
    /// The profile whose token it injects.
    pub profile: Option<String>,
    /// The names of the headers it injects.
    pub injects: Vec<String>,
    /// Its headers, as they are prepared.
    #[serde(skip)]
    pub injection: Option<Injection<Destination>>,
}

/// Whether a route's requests get their headers now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Headers {
    /// They are ready, or there are none.
    Ready,
    /// They wait for a token.
    Pending,
    /// They cannot be made of what the token or the secrets are now.
    Failed,
}

#[derive(Serialize)]
struct RouteView<'a> {
    #[serde(flatten)]
    route: &'a RouteStatus,
    headers: Headers,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<String>,
}

impl RouteStatus {
    fn view(&self, now: Moment) -> RouteView<'_> {
        let (headers, last_failure) = match &self.injection {
            None => (Headers::Ready, None),
            Some(injection) => {
                let failure = injection.failure().map(|error| error.to_string());
                let headers = match (injection.load().as_ref(), &failure) {
                    (Some(prepared), _) if prepared.is_usable(now) => Headers::Ready,
                    (_, Some(_)) => Headers::Failed,
                    (_, None) => Headers::Pending,
                };
                (headers, failure)
            }
        };
        RouteView { route: self, headers, last_failure }
    }
}

/// Answers probes and questions.
#[derive(Debug)]
pub struct Admin {
    /// The profiles.
    pub profiles: Vec<Profile>,
    /// The routes as configured.
    pub routes: Vec<RouteStatus>,
    /// Gates that are closed until something has happened once.
    pub started: Readiness,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Tells whether we are draining.
    pub stop: Stop,
    /// For the age of tokens.
    pub clock: Clock,
}

#[derive(Serialize)]
struct Status<'a> {
    version: &'static str,
    ready: bool,
    pending: Vec<String>,
    profiles: Vec<ProfileStatus>,
    routes: Vec<RouteView<'a>>,
}

impl Handler for Admin {
    type Body = Full<Bytes>;

    async fn handle(&self, request: Request<Incoming>, origin: &Origin) -> Response<Full<Bytes>> {
        let Origin { guard, caller, .. } = origin;
        let (request, _) = request.into_parts();
        let answer = match guard.check_origin(&request) {
            Ok(_) => self.answer(&request, guard, caller),
            Err(refusal) => Err(refusal),
        };
        let id = format!("{:016x}", fastrand::u64(..));
        let mut response = answer.unwrap_or_else(|refusal| ProxyError::from(refusal).response(None, &id));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response.map(Full::new)
    }

    fn refuse(&self, error: &ProxyError, _: &Origin, detail: &str) -> Response<Bytes> {
        let id = format!("{:016x}", fastrand::u64(..));
        tracing::debug!(
            reason = error.reason(),
            request_id = id,
            detail,
            "the admin listener refused a request"
        );
        error.response(None, &id)
    }

    fn body(text: Bytes) -> Full<Bytes> {
        Full::new(text)
    }
}

impl Admin {
    fn answer(&self, request: &Parts, guard: &Guard, caller: &Caller) -> Result<Response<Bytes>, Refusal> {
        if !matches!(request.method, Method::GET | Method::HEAD) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Ok(response);
        }
        Ok(match request.uri.path() {
            "/livez" => text(StatusCode::OK, "ok\n"),
            "/readyz" => pending(self.not_ready()),
            "/startupz" => pending(self.started.pending()),
            "/metrics" => page(metrics::CONTENT_TYPE, self.metrics.render()),
            "/status" => {
                if !caller.is_local() && !guard.has_rules() {
                    return Err(Refusal::Access);
                }
                guard.check_access(&request.headers, caller)?;
                self.status()
            }
            "/" => text(StatusCode::OK, "/livez /readyz /startupz /metrics /status\n"),
            _ => text(StatusCode::NOT_FOUND, "there are /livez /readyz /startupz /metrics /status\n"),
        })
    }

    /// What is in the way of being ready, by name.
    fn not_ready(&self) -> Vec<String> {
        let mut pending = self.started.pending();
        // Nobody waits for the tokens of callers that have not called.
        let awaited =
            |profile: &&Profile| profile.config().required && profile.config().subject_header().is_none();
        for profile in self.profiles.iter().filter(awaited) {
            let name = format!("profile {}", profile.name());
            if !pending.contains(&name) && !self.is_usable(profile) {
                pending.push(name);
            }
        }
        let failed = |route: &&RouteStatus| route.view(self.clock.now()).headers == Headers::Failed;
        pending.extend(
            self.routes.iter().filter(failed).map(|route| format!("headers of route {}", route.name)),
        );
        if self.stop.is_draining() {
            pending.push("shutting down".to_owned());
        }
        pending
    }

    /// Whether requests get the profile's token now: it is valid, or stale and allowed.
    fn is_usable(&self, profile: &Profile) -> bool {
        let state = profile.cell().state();
        let until = state.token.map(|token| token.access.expires_at().after(state.stale_for));
        until.is_some_and(|until| !until.is_past(self.clock.now()))
    }

    fn status(&self) -> Response<Bytes> {
        let pending = self.not_ready();
        let status = Status {
            version: env!("CARGO_PKG_VERSION"),
            ready: pending.is_empty(),
            pending,
            profiles: self.profiles.iter().map(Profile::status).collect(),
            routes: self.routes.iter().map(|route| route.view(self.clock.now())).collect(),
        };
        // Every part is plain data with string keys, which JSON can always hold.
        page("application/json", serde_json::to_vec_pretty(&status).unwrap_or_default())
    }
}

fn pending(names: Vec<String>) -> Response<Bytes> {
    if names.is_empty() {
        return text(StatusCode::OK, "ok\n");
    }
    let lines: String = names.iter().map(|name| format!("pending: {name}\n")).collect();
    text(StatusCode::SERVICE_UNAVAILABLE, &lines)
}

fn text(status: StatusCode, text: &str) -> Response<Bytes> {
    let mut response = page("text/plain; charset=utf-8", text.as_bytes().to_vec());
    *response.status_mut() = status;
    response
}

fn page(content_type: &'static str, body: Vec<u8>) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
