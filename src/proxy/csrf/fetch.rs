//! How a write comes by its CSRF token: from what its session holds, or with a request for one.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use hyper::body::Body;
use tokio::time::Instant;

use super::{Csrf, Fetched, Held, Worn};
use crate::error::ProxyError;
use crate::forward::body::{Download, DownloadRules};
use crate::forward::pool::Exchange;
use crate::forward::upload::Upload;
use crate::proxy::way::Way;
use crate::proxy::{Proxy, deadline};

/// How much of an answer that nobody wants is read, and for how long, so that its connection is not lost.
const SHORT: usize = 64 << 10;
const NEAR: Duration = Duration::from_millis(200);

impl Proxy {
    /// Puts on a write the CSRF token and the cookies that the route holds; fetches them if it holds none.
    pub(in crate::proxy) async fn wear<'a>(
        &self,
        route: &Way<'_>,
        csrf: &'a Csrf,
        headers: &mut HeaderMap,
        until: Option<Instant>,
    ) -> Result<Box<Worn<'a>>, ProxyError> {
        // Only a subject whose token is known to be good has a session: nonsense must not push those of others out.
        let credential = &route.credential;
        if credential.subject().is_some() && credential.snapshot(self.clock.now()).is_none() {
            deadline::until(until, credential.wait(&self.clock)).await??;
        }
        let mut worn = Box::new(Worn::strip(csrf, credential.subject(), headers));
        if let Some(held) = self.hold_csrf(route, &worn, headers, until).await? {
            worn.put_on(held, headers);
        }
        Ok(worn)
    }

    /// Puts on another CSRF token than the one that was refused; false if there is none.
    pub(in crate::proxy) async fn renew_csrf(
        &self,
        route: &Way<'_>,
        worn: &mut Worn<'_>,
        headers: &mut HeaderMap,
        until: Option<Instant>,
    ) -> bool {
        match self.hold_csrf(route, worn, headers, until).await {
            Ok(Some(held)) => {
                worn.put_on(held, headers);
                true
            }
            Ok(None) => false,
            Err(error) => {
                tracing::warn!(route = route.name.as_str(), "the upstream wants another CSRF token: {error}");
                false
            }
        }
    }

    /// A CSRF token other than the one that is worn: the one held, or one that is fetched.
    async fn hold_csrf(
        &self,
        route: &Way<'_>,
        worn: &Worn<'_>,
        write: &HeaderMap,
        until: Option<Instant>,
    ) -> Result<Option<Arc<Held>>, ProxyError> {
        let mut rest = None;
        let held = worn.hold(self.fetch_csrf(route, worn.csrf(), write, until, &mut rest));
        let held = deadline::until(until, held).await?;
        // Whoever waited for the token has it by now.
        if let Some(exchange) = rest {
            self.read_off(exchange).await;
        }
        held
    }

    /// Fetches a CSRF token with the route's credential. It is a request of its own, with a remedy of its own. The body of
    /// its answer is left to be read.
    async fn fetch_csrf(
        &self,
        route: &Way<'_>,
        csrf: &Csrf,
        write: &HeaderMap,
        until: Option<Instant>,
        rest: &mut Option<Exchange>,
    ) -> Result<Fetched, ProxyError> {
        let mut head = csrf.request(write);
        let used = self.inject(route, &mut head, until).await?;
        let nothing = (&mut Upload::Empty, None);
        let exchange = Box::pin(self.exchange(route, &mut head, nothing, used, None, until)).await?;
        let fetched = csrf.answered(&exchange.response, &self.clock);
        *rest = Some(exchange);
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
