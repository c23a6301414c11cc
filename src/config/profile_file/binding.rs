//! `service_key` and `from_binding`: the settings of a profile that a service key or a mounted binding brings.
//!
//! They become settings as if they had been written (`client_id: { file: …, pointer: … }`), so that they are checked and
//! read again like any other. Invariant: what is written beside them wins.

mod directory;

use std::path::PathBuf;

use serde_json::Value as JsonValue;

use self::directory::{members, parse};
use super::super::SecretSource;
use super::super::diagnostic::Place;
use super::super::form::{self, Kind};
use super::super::node::{Entry, Extent, Map, Node, Scalar, Style, Value};
use super::super::reader::{At, Read};
use super::super::service_key::{self, ClientKey, GOOGLE_TOKEN_URI, GoogleKey, Proof, ServiceKey};
use super::super::source::explain;
use super::client::{self, Way};
use super::keys::Type;

/// The profile with what its service key or binding brings; nothing where it has none.
pub(super) fn expand(at: &At<'_>) -> Option<Node> {
    let Value::Map(map) = &at.node.value else { return None };
    // A type that has no use for them says so itself.
    Type::expected(at.node).filter(|kind| kind.allows("service_key"))?;
    let written = |key: &str| at.entries().ok()?.into_iter().find(|entry| entry.key == key);
    let (key, binding) = (written("service_key"), written("from_binding"));
    let (from, found) = match (&key, &binding) {
        (None, None) => return None,
        (Some(_), Some(both)) => {
            let hint = Some("keep one of them".to_owned());
            (both, Err(both.key_error("`service_key` and `from_binding` bring the same settings", hint)))
        }
        (Some(from), None) => (from, service_key(from)),
        (None, Some(from)) => (from, binding_of(from)),
    };
    let mut map = map.clone();
    match found.and_then(|found| proven(found, from, &map)) {
        Ok(found) => {
            let place = Place::Filled { by: from.key.to_owned(), at: Box::new(from.node.place.clone()) };
            Settings { place, found, map: &mut map }.fill(at);
        }
        // The reason has been told; what it would have brought is not missing.
        Err(_) => map.extent = Extent::Gaps,
    }
    Some(Node { place: at.node.place.clone(), value: Value::Map(map) })
}

/// A key with a proof of who the client is, unless the profile itself says how that is proven.
fn proven(found: Found, from: &At<'_>, map: &Map) -> Read<Found> {
    const SAYS_HOW: [&str; 6] =
        ["type", "preset", "client_secret", "client_authentication", "client_assertion", "key_pair"];
    let bare = matches!(&found.key, ServiceKey::Client(ClientKey { proof: Proof::Elsewhere, .. }));
    if !bare || map.entries.iter().any(|entry| SAYS_HOW.contains(&entry.key.as_str())) {
        return Ok(found);
    }
    let (Home::File(path) | Home::Directory(path)) = &found.home;
    Err(from.error_hint(
        format!("{}: neither a client secret nor a certificate is in it", path.display()),
        "write client_secret: { env: NAME } beside it, if the secret is kept elsewhere",
    ))
}

/// A key, and where its members are read again.
struct Found {
    key: ServiceKey,
    home: Home,
}

/// What pointers lead into.
enum Home {
    /// A JSON file.
    File(PathBuf),
    /// A directory with a file for each member, which may be a JSON file itself.
    Directory(PathBuf),
}

/// `service_key: { file: key.json }`
fn service_key(at: &At<'_>) -> Read<Found> {
    let no_file = || at.error_hint("a service key is a file", "write service_key: { file: key.json }");
    // A key that was pasted: the hints for texts would lead astray.
    if at.map().is_some_and(|map| map.entries.iter().any(|entry| entry.key.starts_with("client"))) {
        return Err(no_file());
    }
    let SecretSource::File(file) = form::text_source(at, Kind::Plain)? else { return Err(no_file()) };
    let text = SecretSource::File(file.clone()).read_text().map_err(|error| at.error(error.0))?;
    let json = parse(text.expose()).map_err(|line| {
        let line = line.map_or_else(String::new, |line| format!(": line {line}"));
        at.error_hint(format!("{} is not JSON{line}", file.display()), "the key as it was downloaded")
    })?;
    let key = service_key::detect(&json).map_err(|error| at.error(format!("{}: {error}", file.display())))?;
    Ok(Found { key, home: Home::File(file) })
}

/// `from_binding: NAME`, or the path of its directory.
fn binding_of(at: &At<'_>) -> Read<Found> {
    let text = at.text()?;
    let directory = match text.contains('/') {
        true => form::relative(at, &text)?,
        false => root(at, &text)?.join(&text),
    };
    let json = members(&directory).map_err(|error| {
        at.error_hint(
            explain(&directory, &error),
            "the name of a directory in $SERVICE_BINDING_ROOT, or a path",
        )
    })?;
    let key = service_key::detect(&JsonValue::Object(json))
        .map_err(|error| at.error(format!("{}: {error}", directory.display())))?;
    Ok(Found { key, home: Home::Directory(directory) })
}

/// Where bindings are mounted: as servicebinding.io says, else where SAP mounts them.
fn root(at: &At<'_>, name: &str) -> Read<PathBuf> {
    if name.is_empty() || name == "." || name == ".." {
        return Err(at.error("the name of a binding is needed"));
    }
    let named = at.cx.env.get("SERVICE_BINDING_ROOT").filter(|root| !root.is_empty());
    Ok(named.map_or_else(|| PathBuf::from("/bindings"), PathBuf::from))
}

