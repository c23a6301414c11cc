//! `proxy.limits:` as written.

use super::reader::{At, Keys, Read};
use super::server::Limits;

const KEYS: Keys = Keys {
    known: &[
        "connections",
        "connections_per_caller",
        "header_bytes",
        "headers",
        "uri_bytes",
        "body_bytes",
        "streams",
        "pending_resets",
        "first_byte_timeout",
        "header_timeout",
        "idle_timeout",
    ],
    aliases: &[
        ("max_connections", "connections"),
        ("worker_connections", "connections"),
        ("maxconn", "connections"),
        ("global_downstream_max_connections", "connections"),
        ("limit_conn", "connections_per_caller"),
        ("connections_per_ip", "connections_per_caller"),
        ("max_connections_per_ip", "connections_per_caller"),
        ("connections_per_client", "connections_per_caller"),
        ("max_header_size", "header_bytes"),
        ("max_header_bytes", "header_bytes"),
        ("header_size", "header_bytes"),
        ("large_client_header_buffers", "header_bytes"),
        ("client_header_buffer_size", "header_bytes"),
        ("max_request_headers_kb", "header_bytes"),
        ("max_headers", "headers"),
        ("max_headers_count", "headers"),
        ("header_count", "headers"),
        ("uri_length", "uri_bytes"),
        ("max_uri", "uri_bytes"),
        ("max_uri_length", "uri_bytes"),
        ("url_bytes", "uri_bytes"),
        ("request_line", "uri_bytes"),
        ("client_max_body_size", "body_bytes"),
        ("max_body_size", "body_bytes"),
        ("max_request_bytes", "body_bytes"),
        ("body_size", "body_bytes"),
        ("body", "body_bytes"),
        ("max_concurrent_streams", "streams"),
        ("http2_max_concurrent_streams", "streams"),
        ("max_streams", "streams"),
        ("resets", "pending_resets"),
        ("max_pending_resets", "pending_resets"),
        ("max_pending_accept_reset_streams", "pending_resets"),
        ("accept_timeout", "first_byte_timeout"),
        ("client_header_timeout", "header_timeout"),
        ("read_header_timeout", "header_timeout"),
        ("request_headers_timeout", "header_timeout"),
        ("keepalive_timeout", "idle_timeout"),
        ("keep_alive", "idle_timeout"),
        ("client_body_timeout", "a route has it: timeouts: { body_idle: 5m }"),
        ("body_timeout", "a route has it: timeouts: { body_idle: 5m }"),
        ("request_timeout", "a route has it: timeouts: { total: 30s }"),
    ],
};

/// The http crate holds no longer target.
const LONGEST_URI: usize = u16::MAX as usize - 1;

/// Reads what a caller may use up; the defaults come with the layers.
pub(crate) fn limits(at: &At<'_>) -> Read<Limits> {
    let fields = at.fields(&KEYS)?;
    let connections = fields.required("connections", |at| at.count(1, 1_000_000));
    let per_caller = fields.required("connections_per_caller", |at| at.count(0, 1_000_000));
    let header_bytes = fields.required("header_bytes", |at| at.size(1 << 10, 16 << 20));
    // The header map of the http crate holds no more.
    let headers = fields.required("headers", |at| at.count(1, 20_000));
    let uri_bytes = fields.required("uri_bytes", |at| at.size(1 << 10, LONGEST_URI));
    let body_bytes = fields.required("body_bytes", |at| at.size(0, usize::MAX));
    let streams = fields.required("streams", |at| at.count(1, 100_000));
    let pending_resets = fields.required("pending_resets", |at| at.count(1, 100_000));
    let first_byte_timeout = fields.required("first_byte_timeout", At::some_time);
    let header_timeout = fields.required("header_timeout", At::some_time);
    let idle_timeout = fields.required("idle_timeout", At::some_time);
    if let (Some(at), Ok(all), Ok(one)) = (fields.get("connections_per_caller"), &connections, &per_caller)
        && one > all
    {
        at.warn("this is more than `connections` allows all callers together", "0 is no limit of its own");
    }
    Ok(Limits {
        connections: connections?,
        connections_per_caller: per_caller?,
        header_bytes: header_bytes?,
        headers: headers?,
        uri_bytes: uri_bytes?,
        body_bytes: u64::try_from(body_bytes?).unwrap_or(u64::MAX),
        streams: streams?,
        pending_resets: pending_resets?,
        first_byte_timeout: first_byte_timeout?,
        header_timeout: header_timeout?,
        idle_timeout: idle_timeout?,
    })
}
