//! Where a listener listens.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::HttpUrl;

/// An address of the proxy or the admin listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// `localhost:4080`: both 127.0.0.1 and ::1, with the same port; a machine without one family is fine.
    Localhost {
        /// 0 asks the system for a free port, the same for both families.
        port: u16,
    },
    /// An IP literal and a port: `0.0.0.0:4080`, `[::]:4080`, `10.1.2.3:4080`.
    Tcp(SocketAddr),
    /// `unix:/run/sidepass/sidepass.sock`
    Unix(PathBuf),
}

/// Bytes of a Unix socket's path that every system takes.
const MAX_UNIX_PATH: usize = 103;

impl ListenAddress {
    /// Reads `localhost:4080`, `0.0.0.0:4080`, `[::]:4080` or `unix:/path`; the error says what is wrong and what to write.
    pub(crate) fn parse(text: &str) -> Result<Self, (&'static str, String)> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if !path.starts_with('/') || path.contains('\0') {
                Err((
                    "the path of a Unix socket must be absolute",
                    "write unix:/run/sidepass/sidepass.sock".into(),
                ))
            } else if path.len() > MAX_UNIX_PATH {
                Err(("the path of a Unix socket may have 103 bytes", "choose a shorter one".into()))
            } else {
                Ok(Self::Unix(PathBuf::from(path)))
            };
        }
        if text.contains("://") {
            return Err(("an address and a port are needed, not a URL", "write localhost:4080".into()));
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self::Tcp(address));
        }
        let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
        if let Ok(port) = port.parse::<u16>() {
            if host.eq_ignore_ascii_case("localhost") {
                return Ok(Self::Localhost { port });
            }
            return Err(no_address(host, port));
        }
        if text.starts_with('/') {
            return Err(("a Unix socket begins with `unix:`", format!("write unix:{text}")));
        }
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(("an address is missing before the port", format!("write localhost:{text}")));
        }
        Err((
            "an address and a port from 0 to 65535 are needed",
            "write localhost:4080, or unix:/path".into(),
        ))
    }

    /// Whether a request to this URL would come back to us; port 0 is not known yet.
    pub(crate) fn answers(&self, url: &HttpUrl) -> bool {
        let port = match self {
            Self::Localhost { port } => *port,
            Self::Tcp(address) => address.port(),
            Self::Unix(_) => return false,
        };
        if port == 0 || port != url.port() {
            return false;
        }
        let literal = url.bare_host().parse::<std::net::IpAddr>().ok();
        match self {
            Self::Tcp(address) if address.ip().is_unspecified() => {
                url.is_loopback() || literal.is_some_and(|ip| ip.is_unspecified())
            }
            Self::Tcp(address) if !address.ip().is_loopback() => literal == Some(address.ip()),
            _ => url.is_loopback() || literal.is_some_and(|ip| ip.is_unspecified()),
        }
    }

    /// Whether both cannot be listened on at once.
    pub(crate) fn clashes(&self, other: &Self) -> bool {
        let port = |address: &Self| match address {
            Self::Localhost { port } => *port,
            Self::Tcp(address) => address.port(),
            Self::Unix(_) => 0,
        };
        match (self, other) {
            (Self::Unix(a), Self::Unix(b)) => a == b,
            (Self::Unix(_), _) | (_, Self::Unix(_)) => false,
            _ if port(self) == 0 || port(self) != port(other) => false,
            (Self::Tcp(a), Self::Tcp(b)) => {
                a.ip() == b.ip()
                    || (a.is_ipv4() == b.is_ipv4() && (a.ip().is_unspecified() || b.ip().is_unspecified()))
            }
            (Self::Localhost { .. }, Self::Tcp(a)) | (Self::Tcp(a), Self::Localhost { .. }) => {
                a.ip().is_loopback() || a.ip().is_unspecified()
            }
            (Self::Localhost { .. }, Self::Localhost { .. }) => true,
        }
    }

    /// Whether only this machine can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Localhost { .. } | Self::Unix(_) => true,
            Self::Tcp(address) => address.ip().is_loopback(),
        }
    }
}

/// What stands before the port is no address of a listener.
fn no_address(host: &str, port: u16) -> (&'static str, String) {
    match host {
        "" | "*" => (
            "an address is missing before the port",
            format!("write localhost:{port} for this machine only, \"[::]:{port}\" for every address"),
        ),
        host if host.contains(':') => {
            ("an IPv6 address needs brackets, and quotes in YAML", format!("write \"[::1]:{port}\""))
        }
        _ => (
            "a listener has an IP address, not a host name",
            format!("write localhost:{port} for this machine only, 0.0.0.0:{port} for every address"),
        ),
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Localhost { port } => write!(f, "localhost:{port}"),
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form() {
        for text in ["localhost:4080", "0.0.0.0:4080", "[::]:4080", "127.0.0.1:0", "unix:/run/s.sock"] {
            assert_eq!(ListenAddress::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(ListenAddress::parse("LocalHost:1").unwrap(), ListenAddress::Localhost { port: 1 });
    }

    #[test]
    fn says_what_to_write_instead() {
        for (text, hint) in [
            (":4080", "write localhost:4080 for"),
            ("4080", "write localhost:4080"),
            ("*:4080", "write localhost:4080 for"),
            ("example.com:80", "0.0.0.0:80"),
            ("::1:4080", "\"[::1]:4080\""),
            ("/run/x", "write unix:/run/x"),
            ("unix:x", "write unix:/run"),
            ("http://localhost:80/", "localhost:4080"),
            ("localhost:99999", "localhost:4080"),
            ("localhost", "localhost:4080"),
        ] {
            let error = ListenAddress::parse(text).unwrap_err();
            assert!(error.1.contains(hint), "{text}: {error:?}");
        }
    }

    #[test]
    fn knows_its_own_url() {
        let answers = |listen: &str, url: &str| {
            ListenAddress::parse(listen).unwrap().answers(&HttpUrl::parse(url).unwrap())
        };
        assert!(answers("localhost:4080", "http://127.0.0.1:4080/x"));
        assert!(answers("localhost:80", "http://localhost"));
        assert!(answers("0.0.0.0:4080", "http://[::1]:4080"));
        assert!(answers("10.1.2.3:4080", "https://10.1.2.3:4080"));
        assert!(!answers("10.1.2.3:4080", "http://10.1.2.4:4080"));
        assert!(!answers("localhost:4080", "http://localhost:4081"));
        assert!(!answers("localhost:4080", "http://example.com:4080"));
        assert!(!answers("localhost:0", "http://localhost:4080"));
        assert!(!answers("unix:/x", "http://localhost"));
    }
}
