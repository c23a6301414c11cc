//! What a request at the loopback redirect means: an answer to us, or something that is none of our business.

use std::net::SocketAddr;

use super::page::Page;
use crate::secret::Secret;
use crate::token::form;
use crate::token::redact::Redactor;

/// How much of an `error_description` is shown.
const DESCRIPTION: usize = 200;

/// What a good answer is told by.
#[derive(Debug)]
pub(super) struct Expected {
    hosts: [String; 2],
    state: Secret,
    issuer: Option<Issuer>,
}

/// Who an answer has to come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Issuer {
    /// Its name.
    pub(super) name: String,
    /// Whether its answers always say so (RFC 9207 §3).
    pub(super) is_named: bool,
}

/// What is made of a request.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It ends nothing: whoever sent it gets this page.
    Refused(Page),
    /// The answer that was waited for: a code, or why there is none.
    Answer(Result<Secret, String>),
}

impl Issuer {
    /// What is wrong with the `iss` of an answer (RFC 9207 §2.4).
    fn misses(&self, iss: Option<&str>) -> Option<&'static str> {
        match iss {
            Some(iss) if iss != self.name => {
                Some("the answer comes from another issuer than the configured one (RFC 9207)")
            }
            None if self.is_named => Some(
                "the answer does not say which issuer it comes from, as those of this issuer do (RFC 9207)",
            ),
            _ => None,
        }
    }
}

impl Expected {
    pub(super) fn new(address: SocketAddr, state: Secret, issuer: Option<Issuer>) -> Self {
        let hosts = [address.to_string(), format!("localhost:{}", address.port())];
        Self { hosts, state, issuer }
    }

    /// Judges a request by its head, which is whole.
    pub(super) fn judge(&self, head: &[u8]) -> Verdict {
        let mut fields = [httparse::EMPTY_HEADER; 100];
        let mut request = httparse::Request::new(&mut fields);
        let Ok(httparse::Status::Complete(_)) = request.parse(head) else {
            return Verdict::Refused(Page::refused(400, "This is no request that is understood here."));
        };
        let (Some(method), Some(target)) = (request.method, request.path) else {
            return Verdict::Refused(Page::refused(400, "This is no request that is understood here."));
        };
        // A page of elsewhere may have its name resolve to this machine.
        let host = request.headers.iter().find(|field| field.name.eq_ignore_ascii_case("host"));
        if !host.is_some_and(|host| self.hosts.iter().any(|own| own.as_bytes() == host.value)) {
            return Verdict::Refused(Page::refused(421, "This address is not served here."));
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        match (method, path) {
            ("GET", "/callback") => self.answer(query),
            ("GET", _) => Verdict::Refused(Page::refused(404, "There is nothing here.")),
            _ => Verdict::Refused(Page::refused(405, "Only GET is understood here.")),
        }
    }

    /// The query of the redirect (RFC 6749 §4.1.2, RFC 9207).
    fn answer(&self, query: &str) -> Verdict {
        let pairs: Vec<(String, String)> = form::pairs(query).collect();
        let all = |key: &str| {
            pairs.iter().filter(|(own, _)| own == key).map(|(_, value)| value).collect::<Vec<_>>()
        };
        let known = ["state", "code", "error", "error_description", "iss"];
        if known.iter().any(|key| all(key).len() > 1) {
            return Verdict::Refused(Page::refused(400, "This answer says something twice."));
        }
        let one = |key: &str| all(key).first().map(|value| value.as_str()).filter(|value| !value.is_empty());
        // Compared in constant time, and before anything else is looked at.
        if !one("state").is_some_and(|state| Secret::new(state.to_owned()) == self.state) {
            return Verdict::Refused(Page::refused(
                400,
                "This answer does not belong to the consent that sidepass waits for: its state is another one. \
                 Open the page that `sidepass authorize` printed last.",
            ));
        }
        if let Some(wrong) = self.issuer.as_ref().and_then(|issuer| issuer.misses(one("iss"))) {
            return Verdict::Answer(Err(wrong.to_owned()));
        }
        match (one("error"), one("code")) {
            (Some(error), _) => Verdict::Answer(Err(self.refusal(error, one("error_description")))),
            (None, Some(code)) => Verdict::Answer(Ok(Secret::new(code.to_owned()))),
            (None, None) => {
                Verdict::Refused(Page::refused(400, "This answer holds neither a code nor an error."))
            }
        }
    }

    /// An `error` of the service (RFC 6749 §4.1.2.1), fit to be shown.
    fn refusal(&self, error: &str, description: Option<&str>) -> String {
        let mut redactor = Redactor::default();
        redactor.hide(&self.state);
        let error = redactor.clean(error, 64);
        let meaning = match error.as_str() {
            "access_denied" => "consent was refused",
            "invalid_scope" => "the service does not know the scope, or the client may not have it",
            "unauthorized_client" | "unsupported_response_type" => {
                "the client may not ask for consent in a browser"
            }
            "server_error" | "temporarily_unavailable" => "the service is in trouble; try again",
            _ => "the service gave no consent",
        };
        let said = description.map(|text| redactor.clean(text, DESCRIPTION)).filter(|text| !text.is_empty());
        let said = said.map_or_else(String::new, |text| format!(": {text}"));
        format!("{meaning} ({error}{said})")
    }
}

#[cfg(test)]
mod tests;
