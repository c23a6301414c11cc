//! Sockets: TCP on one address or on both loopback families, and Unix sockets.

use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net as unix;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use socket2::{Domain, Protocol, SockRef, Type};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::config::ListenAddress;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// How often a free port of one family is looked for in the other.
const PORT_TRIES: usize = 16;

/// A socket that is bound and listens, not yet tied to a runtime.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(std::net::TcpListener),
    /// A Unix socket, whose file goes when we do.
    Unix(unix::UnixListener, SocketFile),
}

/// The file of a Unix socket; removed on drop.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody else may have removed it; there is nobody to tell.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Socket {
    /// The TCP address it listens on.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }
}

/// Binds an address; `localhost` gives a socket per family that the machine has.
pub fn bind(address: &ListenAddress) -> io::Result<Vec<Socket>> {
    match address {
        ListenAddress::Tcp(address) => Ok(vec![bind_tcp(*address)?]),
        ListenAddress::Localhost { port: 0 } => bind_free_port(),
        ListenAddress::Localhost { port } => bind_loopback(*port),
        ListenAddress::Unix(path) => Ok(vec![bind_unix(path)?]),
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<Socket> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for old connections to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` takes IPv4 too, where the system can; a loopback address of one family is just that.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(Socket::Tcp(socket.into()))
}

/// Both families with one port; one family is enough, but a port that is taken in either is an error.
fn bind_loopback(port: u16) -> io::Result<Vec<Socket>> {
    let v4 = bind_tcp((Ipv4Addr::LOCALHOST, port).into());
    let v6 = bind_tcp((Ipv6Addr::LOCALHOST, port).into());
    match (v4, v6) {
        (Err(error), _) | (_, Err(error)) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
        (Err(error), Err(_)) => Err(error),
        (v4, v6) => Ok(v4.into_iter().chain(v6).collect()),
    }
}

fn bind_free_port() -> io::Result<Vec<Socket>> {
    let mut taken = None;
    for _ in 0..PORT_TRIES {
        let Ok(first) = bind_tcp((Ipv4Addr::LOCALHOST, 0).into()) else {
            return Ok(vec![bind_tcp((Ipv6Addr::LOCALHOST, 0).into())?]);
        };
        let port = first.address().map_or(0, |address| address.port());
        match bind_tcp((Ipv6Addr::LOCALHOST, port).into()) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => taken = Some(error),
            second => return Ok([first].into_iter().chain(second).collect()),
        }
    }
    Err(taken.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
}

/// A socket file that nobody answers on is left over from a crash and replaced; one that answers is somebody's, and so
/// is anything that is no socket at all (a plain file refuses connections just like a dead socket).
fn bind_unix(path: &Path) -> io::Result<Socket> {
    let listener = match unix::UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if !std::fs::symlink_metadata(path)?.file_type().is_socket() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let dead =
                unix::UnixStream::connect(path).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused);
            if !dead {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            unix::UnixListener::bind(path)?
        }
        outcome => outcome?,
    };
    listener.set_nonblocking(true)?;
    Ok(Socket::Unix(listener, SocketFile(path.to_owned())))
}

/// A socket that accepts on this thread's runtime.
#[derive(Debug)]
pub enum Listening {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket and its file.
    Unix(UnixListener, SocketFile),
}

impl Listening {
    /// Ties a socket to the runtime of this thread.
    pub fn new(socket: Socket) -> io::Result<Self> {
        Ok(match socket {
            Socket::Tcp(listener) => Self::Tcp(TcpListener::from_std(listener)?),
            Socket::Unix(listener, file) => Self::Unix(UnixListener::from_std(listener)?, file),
        })
    }

    /// The next connection.
    pub async fn accept(&self) -> io::Result<(Stream, Option<SocketAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Small answers must not wait for an acknowledgement of the one before.
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), Some(peer)))
            }
            Self::Unix(listener, _) => Ok((Stream::Unix(listener.accept().await?.0), None)),
        }
    }
}

/// A caller's connection.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
}

/// The same for whatever stream it is.
macro_rules! each {
    ($stream:expr, $io:ident => $result:expr) => {
        match $stream {
            Stream::Tcp($io) => $result,
            Stream::Unix($io) => $result,
        }
    };
}

impl Stream {
    /// How many of the bytes that have arrived there are, one at most; they stay where they are. Zero is the end.
    pub(super) fn poll_peek(&self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            let ready = each!(self, stream => stream.poll_read_ready(context));
            std::task::ready!(ready)?;
            let peek = || SockRef::from(self).peek(&mut [const { MaybeUninit::uninit() }; 1]);
            let peeked = each!(self, stream => stream.try_io(Interest::READABLE, peek));
            match peeked {
                // The readiness was stale: wait for the next.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                peeked => return Poll::Ready(peeked),
            }
        }
    }

    /// An error that the socket has met since it was asked last.
    pub(super) fn take_error(&self) -> io::Result<Option<io::Error>> {
        SockRef::from(self).take_error()
    }

    /// Whether the other side is known to read no more. TCP tells by an error only.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            Self::Tcp(_) => false,
            Self::Unix(stream) => {
                let mut asked = pin!(stream.ready(Interest::WRITABLE));
                let state = asked.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                matches!(state, Poll::Ready(Ok(ready)) if ready.is_write_closed())
            }
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        each!(self, stream => stream.as_fd())
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_read(context, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(context))
    }

    fn is_write_vectored(&self) -> bool {
        each!(self, stream => stream.is_write_vectored())
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(context, slices))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_is_both_families_with_one_port() {
        let sockets = bind(&ListenAddress::Localhost { port: 0 }).unwrap();
        let addresses: Vec<_> = sockets.iter().filter_map(Socket::address).collect();
        assert!(addresses.iter().all(|address| address.ip().is_loopback()));
        assert!(addresses.windows(2).all(|pair| pair[0].port() == pair[1].port()), "{addresses:?}");
    }

    #[test]
    fn a_port_that_is_taken_in_one_family_is_an_error() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = bind(&ListenAddress::Localhost { port }).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_dead_socket_file_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.sock");
        let address = ListenAddress::Unix(path.clone());
        drop(unix::UnixListener::bind(&path).unwrap());
        let live = bind(&address).unwrap();
        assert_eq!(bind(&address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(live);
        assert!(!path.exists(), "the file goes with the socket");
    }

    #[test]
    fn a_file_that_is_no_socket_is_never_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("proxy.yaml");
        std::fs::write(&path, "routes: {}\n").unwrap();
        let error = bind(&ListenAddress::Unix(path.clone())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "routes: {}\n");
    }
}
