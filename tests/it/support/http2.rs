//! An upstream that speaks HTTP/2, with or without TLS: it records each request and misbehaves as it is told.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, Response};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::gate::Gate;

/// How it behaves; the default is a good server.
#[derive(Clone, Default)]
pub(crate) struct Manners {
    /// What it says in SETTINGS_MAX_CONCURRENT_STREAMS.
    pub(crate) streams: Option<u32>,
    /// After so many requests on a connection it says GOAWAY and takes no more on it.
    pub(crate) goaway_after: Option<usize>,
    /// So many streams are refused first.
    pub(crate) refuses: usize,
    /// Whether every stream is refused because HTTP/1.1 is wanted.
    pub(crate) http1_required: bool,
    /// So many requests lose their connection when they are there in full.
    pub(crate) drops: usize,
    /// Whether it answers before it has read anything, and reads on as long as something comes.
    pub(crate) early: bool,
    /// Answers wait for this.
    pub(crate) gate: Option<Gate>,
    /// Bytes of an answer's body.
    pub(crate) body: usize,
    /// Bytes of one field of an answer.
    pub(crate) field: usize,
    /// What it answers by itself to some requests.
    pub(crate) script: Option<Script2>,
    /// TLS, with the protocols that it offers.
    pub(crate) tls: Option<Arc<ServerConfig>>,
}

/// The head of an answer to a request, where it is not the usual one.
pub(crate) type Script2 = Arc<dyn Fn(&Request2) -> Option<Response<()>> + Send + Sync>;

/// One request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Request2 {
    /// The name in TLS.
    pub(crate) sni: Option<String>,
    /// Method, target and version.
    pub(crate) head: String,
    /// `:authority`, or Host.
    pub(crate) authority: String,
    /// The fields.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: Vec<u8>,
}

struct Shared {
    manners: Manners,
    refused: AtomicUsize,
    dropped: AtomicUsize,
    connections: AtomicUsize,
    open: AtomicUsize,
    resets: AtomicUsize,
    seen: Mutex<Vec<Request2>>,
}

/// A running upstream on 127.0.0.1.
pub(crate) struct Http2Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    _stop: oneshot::Sender<()>,
}

