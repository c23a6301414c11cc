//! The one integration binary: sidepass as its users meet it, over real sockets on loopback.
//!
//! Each test builds a `Rig` (a scripted token service, a scripted upstream, the proxy through `App::bind`), and every
//! rig checks the global invariants and looks for leaked secrets when it is dropped: see `support/rig.rs`.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test's panic is its report")]

mod admin;
mod authorize;
mod cli;
mod config;
mod corpus;
mod csrf;
mod docs;
mod dpop;
mod failures;
mod guard;
mod http;
mod http_login;
mod http2_windows;
mod import;
mod inject;
mod issuer;
mod layering;
mod message_early;
mod message_expect;
mod message_head;
mod message_http2;
mod message_limits;
mod message_stream;
mod message_streaming;
mod message_trailers;
mod paths;
mod providers;
mod presets;
mod refresh;
mod rejected;
mod rotation;
mod secrecy;
mod server_descriptors;
mod server_drain;
mod server_http1;
mod server_http2;
mod server_panic;
mod server_pipelined;
mod server_rest;
mod server_stand;
mod server_tunnel;
mod server_unix;
mod server_workers;
mod shutdown;
mod signed;
mod subjects;
mod support;
mod token_fields;
mod upgrade;
mod upstream_flood;
mod upstream_http1;
mod upstream_http2;
mod upstream_of_token;
mod upstream_tls;
mod upstreams;
mod wire;

/// How many seconds a test that is ignored by default takes: `SIDEPASS_TEST_LONG`, or its full length.
fn long(full: u32) -> u32 {
    #[expect(clippy::disallowed_methods, reason = "set by whoever runs the long tests")]
    let seconds = std::env::var("SIDEPASS_TEST_LONG").ok().and_then(|text| text.parse().ok());
    seconds.unwrap_or(full)
}
