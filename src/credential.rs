//! What a route needs for this request: its prepared headers, at once or after a bounded wait.
//!
//! Invariant: this is the only wait of the request path before the request is forwarded, and it happens only where
//! there is no usable token. A renewal in the background never makes a request wait.

pub mod exchanges;
mod per_subject;
mod shared;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

pub use self::per_subject::{Counter, PerSubject};
pub use self::shared::Shared;
use crate::clock::{Clock, Moment};
use crate::inject::{Injection, Prepared, Shown};
use crate::token::Generation;
use crate::token::cell::TokenCell;
use crate::token::subject::{Subject, SubjectDigest};

/// How often a request that waits looks at the token task's schedule again by itself.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What a route adds to its requests. `D` is where a token may lead.
#[derive(Clone, Debug)]
pub enum Credential<D = ()> {
    /// Nothing.
    None,
    /// The same headers for everybody, prepared ahead.
    Shared(Shared<D>),
    /// Headers of each caller's own, prepared when it first asks.
    PerSubject(PerSubject<D>),
}

/// Why there are no headers for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialError {
    /// There is no usable token.
    Token(TokenUnavailable),
    /// The caller does not say whom it speaks for, or nobody believes it.
    Subject(SubjectRefusal),
}

/// What is wrong with the token that a caller shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectRefusal {
    /// There is none, or more than one.
    Missing,
    /// The token service does not take it, or it has expired.
    Rejected,
}

impl From<TokenUnavailable> for CredentialError {
    fn from(unavailable: TokenUnavailable) -> Self {
        Self::Token(unavailable)
    }
}

/// There is no usable token, and waiting longer would not help the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenUnavailable {
    /// When it is worth asking again.
    pub retry_after: Duration,
    /// Why, if that is known: the code of the recorded failure, or which header could not be made and why. Never a value.
    pub cause: Option<String>,
}

impl<D> Credential<D> {
    /// A route's headers; `cell` and `wait` are those of its profile, if it has one.
    pub fn shared(injection: Injection<D>, cell: Option<TokenCell>, wait: Duration) -> Self {
        Self::Shared(Shared::new(injection, cell, wait))
    }

    /// Whom a request speaks for, where that makes a difference: read before the caller's headers are stripped.
    pub fn subject(&self, headers: &HeaderMap) -> Result<Option<Box<Subject>>, CredentialError> {
        match self {
            Self::None | Self::Shared(_) => Ok(None),
            Self::PerSubject(credential) => {
                credential.subject(headers).map(|subject| Some(Box::new(subject)))
            }
        }
    }

    /// For a request of this subject, which [`Credential::subject`] has read.
    pub fn bind<'a>(&'a self, subject: Option<&'a Subject>) -> Bound<'a, D> {
        let credential = match (self, subject) {
            (Self::Shared(shared), _) => Kind::Shared(shared),
            (Self::PerSubject(credential), Some(subject)) => Kind::PerSubject(credential, subject),
            (Self::None, _) => Kind::None,
            (Self::PerSubject(_), None) => Kind::Nobody,
        };
        Bound { credential, pinned: None }
    }
}

/// A credential as one request uses it.
///
/// A request whose upstream came with the token is pinned to the snapshot that named it: every attempt goes to that
/// destination, and no token of an answer that names another one goes there.
#[derive(Debug)]
pub struct Bound<'a, D = ()> {
    credential: Kind<'a, D>,
    pinned: Option<&'a Arc<Prepared<D>>>,
}

#[derive(Debug)]
enum Kind<'a, D> {
    None,
    Shared(&'a Shared<D>),
    PerSubject(&'a PerSubject<D>, &'a Subject),
    /// A subject is needed, and nobody has read it: nothing is usable.
    Nobody,
}

impl<'a, D> Bound<'a, D> {
    /// The same, pinned to a snapshot.
    pub fn pinned_to(self, snapshot: &'a Arc<Prepared<D>>) -> Self {
        Self { pinned: Some(snapshot), ..self }
    }

    /// Whose credential it is; nothing where it is everybody's.
    pub fn subject(&self) -> Option<SubjectDigest> {
        match self.credential {
            Kind::None | Kind::Nobody | Kind::Shared(_) => None,
            Kind::PerSubject(_, subject) => Some(subject.digest),
        }
    }

