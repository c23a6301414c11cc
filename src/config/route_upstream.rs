//! Where a route leads, as written: `upstream`, `connect_to`, `host`, `server_name`, and clear text on the way there.

use std::net::{IpAddr, Ipv6Addr};

use super::form;
use super::headers::{HasProfile, looks_secret};
use super::names::Names;
use super::profile_file::own_listener;
use super::reader::{At, Broken, Fields, Read, fold_value};
use super::route::{HeaderConfig, HostHeader, HostPort};
use super::route_match::host_name;
use super::suggest::did_you_mean;
use super::template::Part;
use super::url::Scheme;
use super::{HttpUrl, ListenAddress, RouteUpstream, upstream_template};

/// What an upstream is checked against.
pub(crate) struct Around<'a> {
    /// The names of all secure parameters.
    pub(crate) parameters: &'a Names,
    /// Whether the route has a profile.
    pub(crate) profile: HasProfile,
    /// Our own listeners.
    pub(crate) listeners: &'a [ListenAddress],
    /// `connect_to` and `allow_cleartext`, as far as they could be read.
    pub(crate) way: (Option<&'a HostPort>, bool),
}

/// An upstream, and the URL that clear text and TLS are judged by: nothing while the scheme comes with the token.
pub(crate) type Led = (RouteUpstream, Option<HttpUrl>);

/// Reads `upstream`, and `upstream_hosts` where it is a template.
pub(crate) fn upstream(at: &At<'_>, hosts: Option<&At<'_>>, around: &Around<'_>) -> Read<Led> {
    let scalar = at.scalar()?;
    form::refuse_placeholder(at, scalar)?;
    let (connect_to, allowed) = around.way;
    // With `connect_to` the URL's host is a name only; nobody connects there.
    let listeners = if connect_to.is_none() { around.listeners } else { &[] };
    if upstream_template::is_template(scalar) {
        let around = upstream_template::Around {
            parameters: around.parameters,
            profile: around.profile,
            hosts,
            listeners,
            cleartext: upstream_template::cleartext(allowed, connect_to),
        };
        let (template, sample) = upstream_template::read(at, scalar, &around)?;
        return Ok((RouteUpstream::OfToken(Box::new(template)), sample));
    }
    if let Some(hosts) = hosts {
        let _ = hosts.key_error(
            "`upstream_hosts` says where a token may lead, and this route's upstream is fixed",
            Some("remove it, or write a template: upstream: \"{token.instance_url}\"".to_owned()),
        );
        return Err(Broken);
    }
    let url = HttpUrl::parse(&scalar.text()).map_err(|error| at.error(format!("this {error}")))?;
    if url.query().is_some() {
        return Err(at.error_hint(
            "this must not hold a query (`?…`): the caller's query is forwarded",
            "cut it off; a constant parameter belongs to the caller",
        ));
    }
    own_listener(at, &url, listeners)?;
    Ok((RouteUpstream::Fixed(url.clone()), Some(url)))
}

/// Reads `connect_to`.
pub(crate) fn connect_to(at: &At<'_>, listeners: &[ListenAddress]) -> Read<HostPort> {
    const WRITE: &str = "write 10.1.2.3:8443, api.internal:8443 or \"[::1]:8443\"";
    let scalar = at.scalar()?;
    form::refuse_placeholder(at, scalar)?;
    let text = scalar.text();
    let text = text.trim();
    if text.contains("://") || text.contains('/') {
        return Err(at.error_hint("a host and a port are needed, not a URL or a path", WRITE));
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(at.error_hint("an IPv6 address needs brackets and a port, and quotes in YAML", WRITE));
    }
    let (name, port) = text.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).unwrap_or((text, ""));
    let wrong = || at.error_hint("a host and a port from 1 to 65535 are needed", WRITE);
    let port = decimal_port(port).ok_or_else(wrong)?;
    let host = host_name(name).map_err(|(message, _)| at.error_hint(message, WRITE))?;
    let url = HttpUrl::parse(&format!("http://{host}:{port}")).map_err(|_| wrong())?;
    own_listener(at, &url, listeners)?;
    Ok(HostPort { host: url.bare_host().to_owned(), port })
}

/// The host of a URL, or of `connect_to`, which is where the bytes go.
fn stays_here(upstream: &HttpUrl, connect_to: Option<&HostPort>) -> bool {
    connect_to.map_or_else(|| upstream.is_loopback(), HostPort::is_loopback)
}

/// Clear text shows the credential to everybody on the way. The way is that to `connect_to`, where there is one.
pub(crate) fn cleartext(
    fields: &Fields<'_>,
    upstream: &HttpUrl,
    connect_to: Option<&HostPort>,
    headers: &[HeaderConfig],
    allowed: bool,
) -> Read<()> {
    let secret = |header: &HeaderConfig| {
        header.value.0.iter().any(|part| !matches!(part, Part::Literal(_)))
            || looks_secret(header.name.as_str())
    };
    let Some(header) = headers.iter().find(|header| secret(header)) else { return Ok(()) };
    if upstream.scheme() == Scheme::Https || stays_here(upstream, connect_to) {
        return Ok(());
    }
    let Some(at) = fields.get("connect_to").or_else(|| fields.get("upstream")) else { return Ok(()) };
    if allowed {
        at.warn(
            format!("the header `{}` goes over http:// in clear text", header.name),
            "use https:// where you can",
        );
        return Ok(());
    }
    Err(at.error_hint(
        format!("the header `{}` would go over http:// in clear text", header.name),
        "write https://, or `allow_cleartext: true` for this route if the network is yours",
    ))
}

/// Reads `host`: a word, or a host with an optional port.
pub(crate) fn host(at: &At<'_>) -> Read<HostHeader> {
    const WAYS: &str =
        "write `upstream` (the default), `preserve` (the caller's), or a name: api.example.com";
    let text = at.text()?;
    let text = text.trim();
    match fold_value(text).as_str() {
        "upstream" | "default" | "auto" => return Ok(HostHeader::Upstream),
        "preserve" | "caller" | "original" | "$host" | "$httphost" => return Ok(HostHeader::Preserve),
        _ => {}
    }
    if text.contains('/') {
        return Err(at.error_hint("a host is needed, not a URL", WAYS));
    }
    // A misspelt word would be a fine name.
    if !text.contains(['.', ':'])
        && let Some(hint) = did_you_mean(text, ["upstream", "preserve"])
    {
        return Err(at.error_hint(format!("{} is not known here", at.quoted()), hint));
    }
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    let name = host_name(name).map_err(|(message, _)| at.error_hint(message, WAYS))?;
    match port {
        None => Ok(HostHeader::Fixed(name)),
        Some(port) => match decimal_port(port) {
            Some(port) => Ok(HostHeader::Fixed(format!("{name}:{port}"))),
            None => Err(at.error_hint("the port is not a number from 1 to 65535", WAYS)),
        },
    }
}

/// Reads `server_name`, which only TLS has.
pub(crate) fn server_name(at: &At<'_>, scheme: Option<Scheme>) -> Read<String> {
    let text = at.text()?;
    let text = text.trim();
    let name = match text.parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => host_name(text).map_err(|(message, _)| {
            at.error_hint(message, "write the name in the certificate: api.example.com")
        })?,
    };
    if scheme == Some(Scheme::Http) {
        return Err(at.error_hint(
            "this is a name for TLS, and the upstream is http://",
            "write https:// there; a Host for http:// is set by `host: NAME`",
        ));
    }
    Ok(name.trim_start_matches('[').trim_end_matches(']').to_owned())
}

/// A port as people write it: digits, and not zero.
fn decimal_port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0)
}
