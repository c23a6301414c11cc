//! A running proxy in this process, as `main` starts it, with one route that injects two headers.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use sidepass::app::App;
use sidepass::config::{self, ConfigFile};
use sidepass::shutdown;

/// What is injected as `Authorization`.
pub const AUTHORIZATION: &str = "Bearer the-only-credential";

/// What is injected as `X-Token`.
pub const TOKEN: &str = "Token of-the-route";

/// The names that only the proxy may set.
pub const MANAGED: [&str; 3] = ["authorization", "proxy-authorization", "x-token"];

/// No input makes the proxy hold a connection for this long once the caller has shut down its side.
const PATIENCE: Duration = Duration::from_secs(20);

/// Starts a proxy in front of this upstream; it ends with the process.
pub fn start(upstream: SocketAddr) -> SocketAddr {
    let text = format!(
        "proxy: {{ listen: \"127.0.0.1:0\" }}\nadmin: {{ listen: \"127.0.0.1:0\" }}\nroutes:\n  main:\n    \
         upstream: http://{upstream}\n    headers:\n      Authorization: {{ env: FUZZ_AUTHORIZATION }}\n      \
         X-Token: {{ env: FUZZ_TOKEN }}\n"
    );
    let variables = [("FUZZ_AUTHORIZATION", AUTHORIZATION), ("FUZZ_TOKEN", TOKEN)];
    let variables: BTreeMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let file = ConfigFile { path: PathBuf::from("proxy.yaml"), text };
    let loaded = config::load(&[file], &variables).expect("the configuration is good");
    let bound = App::bind(loaded.config).expect("loopback can be bound");
    let address = *bound.proxy_addresses().first().expect("there is one listener");
    std::thread::spawn(move || {
        let (_handle, stop) = shutdown::channel();
        bound.run(stop).expect("it runs");
    });
    wait_until_ready(address);
    address
}

/// The headers are prepared on another thread; until then there is nothing to inject, which is answered with 503.
fn wait_until_ready(address: SocketAddr) {
    for _ in 0..200 {
        let answer = exchange(address, b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n.");
        if answer.starts_with(b"HTTP/1.1 200") {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the proxy does not get ready");
}

/// Sends these bytes and shuts the writing side down; everything that came back until the proxy closed.
pub fn exchange(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("the proxy listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    // It may have been closed meanwhile, which is an answer too.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answers = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        match read(&mut stream, &mut buffer) {
            Ok(0) => return answers,
            Ok(count) => answers.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("the proxy keeps the connection although the caller has sent all it will send");
            }
            Err(_) => return answers,
        }
    }
}

/// Reads, whatever signals come: libFuzzer's own timer interrupts a read, and an answer that is on its way is not lost by it.
pub fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
