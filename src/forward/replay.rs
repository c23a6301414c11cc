//! Which requests may be sent a second time, and how.
//!
//! Invariant: a request is sent again only when the answer (401) or the protocol shows that it was not executed, and
//! only if its body was empty or kept whole.

use std::cell::RefCell;
use std::rc::Rc;

use http::header::EXPECT;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

use super::pool::Sent;
use super::upload::{Progress, Upload};

/// How many lists are kept for later requests.
const LISTS: usize = 64;

/// What is kept of a request so that it can be sent once more.
#[derive(Debug)]
pub struct Replay {
    method: Method,
    uri: Uri,
    /// A list, not a map: nothing is looked up in it, and most requests never need it.
    fields: Vec<(HeaderName, HeaderValue)>,
    body: Option<Rc<Progress>>,
    spare: Rc<Spare>,
}

/// Lists of fields that requests of the past have left behind: copying a head then allocates nothing.
#[derive(Debug, Default)]
pub struct Spare(RefCell<Vec<Vec<(HeaderName, HeaderValue)>>>);

impl Replay {
    /// Keeps the head of a request; `body` tells how its body went, if it has one.
    pub fn of(request: &Request<Upload>, body: Option<Rc<Progress>>, spare: &Rc<Spare>) -> Self {
        let mut fields = spare.0.borrow_mut().pop().unwrap_or_default();
        fields.extend(request.headers().iter().map(|(name, value)| (name.clone(), value.clone())));
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            fields,
            body,
            spare: Rc::clone(spare),
        }
    }

    /// The request again after it got no answer, if it may be sent again.
    pub fn after(&self, sent: Sent) -> Option<Request<Upload>> {
        match sent {
            Sent::NotExecuted => self.request(),
            // Twice has the same effect as once (RFC 9110 §9.2.2).
            Sent::Unanswered if self.method.is_idempotent() => self.request(),
            Sent::Unanswered | Sent::Unconnected | Sent::Unknown => None,
        }
    }

    /// The request again, with its headers as they were; nothing if the body was not kept whole.
    pub fn request(&self) -> Option<Request<Upload>> {
        let body = match &self.body {
            None => Upload::Empty,
            Some(progress) => Upload::again(progress.kept()?),
        };
        let mut headers = HeaderMap::with_capacity(self.fields.len());
        for (name, value) in &self.fields {
            headers.append(name.clone(), value.clone());
        }
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = Version::HTTP_11;
        // A body that is here already need not be asked for.
        headers.remove(EXPECT);
        *request.headers_mut() = headers;
        Some(request)
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        let mut lists = self.spare.0.borrow_mut();
        if lists.len() < LISTS {
            lists.push(fields);
        }
    }
}
