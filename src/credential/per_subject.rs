//! Headers of a subject's own: whoever calls shows a token, and what goes upstream is what it was exchanged for.
//!
//! Invariants: a request waits only for its own subject, and at most `token_wait`; one subject's headers never go with
//! another's request, since nothing but the digest of the token that the request shows leads to them.

use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use tokio::sync::{mpsc, oneshot};

use super::exchanges::{Answer, Ask, Why};
use super::{CredentialError, SubjectRefusal, TokenUnavailable, within};
use crate::clock::{Clock, Moment};
use crate::inject::subjects::{Blame, Entry, Failed, Kept, Subjects};
use crate::inject::{PrepareError, Prepared, Shown};
use crate::token::Generation;
use crate::token::subject::{Digester, Subject};

/// When to come back where nothing is known about that.
const SOON: Duration = Duration::from_secs(1);

/// A route's headers for each subject, and whom to ask for those of a new one.
#[derive(Debug)]
pub struct PerSubject<D = ()> {
    header: HeaderName,
    digester: Arc<Digester>,
    subjects: Subjects<D>,
    /// Which of the profile's routes it is.
    route: usize,
    asks: mpsc::Sender<Ask>,
    wait: Duration,
}

impl<D> Clone for PerSubject<D> {
    fn clone(&self) -> Self {
        Self {
            header: self.header.clone(),
            digester: Arc::clone(&self.digester),
            subjects: self.subjects.clone(),
            route: self.route,
            asks: self.asks.clone(),
            wait: self.wait,
        }
    }
}

/// What all routes of a profile share.
#[derive(Debug)]
pub struct Counter<D> {
    /// The header that callers show their token in.
    pub header: HeaderName,
    /// Where snapshots are published.
    pub subjects: Subjects<D>,
    /// Makes digests.
    pub digester: Arc<Digester>,
    /// Where exchanges are asked for.
    pub asks: mpsc::Sender<Ask>,
    /// How long a request waits for one: the profile's `token_wait`.
    pub wait: Duration,
}

impl<D> Counter<D> {
    /// The credential of the route that the writing half knows by this number.
    pub fn route(&self, route: usize) -> PerSubject<D> {
        PerSubject {
            header: self.header.clone(),
            digester: Arc::clone(&self.digester),
            subjects: self.subjects.clone(),
            route,
            asks: self.asks.clone(),
            wait: self.wait,
        }
    }
}

impl<D> PerSubject<D> {
    /// The token that a caller shows: behind `Bearer` in `Authorization` (RFC 6750 §2.1), the whole value elsewhere.
    pub(super) fn subject(&self, headers: &HeaderMap) -> Result<Subject, CredentialError> {
        let missing = CredentialError::Subject(SubjectRefusal::Missing);
        let mut values = headers.get_all(&self.header).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return Err(missing) };
        let value = value.to_str().map_err(|_| missing.clone())?;
        let token = match self.header == AUTHORIZATION {
            true => bearer(value).ok_or_else(|| missing.clone())?,
            false => value,
        };
        self.digester.subject(token.trim()).ok_or(missing)
    }

    pub(super) fn apply(&self, subject: &Subject, headers: &mut HeaderMap, now: Moment) -> Option<Shown> {
        let known = self.subjects.load();
        Some(self.used(known.get(&subject.digest)?, subject, now)?.apply(headers))
    }

    /// The snapshot of a subject, if it may be used now.
    pub(super) fn snapshot(&self, subject: &Subject, now: Moment) -> Option<Arc<Prepared<D>>> {
        let known = self.subjects.load();
        self.used(known.get(&subject.digest)?, subject, now).cloned()
    }

    /// What an entry has for this route, if that may be used now; notes the use, and has it renewed if it is time.
    fn used<'e>(&self, entry: &'e Entry<D>, subject: &Subject, now: Moment) -> Option<&'e Arc<Prepared<D>>> {
        let prepared = entry.usable(self.route, now)?;
        // A renewal that nobody waits for; what cannot be asked now is asked by the next request.
        if entry.use_now(now) && self.ask(subject, Why::Due, None).is_err() {
            entry.not_asked();
        }
        Some(prepared)
    }

    pub(super) async fn wait(&self, subject: &Subject, clock: &Clock) -> Result<(), CredentialError> {
        if let Some(known) = self.known(subject, clock.now()) {
            return known;
        }
        let (reply, answer) = oneshot::channel();
        if self.ask(subject, Why::Missing, Some(reply)).is_err() {
            return Err(unavailable(SOON, "too many subjects are waiting for their first token"));
        }
        match within(self.wait, answer).await {
            // What came of it was published before it was told.
            Some(Ok(_)) => self.known(subject, clock.now()).unwrap_or_else(|| Err(self.why(subject, clock))),
            Some(Err(_)) => Err(unavailable(SOON, "the exchange of the subject's token broke off")),
            None => Err(unavailable(SOON, "the token service has not answered yet")),
        }
    }

    /// What is known of a subject now; nothing if it is worth asking.
    fn known(&self, subject: &Subject, now: Moment) -> Option<Result<(), CredentialError>> {
        let entry = self.subjects.find(&subject.digest)?;
        match &entry.kept {
            Kept::Ready(_) if entry.usable(self.route, now).is_some() => Some(Ok(())),
            Kept::Ready(_) => entry.unfit(self.route).map(|error| Err(unfit(error))),
            Kept::Failed(failed) if failed.until.is_past(now) => None,
            Kept::Failed(failed) => Some(Err(refused(failed, now))),
        }
    }

    fn why(&self, subject: &Subject, clock: &Clock) -> CredentialError {
        CredentialError::Token(self.unavailable(subject, clock))
    }

    pub(super) fn unavailable(&self, subject: &Subject, clock: &Clock) -> TokenUnavailable {
        match self.known(subject, clock.now()) {
            Some(Err(CredentialError::Token(unavailable))) => unavailable,
            _ => TokenUnavailable { retry_after: SOON, cause: None },
        }
    }

    pub(super) fn suspect(&self, subject: &Subject, used: Generation) {
        // Where the queue is full, the next request that is refused says so again.
        let _ = self.ask(subject, Why::Refused(used), None);
    }

    /// The upstream refused `used`: waits for another token of the same subject.
    pub(super) async fn renewed(&self, subject: &Subject, used: Generation) -> bool {
        let (reply, answer) = oneshot::channel();
        if self.ask(subject, Why::Refused(used), Some(reply)).is_err() {
            return false;
        }
        matches!(within(self.wait, answer).await, Some(Ok(Answer::Ready)))
    }

    fn ask(&self, subject: &Subject, why: Why, reply: Option<oneshot::Sender<Answer>>) -> Result<(), ()> {
        self.asks.try_send(Ask { subject: subject.clone(), why, reply }).map_err(|_| ())
    }
}

/// The credential behind the scheme, whatever the case of that (RFC 9110 §11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim_start().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

fn refused(failed: &Failed, now: Moment) -> CredentialError {
    match failed.blame {
        Blame::Subject => CredentialError::Subject(SubjectRefusal::Rejected),
        Blame::Service => unavailable(failed.until.remaining(now).max(SOON), &failed.cause),
    }
}

fn unfit(error: &PrepareError) -> CredentialError {
    unavailable(SOON, &error.to_string())
}

fn unavailable(retry_after: Duration, cause: &str) -> CredentialError {
    CredentialError::Token(TokenUnavailable { retry_after, cause: Some(cause.to_owned()) })
}
