//! A panic while an answer's body streams: it ends that answer, and nothing else.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use sidepass::server::Origin;

use crate::server_stand::{Answers, Body, Stand, limits, text};
use crate::support::patience::{eventually, patience};
use crate::support::streams::pieces;

/// `/panic` gives a piece of a body and then panics.
struct Paths;

impl Answers for Paths {
    async fn answer(&self, request: Request<Incoming>, _: &Origin) -> Response<Body> {
        match request.uri().path() {
            "/panic" => Response::new(Panics(false).boxed_unsync()),
            _ => Response::new(text("whole")),
        }
    }
}

struct Panics(bool);

impl http_body::Body for Panics {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        assert!(!self.0, "on purpose");
        self.0 = true;
        context.waker().wake_by_ref();
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"the beginning")))))
    }
}

#[test]
fn a_body_that_panics_ends_its_connection_and_no_other() {
    let stand = Stand::start(Paths, limits());
    let mut other = stand.connect();
    assert_eq!(other.send(stand.get("/")).read().text(), "whole");
    for _ in 0..3 {
        let mut caller = stand.connect();
        assert!(caller.send(stand.get("/panic")).try_read("GET").is_err(), "the caller sees that it is cut");
    }
    assert_eq!(other.send(stand.get("/")).read().text(), "whole");
    eventually("their places are free", || stand.metric("sidepass_connections") == 1.0);
    drop(other);
    stand.drain();
    eventually("nothing holds the end up", || stand.is_over());
}

#[test]
fn a_body_that_panics_ends_its_stream_and_no_other() {
    let stand = Stand::start(Paths, limits());
    let address = stand.address;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let talk = async {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let http = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        let (mut sender, driver) = http.handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(driver);
        let request = |path: &str| {
            let target = format!("http://{address}{path}");
            Request::get(target).body(pieces().1).unwrap()
        };
        for _ in 0..3 {
            let broken = sender.send_request(request("/panic")).await.unwrap();
            assert!(broken.into_body().collect().await.is_err(), "the caller sees that it is cut");
            let whole = sender.send_request(request("/")).await.unwrap();
            assert_eq!(whole.into_body().collect().await.unwrap().to_bytes(), "whole");
        }
    };
    runtime.block_on(async { tokio::time::timeout(patience(), talk).await.expect("in time") });
    drop(runtime);
    stand.drain();
    eventually("nothing holds the end up", || stand.is_over());
}
