//! One exchange: a request goes up while its answer is read.
//!
//! Invariant: an answer wins over everything that happens to the request behind it. A request is called unanswered only
//! if not a byte of an answer came.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use http::request::Parts;
use http::{Method, Response, StatusCode};

use super::Limits;
use super::body::Body;
use super::connection::Connection;
use super::parse::{self, Asked, Head};
use super::writer::Writer;
use crate::forward::ForwardError;
use crate::forward::upload::Upload;

/// Bytes of interim answers (1xx) before the final one: a `102 Processing` a second for five hours.
const INTERIM: usize = 512 * 1024;

/// After so many of them others have their turn; the sockets, which are looked at after some sixty turns, soon as well.
const TURN: u32 = 8;

/// Up to here a head that is not complete is looked at again with each byte, so that what is none is known at once.
const EAGER: usize = 8 * 1024;

/// An exchange that came to nothing; the connection is closed.
#[derive(Debug)]
pub struct Failure {
    /// Why.
    pub error: ForwardError,
    /// The connection closed before the first byte of an answer.
    pub unanswered: bool,
}

/// Sends a request and waits for the head of its answer; the rest of a request that is answered early goes on by itself.
pub async fn send(
    mut connection: Box<Connection>,
    request: &Parts,
    upload: &mut Upload,
    limits: Limits,
) -> Result<Response<Body>, Failure> {
    let mut writer = Writer::new(connection.buffers.take_write(), request, std::mem::take(upload));
    let mut reader = Reader {
        asked: if request.method == Method::HEAD { Asked::Head } else { Asked::Other },
        limits,
        interim: INTERIM,
        turn: TURN,
        started: false,
        looked: 0,
    };
    let head = poll_fn(|context| reader.poll(&mut connection, &mut writer, context)).await;
    let head = head.map_err(|error| {
        let closed = matches!(error, ForwardError::Closed(_));
        Failure { error, unanswered: closed && !reader.started }
    })?;
    Ok(Body::answer(connection, writer, head, limits))
}

/// What waits for the head of an answer.
struct Reader {
    asked: Asked,
    limits: Limits,
    /// Bytes of interim answers that may still come.
    interim: usize,
    /// How many of them until others have their turn.
    turn: u32,
    /// Bytes have come.
    started: bool,
    /// How much of the buffer has been looked at for the end of a head.
    looked: usize,
}

impl Reader {
    fn poll(
        &mut self,
        connection: &mut Connection,
        writer: &mut Writer,
        context: &mut Context<'_>,
    ) -> Poll<Result<Head, ForwardError>> {
        loop {
            // A caller that is gone ends the exchange, whatever the upstream may still say.
            if !writer.is_done()
                && let Poll::Ready(written) = writer.poll(&mut connection.io, context)
            {
                written?;
                connection.buffers.give_write(writer.take_out());
            }
            let head = ready!(self.poll_head(connection, context))?;
            let status = head.response.status();
            if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
                return Poll::Ready(Ok(head));
            }
            if status == StatusCode::CONTINUE {
                writer.go_ahead();
            }
            self.turn -= 1;
            if self.turn == 0 {
                self.turn = TURN;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    fn poll_head(
        &mut self,
        connection: &mut Connection,
        context: &mut Context<'_>,
    ) -> Poll<Result<Head, ForwardError>> {
        loop {
            if self.is_worth_parsing(&connection.buffer)
                && let Some(head) = self.parse(connection)?
            {
                self.looked = 0;
                return Poll::Ready(Ok(head));
            }
            match ready!(connection.poll_fill(None, context)) {
                Ok(0) if self.started => {
                    return Poll::Ready(Err(ForwardError::Closed(
                        "within the head of its answer".to_owned(),
                    )));
                }
                Ok(0) => {
                    return Poll::Ready(Err(ForwardError::Closed("before its answer".to_owned())));
                }
                Ok(_) => self.started = true,
                Err(error) => return Poll::Ready(Err(ForwardError::Closed(error.to_string()))),
            }
        }
    }

    fn parse(&mut self, connection: &mut Connection) -> Result<Option<Head>, ForwardError> {
        let mut spare = connection.buffers.take_fields();
        let before = connection.buffer.len();
        let head = parse::head(&mut connection.buffer, self.asked, self.limits, &mut spare);
        if spare.capacity() > 0 {
            connection.buffers.give_fields(spare);
        }
        if let Ok(Some(head)) = &head
            && head.response.status().is_informational()
        {
            let left = self.interim.checked_sub(before - connection.buffer.len());
            let endless = || ForwardError::Invalid("interim answers without end".to_owned());
            self.interim = left.ok_or_else(endless)?;
        }
        head
    }

    /// Whether a parser may find a head, an error, or too much: what is long is not read again for each byte.
    fn is_worth_parsing(&mut self, buffer: &[u8]) -> bool {
        let from = self.looked.saturating_sub(3);
        self.looked = buffer.len();
        let new = &buffer[from.min(buffer.len())..];
        match buffer.len() {
            0 => false,
            1..=EAGER => true,
            length if length > self.limits.bytes => true,
            _ => new.windows(2).any(|end| end == b"\n\n") || new.windows(3).any(|end| end == b"\n\r\n"),
        }
    }
}
