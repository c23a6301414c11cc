//! `match:` of a route as written.

use http::Method;

use super::reader::{At, Broken, Keys, Read};
use super::route::{PathMatch, RouteMatch};

const KEYS: Keys = Keys {
    known: &["host", "path", "path_prefix", "methods"],
    aliases: &[
        ("prefix", "path_prefix"),
        ("pathprefix", "path_prefix"),
        ("location", "path_prefix"),
        ("uri", "path"),
        ("url", "path"),
        ("hosts", "host"),
        ("hostname", "host"),
        ("domain", "host"),
        ("server_name", "host"),
        ("method", "methods"),
        ("verbs", "methods"),
        ("regex", "a path is matched whole (`path`) or by its beginning (`path_prefix`)"),
        ("safe_regex", "a path is matched whole (`path`) or by its beginning (`path_prefix`)"),
    ],
};

/// Reads which requests a route takes.
pub(crate) fn route_match(at: &At<'_>) -> Read<RouteMatch> {
    let fields = at.fields(&KEYS)?;
    let host = fields.optional("host", host);
    let exact = fields.optional("path", |at| path(at, &at.text()?));
    let prefix = fields.optional("path_prefix", |at| path(at, &at.text()?));
    let methods = fields.or("methods", Vec::new(), methods);
    if let (Some(_), Some(second)) = (fields.get("path"), fields.get("path_prefix")) {
        return Err(
            second.key_error("`path` and `path_prefix` exclude each other", Some("keep one of them".into()))
        );
    }
    let path = match (exact?, prefix?) {
        (Some(path), _) => PathMatch::Exact(path),
        (None, Some(prefix)) => match prefix.trim_end_matches('/') {
            "" => PathMatch::Any,
            prefix => PathMatch::Prefix(prefix.to_owned()),
        },
        (None, None) => PathMatch::Any,
    };
    Ok(RouteMatch { host: host?, path, methods: methods? })
}

fn host(at: &At<'_>) -> Read<String> {
    let text = at.text()?;
    host_name(&text).map_err(|(message, hint)| at.error_hint(message, hint))
}

/// A host name or an IP address without port, lower case.
pub(crate) fn host_name(text: &str) -> Result<String, (&'static str, &'static str)> {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some(address) = bracketed {
        let valid = address.parse::<std::net::Ipv6Addr>().is_ok();
        return if valid {
            Ok(text.to_ascii_lowercase())
        } else {
            Err(("this is not an IPv6 address", "write \"[::1]\""))
        };
    }
    if text.contains("://") || text.contains('/') {
        return Err(("a host name is needed, not a URL", "write api.example.com"));
    }
    if text.contains('*') {
        return Err(("wildcards are not there yet", "write the name in full, or leave `host` out"));
    }
    if text.contains(':') {
        return Err(("a host name is needed without a port", "leave the port out: matching ignores it"));
    }
    let fits = !text.is_empty()
        && text.len() <= 253
        && text.split('.').all(|label| !label.is_empty())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if fits {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(("this is not a host name", "write api.example.com"))
    }
}

const PLAIN: &str = "write it plainly, as in /api/v1";

/// A path that only one spelling has, so that what is matched is what is meant.
pub(crate) fn path(at: &At<'_>, text: &str) -> Read<String> {
    check_path(text).map_err(|(message, hint)| at.error_hint(message, hint))?;
    Ok(text.to_owned())
}

fn check_path(text: &str) -> Result<(), (&'static str, &'static str)> {
    if !text.starts_with('/') {
        return Err(("a path must begin with `/`", PLAIN));
    }
    if text.contains(['?', '#']) {
        return Err((
            "a path holds no query (`?`) and no fragment (`#`)",
            "queries are forwarded, and never matched",
        ));
    }
    if text.contains('*') {
        return Err(("`*` is no wildcard here", "path_prefix matches everything below a path"));
    }
    if text.bytes().any(|b| {
        !b.is_ascii_graphic() || matches!(b, b'\\' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}')
    }) {
        return Err((
            "a path holds a character that never stands in a request's path",
            "spell it with %, as in %20",
        ));
    }
    if text.contains(';') {
        return Err(("a path parameter (`;…`) cannot be matched: servers read it differently", PLAIN));
    }
    if text.contains("//") {
        return Err(("an empty segment (`//`) cannot be matched: servers read it differently", PLAIN));
    }
    if text.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err((
            "a dot segment (`/./` or `/../`) cannot be matched: servers read it differently",
            PLAIN,
        ));
    }
    check_escapes(text)
}

