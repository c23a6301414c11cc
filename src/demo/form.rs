//! Reading `application/x-www-form-urlencoded`, as Java's `URLDecoder` does in the real token services.
//!
//! Invariant: what is not well-formed is `None`, never a guess: a `%` without two hex digits, or bytes that are no UTF-8.

/// The pairs of a form body or a query, in their order. A name without `=` has an empty value.
pub(super) fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    text.split('&')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Some((decode(name)?, decode(value)?))
        })
        .collect()
}

/// One name or value: `+` is a space, `%2B` is a plus.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => hex_digit(bytes.next()?)? * 16 + hex_digit(bytes.next()?)?,
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_plus_and_percent_and_keeps_the_rest() {
        assert_eq!(decode("a+b%2B%24%3d%C3%A4$"), Some("a b+$=ä$".to_owned()));
        assert_eq!(pairs("a=1&&b&c=x%3Dy"), Some(vec![pair("a", "1"), pair("b", ""), pair("c", "x=y")]));
        assert_eq!(pairs(""), Some(vec![]));
    }

    #[test]
    fn refuses_what_is_not_well_formed() {
        for broken in ["%", "%2", "%zz", "%+1", "%ff", "ok=%C3"] {
            assert_eq!(pairs(broken), None, "{broken}");
        }
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }
}
