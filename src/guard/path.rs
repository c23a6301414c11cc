//! Paths that mean one thing to us and another to a backend.
//!
//! Invariant: the bytes that are forwarded are the bytes that were matched. A path that some backend would read as a
//! path of another route is refused; ordinary paths pass untouched.

use std::borrow::Cow;

/// A path that cannot be matched without guessing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous;

/// What a path is to the matcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading<'a> {
    /// There is only one way to read it.
    Plain,
    /// Some backends would read it as this one; it must select the same route.
    AlsoAs(Cow<'a, str>),
}

/// Reads a path (without query). Refuses dot segments, encoded slashes, backslashes and NULs, and what decodes to them
/// when decoded twice or leniently; for the rest it says how the most lenient backend would read it.
pub fn read(path: &str) -> Result<Reading<'_>, Ambiguous> {
    if is_plain(path.as_bytes()) {
        return Ok(Reading::Plain);
    }
    let decoded = decode(path.as_bytes())?;
    let mut lenient = String::with_capacity(decoded.len());
    for segment in decoded.split('/') {
        // `;` starts matrix parameters, which some backends cut before they look at the segment.
        let name = segment.split(';').next().unwrap_or("");
        if matches!(name, "." | "..") {
            return Err(Ambiguous);
        }
        // Empty segments are merged by some backends.
        if !name.is_empty() {
            lenient.push('/');
            lenient.push_str(name);
        }
    }
    if decoded.ends_with('/') {
        lenient.push('/');
    }
    Ok(if lenient == path { Reading::Plain } else { Reading::AlsoAs(Cow::Owned(lenient)) })
}

/// Nearly every path: nothing in it that could be read in two ways. One pass.
fn is_plain(path: &[u8]) -> bool {
    let mut after_slash = false;
    for byte in path {
        match byte {
            b'%' | b'\\' | b';' => return false,
            b'/' | b'.' if after_slash => return false,
            _ => after_slash = *byte == b'/',
        }
    }
    true
}

/// The route of a path: what `find` says of it. Refused where some backend would read the path as one of another route,
/// or what is left when the route cuts so many bytes from the front as the name of a host (`//evil.example/x`).
pub fn select<'a, R>(
    path: &str,
    find: impl Fn(&str) -> Option<&'a R>,
    cut: impl Fn(&R) -> usize,
) -> Result<Option<&'a R>, Ambiguous> {
    let reading = read(path)?;
    let found = find(path);
    if let Reading::AlsoAs(other) = reading {
        let same = match (found, find(&other)) {
            (Some(found), Some(other)) => std::ptr::eq(found, other),
            (None, None) => true,
            _ => false,
        };
        let rest = found.map_or(0, cut);
        if !same || (rest > 0 && path.get(rest..).is_some_and(|rest| rest.starts_with("//"))) {
            return Err(Ambiguous);
        }
    }
    Ok(found)
}

/// Decodes once. What must not come out of it: separators, NUL, a percent sign that starts another escape, and bytes
/// that only an overlong UTF-8 sequence has.
fn decode(path: &[u8]) -> Result<String, Ambiguous> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'\\' {
            return Err(Ambiguous);
        }
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let (byte, after) = escape(rest).ok_or(Ambiguous)?;
        rest = after;
        let twice = byte == b'%'
            && escape(rest).is_some_and(|(inner, _)| matches!(inner, b'.' | b'/' | b'\\' | b'%' | 0));
        // 0xC0, 0xC1 and 0xF5 upwards never stand in UTF-8; lenient decoders read `%c0%ae` as a dot.
        if twice || matches!(byte, b'/' | b'\\' | 0 | 0xC0 | 0xC1 | 0xF5..) {
            return Err(Ambiguous);
        }
        decoded.push(byte);
    }
    if is_overlong(&decoded) {
        return Err(Ambiguous);
    }
    Ok(String::from_utf8_lossy(&decoded).into_owned())
}

/// The byte of an escape whose `%` has been read, and what follows it.
fn escape(rest: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, after) = rest.split_at_checked(2)?;
    let high = char::from(digits[0]).to_digit(16)?;
    let low = char::from(digits[1]).to_digit(16)?;
    Some((u8::try_from(high * 16 + low).ok()?, after))
}

/// Three and four byte sequences that encode what fewer bytes could.
fn is_overlong(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| matches!(pair, [0xE0, 0x80..=0x9F] | [0xF0, 0x80..=0x8F]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_could_select_another_route_are_refused() {
        for path in [
            "/a/../b",
            "/a/./b",
            "/..",
            "/.",
            "/a/..",
            "/a/%2e%2e/b",
            "/a/.%2E/b",
            "/a/..;/b",
            "/a/..;x=1/b",
            "/a/%2e;/b",
            "/a%2fb",
            "/a%2Fb",
            "/a%5c..%5cb",
            "/a\\b",
            "/a%00",
            "/a%252e%252e/b",
            "/a%252fb",
            "/a%25252fb",
            "/%c0%ae%c0%ae/b",
            "/a%e0%80%af",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%f0%80%80%af",
            "/%fe",
        ] {
            assert_eq!(read(path), Err(Ambiguous), "{path}");
        }
    }

    #[test]
    fn a_path_that_leads_to_another_route_when_read_leniently_is_refused() {
        let routes = ["/a", "/admin"];
        let find = |path: &str| routes.iter().find(|route| path.starts_with(*route));
        let select = |path| select(path, find, |route| route.len());
        assert_eq!(select("/admin/x"), Ok(Some(&"/a")), "the first one, plainly");
        assert_eq!(select("/a/%7Eme"), Ok(Some(&"/a")));
        assert_eq!(select("/x//y"), Ok(None));
        assert_eq!(select("//a/x"), Err(Ambiguous), "some merge slashes");
        assert_eq!(select("/%61/x"), Err(Ambiguous));
        assert_eq!(select("/a//evil.example/x"), Err(Ambiguous), "a host, once the prefix is cut");
    }

    #[test]
    fn ordinary_paths_are_plain() {
        for path in
            ["/", "/a/b", "/a/b/", "/v1.2/x", "/a.b/c..d/...x", "/~me/-_!$&'()*+,=:@", "*", "", "/a/x.tar.gz"]
        {
            assert_eq!(read(path), Ok(Reading::Plain), "{path}");
        }
    }

    #[test]
    fn lenient_readings_are_told() {
        for (path, lenient) in [
            ("//a", "/a"),
            ("/a//b", "/a/b"),
            ("/%61dmin", "/admin"),
            ("/a;v=1/b", "/a/b"),
            ("/a/b;p", "/a/b"),
            ("/.well-known/x", "/.well-known/x"),
            ("/.../x", "/.../x"),
            ("/a%20b", "/a b"),
            ("/%E2%82%AC/x", "/€/x"),
            ("/100%25", "/100%"),
        ] {
            let reading = read(path).unwrap();
            let expected = if path == lenient { Reading::Plain } else { Reading::AlsoAs(lenient.into()) };
            assert_eq!(reading, expected, "{path}");
        }
    }
}