/// `%` only before what could not stand there plainly, and never before what splits a path.
fn check_escapes(text: &str) -> Result<(), (&'static str, &'static str)> {
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let byte = rest.get(at + 1..at + 3).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        let byte = byte.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match byte {
            None => return Err(("a `%` needs two hexadecimal digits behind it", PLAIN)),
            Some(b) if b.is_ascii_alphanumeric() || b"-._~!$&'()+,=:@".contains(&b) => {
                return Err((
                    "a character is spelled with `%` that needs no `%`: servers read it differently",
                    PLAIN,
                ));
            }
            Some(b) if b.is_ascii_control() || matches!(b, b'/' | b'\\' | b'%' | b';') => {
                return Err(("an encoded `/`, `\\`, `%`, `;` or control character cannot be matched", PLAIN));
            }
            Some(_) if rest[at..at + 3].contains(|c: char| c.is_ascii_lowercase()) => {
                return Err((
                    "escapes are matched as they are sent: with capitals",
                    "write %C3%A4, not %c3%a4",
                ));
            }
            Some(_) => rest = &rest[at + 3..],
        }
    }
    Ok(())
}

fn methods(at: &At<'_>) -> Read<Vec<Method>> {
    let items = at.items();
    if items.is_empty() {
        return Err(at.error_hint("the list is empty", "leave `methods` out to match all"));
    }
    let read: Vec<Read<Method>> = items.iter().map(method).collect();
    let mut methods = read.into_iter().collect::<Read<Vec<_>>>()?;
    methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    methods.dedup();
    Ok(methods)
}

fn method(at: &At<'_>) -> Read<Method> {
    let text = at.text()?;
    let refuse = |message: String, hint: Option<String>| -> Broken {
        match hint {
            Some(hint) => at.error_hint(message, hint),
            None => at.error(message),
        }
    };
    match Method::from_bytes(text.as_bytes()) {
        Err(_) => {
            Err(refuse(format!("{} is not a method", at.quoted()), Some("write methods: [GET, POST]".into())))
        }
        Ok(Method::CONNECT | Method::TRACE) => {
            Err(refuse(format!("{} is never forwarded", at.quoted()), None))
        }
        Ok(_) if text.contains(|c: char| c.is_ascii_lowercase()) => Err(refuse(
            format!("{} would never match: methods are upper case", at.quoted()),
            Some(format!("write {}", text.to_ascii_uppercase())),
        )),
        Ok(method) => Ok(method),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_paths_of_one_spelling() {
        for path in ["/", "/a", "/a/", "/a%20b/c~d", "/a.b/..c", "/%C3%A4", "/a:b@c!$&'()+,="] {
            assert_eq!(check_path(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn refuses_paths_that_two_servers_read_differently() {
        for path in [
            "", "a", "/a?b", "/a#b", "/a//b", "/a/../b", "/./a", "/a%2fb", "/a%5Cb", "/%2e%2e/", "/%61",
            "/a%", "/a%2", "/a%zz", "/a;b", "/a b", "/ä", "/a\\b", "/a*", "/a%00", "/a%252e", "/a%40b",
            "/%c3%a4",
        ] {
            assert!(check_path(path).is_err(), "{path}");
        }
    }

    #[test]
    fn host_names_lose_their_case_only() {
        assert_eq!(host_name("API.Example.com").unwrap(), "api.example.com");
        assert_eq!(host_name("[::1]").unwrap(), "[::1]");
        for host in ["", "a:80", "http://a", "*.a", "a..b", "a b", "[x]", "ä"] {
            assert!(host_name(host).is_err(), "{host}");
        }
    }
}
