//! A request on its way up: its head at once, with what is there of its body, then the body as it comes.
//!
//! Invariant: the body is asked for more only when all that it gave is written, so that a slow upstream slows its caller.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::request::Parts;
use http_body::Body;
use tokio::io::AsyncWrite;

use super::encode::{self, Framing};
use crate::forward::ForwardError;
use crate::forward::dial::Transport;
use crate::forward::upload::Upload;

/// Pieces up to this size are copied behind what waits to be written already.
const SMALL: usize = 2048;

/// A request on its way up.
#[derive(Debug)]
pub(super) struct Writer {
    /// Bytes to write, from `at` on.
    out: Vec<u8>,
    at: usize,
    /// To be written after them.
    piece: Bytes,
    /// To be written after that.
    tail: &'static [u8],
    framing: Framing,
    upload: Upload,
    /// Nothing has been written yet.
    fresh: bool,
    /// Everything is in `out`.
    ended: bool,
    done: bool,
}

impl Writer {
    /// A request whose head is encoded into `out`, which is empty.
    pub(super) fn new(mut out: Vec<u8>, request: &Parts, upload: Upload) -> Self {
        let framing = Framing::of(&request.headers, &upload);
        encode::head(&mut out, request, &framing);
        let ended = matches!(framing, Framing::Empty | Framing::Length(0));
        let (piece, tail) = (Bytes::new(), &b""[..]);
        Self { out, at: 0, piece, tail, framing, upload, fresh: true, ended, done: false }
    }

    /// Whether everything is written.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Whether the body still waits for a 100.
    pub(super) fn is_held(&self) -> bool {
        self.upload.is_held()
    }

    /// The upstream wants the body.
    pub(super) fn go_ahead(&mut self) {
        self.upload.go_ahead();
    }

    /// The memory that the head was written in.
    pub(super) fn take_out(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Writes until everything is written.
    pub(super) fn poll(
        &mut self,
        io: &mut Transport,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), ForwardError>> {
        if self.done {
            return Poll::Ready(Ok(()));
        }
        if std::mem::take(&mut self.fresh) && !self.ended {
            // What is there already of the body goes out with the head.
            let _ = self.poll_more(context)?;
        }
        loop {
            ready!(self.poll_write(io, context)).map_err(|error| ForwardError::Closed(error.to_string()))?;
            if self.ended {
                self.done = true;
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_more(context))?;
        }
    }

    /// Takes the next piece of the body.
    fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ForwardError>> {
        let gone = || Poll::Ready(Err(ForwardError::CallerGone));
        match ready!(Pin::new(&mut self.upload).poll_frame(context)) {
            Some(Err(_)) => gone(),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => match self.push(data) {
                    Ok(()) => Poll::Ready(Ok(())),
                    Err(()) => gone(),
                },
                Err(frame) => match &self.framing {
                    Framing::Chunked(announced) => {
                        encode::last_chunk(&mut self.out, frame.trailers_ref(), announced);
                        self.ended = true;
                        Poll::Ready(Ok(()))
                    }
                    // Trailers have no place behind a length; the end follows.
                    Framing::Length(_) | Framing::Empty => Poll::Ready(Ok(())),
                },
            },
            None => match &self.framing {
                Framing::Chunked(_) => {
                    encode::last_chunk(&mut self.out, None, &[]);
                    self.ended = true;
                    Poll::Ready(Ok(()))
                }
                // Less than was announced.
                Framing::Length(1..) => gone(),
                Framing::Length(0) | Framing::Empty => {
                    self.ended = true;
                    Poll::Ready(Ok(()))
                }
            },
        }
    }

    /// Puts a piece behind what waits already; an error, if the body is longer than was announced.
    fn push(&mut self, data: Bytes) -> Result<(), ()> {
        if data.is_empty() {
            return Ok(());
        }
        match &mut self.framing {
            Framing::Empty => return Err(()),
            Framing::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or(())?;
                self.ended = *left == 0;
            }
            Framing::Chunked(_) => {
                encode::chunk_size(&mut self.out, data.len());
                self.tail = b"\r\n";
            }
        }
        if data.len() > SMALL {
            self.piece = data;
            return Ok(());
        }
        self.out.extend_from_slice(&data);
        self.out.extend_from_slice(std::mem::take(&mut self.tail));
        if self.upload.is_end_stream() && matches!(self.framing, Framing::Chunked(_)) {
            encode::last_chunk(&mut self.out, None, &[]);
            self.ended = true;
        }
        Ok(())
    }

    /// Writes what there is.
    fn poll_write(&mut self, io: &mut Transport, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let head = &self.out[self.at..];
            let written = if self.piece.is_empty() {
                if head.is_empty() && self.tail.is_empty() {
                    break;
                }
                let bytes = if head.is_empty() { self.tail } else { head };
                ready!(Pin::new(&mut *io).poll_write(context, bytes))?
            } else {
                let all = [IoSlice::new(head), IoSlice::new(&self.piece), IoSlice::new(self.tail)];
                ready!(Pin::new(&mut *io).poll_write_vectored(context, &all))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        ready!(Pin::new(io).poll_flush(context))?;
        self.out.clear();
        self.at = 0;
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, written: usize) {
        let of_head = written.min(self.out.len() - self.at);
        self.at += of_head;
        let of_piece = (written - of_head).min(self.piece.len());
        self.piece.advance(of_piece);
        self.tail = &self.tail[(written - of_head - of_piece).min(self.tail.len())..];
    }
}
