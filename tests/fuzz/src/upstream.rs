//! An upstream that reads strictly, writes down what it got, and says in each answer which request it answers.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::proxy;
use crate::strict::{self, Fault, Request};

/// The field that numbers the answers.
pub const NUMBER: &str = "x-number";

/// What has arrived since the last look.
#[derive(Debug, Default)]
pub struct Seen {
    /// Requests that were complete, with the number in their answer.
    pub requests: Vec<(u64, Request)>,
    /// Bytes that no strict reader accepts.
    pub faults: Vec<(Fault, Vec<u8>)>,
    next: u64,
}

/// A running upstream; it ends with the process.
#[derive(Debug)]
pub struct Upstream {
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

impl Upstream {
    /// Starts one on loopback.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let seen = Arc::<Mutex<Seen>>::default();
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &seen));
            }
        });
        Self { address, seen }
    }

    /// What has arrived since it was last taken.
    pub fn take(&self) -> Seen {
        let mut seen = lock(&self.seen);
        let next = seen.next;
        std::mem::replace(&mut seen, Seen { next, ..Seen::default() })
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().expect("no thread panics while it holds the lock")
}

fn serve(mut stream: TcpStream, seen: &Mutex<Seen>) {
    let _ = stream.set_nodelay(true);
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    // Whether `100 Continue` was sent for the request that is arriving.
    let mut told = false;
    loop {
        match strict::request(&bytes) {
            Ok((request, taken)) => {
                bytes.drain(..taken);
                told = false;
                let number = {
                    let mut seen = lock(seen);
                    seen.next += 1;
                    let number = seen.next;
                    seen.requests.push((number, request));
                    number
                };
                let answer = format!("HTTP/1.1 200 OK\r\n{NUMBER}: {number}\r\nContent-Length: 0\r\n\r\n");
                if stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
            Err(Fault::Incomplete) => {
                if !told && strict::expects(&bytes) {
                    told = true;
                    if stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").is_err() {
                        return;
                    }
                }
                match proxy::read(&mut stream, &mut buffer) {
                    Ok(0) | Err(_) => return,
                    Ok(count) => bytes.extend_from_slice(&buffer[..count]),
                }
            }
            Err(fault) => {
                lock(seen).faults.push((fault, bytes));
                return;
            }
        }
    }
}
