//! The bytes to and from an upstream, in clear text or TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// The bytes to and from an upstream. An upstream that reads no more may have answered (413, 401) before it closed, and
/// the failed write must not hide that: it counts as done, and reading shows the answer, or the end.
#[derive(Debug)]
pub enum Transport {
    /// Clear text.
    Plain(TcpStream),
    /// TLS; boxed, because it is a hundred times the size.
    Tls(Box<TlsStream<TcpStream>>),
    /// The end of a pipe whose other end plays an upstream.
    #[cfg(test)]
    Pipe(tokio::io::DuplexStream),
}

/// The outcome of writing; `all` where the other side is gone.
fn unless_gone<T>(written: Poll<io::Result<T>>, all: T) -> Poll<io::Result<T>> {
    use io::ErrorKind as K;
    match written {
        Poll::Ready(Err(error)) if matches!(error.kind(), K::BrokenPipe | K::ConnectionReset) => {
            Poll::Ready(Ok(all))
        }
        written => written,
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(context, buffer),
            Self::Tls(io) => Pin::new(io).poll_read(context, buffer),
            #[cfg(test)]
            Self::Pipe(io) => Pin::new(io).poll_read(context, buffer),
        }
    }
}

impl Transport {
    /// Writes, and says so if the other side is gone: where HTTP is over, no answer can be hidden by it.
    pub fn poll_write_strictly(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(io) => Pin::new(io).poll_write(context, bytes),
            Self::Tls(io) => Pin::new(io).poll_write(context, bytes),
            #[cfg(test)]
            Self::Pipe(io) => Pin::new(io).poll_write(context, bytes),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        unless_gone(self.get_mut().poll_write_strictly(context, bytes), bytes.len())
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = match self.get_mut() {
            // A socket has nothing to flush.
            Self::Plain(_) => return Poll::Ready(Ok(())),
            Self::Tls(io) => Pin::new(io).poll_flush(context),
            #[cfg(test)]
            Self::Pipe(io) => Pin::new(io).poll_flush(context),
        };
        unless_gone(flushed, ())
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(context),
            Self::Tls(io) => Pin::new(io).poll_shutdown(context),
            #[cfg(test)]
            Self::Pipe(io) => Pin::new(io).poll_shutdown(context),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(io) => io.is_write_vectored(),
            Self::Tls(io) => io.is_write_vectored(),
            #[cfg(test)]
            Self::Pipe(io) => io.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write_vectored(context, slices),
            Self::Tls(io) => Pin::new(io).poll_write_vectored(context, slices),
            #[cfg(test)]
            Self::Pipe(io) => Pin::new(io).poll_write_vectored(context, slices),
        };
        unless_gone(written, slices.iter().map(|slice| slice.len()).sum())
    }
}
