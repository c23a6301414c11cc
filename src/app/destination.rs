//! From a route's URL, or its template, to what the request path sends to.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::config::RouteConfig;
use crate::config::route::HostHeader;
use crate::config::upstream::UpstreamTemplate;
use crate::config::url::{HttpUrl, Scheme};
use crate::forward::dial::Upstream;
use crate::forward::{self, PathRule};
use crate::inject::Destinations;
use crate::proxy::{Csrf, Destination, RouteHost};
use crate::tls::{self, Presented, Trust};

/// What TLS needs for an upstream of this scheme: how it is known that it is the right one there. The system's
/// certificate authorities are read only if some route needs them.
pub(super) fn tls(
    route: &RouteConfig,
    scheme: Scheme,
    presented: Option<&Presented>,
) -> Result<Option<Arc<ClientConfig>>, String> {
    let config = match (scheme, &route.ca_file) {
        (Scheme::Http, _) => return Ok(None),
        (Scheme::Https, None) => tls::client_config(Trust::System).map_err(|error| error.to_string())?,
        (Scheme::Https, Some(path)) => trust_in(path)?,
    };
    Ok(Some(presented.map_or_else(|| Arc::clone(&config), |presented| tls::presenting(&config, presented))))
}

/// TLS that trusts the certificate authorities of a file and no others.
pub(super) fn trust_in(path: &Path) -> Result<Arc<ClientConfig>, String> {
    let named = |error: &dyn std::fmt::Display| format!("ca_file {}: {error}", path.display());
    let pem = std::fs::read(path).map_err(|error| named(&error))?;
    tls::client_config(Trust::Pem(&pem)).map_err(|error| named(&error))
}

/// A route's destination at this URL.
pub(super) fn destination(
    route: &RouteConfig,
    url: &HttpUrl,
    tls: Option<Arc<ClientConfig>>,
) -> Result<Destination, String> {
    let own = forward::host_value(&url.authority());
    let own = own.ok_or_else(|| "the upstream has no usable host".to_owned())?;
    let (host, named) = match &route.host {
        HostHeader::Upstream => (RouteHost::Fixed(own), None),
        HostHeader::Preserve => (RouteHost::Preserved(own), None),
        HostHeader::Fixed(name) => {
            let value = forward::host_value(name);
            let value = value.ok_or_else(|| "`host` does not fit a header".to_owned())?;
            (RouteHost::Fixed(value), Some(origin_of(url, name)))
        }
    };
    Ok(Destination {
        upstream: Upstream::new(route, url, tls).map_err(|error| error.to_string())?,
        rule: PathRule::new(route.strip_prefix.as_deref(), url.path()),
        host,
        origins: [url.origin()].into_iter().chain(named).collect(),
        csrf: route.csrf.as_ref().map(Csrf::new).map(Box::new),
    })
}

/// The destinations of a route that goes where its token leads. A certificate file is read now; the system's
/// authorities may be missing where no token leads to https.
pub(super) fn destinations(
    route: &RouteConfig,
    template: UpstreamTemplate,
    presented: Option<&Presented>,
) -> Result<Destinations<Destination>, String> {
    let secure = match tls(route, Scheme::Https, presented) {
        Err(error) if route.ca_file.is_some() => return Err(error),
        outcome => outcome,
    };
    let route = route.clone();
    Ok(Destinations::new(template, move |url| {
        let tls = if url.scheme() == Scheme::Https { secure.clone()? } else { None };
        destination(&route, url, tls)
    }))
}

/// The origin that an upstream has by another name, as locations spell it: without the scheme's own port.
fn origin_of(url: &HttpUrl, name: &str) -> String {
    let (scheme, own_port) = match url.scheme() {
        Scheme::Http => ("http", ":80"),
        Scheme::Https => ("https", ":443"),
    };
    format!("{scheme}://{}", name.strip_suffix(own_port).unwrap_or(name))
}
