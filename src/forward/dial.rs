//! Reaching an upstream: name resolution, TCP, TLS, and which protocol is spoken there.
//!
//! Invariant: `connect_to` changes only where TCP goes, `server_name` only the name in TLS; neither changes what the
//! requests say.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use http::uri::{Authority, Scheme};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::ForwardError;
use crate::config::route::{Http2, PoolConfig};
use crate::config::{HttpUrl, RouteConfig};
use crate::tls::{self, Alpn, failure};
use crate::token::dpop::Nonce;

mod connect;
mod lookup;
mod transport;

use lookup::Lookup;

pub use transport::Transport;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// Where a route's requests go: an address, and how to know that it is the right one there. Two routes never share one,
/// and its id is never reused in a process, so that a reload cannot hand a connection to another upstream.
#[derive(Debug)]
pub struct Upstream {
    /// The key of its connections in a pool.
    pub id: u64,
    /// What it wants in proofs of possession (RFC 9449 §9).
    pub nonce: Nonce,
    target: Arc<Target>,
}

/// What is needed to reach an upstream; gone when its routes are gone and nobody dials it any more.
#[derive(Debug)]
pub(super) struct Target {
    lookup: Lookup,
    tls: Option<Tls>,
    http2: Http2,
    timeout: std::time::Duration,
    /// How its connections are kept.
    pub(super) pool: PoolConfig,
    /// Of requests over HTTP/2.
    pub(super) scheme: Scheme,
    /// The upstream URL's, for requests over HTTP/2.
    pub(super) authority: Authority,
    /// What the last TLS handshake chose, as a [`Protocol`]; it is the same for every worker.
    learned: AtomicU8,
}

#[derive(Debug)]
struct Tls {
    /// Offers what the route allows.
    config: Arc<ClientConfig>,
    /// Offers HTTP/1.1 only: an upgrade (RFC 9110 §7.8) needs it.
    http1: Arc<ClientConfig>,
    name: ServerName<'static>,
}

/// What is spoken on a connection, as far as it is known before there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// TLS will tell.
    Unknown,
    /// HTTP/1.1
    Http1,
    /// HTTP/2
    Http2,
}

/// A route whose upstream cannot be addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the upstream's host is no valid server name")]
pub struct BadServerName;

impl Upstream {
    /// A route's upstream at this URL; `tls` (with HTTP/1.1 as its only protocol) is what https needs. `timeouts.connect` is for
    /// everything until it is connected; zero is for ever.
    pub fn new(
        route: &RouteConfig,
        url: &HttpUrl,
        tls: Option<Arc<ClientConfig>>,
    ) -> Result<Self, BadServerName> {
        let name = route.server_name.as_deref().unwrap_or(url.bare_host());
        let name = ServerName::try_from(name.to_owned()).map_err(|_| BadServerName)?;
        let (host, port) = match &route.connect_to {
            Some(other) => (other.host.clone(), other.port),
            None => (url.bare_host().to_owned(), url.port()),
        };
        let scheme = if tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        let tls = tls.map(|http1| {
            let config = match route.http2 {
                Http2::Auto => tls::with_alpn(&http1, Alpn::Either),
                Http2::PriorKnowledge => tls::with_alpn(&http1, Alpn::Http2),
                Http2::Off => Arc::clone(&http1),
            };
            Tls { config, http1, name }
        });
        let target = Target {
            lookup: Lookup::new(host, port),
            tls,
            http2: route.http2,
            timeout: route.timeouts.connect,
            pool: route.pool,
            scheme,
            authority: url.authority().parse().map_err(|_| BadServerName)?,
            learned: AtomicU8::new(0),
        };
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Ok(Self { id, nonce: Nonce::default(), target: Arc::new(target) })
    }

    /// Whether requests to it may go out over HTTP/2.
    pub fn may_speak_http2(&self) -> bool {
        self.target.protocol() != Protocol::Http1
    }

    /// `https` or `http`.
    pub fn scheme(&self) -> &str {
        self.target.scheme.as_str()
    }

    pub(super) fn target(&self) -> &Arc<Target> {
        &self.target
    }
}

impl Target {
    /// What is spoken there.
    pub(super) fn protocol(&self) -> Protocol {
        match (self.http2, &self.tls) {
            (Http2::Off, _) | (Http2::Auto, None) => Protocol::Http1,
            (Http2::PriorKnowledge, _) => Protocol::Http2,
            (Http2::Auto, Some(_)) => match self.learned.load(Ordering::Relaxed) {
                1 => Protocol::Http1,
                2 => Protocol::Http2,
                _ => Protocol::Unknown,
            },
        }
    }

    /// Whether it can be asked to speak HTTP/1.1.
    pub(super) fn speaks_http1(&self) -> bool {
        self.http2 != Http2::PriorKnowledge
    }

    /// HTTP/1.1 from now on, if the route leaves it to the upstream.
    pub(super) fn avoid_http2(&self) {
        self.learned.store(1, Ordering::Relaxed);
    }

    /// Runs everything until a connection is there under `timeouts.connect`.
    pub(super) async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, ForwardError>>,
    ) -> Result<T, ForwardError> {
        if self.timeout.is_zero() {
            return work.await;
        }
        tokio::time::timeout(self.timeout, work).await.unwrap_or(Err(ForwardError::ConnectTimeout))
    }

    /// A new connection, and what is spoken on it: HTTP/1.1 or HTTP/2.
    pub(super) async fn dial(&self) -> Result<(Transport, Protocol), ForwardError> {
        let tcp = connect::connect(&self.lookup).await?;
        let Some(tls) = &self.tls else {
            return Ok((Transport::plain(tcp), self.protocol()));
        };
        let stream = self.secure(tcp, &tls.config, &tls.name).await?;
        let chosen = stream.get_ref().1.alpn_protocol();
        let protocol = match (self.http2, chosen) {
            (Http2::Auto | Http2::PriorKnowledge, Some(b"h2")) => Protocol::Http2,
            (Http2::PriorKnowledge, _) => {
                let text = format!("{}: the server did not choose HTTP/2 (ALPN)", self.lookup.authority());
                return Err(ForwardError::Tls(text));
            }
            _ => Protocol::Http1,
        };
        self.learned.store(if protocol == Protocol::Http2 { 2 } else { 1 }, Ordering::Relaxed);
        Ok((Transport::tls(stream), protocol))
    }

    /// A new connection for HTTP/1.1, whatever else is spoken there.
    pub(super) async fn dial_http1(&self) -> Result<Transport, ForwardError> {
        let tcp = connect::connect(&self.lookup).await?;
        match &self.tls {
            None => Ok(Transport::plain(tcp)),
            Some(tls) => {
                let stream = self.secure(tcp, &tls.http1, &tls.name).await;
                if stream.is_err() {
                    // It may speak HTTP/2 only by now.
                    self.learned.store(0, Ordering::Relaxed);
                }
                Ok(Transport::tls(stream?))
            }
        }
    }

    async fn secure(
        &self,
        tcp: TcpStream,
        config: &Arc<ClientConfig>,
        name: &ServerName<'static>,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, ForwardError> {
        let stream = TlsConnector::from(Arc::clone(config)).connect(name.clone(), tcp).await;
        stream.map_err(|error| {
            let tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
            let told = tls.map_or_else(|| error.to_string(), failure::told);
            ForwardError::Tls(format!("{}: {told}", self.lookup.authority()))
        })
    }
}
