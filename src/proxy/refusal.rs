//! What is logged when sidepass answers by itself, and the id that ties the line to the answer.

use http::{Method, Uri};

use crate::error::{Fault, ProxyError};
use crate::guard::{Caller, Refusal};

/// An id that the answer and the log line share.
pub(super) fn id() -> String {
    format!("{:016x}", fastrand::u64(..))
}

/// How much of a path is logged.
const PATH: usize = 200;

/// What was asked for.
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    /// Its query is never logged.
    pub(super) target: &'a Uri,
}

impl Asked<'_> {
    fn path(&self) -> &str {
        let path = self.target.path();
        // An ASCII path nearly always; one that is not is cut between two characters.
        let end = (0..=PATH.min(path.len())).rev().find(|end| path.is_char_boundary(*end));
        &path[..end.unwrap_or(0)]
    }
}

/// One line a refusal: whose fault it is decides its level.
pub(super) fn log(error: &ProxyError, route: Option<&str>, asked: &Asked<'_>, caller: &Caller, id: &str) {
    let (reason, peer) = (error.reason(), caller.peer.map(|peer| peer.to_string()));
    let (method, path) = (asked.method, asked.path());
    if let ProxyError::Refused(Refusal::HostNotAllowed(host)) = error {
        tracing::info!(reason, request_id = id, %method, path, peer, "refused; to serve this Host add `hosts: [{host:?}]` below `proxy:`");
        return;
    }
    match error.fault() {
        Fault::Caller => tracing::info!(reason, request_id = id, route, %method, path, peer, "{error}"),
        Fault::Upstream => tracing::warn!(reason, request_id = id, route, %method, path, "{error}"),
        Fault::Sidepass => tracing::error!(reason, request_id = id, route, %method, path, "{error}"),
    }
}

/// One line for a request that never got a head of its own.
pub(super) fn log_unread(error: &ProxyError, caller: &Caller, detail: &str, id: &str) {
    let (reason, peer) = (error.reason(), caller.peer.map(|peer| peer.to_string()));
    match error.fault() {
        Fault::Caller => tracing::info!(reason, request_id = id, peer, detail, "{error}"),
        Fault::Upstream | Fault::Sidepass => {
            tracing::error!(reason, request_id = id, peer, detail, "{error}")
        }
    }
}
