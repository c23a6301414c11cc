//! `VCAP_SERVICES` of Cloud Foundry: every service instance that has a client id becomes a profile.

use serde_json::{Map, Value};

use super::draft::Draft;
use super::input::text;
use super::service_key::{self, Key};
use crate::config::service_key::{ServiceKeyError, detect};

/// Reads the documents.
pub(super) fn read(draft: &mut Draft<'_>, documents: &[Value]) {
    for document in documents {
        // default-env.json has it one level below.
        let (at, services) = match document.get("VCAP_SERVICES") {
            Some(inner) => ("/VCAP_SERVICES", inner),
            None => ("", document),
        };
        match services {
            Value::Object(services) => read_services(draft, at, services),
            _ => draft.error("VCAP_SERVICES is a JSON object: label -> list of service instances"),
        }
    }
}

/// Whether this is `VCAP_SERVICES`, by its look: nothing but lists of instances with credentials.
pub(super) fn lists_services(document: &Value) -> bool {
    let services = document.get("VCAP_SERVICES").unwrap_or(document);
    let instances = |value: &Value| {
        let list = value.as_array().filter(|list| !list.is_empty());
        list.is_some_and(|list| list.iter().all(|instance| instance.get("credentials").is_some()))
    };
    services.as_object().is_some_and(|services| !services.is_empty() && services.values().all(instances))
}

fn read_services(draft: &mut Draft<'_>, at: &str, services: &Map<String, Value>) {
    if services.contains_key("clientid") || services.contains_key("credentials") {
        return draft
            .error("this is one service key, and no VCAP_SERVICES: use `sidepass import service-key`");
    }
    for (label, instances) in services {
        let Some(instances) = instances.as_array() else {
            draft.error(format!("`{label}` is no list of service instances"));
            continue;
        };
        for (index, instance) in instances.iter().enumerate() {
            let escaped = label.replace('~', "~0").replace('/', "~1");
            read_instance(draft, label, instance, format!("{at}/{escaped}/{index}"));
        }
    }
}

fn read_instance(draft: &mut Draft<'_>, label: &str, instance: &Value, at: String) {
    let Some(object) = instance.as_object() else {
        return draft.error(format!("{at} is no object"));
    };
    let name = ["instance_name", "name", "binding_name"].iter().find_map(|key| text(object, key));
    let name = name.unwrap_or_else(|| label.to_owned());
    let Some(credentials) = object.get("credentials") else {
        return draft.warn(format!("`{name}` ({label}): left out, it has no `credentials`"));
    };
    match detect(credentials) {
        Ok(key) => service_key::profile(
            draft,
            &name,
            Key { json: credentials, key: &key, at: format!("{at}/credentials") },
        ),
        Err(ServiceKeyError::NoClientId | ServiceKeyError::NoObject) => {
            draft.warn(format!("`{name}` ({label}): left out, there is no client id in its credentials"));
        }
        Err(error) => draft.warn(format!("`{name}` ({label}): left out, {error}")),
    }
}