    /// The newest snapshot, if it may be used now.
    pub fn snapshot(&self, now: Moment) -> Option<Arc<Prepared<D>>> {
        match self.credential {
            Kind::None | Kind::Nobody => None,
            Kind::Shared(shared) => shared.snapshot(now),
            Kind::PerSubject(credential, subject) => credential.snapshot(subject, now),
        }
    }

    /// Sets the headers if they are usable now, and says which token they were made from. One atomic load.
    pub fn apply(&self, headers: &mut HeaderMap, now: Moment) -> Option<Shown> {
        match (&self.credential, self.pinned) {
            (Kind::Nobody, _) => None,
            (Kind::None, _) => Some(Shown { generation: None, prover: None }),
            (Kind::Shared(shared), None) => shared.apply(headers, now),
            (Kind::PerSubject(credential, subject), None) => credential.apply(subject, headers, now),
            (Kind::Shared(_) | Kind::PerSubject(..), Some(pinned)) => {
                let newer = self.snapshot(now).filter(|newest| same_destination(newest, pinned));
                let chosen = newer.as_ref().unwrap_or(pinned);
                chosen.is_usable(now).then(|| chosen.apply(headers))
            }
        }
    }

    /// Waits until the headers are usable, at most the profile's `token_wait`. While the token task backs off, the
    /// recorded failure comes back at once.
    pub async fn wait(&self, clock: &Clock) -> Result<(), CredentialError> {
        match self.credential {
            Kind::None => Ok(()),
            Kind::Nobody => Err(CredentialError::Subject(SubjectRefusal::Missing)),
            Kind::Shared(shared) => Ok(shared.wait(clock).await?),
            Kind::PerSubject(credential, subject) => credential.wait(subject, clock).await,
        }
    }

    /// What to tell a caller for whom there is no usable token.
    pub fn unavailable(&self, clock: &Clock) -> TokenUnavailable {
        match self.credential {
            Kind::None | Kind::Nobody => {
                TokenUnavailable { retry_after: Duration::from_secs(1), cause: None }
            }
            Kind::Shared(shared) => shared.unavailable(clock),
            Kind::PerSubject(credential, subject) => credential.unavailable(subject, clock),
        }
    }

    /// The upstream refused `used`, and nobody waits for a different token.
    pub fn suspect(&self, used: Generation) {
        match self.credential {
            Kind::None | Kind::Nobody => {}
            Kind::Shared(shared) => shared.suspect(used),
            Kind::PerSubject(credential, subject) => credential.suspect(subject, used),
        }
    }

    /// The upstream refused `used`: waits for a different token, at most `token_wait`. False if there will be none, or
    /// if it leads elsewhere.
    pub async fn renewed(&self, used: Generation, clock: &Clock) -> bool {
        let renewed = match self.credential {
            Kind::None | Kind::Nobody => false,
            Kind::Shared(shared) => shared.renewed(used).await,
            Kind::PerSubject(credential, subject) => credential.renewed(subject, used).await,
        };
        let newest = || self.snapshot(clock.now());
        let stays =
            |pinned: &Arc<Prepared<D>>| newest().is_some_and(|newest| same_destination(&newest, pinned));
        renewed && self.pinned.is_none_or(stays)
    }
}

fn same_destination<D>(one: &Prepared<D>, other: &Prepared<D>) -> bool {
    match (one.destination(), other.destination()) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, work).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::route::HeaderConfig;
    use crate::config::template::Part;
    use crate::config::{SecretSource, Template};
    use crate::inject::{self, Recipe};

    #[tokio::test]
    async fn a_header_that_cannot_be_made_is_named_as_the_cause() {
        let file = SecretSource::File("/nowhere/key.txt".into());
        let value = Template(vec![Part::Secret(file)]);
        let header = HeaderConfig { name: http::HeaderName::from_static("x-key"), value };
        let (injector, injection) = inject::injection(Recipe::new(vec![header], Arc::default()), None);
        injector.prepare().unwrap_err();
        let credential: Credential = Credential::shared(injection, None, Duration::from_secs(1));
        let error = credential.bind(None).wait(&Clock::system()).await.unwrap_err();
        let CredentialError::Token(unavailable) = error else { panic!("{error:?}") };
        let cause = unavailable.cause.unwrap_or_default();
        assert!(cause.contains("x-key") && cause.contains("/nowhere/key.txt"), "{cause}");
    }
}
