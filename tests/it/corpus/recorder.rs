//! An upstream that keeps every byte it was sent, reads it strictly, and answers what it is told.
//!
//! Unlike the mock upstream it takes nothing for granted: a head that is not canonical is a fault of the proxy.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::canonical::{Framing, Head, chunked};
use super::text::escape;
use crate::support::message::head_end;
use crate::support::patience::eventually;
use crate::support::reply::Step;

/// What one request made of the bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Recorded {
    /// Which connection it came on, from 0.
    pub(super) connection: usize,
    /// Every byte, with the framing of the body.
    pub(super) raw: Vec<u8>,
    /// The head.
    pub(super) head: Head,
    /// The body without its framing.
    pub(super) body: Vec<u8>,
    /// What stood behind the last chunk.
    pub(super) trailers: Vec<(String, String)>,
    /// Whether it came to its end.
    pub(super) complete: bool,
    /// What is not canonical about it.
    pub(super) fault: Option<String>,
}

impl Recorded {
    /// The request target.
    pub(super) fn target(&self) -> &str {
        self.head.line.split(' ').nth(1).unwrap_or_default()
    }
}

/// What it does with a request.
pub(super) type Handler = Box<dyn Fn(&Recorded) -> Vec<Step> + Send + Sync>;

/// What it does with a connection before any request.
pub(super) type Greeter = Box<dyn Fn() -> Option<Vec<u8>> + Send + Sync>;

struct Shared {
    seen: Mutex<Vec<Recorded>>,
    open: Mutex<HashSet<usize>>,
    /// Who ever connected.
    peers: Mutex<HashSet<SocketAddr>>,
    connections: AtomicUsize,
    over: AtomicBool,
    greeter: Greeter,
    handler: Handler,
}

/// A recording upstream on loopback.
pub(super) struct Recorder {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Recorder {
    /// Starts one.
    pub(super) fn start(greeter: Greeter, handler: Handler) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            seen: Mutex::default(),
            open: Mutex::default(),
            peers: Mutex::default(),
            connections: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            greeter,
            handler,
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepting.over.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&accepting);
                let number = shared.connections.fetch_add(1, Ordering::SeqCst);
                shared.open.lock().unwrap().insert(number);
                shared.peers.lock().unwrap().extend(stream.peer_addr());
                std::thread::spawn(move || serve(stream, number, &shared));
            }
        });
        Self { address, shared }
    }

    /// `http://127.0.0.1:port`
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `127.0.0.1:port`
    pub(super) fn authority(&self) -> String {
        self.address.to_string()
    }

    /// How many requests there were.
    pub(super) fn count(&self) -> usize {
        self.shared.seen.lock().unwrap().len()
    }

    /// The requests from this number on.
    pub(super) fn since(&self, number: usize) -> Vec<Recorded> {
        self.shared.seen.lock().unwrap()[number..].to_vec()
    }

    /// Waits until every connection made so far has been read: what was on its way is recorded.
    pub(super) fn settle(&self) {
        // Connections are accepted in order: when this one is there, all earlier ones are.
        let barrier = TcpStream::connect(self.address).unwrap();
        let own = barrier.local_addr().unwrap();
        eventually("the recorder accepts", || self.shared.peers.lock().unwrap().contains(&own));
        drop(barrier);
        eventually("every connection is idle or closed", || {
            let seen = self.shared.seen.lock().unwrap();
            let open = self.shared.open.lock().unwrap();
            open.iter().all(|number| seen.iter().any(|one| one.connection == *number))
        });
    }

    /// Whether this connection is open.
    pub(super) fn is_open(&self, connection: usize) -> bool {
        self.shared.open.lock().unwrap().contains(&connection)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: TcpStream, number: usize, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    let mut connection = Connection { stream, buffer: Vec::new(), number, shared };
    if let Some(greeting) = (shared.greeter)() {
        let _ = connection.stream.write_all(&greeting);
    }
    while connection.exchange().is_some() {}
    drop(connection);
    shared.open.lock().unwrap().remove(&number);
}

