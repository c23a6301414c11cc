//! An upstream that answers `/probe` well, and everything else with the bytes of the day.

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::proxy;
use crate::strict::{self, Fault};

/// What becomes of the connection behind an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Behind {
    /// It may carry another exchange.
    #[default]
    Kept,
    /// The upstream closes its side.
    Closed,
    /// The same, and another exchange on it would be a fault.
    Forbidden,
}

/// What it says next, and what became of it.
#[derive(Debug, Default)]
struct Day {
    bytes: Vec<u8>,
    behind: Behind,
    /// Which answer to `/probe` was the last.
    probes: u64,
    /// Requests that came on a connection that should have been closed.
    reused: Vec<String>,
}

/// A running upstream; it ends with the process.
#[derive(Debug)]
pub struct Scripted {
    pub address: SocketAddr,
    day: Arc<Mutex<Day>>,
}

impl Scripted {
    /// Starts one on loopback.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let day = Arc::new(Mutex::new(Day { bytes: good("ready"), ..Day::default() }));
        let shared = Arc::clone(&day);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let day = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &day));
            }
        });
        Self { address, day }
    }

    /// From now on it says this.
    pub fn say(&self, bytes: &[u8], behind: Behind) {
        let mut day = lock(&self.day);
        (day.bytes, day.behind) = (bytes.to_vec(), behind);
    }

    /// The body of its last answer to `/probe`.
    pub fn probe(&self) -> String {
        format!("probe {}", lock(&self.day).probes)
    }

    /// Requests on connections that should have been closed, since this was last asked.
    pub fn reused(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.day).reused)
    }
}

fn lock(day: &Mutex<Day>) -> MutexGuard<'_, Day> {
    day.lock().expect("no thread panics while it holds the lock")
}

fn good(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn serve(mut stream: TcpStream, day: &Mutex<Day>) {
    let _ = stream.set_nodelay(true);
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    let mut behind = Behind::Kept;
    loop {
        match strict::request(&bytes) {
            Ok((request, taken)) => {
                bytes.drain(..taken);
                let answer = {
                    let mut day = lock(day);
                    if behind == Behind::Forbidden {
                        day.reused.push(String::from_utf8_lossy(&request.target).into_owned());
                    }
                    if request.target == b"/probe" {
                        day.probes += 1;
                        good(&format!("probe {}", day.probes))
                    } else {
                        behind = day.behind;
                        day.bytes.clone()
                    }
                };
                if stream.write_all(&answer).is_err() {
                    return;
                }
                if behind != Behind::Kept {
                    let _ = stream.shutdown(Shutdown::Write);
                }
            }
            Err(Fault::Incomplete) => match proxy::read(&mut stream, &mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            },
            Err(fault) => {
                lock(day).reused.push(format!("no request: {fault:?}"));
                return;
            }
        }
    }
}
