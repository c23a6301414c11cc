//! `application/x-www-form-urlencoded`: for bodies, queries, and for credentials before Basic (RFC 6749 §2.3.1, appendix B).

use std::fmt::Write;

/// Encodes a text: UTF-8 bytes, `+` for a space, `%XX` for all but letters, digits and `*-._`.
pub fn encode_into(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            // Writing to a String cannot fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
}

/// Encodes a text; see [`encode_into`].
pub fn encode(text: &str) -> String {
    // Room for the worst case at once: a secret must not leave copies behind while the buffer grows.
    let mut out = String::with_capacity(text.len() * 3);
    encode_into(text, &mut out);
    out
}

/// Decodes a text. A `%` without two hex digits stands for itself, and bytes that are no UTF-8 are replaced, as browsers do.
pub fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match (first, hex_pair(tail)) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(first),
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// The pairs of a form or a query, in order.
pub fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key), decode(value))
    })
}

fn hex_pair(bytes: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(*bytes.first()?)? * 16 + digit(*bytes.get(1)?)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn encodes_as_browsers_do() {
        assert_eq!(encode("a b+c%d:é*-._~"), "a+b%2Bc%25d%3A%C3%A9*-._%7E");
    }

    #[test]
    fn decodes_broken_escapes_as_themselves() {
        assert_eq!(decode("%zz%4"), "%zz%4");
        assert_eq!(decode("%ff"), "\u{fffd}");
    }

    #[test]
    fn splits_pairs_in_order_and_keeps_empty_values() {
        let all: Vec<_> = pairs("a=1&&b&c=x%3Dy&a=2").collect();
        let expected = [("a", "1"), ("b", ""), ("c", "x=y"), ("a", "2")];
        assert_eq!(all, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(text in any::<String>()) {
            let encoded = encode(&text);
            prop_assert!(encoded.is_ascii());
            prop_assert_eq!(decode(&encoded), text);
        }
    }
}
