//! Profiles whose callers speak for themselves: one exchange task each, which all routes of the profile share.

use std::sync::Arc;

use http::HeaderName;
use tokio::sync::mpsc;

use super::StartError;
use crate::clock::Clock;
use crate::config::ProfileConfig;
use crate::credential::exchanges::{self, Ask, Exchanges};
use crate::credential::{Counter, Credential};
use crate::inject::Recipe;
use crate::inject::subjects::{self, SubjectWriter};
use crate::metrics::Metrics;
use crate::proxy::Destination;
use crate::token::oauth2::OAuth2Source;
use crate::token::subject::Digester;

/// How many subjects a profile has at a time.
const CAPACITY: usize = 1000;

/// What exchanges the tokens of a profile's subjects.
pub(super) type Task = Exchanges<OAuth2Source, Destination>;

/// The profiles, while their routes are gathered.
#[derive(Default)]
pub(super) struct Desks(Vec<Desk>);

/// A profile.
struct Desk {
    profile: Arc<ProfileConfig>,
    counter: Counter<Destination>,
    writer: SubjectWriter<Destination>,
    queue: mpsc::Receiver<Ask>,
}

impl Desks {
    /// The credential of one more route of a profile whose callers show their token in this header.
    pub(super) fn credential(
        &mut self,
        profile: &Arc<ProfileConfig>,
        header: &HeaderName,
        recipe: Recipe<Destination>,
    ) -> Result<Credential<Destination>, StartError> {
        if let Some(desk) = self.0.iter_mut().find(|desk| desk.profile.name == profile.name) {
            return Ok(desk.credential(recipe));
        }
        let mut desk = Desk::new(profile, header)?;
        let credential = desk.credential(recipe);
        self.0.push(desk);
        Ok(credential)
    }

    /// What is to be run on the control plane.
    pub(super) fn into_tasks(self, metrics: &Metrics, clock: &Clock) -> Result<Vec<Task>, StartError> {
        let task = |desk: Desk| {
            let Desk { profile, writer, queue, .. } = desk;
            let counted = metrics.profile(profile.name.as_str());
            let source = OAuth2Source::new(Arc::clone(&profile), clock.clone());
            let name = profile.name.to_string();
            let source = source
                .map_err(|error| StartError::Profile { profile: name.clone(), reason: error.to_string() })?;
            let told = move |code: Option<&str>| counted.exchanged(code);
            Ok(Exchanges::new(name, source, writer, queue, clock.clone()).telling(told))
        };
        self.0.into_iter().map(task).collect()
    }
}

impl Desk {
    fn new(profile: &Arc<ProfileConfig>, header: &HeaderName) -> Result<Self, StartError> {
        let digester = Digester::new().ok_or_else(|| StartError::Profile {
            profile: profile.name.to_string(),
            reason: "the system has no random bytes".to_owned(),
        })?;
        let (writer, subjects) = subjects::subjects(CAPACITY);
        let (asks, queue) = mpsc::channel(exchanges::QUEUE);
        let counter = Counter {
            header: header.clone(),
            subjects,
            digester: Arc::new(digester),
            asks,
            wait: profile.token_wait,
        };
        Ok(Self { profile: Arc::clone(profile), counter, writer, queue })
    }

    /// The credential of one more route.
    fn credential(&mut self, recipe: Recipe<Destination>) -> Credential<Destination> {
        let route = self.writer.add(recipe);
        Credential::PerSubject(self.counter.route(route))
    }
}
