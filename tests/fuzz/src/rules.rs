//! The header rules of a proxy, written a second time and as plainly as they can be (RFC 9110 §7.6.1): slow, and judged by
//! reading. The fuzz targets compare.

/// A field line: name and value as sent.
pub type Line = (Vec<u8>, Vec<u8>);

/// What concerns one connection, in lower case, and what a CGI-like backend takes for it. What it asked for may be asked
/// anew; the lines themselves never cross.
const HOP_BY_HOP: [&str; 12] = [
    "connection",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "proxy-authenticate",
    "http2-settings",
    "content_length",
    "transfer_encoding",
];

/// Lower case, and `_` as the `-` that a CGI-like backend takes it for.
pub fn folded(name: &[u8]) -> Vec<u8> {
    name.to_ascii_lowercase().into_iter().map(|byte| if byte == b'_' { b'-' } else { byte }).collect()
}

/// Whether a name concerns one connection only.
pub fn is_hop_by_hop(name: &[u8]) -> bool {
    HOP_BY_HOP.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// Whether this field claims who the caller is.
fn is_forwarding(name: &[u8]) -> bool {
    let name = folded(name);
    name == b"forwarded" || name == b"x-real-ip" || name.starts_with(b"x-forwarded-")
}

/// Whether `Connection` names this field; it cannot name what routes, frames and traces a message.
pub fn is_named_by_connection(lines: &[Line], name: &[u8]) -> bool {
    let keeps = [&b"host"[..], b"content-length", b"via", b"close", b"keep-alive"];
    let names = lines
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case(b"connection"))
        .flat_map(|(_, value)| value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii);
    !keeps.iter().any(|kept| kept.eq_ignore_ascii_case(name))
        && names.into_iter().any(|named| named.eq_ignore_ascii_case(name))
}

/// Whether a line of a request never goes upstream; `managed` are the names that only the proxy may set, lower case.
pub fn is_stripped_from_request(lines: &[Line], name: &[u8], managed: &[&str]) -> bool {
    is_hop_by_hop(name)
        || is_forwarding(name)
        || managed.iter().any(|managed| folded(name) == folded(managed.as_bytes()))
        || is_named_by_connection(lines, name)
}

/// Whether a line of an answer never goes back; `hidden` in lower case.
pub fn is_stripped_from_response(lines: &[Line], name: &[u8], hidden: &[&str]) -> bool {
    is_hop_by_hop(name)
        || hidden.iter().any(|hidden| name.eq_ignore_ascii_case(hidden.as_bytes()))
        || is_named_by_connection(lines, name)
}

/// The values of one name, in their order.
pub fn values<'a>(lines: &'a [Line], name: &[u8]) -> Vec<&'a [u8]> {
    let of_name = lines.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
    of_name.map(|(_, value)| value.as_slice()).collect()
}
