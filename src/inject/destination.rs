//! Where tokens lead: the upstream that each one names, made ready once and shared by all that lead there.
//!
//! Invariant: two tokens that name the same URL share one destination while any of them is in use, so that its
//! connections outlive a renewal; another URL never gets it.

use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, Weak};

use super::error::{Item, PrepareError};
use super::render::Renderer;
use crate::config::HttpUrl;
use crate::config::upstream::UpstreamTemplate;

/// Makes what the request path needs to reach a URL; the error is for the log.
type Make<D> = Box<dyn Fn(&HttpUrl) -> Result<D, String> + Send>;

/// Turns what a token says into a destination. On the control plane only: the request path finds it in its snapshot.
pub struct Destinations<D> {
    template: UpstreamTemplate,
    make: Make<D>,
    known: RefCell<Vec<(HttpUrl, Weak<D>)>>,
}

impl<D> Destinations<D> {
    /// Those of a template; `make` is called once for each URL in use.
    pub fn new(
        template: UpstreamTemplate,
        make: impl Fn(&HttpUrl) -> Result<D, String> + Send + 'static,
    ) -> Self {
        Self { template, make: Box::new(make), known: RefCell::default() }
    }

    /// Where the renderer's token leads.
    pub(super) fn find(&self, renderer: &Renderer<'_>) -> Result<Arc<D>, PrepareError> {
        let text = renderer.upstream(&self.template.template)?;
        let url = self.template.check(&text).map_err(PrepareError::Upstream)?;
        let mut known = self.known.borrow_mut();
        known.retain(|(_, destination)| destination.strong_count() > 0);
        let same = known.iter().find(|(other, _)| *other == url);
        if let Some(destination) = same.and_then(|(_, destination)| destination.upgrade()) {
            return Ok(destination);
        }
        let made = (self.make)(&url).map_err(|why| PrepareError::Unreadable(Item::Upstream, why))?;
        let destination = Arc::new(made);
        known.push((url, Arc::downgrade(&destination)));
        Ok(destination)
    }
}

impl<D> fmt::Debug for Destinations<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Destinations({})", self.template)
    }
}
