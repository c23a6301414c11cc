//! What holds for every request that a proxy of ours sends, whatever its caller sent.

use std::net::SocketAddr;

use crate::proxy::{AUTHORIZATION, MANAGED, TOKEN};
use crate::rules::{self, is_hop_by_hop};
use crate::strict::Request;

/// What holds for every request that goes upstream.
pub fn check_request(request: &Request, upstream: SocketAddr) {
    let one = |name: &[u8], value: &str| {
        assert_eq!(rules::values(&request.lines, name), [value.as_bytes()], "{request:?}")
    };
    assert_eq!(request.version, b"HTTP/1.1");
    assert!(request.target.starts_with(b"/"), "{request:?}");
    one(b"host", &upstream.to_string());
    one(b"authorization", AUTHORIZATION);
    one(b"x-token", TOKEN);
    for (name, _) in &request.lines {
        let twin =
            name.contains(&b'_') && MANAGED.iter().any(|managed| rules::folded(name) == managed.as_bytes());
        assert!(!twin, "{}: {request:?}", String::from_utf8_lossy(name));
        if is_hop_by_hop(name) {
            check_own(request, name);
        }
    }
}

/// A line that concerns this connection is one that the proxy itself would write.
fn check_own(request: &Request, name: &[u8]) {
    let values = rules::values(&request.lines, name);
    let [value] = values.as_slice() else {
        panic!("{} more than once: {request:?}", String::from_utf8_lossy(name))
    };
    let value = value.to_ascii_lowercase();
    let own = match name.to_ascii_lowercase().as_slice() {
        b"te" => value == b"trailers",
        b"upgrade" => value == b"websocket",
        b"expect" => value == b"100-continue",
        b"connection" => value
            .split(|byte| *byte == b',')
            .all(|option| matches!(option.trim_ascii(), b"te" | b"upgrade" | b"close")),
        b"transfer-encoding" | b"trailer" => true,
        _ => false,
    };
    assert!(own, "{}: {request:?}", String::from_utf8_lossy(name));
}
