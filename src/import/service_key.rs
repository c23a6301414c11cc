//! Service keys and bindings of BTP, and Google's service-account keys, as profiles.
//!
//! Which member is what, [`mod@crate::config::service_key`] finds out; here its pointers become references and comments.

use serde_json::Value;

use super::Origin;
use super::custom::Custom;
use super::draft::{Draft, Item, Section};
use super::token_url;
use super::vcap;
use super::yaml::Yaml;
use crate::config::HttpUrl;
use crate::config::service_key::{ClientKey, GoogleKey, Proof, ServiceKey, detect};

/// Reads a key; several may stand behind each other.
pub(super) fn read(draft: &mut Draft<'_>, documents: &[Value]) {
    for document in documents {
        if vcap::lists_services(document) {
            draft.error("this is VCAP_SERVICES, and no service key: use `sidepass import vcap`");
            continue;
        }
        let wanted = name_of(document, draft.origin);
        match detect(document) {
            Ok(key) => profile(draft, &wanted, Key { json: document, key: &key, at: String::new() }),
            Err(error) => draft.error(error),
        }
    }
}

/// A key that was found.
pub(super) struct Key<'a> {
    /// The JSON that it was found in.
    pub(super) json: &'a Value,
    pub(super) key: &'a ServiceKey,
    /// Pointer to that JSON in the whole input.
    pub(super) at: String,
}

/// Makes a profile, and a route where the key tells an API.
pub(super) fn profile(draft: &mut Draft<'_>, wanted: &str, key: Key<'_>) {
    let mut item = Item::new(format!("`{wanted}`"));
    let name = draft.name(Section::Profiles, wanted, &mut item);
    match key.key {
        ServiceKey::Client(client) => {
            client_key(draft, &mut item, &name, client, &key);
            draft.add(Section::Profiles, name.clone(), item);
            let api = client.api_url.as_ref().and_then(|at| key.json.pointer(at)).and_then(Value::as_str);
            if let Some(api) = api {
                super::destination::route::simple(draft, &name, &name, api);
            }
        }
        ServiceKey::Google(google) => {
            google_key(draft, &mut item, &name, google, &key);
            draft.add(Section::Profiles, name, item);
        }
    }
}

fn client_key(draft: &mut Draft<'_>, item: &mut Item, name: &str, client: &ClientKey, key: &Key<'_>) {
    let mut custom = Custom::default();
    match client.token_url.text(key.json) {
        Some(url) => {
            if !client.token_url.suffix.is_empty() {
                item.note(format!(
                    "The key's `{}`, and `{}` behind it.",
                    last(&client.token_url.pointer),
                    client.token_url.suffix
                ));
            }
            token_url::put(draft, item, name, last(&client.token_url.pointer), &url, &mut custom);
        }
        None => item.error("the URL of the token service is no text"),
    }
    let id = key.json.pointer(&client.client_id).and_then(Value::as_str).unwrap_or_default();
    let id = draft.value(item, name, "CLIENT_ID", id.to_owned());
    item.put("client_id", id);
    match &client.proof {
        Proof::Secret(pointer) => {
            let variable = draft.variable_name(name, "CLIENT_SECRET");
            say_where(item, draft.origin, &format!("{}{pointer}", key.at), &Target::Variable(&variable));
            item.put("client_secret", Yaml::Ours(format!("{{ env: {variable} }}")));
            as_it_is(draft, item);
        }
        Proof::Certificate { certificate, key: private } => {
            item.word("client_authentication", "tls_client_auth");
            let (pair, certificate_file, key_file) = draft.key_pair(name);
            let at = format!("{}{certificate}", key.at);
            say_where(item, draft.origin, &at, &Target::File(&certificate_file));
            match private {
                Some(private) => {
                    let at = format!("{}{private}", key.at);
                    say_where(item, draft.origin, &at, &Target::File(&key_file));
                }
                None => item.warn(format!(
                    "the private key is not in the service key: its owner has it; write it into {key_file}"
                )),
            }
            item.put("key_pair", pair);
            as_it_is(draft, item);
        }
        Proof::Elsewhere => {
            item.warn(
                "the key holds neither a secret nor a certificate: put the secret into the variable, or write \
                 `client_authentication: none` in its place if the client is public",
            );
            let secret = draft.variable(name, "CLIENT_SECRET");
            item.put("client_secret", secret);
        }
    }
    custom.put(item);
}

