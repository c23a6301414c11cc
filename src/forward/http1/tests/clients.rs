//! The two clients, over a pipe whose other end plays an upstream.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Version};
use http_body::Body;
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::timeout;

use crate::forward::ForwardError;
use crate::forward::dial::Transport;
use crate::forward::http1::{self, Buffers, Connection, Lifetime, Limits};
use crate::forward::upload::Upload;

const LIMITS: Limits = Limits { bytes: 64 * 1024, fields: 100 };

/// Virtual time in which whoever can move has moved.
const SILENCE: Duration = Duration::from_millis(1);

/// What is asked, and what the upstream says to that.
#[derive(Clone, Debug)]
pub(super) struct Play {
    pub(super) method: String,
    pub(super) pieces: Vec<Vec<u8>>,
    /// Whether it closes behind that.
    pub(super) closes: bool,
}

impl Default for Play {
    fn default() -> Self {
        Self { method: "GET".to_owned(), pieces: Vec::new(), closes: false }
    }
}

/// What a client made of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Got {
    Refused(Class),
    Answer(Box<Whole>),
}

/// Why there was no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Closed,
    Invalid,
    TooLarge,
    Silent,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) status: u16,
    pub(super) version: Version,
    pub(super) reason: Option<Vec<u8>>,
    pub(super) fields: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Vec<(String, Vec<u8>)>,
    /// The body broke off.
    pub(super) cut: bool,
    /// The connection may be used again.
    pub(super) kept: bool,
}

impl Got {
    /// Whether they are the same to a caller; of a body that breaks off, less may have been read.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Answer(one), Self::Answer(two)) if one.cut && two.cut => {
                let bare = |whole: &Whole| Whole { body: Vec::new(), ..whole.clone() };
                let prefix = one.body.starts_with(&two.body) || two.body.starts_with(&one.body);
                bare(one) == bare(two) && prefix
            }
            _ => self == other,
        }
    }
}

/// What our client makes of it.
pub(super) fn ours(play: &Play) -> Got {
    run(play, async |pipe, request| own(pipe, request).await).0
}

/// What hyper's client makes of it.
pub(super) fn hyper(play: &Play) -> Got {
    run(play, async |pipe, request| others(pipe, request).await).0
}

/// What each client writes for a request.
pub(super) fn written(request: impl Fn() -> Request<Upload>) -> (Vec<u8>, Vec<u8>) {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec();
    let play = Play { pieces: vec![answer], ..Play::default() };
    let (one, own_bytes) = run(&play, async |pipe, _| own(pipe, request()).await);
    let (two, other_bytes) = run(&play, async |pipe, _| others(pipe, request()).await);
    assert_eq!(one, two);
    assert!(matches!(&one, Got::Answer(whole) if whole.kept), "{one:?}");
    (own_bytes, other_bytes)
}

fn run(play: &Play, client: impl AsyncFnOnce(DuplexStream, Request<Upload>) -> Got) -> (Got, Vec<u8>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (near, far) = tokio::io::duplex(1 << 20);
    let request = Request::builder().method(play.method.as_str()).uri("/case").header("host", "h");
    let request = request.body(Upload::Empty).unwrap();
    let play = play.clone();
    tokio::task::LocalSet::new().block_on(&runtime, async move {
        let upstream = tokio::task::spawn_local(perform(far, play));
        let got = client(near, request).await;
        (got, upstream.await.unwrap())
    })
}

/// Reads a request, says its pieces, and waits for the end.
async fn perform(mut pipe: DuplexStream, play: Play) -> Vec<u8> {
    let mut read = Vec::new();
    while !matches!(timeout(SILENCE, pipe.read_buf(&mut read)).await, Ok(Ok(0) | Err(_)) | Err(_)) {}
    for piece in play.pieces {
        // Whoever is gone reads no more.
        let _ = pipe.write_all(&piece).await;
        tokio::time::sleep(SILENCE).await;
    }
    if play.closes {
        let _ = pipe.shutdown().await;
    }
    let _ = pipe.read_to_end(&mut read).await;
    read
}

async fn own(pipe: DuplexStream, request: Request<Upload>) -> Got {
    let connection =
        Connection::new(Transport::pipe(pipe), &Rc::new(Buffers::default()), Lifetime::default());
    let (head, mut upload) = request.into_parts();
    let Ok(sent) = timeout(20 * SILENCE, http1::send(connection, &head, &mut upload, LIMITS)).await else {
        return Got::Refused(Class::Silent);
    };
    match sent {
        Err(failure) => Got::Refused(match failure.error {
            ForwardError::Closed(_) => Class::Closed,
            ForwardError::Invalid(_) => Class::Invalid,
            ForwardError::HeadTooLarge(_) => Class::TooLarge,
            other => panic!("{other}"),
        }),
        Ok(mut response) => {
            let mut whole = collect(&mut response).await;
            if !whole.cut
                && let Some(mut rest) = response.body_mut().take_rest()
            {
                tokio::time::sleep(SILENCE).await;
                whole.kept = rest.is_quiet();
            }
            Got::Answer(Box::new(whole))
        }
    }
}

async fn others(pipe: DuplexStream, request: Request<Upload>) -> Got {
    let mut http = hyper::client::conn::http1::Builder::new();
    let (mut sender, driver) = http.max_buf_size(LIMITS.bytes).handshake(TokioIo::new(pipe)).await.unwrap();
    let driver = tokio::task::spawn_local(async move {
        let _ = driver.await;
    });
    let got = match timeout(20 * SILENCE, sender.send_request(request)).await {
        Err(_) => Got::Refused(Class::Silent),
        Ok(Err(error)) => Got::Refused(if error.is_parse_too_large() {
            Class::TooLarge
        } else if error.is_parse() {
            Class::Invalid
        } else {
            Class::Closed
        }),
        Ok(Ok(mut response)) => {
            let mut whole = collect(&mut response).await;
            tokio::time::sleep(SILENCE).await;
            whole.kept = !whole.cut && sender.is_ready();
            Got::Answer(Box::new(whole))
        }
    };
    driver.abort();
    got
}

async fn collect<B: Body<Data = Bytes> + Unpin>(response: &mut Response<B>) -> Whole {
    let reason = response.extensions().get::<hyper::ext::ReasonPhrase>();
    let mut whole = Whole {
        status: response.status().as_u16(),
        version: response.version(),
        reason: reason.map(|reason| reason.as_bytes().to_vec()),
        fields: fields(response.headers()),
        body: Vec::new(),
        trailers: Vec::new(),
        cut: false,
        kept: false,
    };
    loop {
        match timeout(20 * SILENCE, response.body_mut().frame()).await {
            Ok(None) => return whole,
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => whole.body.extend_from_slice(&data),
                Err(frame) => whole.trailers = fields(&frame.into_trailers().unwrap_or_default()),
            },
            Ok(Some(Err(_))) | Err(_) => {
                whole.cut = true;
                return whole;
            }
        }
    }
}

/// Without the lines that only say whether the connection is kept: ours takes them for itself.
fn fields(map: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let is_kept =
        |option: &[u8]| option.eq_ignore_ascii_case(b"close") || option.eq_ignore_ascii_case(b"keep-alive");
    let taken = |name: &HeaderName, value: &HeaderValue| {
        *name == CONNECTION
            && value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii).all(is_kept)
    };
    let passed = map.iter().filter(|(name, value)| !taken(name, value));
    passed.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
}
