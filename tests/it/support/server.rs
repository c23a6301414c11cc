//! A server that speaks HTTP/1.1 by hand: it records the raw bytes of every request and answers what it is told.
//!
//! Each one has a thread and a runtime of its own; stopping it drops both, and with them every connection. Its port stays
//! reserved while it is stopped, so that connecting is refused and starting again cannot fail.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::message::{Chunked, Framing, Head, head_end, read_chunked};
use super::reply::{Reply, Step};

/// One request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Its place among the requests of this server, from 0.
    pub(crate) number: usize,
    /// Which connection it came on, from 0.
    pub(crate) connection: usize,
    /// When its head was complete.
    pub(crate) at: Instant,
    /// Request line and fields.
    pub(crate) head: Head,
    /// The body without its framing, as far as it was read.
    pub(crate) body: Vec<u8>,
    /// The lines behind the last chunk.
    pub(crate) trailers: String,
    /// Whether the body was read to its end.
    pub(crate) complete: bool,
    /// The status it was answered with; 0 as long as there is none.
    pub(crate) answered: u16,
}

impl Seen {
    /// The method.
    pub(crate) fn method(&self) -> &str {
        self.head.word(0)
    }

    /// The request target, byte for byte.
    pub(crate) fn target(&self) -> &str {
        self.head.word(1)
    }

    /// The first value of a field.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.get(name)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// How fast a server takes request bodies.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// As they come.
    Eager,
    /// Not at all.
    Never,
    /// So many bytes, then a pause.
    Slow(usize, Duration),
}

type Handler = Box<dyn Fn(&Seen) -> Reply + Send + Sync>;
type EarlyHandler = Box<dyn Fn(&Seen) -> Option<Reply> + Send + Sync>;

struct Shared {
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
    open: AtomicUsize,
    pace: Mutex<Pace>,
    /// Asked after the head: an answer that does not wait for the body.
    early: EarlyHandler,
    handler: Handler,
}

/// A running (or stopped) server on 127.0.0.1.
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    running: Mutex<Option<Running>>,
    /// Bound and never listening: keeps the port.
    _reserve: Socket,
}

struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Server {
    /// Starts one on a free port.
    pub(crate) fn start(early: EarlyHandler, handler: Handler) -> Self {
        let reserve = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let address = reserve.local_addr().unwrap().as_socket().unwrap();
        let shared = Arc::new(Shared {
            seen: Mutex::default(),
            connections: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            pace: Mutex::new(Pace::Eager),
            early,
            handler,
        });
        let server = Self { address, shared, running: Mutex::new(None), _reserve: reserve };
        server.resume();
        server
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection and refuses new ones.
    pub(crate) fn stop(&self) {
        if let Some(Running { stop, thread }) = self.running.lock().unwrap().take() {
            drop(stop);
            thread.join().unwrap();
        }
    }

    /// Listens (again) on the same port.
    pub(crate) fn resume(&self) {
        let mut running = self.running.lock().unwrap();
        if running.is_some() {
            return;
        }
        let socket = bind(self.address);
        socket.listen(4096).unwrap();
        socket.set_nonblocking(true).unwrap();
        let (shared, (stop, stopped)) = (Arc::clone(&self.shared), oneshot::channel());
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(socket.into()).unwrap();
                tokio::select! { () = accept(listener, shared) => (), _ = stopped => () }
            });
        };
        let thread = std::thread::Builder::new().name("mock".to_owned()).spawn(serve).unwrap();
        *running = Some(Running { stop, thread });
    }

    /// Every request so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// How many requests there were.
    pub(crate) fn count(&self) -> usize {
        self.shared.seen.lock().unwrap().len()
    }

    /// How many connections were ever accepted.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many connections are open now.
    pub(crate) fn open_connections(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// How fast it takes request bodies from now on.
    pub(crate) fn set_pace(&self, pace: Pace) {
        *self.shared.pace.lock().unwrap() = pace;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn bind(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let connection = shared.connections.fetch_add(1, Ordering::SeqCst);
        let open = Open::new(Arc::clone(&shared));
        tokio::spawn(async move {
            Connection { stream, buffer: Vec::new(), connection, shared: &open.0 }.serve().await;
        });
    }
}

/// Counts an open connection as long as it lives.
struct Open(Arc<Shared>);

impl Open {
    fn new(shared: Arc<Shared>) -> Self {
        shared.open.fetch_add(1, Ordering::SeqCst);
        Self(shared)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Connection<'a> {
    stream: TcpStream,
    buffer: Vec<u8>,
    connection: usize,
    shared: &'a Arc<Shared>,
}

/// The connection is over.
struct Over;

impl Connection<'_> {
    async fn serve(mut self) {
        while self.exchange().await.is_ok() {}
    }

    async fn exchange(&mut self) -> Result<(), Over> {
        let seen = self.read_head().await?;
        let number = seen.number;
        let close = seen.head.says_close();
        let reply = match (self.shared.early)(&seen) {
            Some(reply) => reply,
            None => {
                let seen = self.read_body(seen).await?;
                (self.shared.handler)(&seen)
            }
        };
        self.shared.seen.lock().unwrap()[number].answered = reply.status;
        for step in reply.steps {
            self.take(step).await?;
        }
        if close { Err(Over) } else { Ok(()) }
    }

    async fn read_head(&mut self) -> Result<Seen, Over> {
        let end = loop {
            match head_end(&self.buffer) {
                Some(end) => break end,
                None => self.read_more().await?,
            }
        };
        let raw: Vec<u8> = self.buffer.drain(..end).collect();
        let mut all = self.shared.seen.lock().unwrap();
        let seen = Seen {
            number: all.len(),
            connection: self.connection,
            at: Instant::now(),
            head: Head::parse(&raw),
            body: Vec::new(),
            trailers: String::new(),
            complete: false,
            answered: 0,
        };
        all.push(seen.clone());
        Ok(seen)
    }

    async fn read_body(&mut self, mut seen: Seen) -> Result<Seen, Over> {
        loop {
            let (body, took) = match seen.head.framing() {
                Framing::Nothing => (Vec::new(), Some(0)),
                Framing::Length(length) => {
                    let have = self.buffer.len().min(length);
                    (self.buffer[..have].to_vec(), (have == length).then_some(length))
                }
                Framing::Chunked => match read_chunked(&self.buffer).ok_or(Over)? {
                    Chunked::Whole(body, trailers, took) => {
                        seen.trailers = trailers;
                        (body, Some(took))
                    }
                    Chunked::Partial(body) => (body, None),
                },
            };
            if let Some(took) = took {
                self.buffer.drain(..took);
                (seen.body, seen.complete) = (body, true);
                self.shared.seen.lock().unwrap()[seen.number] = seen.clone();
                return Ok(seen);
            }
            if let Err(over) = self.read_at_pace().await {
                self.shared.seen.lock().unwrap()[seen.number].body = body;
                return Err(over);
            }
        }
    }

    async fn read_at_pace(&mut self) -> Result<(), Over> {
        let pace = *self.shared.pace.lock().unwrap();
        match pace {
            Pace::Eager => self.read_more().await,
            Pace::Never => std::future::pending().await,
            Pace::Slow(bytes, pause) => {
                tokio::time::sleep(pause).await;
                let mut some = vec![0; bytes];
                let read = self.stream.read(&mut some).await.map_err(|_| Over)?;
                self.buffer.extend_from_slice(&some[..read]);
                if read == 0 { Err(Over) } else { Ok(()) }
            }
        }
    }

    async fn read_more(&mut self) -> Result<(), Over> {
        self.buffer.reserve(64 * 1024);
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => Err(Over),
            Ok(_) => Ok(()),
        }
    }

    async fn take(&mut self, step: Step) -> Result<(), Over> {
        match step {
            Step::Bytes(bytes) => self.stream.write_all(&bytes).await.map_err(|_| Over),
            Step::Dribble(bytes, every) => {
                for byte in bytes {
                    self.stream.write_all(&[byte]).await.map_err(|_| Over)?;
                    self.unless_gone(tokio::time::sleep(every)).await?;
                }
                Ok(())
            }
            Step::Pause(span) => self.unless_gone(tokio::time::sleep(span)).await,
            Step::Hold(gate) => self.unless_gone(gate.passed()).await,
            Step::Stall => self.unless_gone(std::future::pending()).await,
            Step::Endless(bytes) => loop {
                self.stream.write_all(&bytes).await.map_err(|_| Over)?;
            },
            Step::Echo => loop {
                if self.buffer.is_empty() {
                    self.read_more().await?;
                }
                self.stream.write_all(&self.buffer).await.map_err(|_| Over)?;
                self.buffer.clear();
            },
            Step::Close => Err(Over),
            Step::Reset => {
                let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
                Err(Over)
            }
        }
    }

    /// Waits for something, but ends when the other side goes away meanwhile.
    async fn unless_gone(&mut self, what: impl Future<Output = ()>) -> Result<(), Over> {
        tokio::pin!(what);
        loop {
            tokio::select! {
                () = &mut what => return Ok(()),
                more = self.stream.read_buf(&mut self.buffer) => match more {
                    Ok(0) | Err(_) => return Err(Over),
                    Ok(_) => (),
                },
            }
        }
    }
}