/// The other way: the key itself as a file, read again whenever it changes.
fn as_it_is(draft: &Draft<'_>, item: &mut Item) {
    if let (super::Kind::ServiceKey, Origin::File(path)) = (draft.kind, draft.origin) {
        item.about(format!(
            "In place of these settings, `service_key: {{ file: … }}` reads {path} as it is, wherever it is mounted."
        ));
    }
}

fn google_key(draft: &mut Draft<'_>, item: &mut Item, name: &str, google: &GoogleKey, key: &Key<'_>) {
    let member =
        |pointer: &str| key.json.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    item.word("type", "oauth2_jwt_bearer");
    if let Some(Err(error)) = google.token_uri.as_ref().map(|at| HttpUrl::parse(&member(at))) {
        item.error(format!("`token_uri` {error}"));
    }
    let file = draft.file(name, ".json");
    let from = match draft.origin {
        Origin::File(path) => format!("{path}, as it is"),
        origin => format!("the key of {origin}, as it is"),
    };
    item.note(format!(
        "The private key, its id, who signs, and where: put {from}, beside this file under this name."
    ));
    item.put("service_key", Yaml::Ours(format!("{{ file: {file} }}")));
    item.warn(
        "a Google key does not tell what it is used for: put your scopes in the place of cloud-platform",
    );
    item.word("scope", "https://www.googleapis.com/auth/cloud-platform");
}

/// What a member of the input is put into.
enum Target<'a> {
    Variable(&'a str),
    File(&'a str),
}

/// Says which member of the input goes where, with a line of shell that brings it there.
fn say_where(item: &mut Item, origin: Origin<'_>, pointer: &str, target: &Target<'_>) {
    let (source, shown) = match origin {
        Origin::File(path) if is_word(path) => (Some(path.to_owned()), format!(" of {path}")),
        Origin::File(path) => (None, format!(" of {path}")),
        Origin::Variable(name) => (Some(format!("<<<\"${name}\"")), format!(" of {name}")),
        Origin::Input => (None, String::new()),
    };
    let command = source.zip(jq(pointer)).map(|(source, path)| match target {
        Target::Variable(name) => format!("  export {name}=\"$(jq -r '{path}' {source})\""),
        Target::File(file) => format!("  (umask 077; jq -r '{path}' {source} >{file})"),
    });
    let (Target::Variable(name) | Target::File(name)) = target;
    let colon = if command.is_some() { ":" } else { "." };
    item.note(format!("Into {name} goes the member {pointer}{shown}{colon}"));
    if let Some(command) = command {
        item.note(command);
    }
}

/// A pointer as jq writes it; none where quoting would be an art.
fn jq(pointer: &str) -> Option<String> {
    let mut path = String::new();
    for part in pointer.split('/').skip(1) {
        if part.is_empty() || !part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')) {
            return None;
        }
        if part.bytes().all(|b| b.is_ascii_digit()) {
            path.push_str(&format!("[{part}]"));
        } else if part.contains('-') || part.starts_with(|c: char| c.is_ascii_digit()) {
            path.push_str(&format!("[\"{part}\"]"));
        } else {
            path.push_str(&format!(".{part}"));
        }
    }
    // jq wants a dot in front of a bracket that begins.
    Some(if path.starts_with('[') { format!(".{path}") } else { path })
}

fn is_word(path: &str) -> bool {
    !path.starts_with('-') && path.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
}

fn last(pointer: &str) -> &str {
    pointer.rsplit('/').next().unwrap_or_default()
}

/// What to call it: the file's name, unless that says nothing; what the key says; the account.
fn name_of(json: &Value, origin: Origin<'_>) -> String {
    let file = match origin {
        Origin::File(path) => std::path::Path::new(path).file_stem().and_then(|stem| stem.to_str()),
        Origin::Input | Origin::Variable(_) => None,
    };
    let generic =
        ["key", "keys", "service-key", "service_key", "servicekey", "credentials", "binding", "default-key"];
    let told = [
        "/instance_name",
        "/serviceInstanceName",
        "/name",
        "/xsappname",
        "/uaa/xsappname",
        "/credentials/xsappname",
    ]
    .into_iter()
    .find_map(|at| json.pointer(at)?.as_str())
    .or_else(|| json.pointer("/client_email")?.as_str()?.split('@').next())
    .map(|name| name.split('!').next().unwrap_or_default());
    let chosen = file.filter(|stem| !generic.contains(&stem.to_ascii_lowercase().as_str()));
    chosen.or(told).or(file).filter(|name| !name.is_empty()).unwrap_or("service_key").to_owned()
}