/// Writes settings into a profile.
struct Settings<'a> {
    place: Place,
    found: Found,
    map: &'a mut Map,
}

impl Settings<'_> {
    fn fill(mut self, at: &At<'_>) {
        match self.found.key.clone() {
            ServiceKey::Client(key) => self.client(at, &key),
            ServiceKey::Google(key) => self.google(&key),
        }
    }

    /// A client id and its proof.
    fn client(&mut self, at: &At<'_>, key: &ClientKey) {
        if !self.has("issuer") {
            let url = self.reference(&key.token_url.pointer, Some(key.token_url.suffix));
            self.put("token_service_url", url);
        }
        let id = self.reference(&key.client_id, None);
        self.put("client_id", id);
        let way = self.way(at);
        match &key.proof {
            Proof::Secret(secret) if way.is_none_or(Way::needs_secret) => {
                let secret = self.reference(secret, None);
                self.put("client_secret", secret);
            }
            Proof::Certificate { certificate, key } if way.is_none_or(Way::needs_key) => {
                let mut pair = vec![self.entry("certificate", self.reference(certificate, None))];
                pair.extend(key.iter().map(|key| self.entry("private_key", self.reference(key, None))));
                self.merge("key_pair", pair);
                let way = self.text("tls_client_auth");
                self.put("client_authentication", way);
            }
            Proof::Secret(_) | Proof::Certificate { .. } | Proof::Elsewhere => {}
        }
    }

    /// How the profile itself says that the client proves itself.
    fn way(&self, at: &At<'_>) -> Option<Way> {
        let written = at.entries().ok()?.into_iter().find(|entry| entry.key == "client_authentication");
        match written {
            Some(written) => client::known_way(&written),
            None if self.has("client_assertion") => Some(Way::Assertion),
            None => None,
        }
    }

    /// A private key that signs assertions.
    fn google(&mut self, key: &GoogleKey) {
        let kind = self.text(Type::JwtBearer.as_str());
        self.put("type", kind);
        let uri = match &key.token_uri {
            Some(uri) => self.reference(uri, None),
            None => self.text(GOOGLE_TOKEN_URI),
        };
        let grants = self.written("type").and_then(|kind| Type::named(&kind)) == Some(Type::JwtBearer);
        let mut assertion = vec![self.entry("issuer", self.reference(&key.client_email, None))];
        assertion.extend(key.private_key_id.iter().map(|id| self.entry("key_id", self.reference(id, None))));
        if grants {
            if !self.has("issuer") {
                self.put("token_service_url", uri.clone());
            }
            assertion.push(self.entry("audience", uri));
            // Google wants it in the assertion, and not beside it.
            let scope = self.map.entries.iter().position(|entry| entry.key == "scope");
            assertion.extend(scope.map(|index| self.map.entries.remove(index)));
        }
        self.merge("assertion", assertion);
        let pair = vec![self.entry("private_key", self.reference(&key.private_key, None))];
        self.merge("key_pair", pair);
    }

    fn has(&self, key: &str) -> bool {
        self.map.entries.iter().any(|entry| entry.key == key)
    }

    fn written(&self, key: &str) -> Option<String> {
        match &self.map.entries.iter().find(|entry| entry.key == key)?.value.value {
            Value::Scalar(scalar) => Some(scalar.text()),
            _ => None,
        }
    }

    fn put(&mut self, key: &str, value: Node) {
        if !self.has(key) {
            let entry = self.entry(key, value);
            self.map.entries.push(entry);
        }
    }

    /// Adds what is missing to a map, which may be missing itself.
    fn merge(&mut self, key: &str, entries: Vec<Entry>) {
        match self.map.entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.value.value) {
            Some(Value::Map(map)) => {
                let missing = |new: &Entry| !map.entries.iter().any(|old| old.key == new.key);
                let missing: Vec<_> = entries.into_iter().filter(missing).collect();
                map.entries.extend(missing);
            }
            Some(_) => {}
            None => {
                let value = self.node(Value::Map(Map { entries, ..Map::default() }));
                self.put(key, value);
            }
        }
    }

    fn node(&self, value: Value) -> Node {
        Node { place: self.place.clone(), value }
    }

    fn entry(&self, key: &str, value: Node) -> Entry {
        Entry { key: key.to_owned(), place: self.place.clone(), value }
    }

    fn text(&self, text: &str) -> Node {
        self.node(Value::Scalar(Scalar::written(text, Style::Quoted)))
    }

    /// `{ file: …, pointer: …, append: … }`
    fn reference(&self, pointer: &str, append: Option<&str>) -> Node {
        let (file, pointer) = match &self.found.home {
            Home::File(file) => (file.clone(), pointer),
            Home::Directory(directory) => {
                let inside = pointer.strip_prefix('/').unwrap_or(pointer);
                let (name, rest) = inside.find('/').map_or((inside, ""), |end| inside.split_at(end));
                (directory.join(name.replace("~1", "/").replace("~0", "~")), rest)
            }
        };
        let mut path = self.text(&file.to_string_lossy());
        // It has been found already: no file's directory comes before it.
        path.place = Place::Default;
        let mut entries = vec![self.entry("file", path)];
        if !pointer.is_empty() {
            entries.push(self.entry("pointer", self.text(pointer)));
        }
        if let Some(append) = append.filter(|append| !append.is_empty()) {
            entries.push(self.entry("append", self.text(append)));
        }
        self.node(Value::Map(Map { entries, ..Map::default() }))
    }
}

#[cfg(test)]
mod tests;
