//! The end of a connection: a last answer to a head that hyper could not read, and time for the caller to read it.
//!
//! hyper answers such a head by itself (400, 414, 431) and says nothing but the status. The wire keeps that answer back
//! (see [`super::wire`]), and here it becomes a problem document, counted and logged like every other refusal.

use std::fmt::Write as _;
use std::future::{Future, poll_fn};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Poll, ready};

use bytes::Bytes;
use http::Response;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

use super::state::{Order, Phase};
use super::watched::Watched;
use super::wire::Wire;
use crate::config::server::Limits;
use crate::guard::Refusal;

/// How much of what a caller still sends is thrown away so that it gets to read its answer.
const THROWN_AWAY: usize = 16 * 1024 * 1024;

/// Which refusal hyper's answer stands for. `head` is what had arrived of the head.
pub(super) fn refusal(answer: &[u8], head: &[u8], limits: &Limits) -> Refusal {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    match answer.get(9..12) {
        Some(b"414") => Refusal::UriTooLong,
        Some(b"431") if line.len() > limits.uri_bytes => Refusal::UriTooLong,
        Some(b"431") if head.len() > limits.header_bytes => Refusal::HeadersTooLarge,
        Some(b"431") if fields(head) > limits.headers => Refusal::TooManyHeaders,
        // hyper says so of a Content-Length that is too large for it, too; then it has used up the head.
        _ => Refusal::Malformed,
    }
}

/// How many lines a head has behind its first, as far as it has arrived.
fn fields(head: &[u8]) -> usize {
    let lines = head.split(|byte| *byte == b'\n').skip(1);
    lines.take_while(|line| !matches!(*line, b"" | b"\r")).count()
}

/// The bytes of a last answer. Its date is the one that hyper's answer had.
pub(super) fn serialise(response: &Response<Bytes>, instead_of: &[u8]) -> Vec<u8> {
    let status = response.status();
    let mut text = format!("HTTP/1.1 {status}\r\n");
    let own = [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING];
    for (name, value) in response.headers().iter().filter(|(name, _)| !own.contains(name)) {
        // Our own headers are text; writing to a String does not fail.
        let _ = write!(text, "{name}: {}\r\n", value.to_str().unwrap_or_default());
    }
    let lines = instead_of.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    if let Some(date) = lines.map(str::trim_end).find(|line| line.starts_with("date: ")) {
        let _ = write!(text, "{date}\r\n");
    }
    let _ = write!(text, "connection: close\r\ncontent-length: {}\r\n\r\n", response.body().len());
    [text.as_bytes(), response.body()].concat()
}

/// Writes a last answer, closes our side, and lets the caller finish: closing with bytes unread would make the kernel
/// reset the connection, and the answer would be lost with it.
pub(super) async fn say(wire: &mut Wire, last: &[u8], watched: &Watched) {
    watched.enter(Phase::Linger);
    let _ = until_closed(watched, async {
        wire.write_all(last).await?;
        wire.shutdown().await
    })
    .await;
    let mut room = THROWN_AWAY;
    let thrown_away = poll_fn(|context| {
        while room > 0 {
            let mut some = [const { MaybeUninit::uninit() }; 4096];
            let mut some = ReadBuf::uninit(&mut some);
            match ready!(Pin::new(&mut *wire).poll_read(context, &mut some)) {
                Ok(()) if !some.filled().is_empty() => room = room.saturating_sub(some.filled().len()),
                _ => break,
            }
        }
        Poll::Ready(())
    });
    until_closed(watched, thrown_away).await;
}

/// Does something as long as the watch has patience.
async fn until_closed<T>(watched: &Watched, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|context| match watched.orders.latest(context.waker()) {
        Order::Close => Poll::Ready(None),
        _ => work.as_mut().poll(context).map(Some),
    })
    .await
}
