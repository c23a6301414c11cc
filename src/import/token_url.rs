//! The token service URL of an export: what may stand in proxy.yaml, and what goes elsewhere.

use super::custom::{Custom, Place, is_secret};
use super::draft::{Draft, Item};
use super::yaml::Yaml;
use crate::config::{HttpUrl, placeholder, url::Scheme};

/// What is wrong with a URL that [`is_ours`].
pub(super) const OURS: &str = "is where sidepass itself listens: give one of them another port";

/// Whether sidepass itself listens there, unless it is told otherwise.
pub(super) fn is_ours(url: &HttpUrl) -> bool {
    url.is_loopback() && [4080, 4090].contains(&url.port())
}

/// Adds `token_service_url`, and what goes with it: `allow_cleartext`, `grant_type_in`; a secret in the query becomes a
/// custom parameter.
pub(super) fn put(
    draft: &mut Draft<'_>,
    item: &mut Item,
    name: &str,
    key: &str,
    text: &str,
    custom: &mut Custom,
) {
    let text = text.trim();
    if placeholder(text).is_some() {
        let value = draft.value(item, name, "TOKEN_SERVICE_URL", text.to_owned());
        item.put("token_service_url", value);
        return;
    }
    let url = match HttpUrl::parse(text) {
        Ok(url) => url,
        Err(error) => {
            item.error(format!("`{key}` {error}"));
            return;
        }
    };
    if is_ours(&url) {
        item.error(format!("`{key}` {OURS}"));
        return;
    }
    let (whole, query) = text.split_once('?').unwrap_or((text, ""));
    let mut kept = Vec::new();
    let mut grant_type_in_url = false;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let parameter = pair.split('=').next().unwrap_or_default();
        if parameter == "grant_type" {
            grant_type_in_url = true;
        } else if is_secret(parameter) {
            item.warn(format!(
                "`{key}` has what looks like a secret in its query (`{parameter}`): put it into the variable"
            ));
            custom.secret(draft, item, name, Place::Url, parameter);
        } else {
            kept.push(pair);
        }
    }
    let text = if kept.is_empty() { whole.to_owned() } else { format!("{whole}?{}", kept.join("&")) };
    item.put("token_service_url", Yaml::Text(text));
    if grant_type_in_url {
        item.note("The export's URL has `grant_type` in its query.");
        item.word("grant_type_in", "url");
    }
    if url.scheme() == Scheme::Http && !url.is_loopback() {
        item.warn("the token service is reached over http://: secret and token go in clear text");
        item.word("allow_cleartext", "true");
    }
}
