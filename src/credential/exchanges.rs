//! The task that exchanges the tokens of subjects, on the control plane: one exchange a subject at a time.
//!
//! Invariants: whoever asks, a subject has one exchange in flight; after a failure there is none before its backoff is
//! over; a token that is good stays in use while its renewal fails, unless the token service refuses the subject.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinError, JoinSet};

use crate::clock::{Clock, Moment};
use crate::inject::subjects::{Blame, Entry, Failed, Kept, SubjectWriter};
use crate::secret::Secret;
use crate::token::error::{FetchError, FetchErrorCode};
use crate::token::subject::{self, Subject, SubjectDigest, SubjectSource};
use crate::token::{AccessToken, Generation, Token};

/// Questions that may wait to be looked at.
pub const QUEUE: usize = 256;
/// Exchanges in flight at a time: many new subjects must not be an attack on the token service.
const FLIGHTS: usize = 32;
/// An exchange that has not ended by itself after this time is given up.
const WATCHDOG: Duration = Duration::from_secs(30);
/// At least this much lies between two renewals of a subject's token that upstreams ask for.
const FORCED_GAP: Duration = Duration::from_secs(30);
/// How often it is looked whether files have changed and entries are over.
const LOOK: Duration = Duration::from_secs(2);

/// A question of the request path.
#[derive(Debug)]
pub struct Ask {
    /// Whose token.
    pub(super) subject: Subject,
    pub(super) why: Why,
    /// Told when it is over, if somebody waits.
    pub(super) reply: Option<oneshot::Sender<Answer>>,
}

/// Why a token is exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// There is none.
    Missing,
    /// The one that is there is in its last quarter.
    Due,
    /// An upstream refused this one.
    Refused(Generation),
}

/// What came of it; more is in the published map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// There is a token, and none that was refused.
    Ready,
    /// There is none.
    None,
}

/// An exchange under way.
struct Flight {
    /// When the subject's own token expires.
    expiry: Option<f64>,
    forced_at: Option<Moment>,
    waiting: Vec<oneshot::Sender<Answer>>,
}

/// The exchanges of a profile.
pub struct Exchanges<S, D> {
    profile: String,
    source: Arc<S>,
    writer: SubjectWriter<D>,
    asks: mpsc::Receiver<Ask>,
    clock: Clock,
    flights: HashMap<SubjectDigest, Flight>,
    running: JoinSet<Result<AccessToken, FetchError>>,
    /// Which task is whose.
    owners: HashMap<Id, SubjectDigest>,
    generation: u64,
    told: Told,
}

/// Hears of each exchange that is over: of its code, if it failed.
type Told = Box<dyn Fn(Option<&str>) + Send>;

impl<S: SubjectSource, D> Exchanges<S, D> {
    /// The exchanges of this profile, with the recipes of its routes.
    pub fn new(
        profile: String,
        source: S,
        writer: SubjectWriter<D>,
        asks: mpsc::Receiver<Ask>,
        clock: Clock,
    ) -> Self {
        Self {
            profile,
            source: Arc::new(source),
            writer,
            asks,
            clock,
            flights: HashMap::new(),
            running: JoinSet::new(),
            owners: HashMap::new(),
            generation: 0,
            told: Box::new(|_| ()),
        }
    }

    /// The same; `told` hears of each exchange that is over, and of the code of its failure.
    pub fn telling(self, told: impl Fn(Option<&str>) + Send + 'static) -> Self {
        Self { told: Box::new(told), ..self }
    }

