//! Both ends of HTTP/2 by hyper, for whole messages: heads, bodies in pieces, trailers.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Uri, Version};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http2 as client;
use hyper::server::conn::http2 as server;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::{mpsc, oneshot};

/// A body of pieces and trailers; it ends when its other half is dropped.
pub(crate) struct Pieces(mpsc::UnboundedReceiver<Frame<Bytes>>);

/// The other half.
#[derive(Clone)]
pub(crate) struct Pen(mpsc::UnboundedSender<Frame<Bytes>>);

/// A body that is written while it is read.
pub(crate) fn pieces() -> (Pen, Pieces) {
    let (pen, body) = mpsc::unbounded_channel();
    (Pen(pen), Pieces(body))
}

impl Pen {
    /// One more piece.
    pub(crate) fn write(&self, text: &str) {
        let _ = self.0.send(Frame::data(Bytes::copy_from_slice(text.as_bytes())));
    }

    /// The trailers, and with them the end.
    pub(crate) fn trail(self, fields: &[(&'static str, &'static str)]) {
        let _ = self.0.send(Frame::trailers(map(fields)));
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|frame| frame.map(Ok))
    }
}

/// Fields by name and value.
pub(crate) fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &'static str)| (name.parse().unwrap(), value.parse().unwrap());
    let pairs: Vec<(http::HeaderName, http::HeaderValue)> = fields.iter().map(pair).collect();
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(name, value);
    }
    map
}

/// A message, read to its end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Whole {
    /// What its request asked for.
    pub(crate) uri: Uri,
    /// The version it came in.
    pub(crate) version: Version,
    /// 0 for a request.
    pub(crate) status: u16,
    /// Its fields.
    pub(crate) headers: HeaderMap,
    /// Its body.
    pub(crate) body: String,
    /// What stood behind it.
    pub(crate) trailers: HeaderMap,
}

async fn read(mut body: Incoming) -> (String, HeaderMap) {
    let (mut text, mut trailers) = (String::new(), HeaderMap::new());
    while let Some(Ok(frame)) = body.frame().await {
        match frame.into_data() {
            Ok(data) => text.push_str(std::str::from_utf8(&data).unwrap()),
            Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
        }
    }
    (text, trailers)
}

type Script = Box<dyn Fn(&Whole) -> Response<Pieces> + Send + Sync>;

/// An upstream of HTTP/2 without TLS.
pub(crate) struct Streams {
    address: SocketAddr,
    seen: Arc<Mutex<VecDeque<Whole>>>,
    _stop: oneshot::Sender<()>,
}

impl Streams {
    /// Answers what the script says.
    pub(crate) fn start(script: impl Fn(&Whole) -> Response<Pieces> + Send + Sync + 'static) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(VecDeque::new()));
        let (stop, stopped) = oneshot::channel();
        let (script, kept): (Arc<Script>, _) = (Arc::new(Box::new(script)), Arc::clone(&seen));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! { () = accept(listener, script, kept) => (), _ = stopped => () }
            });
        });
        Self { address, seen, _stop: stop }
    }

    /// `http://127.0.0.1:port`
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The newest request that was there in full.
    #[track_caller]
    pub(crate) fn last(&self) -> Whole {
        self.seen.lock().unwrap().back().expect("no request").clone()
    }
}

async fn accept(listener: tokio::net::TcpListener, script: Arc<Script>, seen: Arc<Mutex<VecDeque<Whole>>>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
        let service = service_fn(move |request: Request<Incoming>| {
            let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
            async move {
                let (head, body) = request.into_parts();
                let (body, trailers) = read(body).await;
                let (uri, version, headers) = (head.uri, head.version, head.headers);
                let whole = Whole { uri, version, headers, body, trailers, ..Whole::default() };
                let response = script(&whole);
                seen.lock().unwrap().push_back(whole);
                Ok::<_, Infallible>(response)
            }
        });
        tokio::spawn(async move {
            let http = server::Builder::new(TokioExecutor::new());
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// One request of a caller that speaks HTTP/2 without TLS, on a connection of its own; the pen may write its body before
/// and after the answer's head is there, which `met` is told.
pub(crate) fn call(
    address: SocketAddr,
    method: &str,
    target: &str,
    fields: &[(&'static str, &'static str)],
    body: Option<Pieces>,
) -> Whole {
    let mut request = Request::new(body.unwrap_or_else(|| pieces().1));
    *request.method_mut() = method.parse().unwrap();
    *request.uri_mut() = format!("http://{address}{target}").parse().unwrap();
    *request.headers_mut() = map(fields);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let exchange = async {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let http = client::Builder::new(TokioExecutor::new());
        let (mut sender, driver) = http.handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(driver);
        let response = sender.send_request(request).await.unwrap();
        let (head, body) = response.into_parts();
        let (body, trailers) = read(body).await;
        let (status, version, headers) = (head.status.as_u16(), head.version, head.headers);
        Whole { status, version, headers, body, trailers, ..Whole::default() }
    };
    let patience = super::patience::patience();
    runtime.block_on(async { tokio::time::timeout(patience, exchange).await.expect("an answer in time") })
}
