//! What a route injects: header values made ready on the control plane, and one atomic load on the request path.
//!
//! Invariant: what the request path sees is one snapshot of generation, expiry and values. It is replaced as a whole
//! whenever an input changes (the profile's token, a secure parameter's file); what cannot be prepared leaves the old
//! snapshot in place while it is valid. Token code knows no templates; the request path knows no templates either.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use http::header::{AUTHORIZATION, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::watch;

use crate::clock::Moment;
use crate::config::route::HeaderConfig;
use crate::config::template::Part;
use crate::config::{Name, SecretSource, Template};
use crate::secret::Secret;
use crate::sieve::Sieve;
use crate::token::Generation;
use crate::token::cell::{TokenCell, TokenState};

/// How often files of secure parameters are looked at. A kubelet syncs each minute; nobody waits longer for us than 2 s.
const FILE_POLL: Duration = Duration::from_secs(2);

/// Header values that are ready to be set on a request.
#[derive(Debug)]
pub struct Prepared {
    generation: Option<Generation>,
    usable_until: Option<Moment>,
    values: Vec<(HeaderName, HeaderValue)>,
}

impl Prepared {
    /// The token that the values were made from, if they were made from one.
    pub fn generation(&self) -> Option<Generation> {
        self.generation
    }

    /// Whether they may go upstream now. Values without a token never expire.
    pub fn is_usable(&self, now: Moment) -> bool {
        self.usable_until.is_none_or(|until| !until.is_past(now))
    }

    /// Sets every header, in place of whatever is there. Clones reference counts, not bytes.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.values {
            headers.insert(name.clone(), value.clone());
        }
    }

    /// The headers as they would be set; values that hold a secret are marked sensitive, and their `Debug` hides them.
    pub fn headers(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.values.iter().map(|(name, value)| (name, value))
    }
}

/// Where a route's snapshot is published.
#[derive(Debug)]
struct Slot {
    prepared: ArcSwapOption<Prepared>,
    /// Why the newest inputs could not be prepared; counts up at every change, so that waiters wake.
    changes: watch::Sender<Result<(), PrepareError>>,
}

/// The reading half: what the request path holds. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Injection(Arc<Slot>);

impl Injection {
    /// The snapshot: one atomic load. The guard must not live across an await.
    pub fn load(&self) -> Guard<Option<Arc<Prepared>>> {
        self.0.prepared.load()
    }

    /// Why the newest inputs could not be prepared, if they could not.
    pub fn failure(&self) -> Option<PrepareError> {
        self.0.changes.borrow().as_ref().err().cloned()
    }

    /// Tells of every new snapshot, and of every failure to make one.
    pub fn subscribe(&self) -> watch::Receiver<Result<(), PrepareError>> {
        self.0.changes.subscribe()
    }
}

/// Why header values could not be made. Names the header, never a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrepareError {
    /// A byte that no header may hold.
    #[error("header {0}: the value has a character that does not fit a header (a line break, perhaps)")]
    Unfit(HeaderName),
    /// A file that cannot be read.
    #[error("header {0}: {1}")]
    Unreadable(HeaderName, String),
    /// A name that the configuration does not know; it was checked at load.
    #[error("header {0}: the secure parameter `{1}` is gone")]
    Unknown(HeaderName, Name),
    /// There is no token yet.
    #[error("header {0}: there is no token yet")]
    NoToken(HeaderName),
}

/// The writing half: knows the templates, and makes a snapshot whenever an input changes.
#[derive(Debug)]
pub struct Injector {
    headers: Vec<HeaderConfig>,
    parameters: Arc<BTreeMap<Name, SecretSource>>,
    cell: Option<TokenCell>,
    slot: Arc<Slot>,
}

/// Both halves of a route's injection. `cell` is the route's profile's, if it has one.
pub fn injection(
    headers: Vec<HeaderConfig>,
    parameters: Arc<BTreeMap<Name, SecretSource>>,
    cell: Option<TokenCell>,
) -> (Injector, Injection) {
    let slot = Arc::new(Slot { prepared: ArcSwapOption::empty(), changes: watch::channel(Ok(())).0 });
    (Injector { headers, parameters, cell, slot: Arc::clone(&slot) }, Injection(slot))
}

