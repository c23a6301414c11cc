//! The route to a destination's API.

use http::HeaderName;

use super::authentication::Credential;
use super::client;
use super::properties::Properties;
use crate::config::{HttpUrl, OURS, url::Scheme};
use crate::import::custom::is_secret;
use crate::import::draft::{Draft, Item, Section};
use crate::import::token_url;
use crate::import::yaml::{Entry, Yaml};

/// Headers of a route; an upstream takes hardly more.
const MAX_HEADERS: usize = 100;

/// Adds the route of a destination; what it cannot have is said of the destination.
pub(super) fn read(
    draft: &mut Draft<'_>,
    about: &mut Item,
    name: &str,
    credential: Credential,
    properties: &mut Properties<'_>,
) {
    let proxy = properties.text("ProxyType").unwrap_or_else(|| "Internet".into());
    let url = properties.text("URL");
    let headers = headers(draft, about, name, credential, properties);
    if !properties.group("URL.queries.").is_empty() {
        about.warn("`URL.queries.*` is left out: a route adds no query; the app has to send it");
    }
    if properties.truth("TrustAll", false) {
        about.warn("`TrustAll` is left out: certificates are always checked; name your CA with `ca_file`");
    }
    if properties.text("TrustStoreLocation").is_some() {
        about.warn(
            "a trust store is a file of PEM certificates here: `ca_file` of the route, and of the profile",
        );
    }
    properties.skip(&["TrustStorePassword", "KeyStorePassword"]);
    let store = properties.text("KeyStoreLocation");
    if proxy.eq_ignore_ascii_case("OnPremise") {
        return about.warn(
            "no route: it is reached through the Cloud Connector (`ProxyType: OnPremise`), which only BTP's connectivity \
             service reaches; add a route if sidepass runs where the system can be reached directly",
        );
    }
    if !proxy.eq_ignore_ascii_case("Internet") {
        about.warn(format!(
            "`ProxyType: {}`: the address must be reachable from where sidepass runs",
            crate::import::short(&proxy)
        ));
    }
    let Some(url) = url else { return about.warn("no route: the destination has no `URL`") };
    let mut item = Item::new(format!("destination `{}`", name));
    let route = draft.name(Section::Routes, name, &mut item);
    let secret =
        credential == Credential::Profile || headers.iter().any(|entry| matches!(entry.value, Yaml::Ours(_)));
    way(&mut item, &route, &url, secret);
    if credential == Credential::Profile {
        item.text("profile", name);
    }
    if credential == Credential::Certificate {
        if HttpUrl::parse(url.trim()).is_ok_and(|url| url.scheme() == Scheme::Http) {
            item.error("a client certificate is shown in TLS, and its URL is http://");
        }
        let pair = client::key_pair(draft, &mut item, name, store.as_deref().unwrap_or("not named"));
        item.put("client_certificate", pair);
    }
    if !headers.is_empty() {
        item.put("headers", Yaml::Map(headers));
    }
    draft.add(Section::Routes, route, item);
}

/// A route with nothing but a profile.
pub(in crate::import) fn simple(draft: &mut Draft<'_>, name: &str, profile: &str, url: &str) {
    let mut item = Item::new(format!("the route of `{profile}`"));
    let route = draft.name(Section::Routes, name, &mut item);
    way(&mut item, &route, url, true);
    item.text("profile", profile);
    draft.add(Section::Routes, route, item);
}

/// Adds what the route takes, and where it leads.
fn way(item: &mut Item, route: &str, url: &str, secret: bool) {
    let url = url.trim();
    item.put("match", Yaml::Ours(format!("{{ path_prefix: /{route} }}")));
    item.word("strip_prefix", "true");
    let parsed = match HttpUrl::parse(url) {
        Ok(parsed) => parsed,
        Err(error) => return item.error(format!("its URL {error}")),
    };
    if token_url::is_ours(&parsed) {
        return item.error(format!("its URL {}", token_url::OURS));
    }
    if parsed.query().is_some() {
        item.warn("the query of its URL is left out: the app has to send it");
    }
    let bare = url.split('?').next().unwrap_or_default();
    if bare.contains(['{', '}']) {
        // In proxy.yaml that would be left from a template, or one.
        return item.error("its URL holds braces: put a value in place of what stands in them");
    }
    item.text("upstream", bare);
    if secret && parsed.scheme() == Scheme::Http && !parsed.is_loopback() {
        item.warn("the API is reached over http://: the credential goes in clear text");
        item.word("allow_cleartext", "true");
    }
}

/// `URL.headers.*`, and `sap-client`, which SAP's SDK sends as a header.
fn headers(
    draft: &mut Draft<'_>,
    about: &mut Item,
    name: &str,
    credential: Credential,
    properties: &mut Properties<'_>,
) -> Vec<Entry> {
    let mut headers: Vec<Entry> = Vec::new();
    let client = properties.text("sap-client").map(|client| ("sap-client", client));
    for (key, value) in properties.group("URL.headers.").into_iter().chain(client) {
        if headers.len() >= MAX_HEADERS {
            about.error(format!("more than {MAX_HEADERS} headers are not for one route"));
            break;
        }
        let why = match HeaderName::from_bytes(key.as_bytes()) {
            Err(_) => Some("that is no name of a header"),
            Ok(header) if OURS.contains(&header.as_str()) => Some("it belongs to the connection"),
            Ok(header) if header == http::header::AUTHORIZATION && credential == Credential::Profile => {
                Some("the profile's token stands there")
            }
            Ok(header) if headers.iter().any(|entry| entry.key.eq_ignore_ascii_case(header.as_str())) => {
                Some("it stands twice")
            }
            Ok(_) => None,
        };
        if let Some(why) = why {
            about.warn(format!("the header `{}` is left out: {why}", crate::import::short(key)));
            continue;
        }
        let fits = value.chars().all(|c| c == ' ' || c.is_ascii_graphic());
        if !fits {
            about.warn(format!(
                "the header `{key}` holds what no header can: put the real value into the variable"
            ));
        }
        let value = if fits && !is_secret(key) { Yaml::Template(value) } else { draft.variable(name, key) };
        headers.push(Entry::new(key, value));
    }
    headers
}
