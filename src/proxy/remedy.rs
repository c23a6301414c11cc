//! What is done about an answer that another credential may cure: one thing, once, and the request is sent again.
//!
//! Invariant: at most one remedy a request. An answer that no remedy came of goes back unchanged.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version};
use hyper::body::Body;
use tokio::time::Instant;

use super::csrf::{self, Csrf, Worn};
use super::way::Way;
use super::{Proxy, deadline, dpop};
use crate::config::route::On401;
use crate::error::ProxyError;
use crate::forward::body::{Download, DownloadRules};
use crate::forward::pool::{Exchange, Reuse};
use crate::forward::replay::Replay;
use crate::forward::upload::Upload;
use crate::token::Generation;
use crate::token::dpop::USE_DPOP_NONCE;

/// How much of an answer that nobody wants is read, and for how long, so that its connection is not lost.
const SHORT: usize = 64 << 10;
const NEAR: Duration = Duration::from_secs(1);

/// What may cure a request.
pub(super) enum Remedy<'w, 'r> {
    /// The token is refused: another one.
    Token(Generation),
    /// The proof of possession lacks a nonce, which the answer has brought; the token is fine.
    Nonce,
    /// A write wants another CSRF token.
    Csrf(&'w mut Worn<'r>),
}

/// The remedy for what an upstream answered to a request with this token and this companion.
pub(super) fn needed<'w, 'r, B>(
    route: &Way<'_>,
    answer: &Response<B>,
    used: Option<Generation>,
    worn: Option<&'w mut Worn<'r>>,
) -> Option<Remedy<'w, 'r>> {
    match answer.status() {
        StatusCode::UNAUTHORIZED if route.dpop && dpop::wants_nonce(answer) => Some(Remedy::Nonce),
        StatusCode::UNAUTHORIZED => used.filter(|_| refuses_token(route, answer)).map(Remedy::Token),
        StatusCode::FORBIDDEN => worn.filter(|_| csrf::is_required(answer)).map(Remedy::Csrf),
        _ => None,
    }
}

/// Whether the upstream says that the token is bad, rather than that it is not enough (RFC 6750 §3.1) or that the proof is
/// bad (RFC 9449 §7.1): no other token would help.
fn refuses_token<B>(route: &Way<'_>, answer: &Response<B>) -> bool {
    route.on_401 == On401::Replay
        && !challenges(answer, "insufficient_scope")
        && !(route.dpop && (challenges(answer, "invalid_dpop_proof") || challenges(answer, USE_DPOP_NONCE)))
}

/// Whether this error is among the upstream's challenges.
pub(super) fn challenges<B>(answer: &Response<B>, error: &str) -> bool {
    let names = |value: &HeaderValue| {
        value.as_bytes().windows(error.len()).any(|part| part.eq_ignore_ascii_case(error.as_bytes()))
    };
    answer.headers().get_all(WWW_AUTHENTICATE).iter().any(names)
}

impl Proxy {
    /// Applies the remedy and sends the request once more, if its body was kept; otherwise the answer, which is held until
    /// then, goes back unchanged.
    pub(super) async fn remedy(
        &self,
        route: &Way<'_>,
        replay: &mut Replay<'_>,
        exchange: Exchange,
        remedy: Remedy<'_, '_>,
        until: Option<Instant>,
    ) -> Result<Exchange, ProxyError> {
        let Some(mut again) = replay.again() else {
            match remedy {
                Remedy::Token(used) => route.credential.suspect(used),
                Remedy::Csrf(worn) => worn.forget(),
                Remedy::Nonce => {}
            }
            return Ok(exchange);
        };
        let counter = match &remedy {
            Remedy::Token(_) => &route.metrics.replays_rejected,
            Remedy::Csrf(_) => &route.metrics.replays_csrf,
            Remedy::Nonce => &route.metrics.replays_nonce,
        };
        let cured = match remedy {
            Remedy::Token(used) => deadline::until(until, route.credential.renewed(used)).await?,
            // It was taken in with the answer.
            Remedy::Nonce => true,
            Remedy::Csrf(worn) => self.renew_csrf(route, worn, replay.headers_mut(), until).await?,
        };
        // A token may have expired meanwhile.
        if !cured || self.show(route, replay.head_mut()).is_none() {
            return Ok(exchange);
        }
        // An HTTP/2 connection that has just answered is alive; a kept HTTP/1.1 connection may be gone.
        let reuse = match exchange.response.version() {
            Version::HTTP_2 => Reuse::Kept,
            _ => Reuse::NewerThan(Instant::now()),
        };
        drop(exchange);
        counter.inc();
        Ok(self
            .send(route, replay.head(), (&mut again, None), reuse, until)
            .await
            .map_err(|failed| failed.error)?)
    }

