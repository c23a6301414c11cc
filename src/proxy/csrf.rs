//! The companion of writes that need a CSRF token: fetched with the route's credential, kept with its cookies, and set on
//! each write.
//!
//! Invariant: the token and the cookies of its session never come back to a caller. A route without `csrf` pays for one
//! look at an option.

use std::sync::Arc;

use http::header::{ACCEPT, COOKIE, HOST, SET_COOKIE, USER_AGENT};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};

use crate::clock::Clock;
use crate::config::route::{CsrfConfig, X_CSRF_TOKEN};
use crate::error::ProxyError;
use crate::forward::strip;
use crate::token::subject::SubjectDigest;

mod fetch;
mod jar;
mod session;
mod sessions;

use jar::Jar;
use session::{Fetched, Session};
use sessions::Sessions;

/// What asks for a token.
const FETCH: HeaderValue = HeaderValue::from_static("Fetch");
/// Who fetches it: some gateways refuse requests that do not say.
const US: HeaderValue = HeaderValue::from_static(concat!("sidepass/", env!("CARGO_PKG_VERSION")));
/// Longer than any token.
const LONGEST: usize = 4096;

/// The companion of a route.
#[derive(Debug)]
pub struct Csrf {
    fetch: Method,
    path: PathAndQuery,
    methods: Vec<Method>,
    sessions: Sessions<SubjectDigest>,
}

/// A token and the cookies of the session that it is good for.
#[derive(Clone, Debug)]
struct Held {
    /// Which fetch brought it.
    number: u64,
    token: HeaderValue,
    jar: Jar,
}

/// What a write has on.
#[derive(Debug)]
pub(super) struct Worn<'a> {
    csrf: &'a Csrf,
    /// Of whoever's credential goes with it.
    session: Arc<Session>,
    /// Nothing, where the upstream refused the credential: what it says of the write itself goes back.
    held: Option<Arc<Held>>,
    /// The cookies that the caller sent.
    own: Vec<HeaderValue>,
}

impl Csrf {
    /// A companion that holds nothing yet.
    pub fn new(config: &CsrfConfig) -> Self {
        let CsrfConfig { path, fetch, methods } = config.clone();
        Self { fetch, path, methods, sessions: Sessions::default() }
    }

    /// Whether requests of this method need a token.
    pub(super) fn concerns(&self, method: &Method) -> bool {
        self.methods.contains(method)
    }

    /// The head of the request that fetches a token, to the host that `write` names.
    fn request(&self, write: &HeaderMap) -> Parts {
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = self.fetch.clone();
        head.uri = Uri::from(self.path.clone());
        if let Some(host) = write.get(HOST) {
            head.headers.insert(HOST, host.clone());
        }
        head.headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        head.headers.insert(USER_AGENT, US);
        head.headers.insert(X_CSRF_TOKEN, FETCH);
        head
    }

    /// What the answer to that request brings: the token, whatever the status, as gateways give it with errors too.
    fn answered<B>(&self, answer: &Response<B>, clock: &Clock) -> Result<Fetched, ProxyError> {
        if answer.status() == StatusCode::UNAUTHORIZED {
            return Ok(Fetched::Unauthorized);
        }
        let given = answer.headers().get(X_CSRF_TOKEN).filter(|value| is_token(value));
        let Some(mut token) = given.cloned() else {
            return Err(ProxyError::Csrf(format!(
                "the upstream answered {} without an X-CSRF-Token to {} {}",
                answer.status().as_u16(),
                self.fetch,
                self.path.path(),
            )));
        };
        token.set_sensitive(true);
        let mut jar = Jar::default();
        jar.learn(answer.headers().get_all(SET_COOKIE), clock.now());
        Ok(Fetched::Token(token, jar))
    }
}

impl<'a> Worn<'a> {
    /// Takes off what a caller's write brings of its own: its token, and the look-alike that a CGI-like backend would read.
    fn strip(csrf: &'a Csrf, subject: Option<SubjectDigest>, headers: &mut HeaderMap) -> Self {
        let twins: Vec<_> = headers
            .keys()
            .filter(|name| strip::is_twin(name.as_str(), X_CSRF_TOKEN.as_str()))
            .cloned()
            .collect();
        for twin in twins {
            headers.remove(twin);
        }
        let own = headers.get_all(COOKIE).iter().cloned().collect();
        Self { csrf, session: csrf.sessions.of(subject.as_ref()), held: None, own }
    }

    /// The companion whose token it is.
    fn csrf(&self) -> &'a Csrf {
        self.csrf
    }

    /// Another token than the one it has on; `fetch` gets one where there is none, once for everybody who waits.
    async fn hold(
        &self,
        fetch: impl Future<Output = Result<Fetched, ProxyError>>,
    ) -> Result<Option<Arc<Held>>, ProxyError> {
        self.session.held(self.held.as_ref().map(|held| held.number), fetch).await
    }

    /// Puts a token and its cookies on, in place of what it had on before. The session's cookies win over the caller's.
    fn put_on(&mut self, held: Arc<Held>, headers: &mut HeaderMap) {
        headers.insert(X_CSRF_TOKEN, held.token.clone());
        match held.jar.line(&self.own) {
            Some(line) => drop(headers.insert(COOKIE, line)),
            None => drop(headers.remove(COOKIE)),
        }
        self.held = Some(held);
    }

    /// The upstream wants another token, and this write cannot be sent again: the next one fetches it.
    pub(super) fn forget(&self) {
        if let Some(held) = &self.held {
            self.session.forget(held.number);
        }
    }

    /// Takes out of an answer what belongs to the session: the token, and its cookies, which are kept as they are now.
    pub(super) fn take_off(&self, headers: &mut HeaderMap, clock: &Clock) {
        // What is no token says what the caller has to know: `Required`.
        if headers.get_all(X_CSRF_TOKEN).iter().any(is_token) {
            headers.remove(X_CSRF_TOKEN);
        }
        let Some(held) = self.held.as_ref().filter(|_| headers.contains_key(SET_COOKIE)) else { return };
        let (ours, others): (Vec<_>, Vec<_>) =
            headers.get_all(SET_COOKIE).iter().cloned().partition(|line| held.jar.holds(line));
        if ours.is_empty() {
            return;
        }
        headers.remove(SET_COOKIE);
        for line in others {
            headers.append(SET_COOKIE, line);
        }
        self.session.learn(held.number, &ours, clock.now());
    }
}

/// Whether an upstream says that a write needs another token.
pub(super) fn is_required<B>(answer: &Response<B>) -> bool {
    let required = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"required");
    answer.status() == StatusCode::FORBIDDEN && answer.headers().get_all(X_CSRF_TOKEN).iter().any(required)
}

fn is_token(value: &HeaderValue) -> bool {
    let text = value.as_bytes().trim_ascii();
    let words = [&b"fetch"[..], b"required"];
    !text.is_empty() && text.len() <= LONGEST && !words.iter().any(|word| text.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests;
