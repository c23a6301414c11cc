//! Reaching an upstream: name resolution, TCP, TLS.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use super::ForwardError;
use crate::config::HttpUrl;

/// A peer that is gone without a word is noticed within a minute, even on a connection that only waits.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// How long the kernel may retransmit before a connection counts as dead.
const USER_TIMEOUT: Duration = Duration::from_secs(30);

/// After which the other address family is tried too (RFC 8305).
const HAPPY_EYEBALLS: Duration = Duration::from_millis(300);

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// Where a route's requests go: an address, and how to know that it is the right one there. Two routes never share one,
/// and its id is never reused in a process, so that a reload cannot hand a connection to another upstream.
#[derive(Debug)]
pub struct Upstream {
    /// The key of its connections in a pool.
    pub id: u64,
    dial: Uri,
    tls: Option<(Arc<rustls::ClientConfig>, ServerName<'static>)>,
    timeout: Duration,
}

/// A URL whose host is neither a name nor an address that a certificate could be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the upstream's host is no valid server name")]
pub struct BadServerName;

impl Upstream {
    /// An upstream at a URL; `tls` is what https needs. `timeout` is for everything until it is connected; zero is for ever.
    pub fn new(
        url: &HttpUrl,
        tls: Option<Arc<rustls::ClientConfig>>,
        timeout: Duration,
    ) -> Result<Self, BadServerName> {
        let name = ServerName::try_from(url.bare_host().to_owned()).map_err(|_| BadServerName)?;
        let dial = format!("http://{}:{}/", url.host(), url.port()).parse().map_err(|_| BadServerName)?;
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Ok(Self { id, dial, tls: tls.map(|tls| (tls, name)), timeout })
    }

    /// A new connection.
    pub async fn dial(&self) -> Result<Transport, ForwardError> {
        if self.timeout.is_zero() {
            return self.connect().await;
        }
        tokio::time::timeout(self.timeout, self.connect()).await.unwrap_or(Err(ForwardError::ConnectTimeout))
    }

    async fn connect(&self) -> Result<Transport, ForwardError> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_keepalive(Some(KEEPALIVE));
        connector.set_keepalive_interval(Some(KEEPALIVE));
        connector.set_keepalive_retries(Some(3));
        connector.set_happy_eyeballs_timeout(Some(HAPPY_EYEBALLS));
        #[cfg(target_os = "linux")]
        connector.set_tcp_user_timeout(Some(USER_TIMEOUT));
        let address = self.dial.authority().map(|authority| authority.as_str()).unwrap_or_default();
        let tcp = connector.call(self.dial.clone()).await.map_err(|error| {
            let text = format!("{address}: {}", chain(&error));
            if error.to_string().contains("dns") {
                ForwardError::Dns(text)
            } else {
                ForwardError::Connect(text)
            }
        })?;
        match &self.tls {
            None => Ok(Transport::Plain(tcp)),
            Some((config, name)) => {
                let connector = TlsConnector::from(Arc::clone(config));
                let stream = connector.connect(name.clone(), tcp.into_inner()).await;
                let failed = |error: std::io::Error| ForwardError::Tls(format!("{address}: {error}"));
                Ok(Transport::Tls(Box::new(TokioIo::new(stream.map_err(failed)?))))
            }
        }
    }
}

/// An error with everything below it, on one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// The bytes to and from an upstream. An upstream that reads no more may have answered (413, 401) before it closed, and
/// the failed write must not hide that: it counts as done, and reading shows the answer, or the end.
#[derive(Debug)]
pub enum Transport {
    /// Clear text.
    Plain(TokioIo<TcpStream>),
    /// TLS; boxed, because it is a hundred times the size.
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

/// The outcome of writing; `all` where the other side is gone.
fn unless_gone<T>(written: Poll<std::io::Result<T>>, all: T) -> Poll<std::io::Result<T>> {
    use std::io::ErrorKind as K;
    match written {
        Poll::Ready(Err(error)) if matches!(error.kind(), K::BrokenPipe | K::ConnectionReset) => {
            Poll::Ready(Ok(all))
        }
        written => written,
    }
}

impl Read for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(context, buffer),
            Self::Tls(io) => Pin::new(io).poll_read(context, buffer),
        }
    }
}

impl Write for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let written = match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(context, bytes),
            Self::Tls(io) => Pin::new(io).poll_write(context, bytes),
        };
        unless_gone(written, bytes.len())
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let flushed = match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(context),
            Self::Tls(io) => Pin::new(io).poll_flush(context),
        };
        unless_gone(flushed, ())
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(context),
            Self::Tls(io) => Pin::new(io).poll_shutdown(context),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(io) => io.is_write_vectored(),
            Self::Tls(io) => io.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let written = match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write_vectored(context, slices),
            Self::Tls(io) => Pin::new(io).poll_write_vectored(context, slices),
        };
        unless_gone(written, slices.iter().map(|slice| slice.len()).sum())
    }
}
