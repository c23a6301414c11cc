//! What the tests are made of: scripted servers and a raw client that speak HTTP/1.1 by hand, and the leak scanner.

pub(crate) mod client;
pub(crate) mod dpop;
pub(crate) mod gate;
pub(crate) mod http2;
pub(crate) mod idp;
pub(crate) mod leaks;
pub(crate) mod message;
pub(crate) mod net;
pub(crate) mod patience;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod raw_http2;
pub(crate) mod reply;
pub(crate) mod rig;
pub(crate) mod rotating;
pub(crate) mod server;
pub(crate) mod setup;
pub(crate) mod streams;
pub(crate) mod tls;
pub(crate) mod tokens;
pub(crate) mod upstream;

mod selftest;
