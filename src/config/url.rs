//! An `http://` or `https://` URL of a token service or an upstream, parsed once and never normalised.

use std::fmt;

use http::Uri;
use http::uri::Scheme as UriScheme;

/// Whether the bytes are protected on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Clear text: for loopback, or where `allow_cleartext: true` says so.
    Http,
    /// TLS.
    Https,
}

/// A URL without user info and fragment. `path` is `""` or starts with `/`, as written.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HttpUrl {
    scheme: Scheme,
    host: String,
    port: Option<u16>,
    path: String,
    query: Option<String>,
}

/// Why a text is not a URL we can use. The texts never quote the input: it may hold a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Neither http:// nor https://.
    #[error("needs to start with https:// (or http://)")]
    Scheme,
    /// `https://user:password@host/`: credentials have a place of their own.
    #[error("must not hold a user name or password")]
    UserInfo,
    /// `#…` is for browsers.
    #[error("must not hold a fragment (`#…`)")]
    Fragment,
    /// Anything else that the URI grammar does not know.
    #[error("is not a URL: the host or port is wrong, or a character is not allowed in it")]
    Syntax,
}

impl HttpUrl {
    /// Reads a URL; the host is lower-cased, path and query bytes stay as written.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if !text.to_ascii_lowercase().starts_with("http://")
            && !text.to_ascii_lowercase().starts_with("https://")
        {
            return Err(UrlError::Scheme);
        }
        if text.contains('#') {
            return Err(UrlError::Fragment);
        }
        let uri: Uri = text.parse().map_err(|_| UrlError::Syntax)?;
        let authority = uri.authority().ok_or(UrlError::Syntax)?;
        if authority.as_str().contains('@') {
            return Err(UrlError::UserInfo);
        }
        if authority.host().is_empty() {
            return Err(UrlError::Syntax);
        }
        let port = port(authority)?;
        let scheme = if uri.scheme() == Some(&UriScheme::HTTPS) { Scheme::Https } else { Scheme::Http };
        let after = &text[text.find("://").map_or(0, |at| at + 3)..];
        let path = match after.find(['/', '?']) {
            Some(at) if after[at..].starts_with('/') => uri.path().to_owned(),
            _ => String::new(),
        };
        Ok(Self {
            scheme,
            host: authority.host().to_ascii_lowercase(),
            port,
            path,
            query: uri.query().map(str::to_owned),
        })
    }

    /// http or https.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host: a name, an IPv4 address, or an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The host without the brackets of an IPv6 address: for name resolution and SNI.
    pub fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port, or the scheme's own.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.scheme {
            Scheme::Http => 80,
            Scheme::Https => 443,
        })
    }

    /// `host` or `host:port`, without the scheme's own port: the value of a Host header.
    pub fn authority(&self) -> String {
        match (self.scheme, self.port) {
            (_, None) | (Scheme::Http, Some(80)) | (Scheme::Https, Some(443)) => self.host.clone(),
            (_, Some(port)) => format!("{}:{port}", self.host),
        }
    }

    /// `scheme://authority`
    pub fn origin(&self) -> String {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        format!("{scheme}://{}", self.authority())
    }

    /// The path as written: `""`, or starting with `/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What stands behind `?`, if anything does.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Whether it names this machine by a loopback address or as `localhost`, so that clear text leaves nothing.
    pub fn is_loopback(&self) -> bool {
        let host = self.bare_host();
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

/// The port as written. `Authority::port` takes one that it cannot read for none, which would mean another server.
fn port(authority: &http::uri::Authority) -> Result<Option<u16>, UrlError> {
    let Some(behind) = authority.as_str().strip_prefix(authority.host()) else {
        return Err(UrlError::Syntax);
    };
    let Some(digits) = behind.strip_prefix(':') else {
        return if behind.is_empty() { Ok(None) } else { Err(UrlError::Syntax) };
    };
    match digits.parse::<u16>() {
        Ok(port) if port > 0 && digits.bytes().all(|b| b.is_ascii_digit()) => Ok(Some(port)),
        _ => Err(UrlError::Syntax),
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.path)?;
        self.query.as_ref().map_or(Ok(()), |query| write!(f, "?{query}"))
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A query may carry an API key.
        write!(f, "{}{}{}", self.origin(), self.path, if self.query.is_some() { "?…" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keeps_what_was_written() {
        for text in [
            "https://api.example.com",
            "https://api.example.com/",
            "http://localhost:4081/a/b?c=d",
            "https://[::1]:8443/x%2Fy",
            "https://h?q",
        ] {
            assert_eq!(HttpUrl::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(
            HttpUrl::parse("HTTPS://API.Example.COM:443/Path").unwrap().to_string(),
            "https://api.example.com/Path"
        );
    }

    #[test]
    fn says_why_a_text_is_no_url() {
        for (text, error) in [
            ("", UrlError::Scheme),
            ("ftp://h/", UrlError::Scheme),
            ("h/p", UrlError::Scheme),
            ("https://u:p@h/", UrlError::UserInfo),
            ("https://h/#f", UrlError::Fragment),
            ("https://", UrlError::Syntax),
            ("https:///p", UrlError::Syntax),
            ("https://h:0/", UrlError::Syntax),
            ("https://h:/", UrlError::Syntax),
            ("https://h:99999/", UrlError::Syntax),
            ("https://h/a b", UrlError::Syntax),
            ("https://h/\n", UrlError::Syntax),
        ] {
            assert_eq!(HttpUrl::parse(text).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn knows_loopback_and_ports() {
        let url = |text| HttpUrl::parse(text).unwrap();
        assert!(url("http://localhost").is_loopback() && url("http://[::1]/").is_loopback());
        assert!(url("http://127.8.0.1:1").is_loopback() && !url("http://10.0.0.1").is_loopback());
        assert!(!url("http://localhost.example.com").is_loopback());
        assert_eq!(
            (url("http://h").port(), url("https://h").port(), url("https://h:1").port()),
            (80, 443, 1)
        );
        assert_eq!(format!("{:?}", url("https://h/p?key=hunter2")), "https://h/p?…");
    }

    proptest! {
        #[test]
        fn never_panics_and_reads_its_own_text(text in "https?://[a-c.:@\\[\\]0-9]{0,8}[/?#a%{ü]{0,6}") {
            if let Ok(url) = HttpUrl::parse(&text) {
                prop_assert_eq!(HttpUrl::parse(&url.to_string()), Ok(url));
            }
        }
    }
}
