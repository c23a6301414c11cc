//! What is done about an answer that another credential may cure: one thing, once, and the request is sent again.
//!
//! Invariant: at most one remedy a request. An answer that no remedy came of goes back unchanged.

use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, Response, StatusCode, Version};
use tokio::time::Instant;

use super::csrf::{self, Worn};
use super::way::Way;
use super::{Proxy, deadline, dpop};
use crate::config::route::On401;
use crate::error::ProxyError;
use crate::forward::pool::{Exchange, Reuse};
use crate::forward::replay::Replay;
use crate::token::Generation;
use crate::token::dpop::USE_DPOP_NONCE;

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
            Remedy::Token(used) => {
                deadline::until(until, route.credential.renewed(used, &self.clock)).await?
            }
            // It was taken in with the answer.
            Remedy::Nonce => true,
            Remedy::Csrf(worn) => self.renew_csrf(route, worn, replay.headers_mut(), until).await,
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
}
