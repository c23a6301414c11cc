//! The bytes to and from an upstream, in clear text or TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::connect;

/// The bytes to and from an upstream. An upstream that reads no more may have answered (413, 401) before it closed, and
/// the failed write must not hide that: it counts as done, and reading shows the answer, or the end.
#[derive(Debug)]
pub struct Transport {
    stream: Stream,
    pauses: Pauses,
}

#[derive(Debug)]
enum Stream {
    /// Clear text.
    Plain(TcpStream),
    /// TLS; boxed, because it is a hundred times the size.
    Tls(Box<TlsStream<TcpStream>>),
    /// The end of a pipe whose other end plays an upstream.
    #[cfg(test)]
    Pipe(tokio::io::DuplexStream),
}

/// How long an upstream may read nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pauses {
    /// As long as the kernel takes it to be alive.
    Short,
    /// As long as timeouts allow.
    Long,
    /// The same, and the kernel knows.
    LongForKernel,
}

/// The same for whatever stream it is.
macro_rules! each {
    ($stream:expr, $io:ident => $result:expr) => {
        match $stream {
            Stream::Plain($io) => $result,
            Stream::Tls($io) => $result,
            #[cfg(test)]
            Stream::Pipe($io) => $result,
        }
    };
}

impl Transport {
    pub(super) fn plain(tcp: TcpStream) -> Self {
        Self { stream: Stream::Plain(tcp), pauses: Pauses::Short }
    }

    pub(super) fn tls(tls: TlsStream<TcpStream>) -> Self {
        Self { stream: Stream::Tls(Box::new(tls)), pauses: Pauses::Short }
    }

    /// The end of a pipe.
    #[cfg(test)]
    pub fn pipe(pipe: tokio::io::DuplexStream) -> Self {
        Self { stream: Stream::Pipe(pipe), pauses: Pauses::Short }
    }

    /// One message at a time goes up on it, and timeouts say how long the upstream may pause while it reads one.
    pub fn allow_pauses(&mut self) {
        self.pauses = Pauses::Long;
    }

    /// Writes, and says so if the other side is gone: where HTTP is over, no answer can be hidden by it.
    pub fn poll_write_strictly(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = each!(&mut self.stream, io => Pin::new(io).poll_write(context, bytes));
        self.told(written)
    }

    /// Where nothing can be written, the upstream may only have paused.
    fn told<T>(&mut self, written: Poll<T>) -> Poll<T> {
        if written.is_pending() && self.pauses == Pauses::Long {
            self.pauses = Pauses::LongForKernel;
            match &self.stream {
                Stream::Plain(tcp) => connect::allow_pauses(tcp),
                Stream::Tls(tls) => connect::allow_pauses(tls.get_ref().0),
                #[cfg(test)]
                Stream::Pipe(_) => {}
            }
        }
        written
    }
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
        each!(&mut self.get_mut().stream, io => Pin::new(io).poll_read(context, buffer))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        unless_gone(self.get_mut().poll_write_strictly(context, bytes), bytes.len())
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = match &mut self.get_mut().stream {
            // A socket has nothing to flush.
            Stream::Plain(_) => return Poll::Ready(Ok(())),
            stream => each!(stream, io => Pin::new(io).poll_flush(context)),
        };
        unless_gone(flushed, ())
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(&mut self.get_mut().stream, io => Pin::new(io).poll_shutdown(context))
    }

    fn is_write_vectored(&self) -> bool {
        each!(&self.stream, io => io.is_write_vectored())
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = each!(&mut this.stream, io => Pin::new(io).poll_write_vectored(context, slices));
        unless_gone(this.told(written), slices.iter().map(|slice| slice.len()).sum())
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use socket2::SockRef;
    use tokio::net::TcpListener;

    use super::super::lookup::Lookup;
    use super::*;

    /// What the kernel knows of a connection that has been written to until nothing more went.
    async fn when_stuck(allow: impl FnOnce(&mut Transport)) -> Option<Duration> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let tcp = connect::connect(&Lookup::new(address.ip().to_string(), address.port())).await.unwrap();
        let _deaf = listener.accept().await.unwrap();
        let mut transport = Transport::plain(tcp);
        allow(&mut transport);
        poll_fn(|context| {
            while Pin::new(&mut transport).poll_write(context, &[0; 65536]).is_ready() {}
            Poll::Ready(())
        })
        .await;
        let Stream::Plain(tcp) = &transport.stream else { unreachable!() };
        SockRef::from(tcp).tcp_user_timeout().unwrap().filter(|span| !span.is_zero())
    }

    #[tokio::test]
    async fn the_kernel_gives_up_no_upstream_that_may_pause() {
        assert_eq!(when_stuck(Transport::allow_pauses).await, None);
        assert!(when_stuck(|_| {}).await.is_some());
    }
}