struct Connection<'a> {
    stream: TcpStream,
    buffer: Vec<u8>,
    number: usize,
    shared: &'a Shared,
}

impl Connection<'_> {
    /// One request and its answer; nothing when the connection is over.
    fn exchange(&mut self) -> Option<()> {
        let index = self.read_head()?;
        let continues = {
            let seen = &mut self.shared.seen.lock().unwrap()[index];
            seen.head.all("expect").iter().any(|value| value.eq_ignore_ascii_case("100-continue"))
        };
        if continues {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
        }
        self.read_body(index)?;
        let seen = self.shared.seen.lock().unwrap()[index].clone();
        (self.shared.handler)(&seen).into_iter().try_for_each(|step| self.take(step))
    }

    fn read_head(&mut self) -> Option<usize> {
        let end = loop {
            match head_end(&self.buffer) {
                Some(end) => break end,
                None if self.fill().is_none() => {
                    if !self.buffer.is_empty() {
                        let raw = std::mem::take(&mut self.buffer);
                        let fault = Some(format!("half a head: {}", escape(&raw)));
                        self.push(Recorded { raw, fault, ..Recorded::default() });
                    }
                    return None;
                }
                None => {}
            }
        };
        let raw: Vec<u8> = self.buffer.drain(..end).collect();
        let head = Head::read(&raw);
        let fault = head.as_ref().err().cloned();
        let bad = fault.is_some();
        let index = self.push(Recorded { raw, head: head.unwrap_or_default(), fault, ..Recorded::default() });
        (!bad).then_some(index)
    }

    fn push(&self, mut one: Recorded) -> usize {
        one.connection = self.number;
        let mut seen = self.shared.seen.lock().unwrap();
        seen.push(one);
        seen.len() - 1
    }

    fn read_body(&mut self, index: usize) -> Option<()> {
        let framing = self.shared.seen.lock().unwrap()[index].head.framing();
        loop {
            let whole = match framing.clone().unwrap_or(Framing::Unsaid) {
                Framing::Unsaid => Ok(Some((Vec::new(), Vec::new(), 0))),
                Framing::Length(length) => {
                    let body = self.buffer.get(..length).map(<[u8]>::to_vec);
                    Ok(body.map(|body| (body, Vec::new(), length)))
                }
                Framing::Chunked => chunked(&self.buffer),
            };
            let mut seen = self.shared.seen.lock().unwrap();
            match whole {
                Err(fault) => {
                    seen[index].raw.append(&mut self.buffer);
                    seen[index].fault = Some(fault);
                    return None;
                }
                Ok(Some((body, trailers, took))) => {
                    seen[index].raw.extend(self.buffer.drain(..took));
                    (seen[index].body, seen[index].trailers, seen[index].complete) = (body, trailers, true);
                    return Some(());
                }
                Ok(None) => {}
            }
            drop(seen);
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Option<()> {
        let mut some = [0; 16 * 1024];
        let read = self.stream.read(&mut some).ok().filter(|read| *read > 0)?;
        self.buffer.extend_from_slice(&some[..read]);
        Some(())
    }

    fn take(&mut self, step: Step) -> Option<()> {
        match step {
            Step::Bytes(bytes) => self.stream.write_all(&bytes).ok(),
            Step::Pause(span) => {
                std::thread::sleep(span);
                Some(())
            }
            Step::Endless(bytes) => loop {
                self.stream.write_all(&bytes).ok()?;
            },
            Step::Stall => {
                while self.fill().is_some() {}
                None
            }
            Step::Close => None,
            Step::Reset => {
                let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
                None
            }
            step @ (Step::Dribble(..) | Step::Hold(_) | Step::Echo) => panic!("not spoken here: {step:?}"),
        }
    }
}
