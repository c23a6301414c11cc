//! Odd corners of a network.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// An address where connecting hangs: its backlog is full, and nobody accepts.
pub(crate) struct Deaf {
    address: SocketAddr,
    _listener: Socket,
    _backlog: Vec<Socket>,
}

impl Deaf {
    /// Binds and fills one.
    pub(crate) fn bind() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut backlog = Vec::new();
        loop {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            let connected = socket.connect_timeout(&address.into(), Duration::from_millis(200)).is_ok();
            backlog.push(socket);
            if !connected {
                break;
            }
        }
        Self { address, _listener: listener, _backlog: backlog }
    }

    /// Where nobody answers.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}
