//! `sidepass healthcheck`: asks the admin listener of the same configuration, for images without a shell or curl.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::{Config, Failure};
use crate::config::{self, Environment, ListenAddress};

/// A health check that takes longer says enough.
const PATIENCE: Duration = Duration::from_secs(3);

const REQUEST: &[u8] = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

pub(super) fn run(config: &Config, environment: &Environment) -> Result<(), Failure> {
    // A container's health knows two codes: 0 and 1.
    let files = config.read().map_err(|failure| Failure { code: 1, ..failure })?;
    let addresses = config::load_admin_addresses(&files, environment);
    let addresses = addresses.map_err(|errors| Failure::new(errors.to_string()))?;
    let address = addresses.first();
    let address = address.ok_or_else(|| Failure::new("admin.listen is empty: there is nothing to ask"))?;
    let answer = ask(address).map_err(|error| Failure::new(format!("no answer from {address}: {error}")))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer.as_str(), ""));
    let status = head.split(' ').nth(1).unwrap_or("no status");
    match status {
        "200" => {
            println!("ready");
            Ok(())
        }
        _ => Err(Failure::new(format!("not ready ({status})\n{body}"))),
    }
}

fn ask(address: &ListenAddress) -> std::io::Result<String> {
    match address {
        ListenAddress::Localhost { port } => {
            tcp((Ipv4Addr::LOCALHOST, *port).into()).or_else(|_| tcp((Ipv6Addr::LOCALHOST, *port).into()))
        }
        ListenAddress::Tcp(address) => tcp(SocketAddr::new(reachable(address.ip()), address.port())),
        ListenAddress::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            talk(stream)
        }
    }
}

/// A listener on every address is asked on loopback.
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

fn tcp(address: SocketAddr) -> std::io::Result<String> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    talk(stream)
}

fn talk(mut stream: impl Read + Write) -> std::io::Result<String> {
    stream.write_all(REQUEST)?;
    let mut answer = Vec::new();
    stream.take(64 * 1024).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