    /// Answers questions until nobody can ask any more, or until it is dropped, which ends its exchanges.
    pub async fn run(mut self) {
        let mut seen = self.writer.read_files();
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                ask = self.asks.recv(), if self.running.len() < FLIGHTS => match ask {
                    Some(ask) => self.asked(ask),
                    None => return,
                },
                Some(ended) = self.running.join_next_with_id() => self.ended(ended),
                _ = look.tick() => {
                    let now = self.writer.read_files();
                    if now != seen {
                        seen = now;
                        self.writer.prepare_again(self.clock.now());
                    }
                    self.writer.sweep(self.clock.now());
                }
            }
        }
    }

    fn asked(&mut self, ask: Ask) {
        let Ask { subject, why, reply } = ask;
        if reply.as_ref().is_some_and(oneshot::Sender::is_closed) {
            // Whoever waited has gone.
            return;
        }
        let now = self.clock.now();
        if let Slot::Occupied(mut flight) = self.flights.entry(subject.digest) {
            flight.get_mut().waiting.extend(reply);
            return;
        }
        let entry = self.writer.subjects().find(&subject.digest);
        if let Some(answer) = entry.as_deref().and_then(|entry| settled(entry, why, now)) {
            tell(reply, answer);
            return;
        }
        let expiry = subject::expiry(&subject.token);
        if expiry.is_some_and(|expiry| expiry <= now.unix_seconds()) {
            let expired = failure(Blame::Subject, "subject_expired", None);
            self.writer.fail(subject.digest, failed(expired, failures(entry.as_deref()), now), now);
            tell(reply, Answer::None);
            return;
        }
        let forced_at = match (why, entry.as_deref()) {
            (Why::Refused(_), _) => Some(now),
            (_, Some(Entry { kept: Kept::Ready(ready), .. })) => ready.forced_at,
            _ => None,
        };
        self.start(subject, Flight { expiry, forced_at, waiting: reply.into_iter().collect() });
    }

    fn start(&mut self, subject: Subject, flight: Flight) {
        let source = Arc::clone(&self.source);
        let Subject { digest, token } = subject;
        let task = self.running.spawn(exchange(source, token));
        self.owners.insert(task.id(), digest);
        self.flights.insert(digest, flight);
    }

    fn ended(&mut self, ended: Result<(Id, Result<AccessToken, FetchError>), JoinError>) {
        let (id, outcome) = match ended {
            Ok((id, outcome)) => (id, outcome),
            // A panic, which the hook has reported.
            Err(error) => (error.id(), Err(FetchError::new(FetchErrorCode::Internal, "the exchange failed"))),
        };
        let Some(digest) = self.owners.remove(&id) else { return };
        let Some(flight) = self.flights.remove(&digest) else { return };
        let now = self.clock.now();
        (self.told)(outcome.as_ref().err().map(|error| error.code.as_str()));
        let answer = match outcome {
            Ok(access) => match subject::within(access, flight.expiry, now) {
                Some(access) => self.succeeded(digest, access, flight.forced_at, now),
                None => self.failed(digest, failure(Blame::Subject, "subject_expired", None), None, now),
            },
            Err(error) => {
                let blame = if subject::blames_subject(&error) { Blame::Subject } else { Blame::Service };
                let (profile, code) = (&self.profile, error.code.as_str());
                match blame {
                    Blame::Subject => {
                        tracing::info!(profile, subject = ?digest, code, "the token service refuses a subject: {}", error.message)
                    }
                    Blame::Service => {
                        tracing::warn!(profile, subject = ?digest, code, "a subject's token cannot be exchanged: {}", error.message)
                    }
                }
                self.failed(digest, failure(blame, code, error.retry_after), flight.forced_at, now)
            }
        };
        for waiting in flight.waiting {
            tell(Some(waiting), answer);
        }
    }

    fn succeeded(
        &mut self,
        digest: SubjectDigest,
        access: AccessToken,
        forced_at: Option<Moment>,
        now: Moment,
    ) -> Answer {
        self.generation += 1;
        let token = Arc::new(Token { generation: Generation(self.generation), access });
        self.writer.publish(digest, token, forced_at, now);
        Answer::Ready
    }

    fn failed(
        &self,
        digest: SubjectDigest,
        failure: Failure<'_>,
        forced_at: Option<Moment>,
        now: Moment,
    ) -> Answer {
        let entry = self.writer.subjects().find(&digest);
        let blame = failure.blame;
        let next = failed(failure, failures(entry.as_deref()), now);
        match entry.as_deref() {
            Some(Entry { kept: Kept::Ready(ready), .. })
                if blame == Blame::Service && !ready.token().access.expires_at().is_past(now) =>
            {
                self.writer.put_off(digest, ready, (next.until, forced_at), now);
            }
            _ => self.writer.fail(digest, next, now),
        }
        Answer::None
    }
}

async fn exchange<S: SubjectSource>(source: Arc<S>, token: Secret) -> Result<AccessToken, FetchError> {
    let late = || FetchError::new(FetchErrorCode::Timeout, "the exchange did not end");
    tokio::time::timeout(WATCHDOG, source.exchange(token)).await.unwrap_or_else(|_| Err(late()))
}

/// The answer where nothing has to be exchanged.
fn settled<D>(entry: &Entry<D>, why: Why, now: Moment) -> Option<Answer> {
    match &entry.kept {
        Kept::Failed(failed) => (!failed.until.is_past(now)).then_some(Answer::None),
        Kept::Ready(ready) => {
            let Token { generation, access } = ready.token();
            let gap = ready.forced_at.is_some_and(|at| !at.after(FORCED_GAP).is_past(now));
            match why {
                _ if access.expires_at().is_past(now) => None,
                Why::Missing => Some(Answer::Ready),
                Why::Due => (!ready.renew_at.is_past(now)).then_some(Answer::Ready),
                Why::Refused(used) if *generation > used => Some(Answer::Ready),
                // The upstream has refused the token that it asked for: another would not help.
                Why::Refused(_) => gap.then_some(Answer::None),
            }
        }
    }
}

fn failures<D>(entry: Option<&Entry<D>>) -> u32 {
    match entry.map(|entry| &entry.kept) {
        None => 0,
        Some(Kept::Ready(ready)) => ready.failures,
        Some(Kept::Failed(failed)) => failed.failures,
    }
}

/// What went wrong with an exchange.
struct Failure<'a> {
    blame: Blame,
    cause: &'a str,
    retry_after: Option<Duration>,
}

fn failure(blame: Blame, cause: &str, retry_after: Option<Duration>) -> Failure<'_> {
    Failure { blame, cause, retry_after }
}

/// A failure after so many, and until when it stands: a subject that was refused may be known to the service in a few
/// seconds (clocks differ), or never.
fn failed(Failure { blame, cause, retry_after }: Failure<'_>, before: u32, now: Moment) -> Failed {
    let (first, most) = match blame {
        Blame::Subject => (Duration::from_secs(5), Duration::from_secs(5 * 60)),
        Blame::Service => (Duration::from_secs(1), Duration::from_secs(60)),
    };
    let backoff = first.saturating_mul(1 << before.min(16)).min(most);
    let told = retry_after.unwrap_or_default().min(Duration::from_secs(10 * 60));
    Failed {
        blame,
        cause: cause.to_owned(),
        until: now.after(backoff.max(told)),
        failures: before.saturating_add(1),
    }
}

fn tell(reply: Option<oneshot::Sender<Answer>>, answer: Answer) {
    if let Some(reply) = reply {
        // Whoever waited may have gone.
        let _ = reply.send(answer);
    }
}

#[cfg(test)]
mod tests;