impl Http2Upstream {
    pub(crate) fn start(manners: Manners) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            manners,
            refused: AtomicUsize::new(0),
            dropped: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            resets: AtomicUsize::new(0),
            seen: Mutex::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&shared);
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! { () = accept(listener, serving) => (), _ = stopped => () }
            });
        };
        std::thread::Builder::new().name("mock-h2".to_owned()).spawn(run).unwrap();
        Self { address, shared, _stop: stop }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request that was there in full.
    pub(crate) fn seen(&self) -> Vec<Request2> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// How many connections were ever accepted.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many are open now.
    pub(crate) fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// How many streams the other side has reset.
    pub(crate) fn resets(&self) -> usize {
        self.shared.resets.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        shared.connections.fetch_add(1, Ordering::SeqCst);
        shared.open.fetch_add(1, Ordering::SeqCst);
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            serve(stream, &shared).await;
            shared.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

async fn serve(stream: TcpStream, shared: &Arc<Shared>) {
    let Some(tls) = shared.manners.tls.clone() else {
        return serve_http2(stream, None, shared).await;
    };
    let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await else { return };
    let session = stream.get_ref().1;
    let sni = session.server_name().map(str::to_owned);
    if session.alpn_protocol() == Some(b"h2") {
        serve_http2(stream, sni, shared).await;
    } else {
        serve_http1(stream, sni, shared).await;
    }
}

async fn serve_http2<T: AsyncRead + AsyncWrite + Unpin>(
    stream: T,
    sni: Option<String>,
    shared: &Arc<Shared>,
) {
    let mut builder = h2::server::Builder::new();
    if let Some(streams) = shared.manners.streams {
        builder.max_concurrent_streams(streams);
    }
    let Ok(mut http) = builder.handshake(stream).await else { return };
    let (lose, lost) = oneshot::channel::<()>();
    let lose = Arc::new(Mutex::new(Some(lose)));
    let serving = async {
        let mut taken = 0;
        while let Some(Ok((request, mut respond))) = http.accept().await {
            if shared.refused.fetch_add(1, Ordering::SeqCst) < shared.manners.refuses {
                respond.send_reset(Reason::REFUSED_STREAM);
                continue;
            }
            if shared.manners.http1_required {
                respond.send_reset(Reason::HTTP_1_1_REQUIRED);
                continue;
            }
            taken += 1;
            if shared.manners.goaway_after == Some(taken) {
                http.graceful_shutdown();
            }
            let (shared, sni, lose) = (Arc::clone(shared), sni.clone(), Arc::clone(&lose));
            tokio::spawn(async move {
                if !answer(request, respond, sni, &shared).await {
                    lose.lock().unwrap().take();
                }
            });
        }
    };
    tokio::select! { () = serving => (), _ = lost => () }
}

/// False: the connection is to be lost instead.
async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    sni: Option<String>,
    shared: &Shared,
) -> bool {
    let (parts, mut stream) = request.into_parts();
    if shared.manners.early {
        let answered = respond.send_response(Response::new(()), true).is_ok();
        while let Some(Ok(chunk)) = stream.data().await {
            let _ = stream.flow_control().release_capacity(chunk.len());
        }
        if answered && !stream.is_end_stream() {
            shared.resets.fetch_add(1, Ordering::SeqCst);
        }
        return true;
    }
    let mut body = Vec::new();
    while let Some(chunk) = stream.data().await {
        let Ok(chunk) = chunk else { return true };
        let _ = stream.flow_control().release_capacity(chunk.len());
        body.extend_from_slice(&chunk);
    }
    let seen = Request2 {
        sni,
        head: format!("{} {} {:?}", parts.method, parts.uri, parts.version),
        authority: parts.uri.authority().map(ToString::to_string).unwrap_or_default(),
        headers: parts.headers,
        body,
    };
    let told = shared.manners.script.as_ref().and_then(|script| script(&seen));
    shared.seen.lock().unwrap().push(seen);
    if let Some(response) = told {
        let _ = respond.send_response(response, true);
        return true;
    }
    if shared.dropped.fetch_add(1, Ordering::SeqCst) < shared.manners.drops {
        return false;
    }
    if let Some(gate) = &shared.manners.gate {
        tokio::select! {
            () = gate.passed() => {}
            _ = std::future::poll_fn(|context| respond.poll_reset(context)) => {
                shared.resets.fetch_add(1, Ordering::SeqCst);
                return true;
            }
        }
    }
    let mut response = Response::new(());
    if shared.manners.field > 0 {
        let value = "v".repeat(shared.manners.field);
        response.headers_mut().insert("x-large", value.parse().unwrap());
    }
    let Ok(mut sender) = respond.send_response(response, false) else { return true };
    let text = vec![b'x'; shared.manners.body.max(1)];
    let _ = sender.send_data(Bytes::from(text), true);
    true
}

/// HTTP/1.1 for those that chose it: no bodies; an offer to switch protocols is taken.
async fn serve_http1<T: AsyncRead + AsyncWrite + Unpin>(
    mut stream: T,
    sni: Option<String>,
    shared: &Arc<Shared>,
) {
    let mut bytes = Vec::new();
    loop {
        while super::message::head_end(&bytes).is_none() {
            match stream.read_buf(&mut bytes).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        let head = super::message::Head::parse(&bytes);
        bytes.clear();
        shared.seen.lock().unwrap().push(Request2 {
            sni: sni.clone(),
            head: head.first.clone(),
            authority: head.get("host").unwrap_or_default().to_owned(),
            headers: HeaderMap::new(),
            body: Vec::new(),
        });
        if let Some(protocol) = head.get("upgrade") {
            let answer =
                format!("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: {protocol}\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
            return;
        }
        if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx").await.is_err() {
            return;
        }
    }
}
