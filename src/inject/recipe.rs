//! What a route injects, as configured: from it and a token comes a snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Prepared;
use super::destination::Destinations;
use super::error::{Item, PrepareError};
use super::render::Renderer;
use crate::config::route::HeaderConfig;
use crate::config::template::Part;
use crate::config::{Name, SecretSource};
use crate::secret::Secret;
use crate::token::Token;
use crate::token::dpop::Prover;

/// The headers of a route, what fills them besides a token, and where tokens lead if they say so.
#[derive(Debug)]
pub struct Recipe<D = ()> {
    headers: Vec<HeaderConfig>,
    parameters: Arc<BTreeMap<Name, SecretSource>>,
    destinations: Option<Destinations<D>>,
}

impl<D> Recipe<D> {
    /// The headers of a route whose upstream is fixed.
    pub fn new(headers: Vec<HeaderConfig>, parameters: Arc<BTreeMap<Name, SecretSource>>) -> Self {
        Self { headers, parameters, destinations: None }
    }

    /// The same for a route that goes where its token leads.
    pub fn leading(self, destinations: Destinations<D>) -> Self {
        Self { destinations: Some(destinations), ..self }
    }

    /// Whether a token makes a difference.
    pub fn depends_on_token(&self) -> bool {
        self.destinations.is_some() || self.headers.iter().any(|header| header.value.depends_on_token())
    }

    /// The snapshot of a token, which may be used `stale_for` past its expiry.
    pub(super) fn make(
        &self,
        token: Option<&Token>,
        stale_for: Duration,
    ) -> Result<Prepared<D>, PrepareError> {
        let renderer = Renderer::new(&self.parameters, token.map(|token| &token.access));
        let values = self
            .headers
            .iter()
            .map(|header| {
                let item = Item::Header(header.name.clone());
                Ok((header.name.clone(), renderer.header(&item, &header.value)?))
            })
            .collect::<Result<Vec<_>, PrepareError>>()?;
        let destination = self.destinations.as_ref().map(|all| all.find(&renderer)).transpose()?;
        let token = token.filter(|_| self.depends_on_token());
        Ok(Prepared {
            generation: token.map(|token| token.generation),
            usable_until: token.map(|token| token.access.expires_at().after(stale_for)),
            values,
            destination,
            prover: token.and_then(|token| Prover::of(&token.access)).map(Arc::new),
        })
    }

    /// The content of every file that a header comes from, in order; `None` where it cannot be read.
    pub(super) fn read_files(&self) -> Vec<Option<Secret>> {
        let parts = self.headers.iter().flat_map(|header| &header.value.0);
        parts
            .filter_map(|part| match part {
                Part::Parameter(name) => self.parameters.get(name),
                Part::Secret(source) => Some(source),
                Part::Literal(_) | Part::Token | Part::Field(_) | Part::Claim(_) => None,
            })
            .filter(|source| source.file().is_some())
            .map(|source| source.read().ok())
            .collect()
    }
}
