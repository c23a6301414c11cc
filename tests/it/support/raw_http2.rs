//! An upstream that writes the frames of HTTP/2 by hand (RFC 9113 §4.1): for what no library would do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What a hand-written server does with a request.
pub(crate) enum Action {
    /// 200 on this stream.
    Answer(u32),
    /// GOAWAY with this last stream and error, and the end of the connection.
    Goaway { last: u32, error: u32 },
    /// The end of the connection.
    Close,
}

/// A server; it is told how many requests it has had before, and the stream.
pub(crate) struct RawHttp2 {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl RawHttp2 {
    /// Runs one; the script says what becomes of each request.
    pub(crate) fn start(script: impl Fn(usize, u32) -> Action + Send + 'static) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&connections);
        std::thread::spawn(move || {
            let mut before = 0;
            for stream in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::SeqCst);
                let start = before;
                before += serve(stream, |id| script(start + usize::try_from(id / 2).unwrap(), id));
            }
        });
        Self { address, connections }
    }

    /// How many connections were ever accepted.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Serves one connection; how many requests it had.
pub(crate) fn serve(stream: std::net::TcpStream, script: impl Fn(u32) -> Action) -> usize {
    stream.set_nonblocking(true).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut stream = tokio::net::TcpStream::from_std(stream).unwrap();
        let mut requests = 0;
        let mut preface = [0; 24];
        if stream.read_exact(&mut preface).await.is_err() {
            return 0;
        }
        let _ = stream.write_all(&frame(4, 0, 0, &[])).await;
        let mut head = [0; 9];
        while stream.read_exact(&mut head).await.is_ok() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            if stream.read_exact(&mut payload).await.is_err() {
                break;
            }
            let (kind, flags) = (head[3], head[4]);
            let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            if kind == 4 && flags == 0 {
                let _ = stream.write_all(&frame(4, 1, 0, &[])).await;
            }
            // The last frame of a request: HEADERS or DATA with END_STREAM.
            if kind > 1 || flags & 1 == 0 {
                continue;
            }
            requests += 1;
            match script(id) {
                // `:status: 200` of the static table.
                Action::Answer(id) => drop(stream.write_all(&frame(1, 5, id, &[0x88])).await),
                Action::Goaway { last, error } => {
                    let payload = [last.to_be_bytes(), error.to_be_bytes()].concat();
                    let _ = stream.write_all(&frame(7, 0, 0, &payload)).await;
                    break;
                }
                Action::Close => break,
            }
        }
        requests
    })
}

/// The bytes of a frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}
