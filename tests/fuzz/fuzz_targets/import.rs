//! Exports of credentials: whatever the JSON is, it is imported or refused.
//!
//! The first byte picks the importer: `0` cpi, `1` destination, `2` service-key, `3` vcap. What is printed is a configuration
//! that loads once the variables that it names are set, and a secret of the input is nowhere in it, nor in any message.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sidepass::config::{self, ConfigFile, Environment};
use sidepass::import::{Kind, Origin, import};

/// What stands for a secret in the seeds.
const MARK: &str = "hunter2";

/// Members whose values are secrets in every export.
const SECRETS: [&str; 9] = [
    "ClientSecret",
    "Password",
    "SecureParam",
    "clientSecret",
    "tokenServicePassword",
    "KeyStorePassword",
    "clientsecret",
    "client_secret",
    "private_key",
];

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let kind = Kind::ALL[usize::from(*first) % Kind::ALL.len()];
    let hidden = only_secrets_are_marked(text);
    match import(kind, text, Origin::File("export.json")) {
        Err(error) => {
            let said = error.to_string();
            assert!(!said.is_empty() && !(hidden && said.contains(MARK)), "{said}");
        }
        Ok(imported) => {
            let said = imported.warnings.join("\n");
            assert!(
                !hidden || !(imported.yaml.contains(MARK) || said.contains(MARK)),
                "{}\n{said}",
                imported.yaml
            );
            loads(&imported.yaml);
        }
    }
});

/// Loads it with every variable set. Files are looked at when a configuration is loaded, so what names one is left.
fn loads(yaml: &str) {
    if yaml.contains("{ file: ") {
        return;
    }
    let environment: Environment = yaml.lines().flat_map(variables).collect();
    let file = ConfigFile { path: "proxy.yaml".into(), text: yaml.to_owned() };
    if let Err(errors) = config::load(&[file], &environment) {
        panic!("{errors}\n{yaml}");
    }
}

/// The variables of a line, each set to what its key wants: a URL where all of one is to be filled in.
fn variables(line: &str) -> Vec<(String, String)> {
    let word = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
    let key = line.trim_start().split(':').next().unwrap_or_default();
    let places = ["{ env: ", "${"].into_iter().flat_map(|before| {
        line.match_indices(before).map(move |(at, _)| (at, at + before.len())).collect::<Vec<_>>()
    });
    let set = |(at, name): (usize, usize)| {
        let is_url = (key.ends_with("url") || key == "upstream") && !line[..at].contains("://");
        let value = if is_url { "https://filled.example" } else { "filled" };
        (line[name..].chars().take_while(word).collect(), value.to_owned())
    };
    places.map(set).collect()
}

/// Whether the mark stands where secrets do, and nowhere else.
fn only_secrets_are_marked(text: &str) -> bool {
    let documents = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>();
    let secret: usize = documents.map_while(Result::ok).map(|document| marked(&document)).sum();
    secret > 0 && secret == text.matches(MARK).count()
}

/// How often the mark stands in secret values.
fn marked(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Array(items) => items.iter().map(marked).sum(),
        serde_json::Value::Object(members) => members
            .iter()
            .map(|(key, value)| match value.as_str() {
                Some(text) if SECRETS.contains(&key.as_str()) => text.matches(MARK).count(),
                _ => marked(value),
            })
            .sum(),
        _ => 0,
    }
}