impl Injector {
    /// Makes a snapshot from the inputs as they are now and publishes it; a failure leaves the old one in place.
    /// Without a token where one is needed there is nothing to do yet, which is no failure.
    pub fn prepare(&self) -> Result<(), PrepareError> {
        let state = self.cell.as_ref().map(TokenCell::state);
        let outcome = match self.make(state.as_ref()) {
            Err(PrepareError::NoToken(_)) => return Ok(()),
            Ok(prepared) => {
                self.slot.prepared.store(Some(Arc::new(prepared)));
                Ok(())
            }
            Err(error) => Err(error),
        };
        // What was published before is of no interest; whoever waits is woken.
        drop(self.slot.changes.send_replace(outcome.clone()));
        outcome
    }

    /// Prepares anew whenever an input changes; runs until it is dropped. `failed` hears of every failure.
    pub async fn run(self, failed: impl Fn(&PrepareError)) {
        let mut states = self.cell.as_ref().map(TokenCell::subscribe);
        let mut seen = self.read_files();
        loop {
            if let Err(error) = self.prepare() {
                failed(&error);
            }
            // Wait for an input: a new token, or new bytes in a file.
            loop {
                let token = async {
                    match &mut states {
                        Some(states) => states.changed().await.is_ok(),
                        None => std::future::pending().await,
                    }
                };
                let files = async {
                    match seen.is_empty() {
                        true => std::future::pending().await,
                        false => tokio::time::sleep(FILE_POLL).await,
                    }
                };
                tokio::select! {
                    alive = token => if alive { break } else { states = None },
                    () = files => {
                        let now = self.read_files();
                        if now != seen {
                            seen = now;
                            break;
                        }
                    }
                }
            }
        }
    }

    /// The content of every file that a header comes from, in order; `None` where it cannot be read.
    fn read_files(&self) -> Vec<Option<Secret>> {
        let parts = self.headers.iter().flat_map(|header| &header.value.0);
        parts
            .filter_map(|part| match part {
                Part::Parameter(name) => self.parameters.get(name),
                Part::Secret(source) => Some(source),
                Part::Literal(_) | Part::Token => None,
            })
            .filter(|source| matches!(source, SecretSource::File(_)))
            .map(|source| source.read().ok())
            .collect()
    }

    fn make(&self, state: Option<&TokenState>) -> Result<Prepared, PrepareError> {
        let token = state.and_then(|state| state.token.as_ref());
        let text = token.map(|token| &token.access.text);
        let values = self
            .headers
            .iter()
            .map(|header| Ok((header.name.clone(), self.value(&header.name, &header.value, text)?)))
            .collect::<Result<Vec<_>, PrepareError>>()?;
        let uses_token = self.headers.iter().any(|header| header.value.uses_token());
        let token = token.filter(|_| uses_token);
        let stale_for = state.map_or(Duration::ZERO, |state| state.stale_for);
        Ok(Prepared {
            generation: token.map(|token| token.generation),
            usable_until: token.map(|token| token.access.expires_at().after(stale_for)),
            values,
        })
    }

    fn value(
        &self,
        header: &HeaderName,
        template: &Template,
        token: Option<&Secret>,
    ) -> Result<HeaderValue, PrepareError> {
        let mut text = zeroize::Zeroizing::new(String::new());
        let mut sensitive = false;
        for part in &template.0 {
            let source = match part {
                Part::Literal(literal) => {
                    text.push_str(literal);
                    continue;
                }
                Part::Token => {
                    text.push_str(token.ok_or_else(|| PrepareError::NoToken(header.clone()))?.expose());
                    sensitive = true;
                    continue;
                }
                Part::Parameter(name) => self
                    .parameters
                    .get(name)
                    .ok_or_else(|| PrepareError::Unknown(header.clone(), name.clone()))?,
                Part::Secret(source) => source,
            };
            let unreadable = |error: crate::config::source::SourceError| {
                PrepareError::Unreadable(header.clone(), error.to_string())
            };
            text.push_str(source.read().map_err(unreadable)?.expose());
            sensitive = true;
        }
        let mut value = HeaderValue::from_str(&text).map_err(|_| PrepareError::Unfit(header.clone()))?;
        value.set_sensitive(sensitive);
        Ok(value)
    }
}

/// Every header that some route injects, and the two that carry credentials by definition. The caller's copies are
/// dropped on every route, so that a credential of ours can never be confused with one of the caller's.
#[derive(Debug)]
pub struct Managed {
    /// Rules out nearly every name of a request.
    sieve: Sieve,
    /// The names of each length, sorted, with `-` for `_`.
    by_length: Vec<Vec<Box<[u8]>>>,
}

