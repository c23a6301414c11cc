//! Switching protocols (RFC 9110 §7.8): what is offered to an upstream, and when its 101 is believed.
//!
//! Invariant: a connection is handed out as a tunnel only after a 101 with the very protocol that was offered. An offer
//! that a route does not allow, of several protocols at once, or with a body, is dropped; the request is an ordinary one
//! then, as the RFC lets any server treat it.

use http::header::{CONNECTION, CONTENT_LENGTH, UPGRADE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::ForwardError;
use super::http1::Upgraded;
use super::pool::AnswerBody;

/// The value of `Connection` that belongs to an offer, and to its acceptance.
const CONNECTION_UPGRADE: HeaderValue = HeaderValue::from_static("upgrade");

/// A protocol that a caller asked for and its route allows.
#[derive(Clone, Debug)]
pub struct Offer(HeaderValue);

impl Offer {
    /// The offer, if it is among the allowed ones (in lower case).
    pub fn allowed(protocol: HeaderValue, upgrades: &[String]) -> Option<Self> {
        let fits = |one: &String| one.as_bytes().eq_ignore_ascii_case(protocol.as_bytes());
        upgrades.iter().any(fits).then_some(Self(protocol))
    }

    /// Puts it, or its acceptance, on a message.
    pub fn put(&self, headers: &mut HeaderMap) {
        headers.insert(CONNECTION, CONNECTION_UPGRADE);
        headers.insert(UPGRADE, self.0.clone());
    }

    fn is_met_by(&self, headers: &HeaderMap) -> bool {
        let mut named = headers.get_all(UPGRADE).iter();
        match (named.next(), named.next()) {
            (Some(named), None) => named.as_bytes().trim_ascii().eq_ignore_ascii_case(self.0.as_bytes()),
            _ => false,
        }
    }
}

/// Whether an upstream says that it speaks another protocol from here on.
pub fn is_switch<B>(response: &Response<B>) -> bool {
    response.status() == StatusCode::SWITCHING_PROTOCOLS
}

/// Takes the upstream's connection over after its 101, and what it says with it.
pub fn switch(
    offer: Option<&Offer>,
    response: Response<AnswerBody>,
) -> Result<(Response<()>, Upgraded), ForwardError> {
    let invalid = |text: &str| ForwardError::Invalid(text.to_owned());
    let offer = offer.ok_or_else(|| invalid("101 without a request for it"))?;
    if !offer.is_met_by(response.headers()) {
        return Err(invalid("101 with another protocol than was asked for"));
    }
    let (mut parts, body) = response.into_parts();
    let upgraded = body.into_upgraded().ok_or_else(|| invalid("101 within the request"))?;
    // It has no body, whatever it says (RFC 9110 §15.2).
    parts.headers.remove(CONTENT_LENGTH);
    Ok((Response::from_parts(parts, ()), upgraded))
}
