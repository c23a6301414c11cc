//! TCP to a host: every address that its name has, both families, one staggered behind the other (RFC 8305).

use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::lookup::Lookup;
use crate::forward::ForwardError;

/// A peer that is gone without a word is noticed within a minute, even on a connection that only waits.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// How long the kernel may retransmit before a connection counts as dead. It takes a full window for the same, however
/// alive the other side is.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(30);

/// After which the next address is tried too.
const STAGGER: Duration = Duration::from_millis(300);

/// A TCP connection to the first address that answers; an error tells of every address that was tried.
pub(super) async fn connect(lookup: &Lookup) -> Result<TcpStream, ForwardError> {
    let stream = race(interleave(lookup.addresses().await?)).await?;
    // None of this decides whether the connection works.
    let _ = stream.set_nodelay(true);
    let socket = SockRef::from(&stream);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE).with_retries(3);
    let _ = socket.set_tcp_keepalive(&keepalive);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(USER_TIMEOUT));
    Ok(stream)
}

/// The other side may leave a window full for as long as it likes.
pub(super) fn allow_pauses(stream: &TcpStream) {
    #[cfg(target_os = "linux")]
    let _ = SockRef::from(stream).set_tcp_user_timeout(None);
    #[cfg(not(target_os = "linux"))]
    let _ = stream;
}

/// Alternates the families, starting with the one that the resolver prefers, so that a family that is dead here costs
/// one stagger.
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (preferred, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv4() == first_is_v4);
    let (mut preferred, mut other) = (preferred.into_iter(), other.into_iter());
    let mut mixed = Vec::new();
    loop {
        let pair = [preferred.next(), other.next()];
        if pair == [None, None] {
            return mixed;
        }
        mixed.extend(pair.into_iter().flatten());
    }
}

/// The first attempt that succeeds; the others are given up.
async fn race(addresses: Vec<SocketAddr>) -> Result<TcpStream, ForwardError> {
    let mut waiting = addresses.into_iter();
    let mut attempts = JoinSet::new();
    let mut failed = Vec::new();
    loop {
        match waiting.next() {
            Some(address) => {
                attempts.spawn(async move {
                    let outcome = TcpStream::connect(address).await;
                    outcome.map_err(|error| format!("{address}: {error}"))
                });
            }
            None if attempts.is_empty() => return Err(ForwardError::Connect(failed.join("; "))),
            None => {}
        }
        tokio::select! {
            biased;
            Some(ended) = attempts.join_next() => match ended {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failed.push(error),
                Err(error) => failed.push(error.to_string()),
            },
            () = sleep(STAGGER), if waiting.len() > 0 => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn families_take_turns_and_the_preferred_one_begins() {
        let all = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"].map(address);
        let order = ["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"].map(address);
        assert_eq!(interleave(all.to_vec()), order);
        assert!(interleave(Vec::new()).is_empty());
    }

    #[tokio::test]
    async fn when_all_addresses_fail_the_error_names_each() {
        let closed = || {
            let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            listener.local_addr().unwrap()
        };
        let (one, other) = (closed(), closed());
        let error = race(vec![one, other]).await.unwrap_err().to_string();
        assert!(error.contains(&one.to_string()) && error.contains(&other.to_string()), "{error}");
    }

    #[tokio::test]
    async fn a_dead_address_in_front_costs_no_failure() {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let dead = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let alive = listener.local_addr().unwrap();
        assert_eq!(race(vec![dead, alive]).await.unwrap().peer_addr().unwrap(), alive);
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_no_connection_error() {
        let error = connect(&Lookup::new("no-such-name.invalid".to_owned(), 80)).await.unwrap_err();
        assert!(
            matches!(&error, ForwardError::Dns(text) if text.contains("no-such-name.invalid")),
            "{error}"
        );
    }
}
