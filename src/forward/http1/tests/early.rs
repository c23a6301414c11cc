//! Answers that come before the request is over, requests that break off, and answers that nobody reads.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::timeout;

use crate::forward::dial::Transport;
use crate::forward::http1::{self, Body, Buffers, Connection, Lifetime, Limits};
use crate::forward::upload::{Kept, Upload};

/// Larger than the pipe, which holds a kilobyte.
const LARGE: usize = 300_000;

/// Virtual: whoever waits for more is stuck.
const STUCK: Duration = Duration::from_secs(1);

pub(super) fn run(test: impl Future<Output = ()>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

/// Sends a large upload to an upstream that reads its head only, and answers with `answer`.
async fn answered(answer: String) -> (Response<Body>, DuplexStream) {
    let (near, mut far) = tokio::io::duplex(1024);
    let connection =
        Connection::new(Transport::pipe(near), &Rc::new(Buffers::default()), Lifetime::default());
    let mut upload = Upload::again(Kept::of(vec![Bytes::from(vec![b'u'; LARGE]); 2]));
    let head = Request::post("/").header("host", "h").body(()).unwrap().into_parts().0;
    let limits = Limits { bytes: 1000, fields: 10 };
    let upstream = async {
        let mut begin = [0; 100];
        far.read_exact(&mut begin).await.unwrap();
        far.write_all(answer.as_bytes()).await.unwrap();
        far
    };
    let (sent, far) = tokio::join!(http1::send(connection, &head, &mut upload, limits), upstream);
    (sent.unwrap(), far)
}

fn whole() -> String {
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly".to_owned()
}

/// Everything that is left of an upload of two pieces, of which a hundred bytes (with the head) are read.
async fn rest(far: &mut DuplexStream) -> usize {
    let mut read = vec![0; 2 * LARGE];
    let mut count = 0;
    while let Ok(Ok(more @ 1..)) = timeout(STUCK, far.read(&mut read)).await {
        count += more;
    }
    count
}

#[test]
fn an_upload_goes_on_although_nobody_reads_the_early_answer() {
    run(async {
        let (mut response, mut far) = answered(whole()).await;
        let head = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 600000\r\n\r\n".len();
        assert_eq!(rest(&mut far).await, 2 * LARGE + head - 100);
        assert_eq!(response.body_mut().collect().await.unwrap().to_bytes(), "early");
        let connection = response.body_mut().take_rest();
        assert!(connection.is_some_and(|mut connection| connection.is_quiet()), "both ended cleanly");
    });
}

#[test]
fn an_upload_goes_on_after_its_answer_is_over_and_the_connection_is_closed_behind_it() {
    run(async {
        let (mut response, mut far) = answered(whole()).await;
        assert_eq!(response.body_mut().collect().await.unwrap().to_bytes(), "early");
        assert!(response.body_mut().take_rest().is_none(), "the request is still on its way");
        drop(response);
        assert!(rest(&mut far).await > 2 * LARGE - 100);
        assert!(matches!(timeout(STUCK, far.read(&mut [0])).await, Ok(Ok(0))), "closed");
    });
}

#[test]
fn an_answer_that_nobody_wants_any_more_ends_the_upload() {
    run(async {
        let (response, mut far) =
            answered("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nearly".to_owned()).await;
        drop(response);
        tokio::task::yield_now().await;
        assert!(rest(&mut far).await < 2 * LARGE - 100);
        assert!(matches!(timeout(STUCK, far.read(&mut [0])).await, Ok(Ok(0))), "closed");
    });
}

#[test]
fn an_answer_wins_over_an_upstream_that_stops_reading() {
    run(async {
        let (mut response, far) = answered(whole()).await;
        drop(far);
        assert_eq!(response.body_mut().collect().await.unwrap().to_bytes(), "early");
        tokio::time::sleep(STUCK).await;
        let connection = response.body_mut().take_rest();
        assert!(connection.is_none_or(|mut connection| !connection.is_quiet()), "of no use");
    });
}

#[test]
fn a_connection_that_closes_before_a_byte_is_told_from_one_that_had_begun() {
    run(async {
        for (said, unanswered) in [("", true), ("H", false), ("HTTP/1.1 100 Continue\r\n\r\n", false)] {
            let (near, mut far) = tokio::io::duplex(4096);
            let connection =
                Connection::new(Transport::pipe(near), &Rc::new(Buffers::default()), Lifetime::default());
            let head = Request::get("/").body(()).unwrap().into_parts().0;
            far.write_all(said.as_bytes()).await.unwrap();
            drop(far);
            let limits = Limits { bytes: 1000, fields: 10 };
            let failure = http1::send(connection, &head, &mut Upload::Empty, limits).await.unwrap_err();
            assert_eq!(failure.unanswered, unanswered, "{said:?}: {failure:?}");
        }
    });
}
