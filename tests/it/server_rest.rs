//! Connections that rest: a request that comes at the very moment when hyper is taken away is answered.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::server_stand::{Echo, Stand, limits};

const CALLERS: u64 = 400;
const ROUNDS: u64 = 3;

/// Asks just about when the watch looks, `spread` around it; what it got for an answer.
async fn ask(address: SocketAddr, started: Instant, n: u64) -> Result<(), String> {
    let mut stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    stream.set_nodelay(true).unwrap();
    for round in 0..ROUNDS {
        let text = format!("{n:03}{round:03}");
        let request = format!("POST /x HTTP/1.1\r\nHost: {address}\r\nContent-Length: 6\r\n\r\n{text}");
        // Anywhere: in the request line, a field, the body.
        let (first, rest) = request.split_at(((n * 13 + round * 29) % request.len() as u64) as usize);
        // The watch looks once a second, and an idle connection rests when it has looked twice.
        let look = started + Duration::from_secs(1 + round * 3);
        let spread = Duration::from_micros((n * 7919 + round * 104_729) % 24_000);
        tokio::time::sleep_until(look + spread - Duration::from_millis(8)).await;
        stream.write_all(first.as_bytes()).await.map_err(|error| format!("round {round}: {error}"))?;
        tokio::time::sleep(Duration::from_millis(n % 4)).await;
        stream.write_all(rest.as_bytes()).await.map_err(|error| format!("round {round}: {error}"))?;
        let mut answer = Vec::new();
        while !answer.ends_with(text.as_bytes()) {
            match stream.read_buf(&mut answer).await {
                Ok(1..) => {}
                ended => return Err(format!("round {round}, split at {}: {ended:?}", first.len())),
            }
        }
        if !answer.starts_with(b"HTTP/1.1 200 ") {
            return Err(String::from_utf8_lossy(&answer).into_owned());
        }
    }
    Ok(())
}

#[test]
fn requests_that_meet_the_moment_of_the_rest_are_answered() {
    let stand = Stand::start(Echo, limits());
    let started = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let lost: Vec<String> = runtime.block_on(async {
        let asking: Vec<_> = (0..CALLERS).map(|n| tokio::spawn(ask(stand.address, started, n))).collect();
        let mut lost = Vec::new();
        for one in asking {
            lost.extend(one.await.unwrap().err());
        }
        lost
    });
    assert!(lost.is_empty(), "{} of {CALLERS}: {:?}", lost.len(), &lost[..lost.len().min(3)]);
    assert_eq!(stand.tally.requests() as u64, CALLERS * ROUNDS);
}
