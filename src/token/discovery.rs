//! Finding a token endpoint by its issuer: authorization server metadata (RFC 8414), then OpenID Connect Discovery.
//!
//! In this order, since the first is OAuth's own and names what only OAuth needs; most servers have one of them only, so
//! whatever is no metadata (404, a redirect, a page of HTML) leads to the second.
//! Invariant: an endpoint comes only out of a document that the issuer's own origin served and that names exactly this
//! issuer (RFC 8414 §3.3), and it takes clear text only where the profile does.

mod document;
mod known;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::ACCEPT;

pub use self::document::Metadata;
pub use self::known::Known;
use super::error::{FetchError, FetchErrorClass, FetchErrorCode};
use super::http::{HttpClient, Limits};
use super::redact::Redactor;
use super::request::{TokenRequest, read, service};
use super::response::Answer;
use crate::config::HttpUrl;
use crate::config::profile::{ProfileConfig, TokenEndpoint};
use crate::secret::Secret;

/// Why a place is no good, the most telling last: the error of that one is shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Telling {
    Absent,
    Redirected,
    NoMetadata,
    InTrouble,
    Untrue,
}

/// A place without metadata that can be used.
struct Miss(Telling, FetchError);

/// Asks an issuer where its endpoints are. Two requests at most, each as bounded as a token request.
///
/// # Errors
/// [`FetchErrorCode::Discovery`], with the class of its cause: an issuer that cannot be reached heals by itself, metadata of
/// another issuer do not.
pub async fn discover(
    client: &HttpClient,
    profile: &ProfileConfig,
    issuer: &Secret,
) -> Result<Metadata, FetchError> {
    let origin = service(profile, issuer, "issuer").map_err(of_cause)?;
    if origin.query().is_some() {
        return Err(failed("issuer: an issuer has no query (RFC 8414 §2)".to_owned()));
    }
    let mut worst: Option<Miss> = None;
    for place in places(&origin) {
        let answer = client.send(&request(&origin, &place)).await.map_err(of_cause)?;
        let miss = match metadata(&answer, &place, issuer.expose(), profile) {
            Ok(metadata) => return Ok(metadata),
            Err(miss) => miss,
        };
        // Whoever asks us to slow down is not asked again at once.
        let slow_down = answer.status == 429;
        if worst.as_ref().is_none_or(|worst| worst.0 < miss.0) {
            worst = Some(miss);
        }
        if slow_down {
            break;
        }
    }
    Err(worst.map_or_else(|| failed("issuer: there are no metadata".to_owned()), |Miss(_, error)| error))
}

/// The metadata of a profile's issuer, if it has one: for commands that show them. Waits no longer than `within`.
///
/// # Errors
/// As [`discover`].
pub async fn look_up(profile: &Arc<ProfileConfig>, within: Duration) -> Result<Option<Metadata>, FetchError> {
    let Some(TokenEndpoint::Issuer(source)) = profile.oauth2().map(|oauth2| &oauth2.endpoint) else {
        return Ok(None);
    };
    let issuer = read(source, "issuer")?;
    let limits = Limits { connect: within, total: within };
    let client = HttpClient::new(Arc::clone(profile), limits);
    bounded(discover(&client, profile, &issuer), within).await.map(Some)
}

/// Waits for metadata no longer than this.
async fn bounded(
    work: impl Future<Output = Result<Metadata, FetchError>>,
    within: Duration,
) -> Result<Metadata, FetchError> {
    tokio::time::timeout(within, work).await.unwrap_or_else(|_| {
        let message = format!("the issuer did not answer completely within {within:?}");
        Err(of_cause(FetchError::new(FetchErrorCode::Timeout, message)))
    })
}

/// Where metadata may be: with the well-known part between host and path (RFC 8414 §3.1), then behind the path (OpenID
/// Connect Discovery §4.1). A slash at the end of the issuer is cut for both.
fn places(issuer: &HttpUrl) -> [String; 2] {
    let (origin, path) = (issuer.origin(), issuer.path().trim_end_matches('/'));
    [
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
        format!("{origin}{path}/.well-known/openid-configuration"),
    ]
}

fn request(origin: &HttpUrl, place: &str) -> TokenRequest {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, http::HeaderValue::from_static("application/json"));
    TokenRequest {
        method: http::Method::GET,
        service: origin.clone(),
        url: Secret::new(place.to_owned()),
        headers,
        body: Secret::new(String::new()),
        redactor: Redactor::default(),
    }
}

/// What an answer says of this issuer.
fn metadata(answer: &Answer, place: &str, issuer: &str, profile: &ProfileConfig) -> Result<Metadata, Miss> {
    let status = answer.status;
    let miss = |telling, class, message: String| Miss(telling, failed(message).with_class(class));
    match status {
        200..300 => Metadata::read(answer, issuer, profile).map_err(|flaw| {
            let telling = if flaw.is_untrue { Telling::Untrue } else { Telling::NoMetadata };
            miss(telling, FetchErrorClass::Permanent, format!("{place} {}", flaw.message))
        }),
        300..400 => {
            let target = answer.location.as_deref().and_then(|text| HttpUrl::parse(text).ok());
            let target = target.map_or_else(String::new, |url| format!(" to {}", url.host()));
            let message = format!(
                "{place} redirects{target} ({status}), which is not followed: write the issuer as its metadata \
                 spell it, or token_service_url"
            );
            Err(miss(Telling::Redirected, FetchErrorClass::Permanent, message))
        }
        429 | 500.. => {
            let class = if status == 429 { FetchErrorClass::Transient } else { FetchErrorClass::Unavailable };
            let Miss(telling, error) =
                miss(Telling::InTrouble, class, format!("{place} answered {status}: try again later"));
            let retry_after = answer.retry_after.as_deref().and_then(|text| text.trim().parse().ok());
            Err(Miss(telling, FetchError { retry_after: retry_after.map(Duration::from_secs), ..error }))
        }
        _ => Err(miss(
            Telling::Absent,
            FetchErrorClass::Permanent,
            format!(
                "{place} answered {status}: there are no metadata; an issuer is what its metadata name as such, not \
                 the token endpoint: check `issuer`, or write token_service_url"
            ),
        )),
    }
}

/// Somebody has to change something.
fn failed(message: String) -> FetchError {
    FetchError::new(FetchErrorCode::Discovery, message)
}

/// The same failure, as one of discovery.
fn of_cause(error: FetchError) -> FetchError {
    let message = format!("metadata of the issuer: {error}");
    FetchError { code: FetchErrorCode::Discovery, message, ..error }
}

#[cfg(test)]
mod tests;
