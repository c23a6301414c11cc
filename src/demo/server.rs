//! A small HTTP/1.1 server for the sandbox and the demo app.
//!
//! Invariant: no request keeps more than 64 KiB of body or ten seconds of reading, and none can end the server. While it is
//! stopped, connections are refused and its port stays its own.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::call::{Answer, Call, json as json_answer};

/// More than any request of the demo; UAA itself takes 1 MB.
const BODY_LIMIT: usize = 64 * 1024;
/// For the head, and again for the body.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

type Handler = dyn Fn(Call) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync;

/// What answers the requests of a server.
#[derive(Clone)]
pub(super) struct Service(Arc<Handler>);

impl Service {
    /// A service that answers at once.
    pub(super) fn sync(answer: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Self {
        Self(Arc::new(move |call| Box::pin(std::future::ready(answer(&call)))))
    }

    /// A service that must wait for others.
    pub(super) fn waiting<F>(answer: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        Self(Arc::new(move |call| Box::pin(answer(call))))
    }
}

/// A loopback port that is ours before anybody listens on it.
pub(super) struct Port {
    address: SocketAddr,
    listener: TcpListener,
    held: Option<TcpSocket>,
}

impl Port {
    /// Takes a free port of 127.0.0.1.
    pub(super) fn free() -> io::Result<Self> {
        let held = TcpSocket::new_v4()?;
        held.set_reuseaddr(true)?;
        held.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = held.local_addr()?;
        // Linux lets a second socket listen there; a socket that is only bound refuses connections and keeps the port from
        // being given to somebody else while the server is stopped. Elsewhere the port must be free to be bound again.
        if let Ok(listener) = listen(address) {
            return Ok(Self { address, listener, held: Some(held) });
        }
        drop(held);
        Ok(Self { address, listener: listen(address)?, held: None })
    }

    /// The origin: `http://127.0.0.1:<port>`.
    pub(super) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(128)
}

/// A server on a port of its own; it ends when it is dropped.
pub(super) struct Server {
    address: SocketAddr,
    service: Service,
    running: Mutex<Option<JoinHandle<()>>>,
    _held: Option<TcpSocket>,
}

impl Server {
    /// Answers from now on; needs a tokio runtime around it.
    pub(super) fn start(port: Port, service: Service) -> Self {
        let running = Mutex::new(Some(tokio::spawn(accept(port.listener, service.clone()))));
        Self { address: port.address, service, running, _held: port.held }
    }

    /// Ends all connections; new ones are refused when this returns.
    pub(super) async fn stop(&self) {
        let Some(task) = self.running().take() else { return };
        task.abort();
        // The listener is closed when the task is gone; that it was cancelled is what we asked for.
        drop(task.await);
    }

    /// Listens again at the same address; does nothing while it runs.
    pub(super) fn resume(&self) -> io::Result<()> {
        let mut running = self.running();
        if running.is_none() {
            *running = Some(tokio::spawn(accept(listen(self.address)?, self.service.clone())));
        }
        Ok(())
    }

    fn running(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(task) = self.running().take() {
            task.abort();
        }
    }
}

/// The accept loop. Its connections are its own: they end with it.
pub(super) async fn accept(listener: TcpListener, service: Service) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, service.clone()));
                }
                // Out of file descriptors, or the peer has gone already: neither may end the server or spin.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, service: Service) {
    let answer = service_fn(move |request| {
        let service = service.clone();
        async move { Ok::<_, std::convert::Infallible>(handle(request, &service).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(READ_TIMEOUT)
        .serve_connection(TokioIo::new(stream), answer);
    // A connection that breaks off is the caller's business.
    drop(connection.await);
}

async fn handle(request: Request<Incoming>, service: &Service) -> Answer {
    let (head, body) = request.into_parts();
    let collected = tokio::time::timeout(READ_TIMEOUT, Limited::new(body, BODY_LIMIT).collect()).await;
    let body = match collected {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 64 KiB");
        }
        Ok(Err(_)) => return refuse(StatusCode::BAD_REQUEST, "the body could not be read"),
        Err(_) => return refuse(StatusCode::REQUEST_TIMEOUT, "the body took too long"),
    };
    let call = Call {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body,
    };
    (service.0)(call).await
}

fn refuse(status: StatusCode, why: &str) -> Answer {
    json_answer(status, &json!({ "status": status.as_u16(), "error": why }))
}
