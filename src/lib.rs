//! sidepass carries your pass: an app sends it a plain HTTP request, and the request leaves with a fresh OAuth2 access
//! token, and any other secret header, on it.
//!
//! Two planes that meet in prepared headers:
//!
//! ```text
//!  proxy.yaml ──► config ──► profile ──► token::source ──► token::refresh (one task a profile)
//!                                                               │ publishes a token
//!                                                           token::cell ──► inject (arc-swap: ready header values)
//!                                                                              │ one atomic load
//!  caller ──► server ──► proxy: guard ► route ► strip ► credential ► inject ► forward ──► upstream
//!                             └── every refusal is a ProxyError: one reason, one status, one problem document
//! ```
//!
//! The control plane (tokens, headers, admin) may hang, back off or fail; the data plane keeps serving the last valid
//! token. They run on threads of their own. The modules below stand in the order in which data flows; imports point up.

pub mod secret;
pub mod clock;
pub mod sieve;
pub mod config;
pub mod import;
pub mod tls;
pub mod token;
pub mod profile;
pub mod route;
pub mod inject;
pub mod credential;
pub mod guard;
pub mod forward;
pub mod error;
pub mod proxy;
pub mod shutdown;
pub mod readiness;
pub mod metrics;
pub mod telemetry;
pub mod server;
pub mod admin;
pub mod app;
pub mod demo;
pub mod cli;
