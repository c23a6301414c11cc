//! The addresses of an upstream's name: one look-up at a time, whoever waits for it.
//!
//! Invariant: a resolver that does not answer holds one thread for an upstream, not one for each of its requests, so that
//! it cannot take those that other upstreams need. What is found is used by those who waited for it, and by nobody later.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use crate::forward::ForwardError;

/// Blocks until the resolver has answered.
type Resolver = fn(&str, u16) -> io::Result<Vec<SocketAddr>>;

/// The addresses in the order of the resolver, never none; or why there are none.
type Found = Result<Vec<SocketAddr>, ForwardError>;

/// Where an upstream's addresses come from.
#[derive(Debug)]
pub(super) struct Lookup {
    host: Arc<str>,
    port: u16,
    resolver: Resolver,
    state: Arc<State>,
}

/// What whoever waits shares with the thread that looks.
#[derive(Debug)]
struct State {
    /// A thread is looking, even if nobody waits for it any more.
    looks: AtomicBool,
    /// What the last look-up brought.
    found: watch::Sender<Found>,
}

impl Lookup {
    /// The system's resolver, for this name or address.
    pub(super) fn new(host: String, port: u16) -> Self {
        let found = watch::Sender::new(Ok(Vec::new()));
        let state = Arc::new(State { looks: AtomicBool::new(false), found });
        Self { host: host.into(), port, resolver: system, state }
    }

    /// The addresses as of now.
    pub(super) async fn addresses(&self) -> Found {
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, self.port)]);
        }
        // What was found before this is not looked at.
        let mut found = self.state.found.subscribe();
        if !self.state.looks.swap(true, Ordering::AcqRel) {
            self.look();
        }
        match found.changed().await {
            Ok(()) => found.borrow_and_update().clone(),
            Err(_) => Err(ForwardError::Dns(format!("{}: given up", self.host))),
        }
    }

    fn look(&self) {
        let (host, port, resolver) = (Arc::clone(&self.host), self.port, self.resolver);
        let state = Arc::clone(&self.state);
        tokio::task::spawn_blocking(move || {
            let found = match resolver(&host, port) {
                Ok(found) if found.is_empty() => {
                    Err(ForwardError::Dns(format!("{host}: the name has no address")))
                }
                Ok(found) => Ok(found),
                Err(error) => Err(ForwardError::Dns(format!("{host}: {error}"))),
            };
            // In this order: who subscribes in between looks again, and takes what comes first. The other way round it
            // would wait for a look-up that is over.
            state.looks.store(false, Ordering::Release);
            drop(state.found.send_replace(found));
        });
    }

    /// As it is written in a URL.
    pub(super) fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

fn system(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok((host, port).to_socket_addrs()?.collect())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use super::*;

    fn lookup(resolver: Resolver) -> Lookup {
        Lookup { resolver, ..Lookup::new("api.test".to_owned(), 80) }
    }

    #[tokio::test]
    async fn who_asks_while_a_look_up_runs_gets_what_it_brings() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let slow = lookup(|_, port| {
            std::thread::sleep(Duration::from_millis(50));
            let last = u8::try_from(ASKED.fetch_add(1, Ordering::Relaxed)).unwrap_or(u8::MAX);
            Ok(vec![SocketAddr::from(([10, 0, 0, last], port))])
        });
        let all = futures_of(&slow, 20).await;
        assert!(all.iter().all(|found| found == &all[0]), "{all:?}");
        assert_eq!(ASKED.load(Ordering::Relaxed), 1);
        assert_ne!(slow.addresses().await, all[0], "later ones ask anew");
    }

    #[tokio::test]
    async fn a_resolver_that_hangs_holds_one_thread_whoever_gives_up() {
        static HANGING: AtomicUsize = AtomicUsize::new(0);
        static BACK: AtomicBool = AtomicBool::new(false);
        let dead = lookup(|_, _| {
            HANGING.fetch_add(1, Ordering::Relaxed);
            while !BACK.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(io::ErrorKind::TimedOut.into())
        });
        for _ in 0..3 {
            let waiting = tokio::time::timeout(Duration::from_millis(20), futures_of(&dead, 5));
            assert!(waiting.await.is_err());
        }
        let held = HANGING.load(Ordering::Relaxed);
        BACK.store(true, Ordering::Relaxed);
        assert_eq!(held, 1);
        assert!(
            matches!(dead.addresses().await, Err(ForwardError::Dns(text)) if text.starts_with("api.test: "))
        );
    }

    #[tokio::test]
    async fn an_address_is_not_looked_up() {
        let never =
            Lookup { resolver: |_, _| Err(io::ErrorKind::Other.into()), ..Lookup::new("::1".into(), 4) };
        assert_eq!(never.addresses().await, Ok(vec!["[::1]:4".parse().unwrap()]));
        assert_eq!(never.authority(), "[::1]:4");
    }

    async fn futures_of(lookup: &Lookup, count: usize) -> Vec<Result<Vec<SocketAddr>, ForwardError>> {
        let mut waiting: Vec<_> = (0..count).map(|_| Box::pin(lookup.addresses())).collect();
        let mut found: Vec<Option<_>> = vec![None; count];
        std::future::poll_fn(|context| {
            for (waiting, found) in waiting.iter_mut().zip(&mut found) {
                if found.is_none()
                    && let std::task::Poll::Ready(addresses) = waiting.as_mut().poll(context)
                {
                    *found = Some(addresses);
                }
            }
            if found.iter().all(Option::is_some) {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
        found.into_iter().flatten().collect()
    }
}