    /// Puts on a write the CSRF token and the cookies that the route holds; fetches them if it holds none.
    pub(super) async fn wear<'a>(
        &self,
        route: &Way<'_>,
        csrf: &'a Csrf,
        headers: &mut HeaderMap,
        until: Option<Instant>,
    ) -> Result<Box<Worn<'a>>, ProxyError> {
        let mut worn = Box::new(Worn::strip(csrf, headers));
        let held = csrf.held(None, self.fetch_csrf(route, csrf, headers, until));
        if let Some(held) = deadline::until(until, held).await?? {
            worn.put_on(held, headers);
        }
        Ok(worn)
    }

    /// Another CSRF token than the one that was refused; false if there is none.
    async fn renew_csrf(
        &self,
        route: &Way<'_>,
        worn: &mut Worn<'_>,
        headers: &mut HeaderMap,
        until: Option<Instant>,
    ) -> Result<bool, ProxyError> {
        let csrf = worn.csrf();
        let held = csrf.held(worn.held(), self.fetch_csrf(route, csrf, headers, until));
        match deadline::until(until, held).await? {
            Ok(Some(held)) => {
                worn.put_on(held, headers);
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(error) => {
                tracing::warn!(route = route.name.as_str(), "the upstream wants another CSRF token: {error}");
                Ok(false)
            }
        }
    }

    /// Fetches a CSRF token with the route's credential. It is a request of its own, with a remedy of its own.
    async fn fetch_csrf(
        &self,
        route: &Way<'_>,
        csrf: &Csrf,
        write: &HeaderMap,
        until: Option<Instant>,
    ) -> Result<csrf::Fetched, ProxyError> {
        let mut head = csrf.request(write);
        let used = self.inject(route, &mut head, until).await?;
        let nothing = (&mut Upload::Empty, None);
        let exchange = Box::pin(self.exchange(route, &mut head, nothing, used, None, until)).await?;
        let fetched = csrf.answered(&exchange.response, &self.clock);
        self.read_off(exchange).await;
        fetched
    }

    /// Reads an answer that nobody wants to its end, if that is near: its connection may then carry the next request.
    async fn read_off(&self, exchange: Exchange) {
        let Exchange { response, ticket, .. } = exchange;
        let (head, body) = response.into_parts();
        let framed = |name| head.headers.contains_key(name);
        // With both, its end is unclear (RFC 9112 §6.3).
        if framed(CONTENT_LENGTH) && framed(TRANSFER_ENCODING) {
            return;
        }
        let rules = DownloadRules { idle: NEAR, until: None, tail: None };
        let mut body = Download::new(body, Some(ticket), None, rules, &self.ticker);
        let read = async {
            let mut left = SHORT;
            while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
                let length = frame.data_ref().map_or(0, Bytes::len);
                let Some(rest) = left.checked_sub(length) else { return };
                left = rest;
            }
        };
        // A body that is longer, or late, takes its connection with it.
        let _ = tokio::time::timeout(NEAR, read).await;
    }
}
