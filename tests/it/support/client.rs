//! A caller that writes raw bytes and reads raw answers; everything it reads is looked through for secrets.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tokio::time::Instant;

use super::leaks;
use super::message::{Chunked, Framing, Head, head_end, read_chunked};
use super::patience::patience;

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    /// Its status; 0 if there was no head.
    pub(crate) status: u16,
    /// Status line and fields.
    pub(crate) head: Head,
    /// The body without its framing.
    pub(crate) body: Vec<u8>,
    /// From the request's last byte to the answer's.
    pub(crate) took: Duration,
}

impl Response {
    /// The first value of a field.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.get(name)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text()))
    }

    /// The reason of a problem document, checked to stand in the header as well; empty if it is none.
    #[track_caller]
    pub(crate) fn reason(&self) -> String {
        if self.header("content-type") != Some("application/problem+json") {
            return String::new();
        }
        let document = self.json();
        let reason = document["reason"].as_str().expect("a problem document has a reason").to_owned();
        assert_eq!(self.header("x-sidepass-reason"), Some(reason.as_str()), "header and document agree");
        assert_eq!(document["status"], self.status, "status line and document agree");
        assert_eq!(document["request_id"].as_str(), self.header("x-request-id"), "request ids agree");
        reason
    }
}

/// One connection to the proxy.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    sent: Instant,
}

impl Connection {
    /// Connects; reads end after the tests' patience (twice: some answers are slow by design).
    #[track_caller]
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the proxy accepts connections");
        Self::over(stream)
    }

    /// Takes a connected stream over.
    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(patience() * 2)).unwrap();
        stream.set_write_timeout(Some(patience() * 2)).unwrap();
        Self { stream, buffer: Vec::new(), sent: Instant::now() }
    }

    /// Writes these bytes. A peer that has closed meanwhile is no failure: the answer says more.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let _ = self.stream.write_all(bytes.as_ref());
        self.sent = Instant::now();
        self
    }

    /// Breaks off with a TCP reset: unlike an end in good order, it cannot be taken for a caller who waits for an answer.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(self.stream()).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    }

    /// The stream itself.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Reads one answer to a request that was not HEAD.
    #[track_caller]
    pub(crate) fn read(&mut self) -> Response {
        self.try_read("GET").expect("an answer")
    }

    /// Reads one answer to a request of this method. An error: the connection ended before the answer did.
    pub(crate) fn try_read(&mut self, method: &str) -> io::Result<Response> {
        let head = loop {
            let head = self.read_head()?;
            // 1xx are not the answer yet (101 is).
            if !head.word(1).starts_with('1') || head.word(1) == "101" {
                break head;
            }
        };
        let status: u16 = head.word(1).parse().unwrap_or(0);
        let body = if method == "HEAD" || status == 204 || status == 304 {
            Vec::new()
        } else {
            self.read_body(&head)?
        };
        leaks::scan("answer head", &head.raw);
        leaks::scan("answer body", &body);
        Ok(Response { status, head, body, took: self.sent.elapsed() })
    }

    /// Whether the other side closes without sending anything more.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.buffer.is_empty() && matches!(self.fill(), Ok(0) | Err(_))
    }

    /// Reads whatever comes until the other side closes.
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        while matches!(self.fill(), Ok(1..)) {}
        leaks::scan("answer", &self.buffer);
        std::mem::take(&mut self.buffer)
    }

    /// Reads one head.
    pub(crate) fn read_head(&mut self) -> io::Result<Head> {
        let end = loop {
            match head_end(&self.buffer) {
                Some(end) => break end,
                None => self.fill_some()?,
            }
        };
        Ok(Head::parse(&self.buffer.drain(..end).collect::<Vec<u8>>()))
    }

    /// At least `least` bytes of what follows, and everything else that is there.
    pub(crate) fn read_bytes(&mut self, least: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < least {
            self.fill_some()?;
        }
        Ok(std::mem::take(&mut self.buffer))
    }

    fn read_body(&mut self, head: &Head) -> io::Result<Vec<u8>> {
        loop {
            match head.framing() {
                Framing::Length(length) if self.buffer.len() >= length => {
                    return Ok(self.buffer.drain(..length).collect());
                }
                Framing::Length(_) => self.fill_some()?,
                Framing::Chunked => match read_chunked(&self.buffer) {
                    Some(Chunked::Whole(body, _, took)) => {
                        self.buffer.drain(..took);
                        return Ok(body);
                    }
                    Some(Chunked::Partial(_)) => self.fill_some()?,
                    None => return Err(io::ErrorKind::InvalidData.into()),
                },
                Framing::Nothing => {
                    return if self.fill()? == 0 { Ok(std::mem::take(&mut self.buffer)) } else { continue };
                }
            }
        }
    }

    fn fill_some(&mut self) -> io::Result<()> {
        if self.fill()? == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut some = [0; 64 * 1024];
        let read = loop {
            match self.stream.read(&mut some) {
                // A read with a timeout is interrupted by what happens to other threads, too.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                outcome => break outcome?,
            }
        };
        self.buffer.extend_from_slice(&some[..read]);
        Ok(read)
    }
}

/// The bytes of a request with a Host that fits the address; with a body, a Content-Length too.
pub(crate) fn request(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || method == "POST" {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

/// Sends one request on a connection of its own.
#[track_caller]
pub(crate) fn call(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    let mut connection = Connection::open(address);
    connection.send(request(address, method, target, headers, body));
    connection.try_read(method).unwrap_or_else(|error| panic!("no answer to {method} {target}: {error}"))
}

/// GET on a connection of its own.
#[track_caller]
pub(crate) fn get(address: SocketAddr, target: &str) -> Response {
    call(address, "GET", target, &[], b"")
}

/// GET on a connection of its own, where no answer is not yet a failure.
pub(crate) fn try_get(address: SocketAddr, target: &str) -> io::Result<Response> {
    let mut connection = Connection::over(TcpStream::connect(address)?);
    connection.send(request(address, "GET", target, &[], b"")).try_read("GET")
}
