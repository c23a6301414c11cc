//! Which requests may be sent a second time, and how.
//!
//! Invariant: a request is sent again only when the answer (401) or the protocol shows that it was not executed, and
//! only if its body was empty or kept whole.

use std::rc::Rc;

use http::{HeaderMap, Method, Request, Uri, Version};

use super::upload::{Progress, Upload};

/// What is kept of a request so that it can be sent once more.
#[derive(Debug)]
pub struct Replay {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Option<Rc<Progress>>,
}

impl Replay {
    /// Keeps the head of a request; `body` tells how its body went, if it has one.
    pub fn of(request: &Request<Upload>, body: Option<Rc<Progress>>) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
            body,
        }
    }

    /// Whether sending it twice has the same effect as sending it once (RFC 9110 §9.2.2).
    pub fn is_idempotent(&self) -> bool {
        self.method.is_idempotent()
    }

    /// The request again, with its headers as they were; nothing if the body was not kept whole.
    pub fn request(&self) -> Option<Request<Upload>> {
        let body = match &self.body {
            None => Upload::Empty,
            Some(progress) => Upload::Kept(progress.kept()?),
        };
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = self.headers.clone();
        Some(request)
    }
}
