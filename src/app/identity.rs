//! The certificate that a route shows its upstream, kept as new as its files.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::config::RouteConfig;
use crate::tls::Presented;
use crate::token::keys::{HeldPair, KeyPair};

/// How often files are looked at, as for headers.
const FILE_POLL: Duration = Duration::from_secs(2);

/// What a route shows, and what keeps it fresh.
pub(super) struct Presenter {
    held: HeldPair,
    pair: Arc<KeyPair>,
    presented: Presented,
    /// Whether a file can change at all.
    follows: bool,
}

impl Presenter {
    /// The certificate of a route, if it has one.
    pub(super) fn of(route: &RouteConfig) -> Result<Option<Self>, String> {
        let Some(config) = &route.client_certificate else { return Ok(None) };
        let failed = |error: &dyn std::fmt::Display| format!("client_certificate: {error}");
        let follows =
            config.certificate.iter().chain([&config.private_key]).any(|source| source.file().is_some());
        let held = HeldPair::new(format!("routes.{}", route.name), Some(config.clone()));
        let pair = held.current(SystemTime::now()).map_err(|error| failed(&error))?;
        let identity = pair.identity().ok_or_else(|| failed(&"there is no certificate"))?;
        let presented = Presented::new(identity).map_err(|error| failed(&error))?;
        Ok(Some(Self { held, pair, presented, follows }))
    }

    /// What is shown.
    pub(super) fn presented(&self) -> Presented {
        self.presented.clone()
    }

    /// Shows a new pair as soon as it is there; runs until it is dropped.
    pub(super) async fn run(mut self) {
        let mut told = None;
        while self.follows {
            tokio::time::sleep(FILE_POLL).await;
            let outcome = self.held.current(SystemTime::now()).map_err(|error| error.to_string());
            let shown = outcome.and_then(|pair| self.show(pair));
            if let Err(error) = &shown
                && told.as_ref() != Some(error)
            {
                tracing::warn!("the client certificate of a route cannot be used: {error}");
            }
            told = shown.err();
        }
    }

    fn show(&mut self, pair: Arc<KeyPair>) -> Result<(), String> {
        if Arc::ptr_eq(&pair, &self.pair) {
            return Ok(());
        }
        let identity = pair.identity().ok_or_else(|| "there is no certificate".to_owned())?;
        self.presented.replace(identity).map_err(|error| error.to_string())?;
        self.pair = pair;
        Ok(())
    }
}
