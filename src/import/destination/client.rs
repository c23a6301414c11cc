//! The OAuth2 part that most destinations share: token service, client, and what goes along.

use super::properties::Properties;
use crate::import::custom::{Custom, Place};
use crate::import::draft::{Draft, Item};
use crate::import::scope::{self, Body};
use crate::import::token_url;
use crate::import::yaml::Yaml;

/// Adds where the token service is, who asks, and what is sent along.
pub(super) fn put(draft: &mut Draft<'_>, item: &mut Item, name: &str, properties: &mut Properties<'_>) {
    let mut custom = Custom::default();
    token_service(draft, item, name, properties, &mut custom);
    proof(draft, item, name, properties);
    extras(draft, item, name, properties, &mut custom);
    custom.put(item);
}

/// Adds the token service URL; with one for every tenant, the tenant is a variable.
pub(super) fn token_service(
    draft: &mut Draft<'_>,
    item: &mut Item,
    name: &str,
    properties: &mut Properties<'_>,
    custom: &mut Custom,
) {
    let Some(url) = properties.text("tokenServiceURL") else {
        return item.error("`tokenServiceURL` is missing or empty");
    };
    let common =
        properties.text("tokenServiceURLType").is_some_and(|kind| kind.eq_ignore_ascii_case("common"));
    if !common && !url.contains("{tenant}") {
        return token_url::put(draft, item, name, "tokenServiceURL", &url, custom);
    }
    let url = if url.contains("{tenant}") { url } else { url.replacen("://", "://{tenant}.", 1) };
    match crate::config::HttpUrl::parse(&url.replace("{tenant}", "tenant")) {
        Ok(parsed) if !url.contains("${") && parsed.scheme() == crate::config::url::Scheme::Https => {
            let variable = draft.variable_name(name, "TENANT");
            item.note(
                "One token service for every tenant (`Common`): the variable names yours, its subdomain.",
            );
            item.put(
                "token_service_url",
                Yaml::Expanded(url.replace("{tenant}", &format!("${{{variable}}}"))),
            );
        }
        Ok(_) => item.error("`tokenServiceURL` with a tenant in it must begin with https://"),
        Err(error) => item.error(format!("`tokenServiceURL` {error}")),
    }
}

/// Adds the client's id, and how it proves itself.
fn proof(draft: &mut Draft<'_>, item: &mut Item, name: &str, properties: &mut Properties<'_>) {
    let user = properties.text("tokenServiceUser");
    let in_body = properties.truth("tokenService.addClientCredentialsInBody", true);
    let id = properties.text("clientId");
    properties.skip(&["clientSecret", "tokenServicePassword", "tokenService.KeyStorePassword"]);
    let certificate = properties.text("tokenService.KeyStoreLocation");
    let assertion = properties.text("clientAssertion.destinationName");
    let kind = properties.text("clientAssertion.type");
    let put_id = |draft: &mut Draft<'_>, item: &mut Item, id: Option<String>| {
        let value = match id {
            Some(id) => draft.value(item, name, "CLIENT_ID", id),
            None => {
                item.warn("the export has no `clientId`: put it into the variable");
                draft.variable(name, "CLIENT_ID")
            }
        };
        item.put("client_id", value);
    };
    if let Some(store) = certificate {
        put_id(draft, item, id);
        item.word("client_authentication", "tls_client_auth");
        let pair = key_pair(draft, item, name, &store);
        return item.put("key_pair", pair);
    }
    if assertion.is_some() || kind.is_some() {
        put_id(draft, item, id);
        item.word("client_authentication", "client_assertion");
        let file = draft.file(name, ".jwt");
        item.warn(format!(
            "the client assertion came from another destination ({}): something has to write it, and renew it, in {file}",
            crate::import::short(assertion.as_deref().unwrap_or("not named"))
        ));
        return item.put("client_assertion", Yaml::Ours(format!("{{ file: {file} }}")));
    }
    match (user, id) {
        (Some(user), id) => {
            if id.as_ref().is_some_and(|id| *id != user) {
                item.warn(
                    "the token service takes `tokenServiceUser` and its password, which BTP sends in the header; \
                     `clientId` and its secret, which differ, are not sent in the body beside them",
                );
            }
            item.note("By `tokenServiceUser` and `tokenServicePassword`, which go into the header.");
            put_id(draft, item, Some(user));
            let secret = draft.variable(name, "CLIENT_SECRET");
            item.put("client_secret", secret);
            item.word("client_authentication", "request_header");
        }
        (None, id) => {
            put_id(draft, item, id);
            let secret = draft.variable(name, "CLIENT_SECRET");
            item.put("client_secret", secret);
            item.note(
                "By `tokenService.addClientCredentialsInBody`, which is true unless it says otherwise.",
            );
            item.word("client_authentication", if in_body { "body_parameter" } else { "request_header" });
        }
    }
}

/// A key store becomes two PEM files.
pub(super) fn key_pair(draft: &mut Draft<'_>, item: &mut Item, name: &str, store: &str) -> Yaml {
    let (pair, certificate, key) = draft.key_pair(name);
    item.note(format!(
        "The key store `{}` as two PEM files: openssl pkcs12 -in STORE -nokeys -out {certificate}; openssl pkcs12 -in STORE \
         -nocerts -noenc -out {key} (a .jks first: keytool -importkeystore -deststoretype pkcs12).",
        crate::import::short(store)
    ));
    pair
}

/// Adds scope, and what goes along with the token request.
pub(super) fn extras(
    draft: &mut Draft<'_>,
    item: &mut Item,
    name: &str,
    properties: &mut Properties<'_>,
    custom: &mut Custom,
) {
    if let Some(text) = properties.text("scope") {
        scope::put(draft, item, name, (text, Body::Form), custom);
    }
    if let Some(resource) = properties.text("resource") {
        let resource = draft.value(item, name, "resource", resource);
        item.put("resource", resource);
    }
    let groups = [
        ("tokenService.body.", Place::Body),
        ("tokenServiceURL.headers.", Place::Header),
        ("tokenServiceURL.queries.", Place::Url),
    ];
    for (prefix, place) in groups {
        for (key, value) in properties.group(prefix) {
            custom.add(draft, item, name, (place, key, value));
        }
    }
    let own = properties
        .text("tokenServiceURL.ProxyType")
        .is_some_and(|kind| !kind.eq_ignore_ascii_case("internet"));
    if own {
        item.warn("the token service is not on the Internet (`tokenServiceURL.ProxyType`): sidepass must reach it directly");
    }
    let timeouts =
        ["tokenServiceURL.ConnectionTimeoutInSeconds", "tokenServiceURL.SocketReadTimeoutInSeconds"];
    if timeouts.iter().filter(|key| properties.text(key).is_some()).count() > 0 {
        item.warn("timeouts of the token service are not set here: 5 s to connect, 10 s in all");
    }
}