impl Managed {
    /// The managed names of these injected ones.
    pub fn new(injected: impl IntoIterator<Item = HeaderName>) -> Self {
        let (mut sieve, mut by_length) = (Sieve::of(&[]), Vec::new());
        for name in injected.into_iter().chain([AUTHORIZATION, PROXY_AUTHORIZATION]) {
            // A name may begin with either of the two.
            sieve = sieve.and(&name.as_str().replace('_', "-")).and(&name.as_str().replace('-', "_"));
            let folded: Box<[u8]> = name.as_str().bytes().map(dash).collect();
            by_length.resize_with(by_length.len().max(folded.len() + 1), Vec::new);
            by_length[folded.len()].push(folded);
        }
        for names in &mut by_length {
            names.sort();
            names.dedup();
        }
        Self { sieve, by_length }
    }

    /// Whether a caller's header must go: a managed name, or one that a CGI-like backend would read as one (`X_Token`).
    pub fn takes(&self, name: &str) -> bool {
        if !self.sieve.may_hold(name) {
            return false;
        }
        let same_length = self.by_length.get(name.len()).map_or(&[][..], Vec::as_slice);
        // Byte by byte: names are short and differ soon, which is cheaper than a call of memcmp.
        same_length.binary_search_by(|managed| managed.iter().copied().cmp(name.bytes().map(dash))).is_ok()
    }
}

/// CGI turns both into the same.
fn dash(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &'static str, parts: Vec<Part>) -> HeaderConfig {
        HeaderConfig { name: HeaderName::from_static(name), value: Template(parts) }
    }

    fn literal(text: &str) -> SecretSource {
        SecretSource::Literal(Secret::new(text.to_owned()))
    }

    fn parameters(text: &str) -> Arc<BTreeMap<Name, SecretSource>> {
        Arc::new(BTreeMap::from([(Name::new("p").unwrap(), literal(text))]))
    }

    #[test]
    fn a_template_of_text_and_a_parameter_is_prepared_without_a_token() {
        let parts = vec![Part::Literal("Token ".into()), Part::Parameter(Name::new("p").unwrap())];
        let (injector, injection) = injection(vec![header("x-token", parts)], parameters("abc"), None);
        injector.prepare().unwrap();
        let mut headers = HeaderMap::new();
        headers.append("x-token", HeaderValue::from_static("mine"));
        headers.append("x-token", HeaderValue::from_static("twice"));
        injection.load().as_ref().unwrap().apply(&mut headers);
        assert_eq!(headers.get_all("x-token").iter().collect::<Vec<_>>(), ["Token abc"]);
        assert!(headers["x-token"].is_sensitive());
    }

    #[test]
    fn a_value_that_does_not_fit_a_header_leaves_the_old_snapshot() {
        let parts = vec![Part::Parameter(Name::new("p").unwrap())];
        let (injector, injection) = injection(vec![header("x-a", parts)], parameters("fine"), None);
        injector.prepare().unwrap();
        let broken = Injector { parameters: parameters("a\r\nx-evil: 1"), ..injector };
        let error = broken.prepare().unwrap_err();
        assert!(!error.to_string().contains("evil"), "{error}");
        assert_eq!(injection.load().as_ref().unwrap().values[0].1, "fine");
        assert_eq!(*injection.subscribe().borrow(), Err(error));
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_file_is_prepared_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, "one\n").unwrap();
        let parts = vec![Part::Secret(SecretSource::File(path.clone()))];
        let (injector, injection) = injection(vec![header("x-key", parts)], Arc::default(), None);
        let mut changes = injection.subscribe();
        let task = tokio::spawn(injector.run(|_| ()));
        changes.changed().await.unwrap();
        assert_eq!(injection.load().as_ref().unwrap().values[0].1, "one");
        std::fs::write(&path, "two\n").unwrap();
        changes.changed().await.unwrap();
        assert_eq!(injection.load().as_ref().unwrap().values[0].1, "two");
        task.abort();
    }

    #[test]
    fn managed_names_are_taken_with_their_underscore_twins() {
        let managed = Managed::new(["x-token", "x_user_id", "x-tokem"].map(HeaderName::from_static));
        for name in [
            "authorization",
            "proxy-authorization",
            "x-token",
            "x_token",
            "proxy_authorization",
            "x_user_id",
            "x-user-id",
        ] {
            assert!(managed.takes(name), "{name}");
        }
        for name in ["x-tokens", "accept", "x_tokel", "x-user_ie", "cache-control"] {
            assert!(!managed.takes(name), "{name}");
        }
    }
}
