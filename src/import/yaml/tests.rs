//! Tests of the emitter, against the configuration's own parser.

use proptest::prelude::*;

use super::*;
use crate::config::template::Part;
use crate::config::{ConfigFile, Environment, Loaded, load};

fn read(root: Vec<Entry>) -> Loaded {
    let mut text = String::new();
    entries(&root, 0, &mut text);
    let env = Environment::from([("S".to_owned(), "secret".to_owned())]);
    load(&[ConfigFile { path: "out.yaml".into(), text: text.clone() }], &env)
        .unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

fn section(name: &str, item: &str, fields: Vec<Entry>) -> Entry {
    Entry::new(name, Yaml::Map(vec![Entry::new(item, Yaml::Map(fields))]))
}

/// The description of a profile, printed and read back.
fn through(text: &str, comment: &str) -> Option<String> {
    let ours = |key: &str, text: &str| Entry::new(key, Yaml::Ours(text.into()));
    let mut description = Entry::new("description", Yaml::Text(text.to_owned()));
    description.comments = vec![comment.to_owned(), "  verbatim: [".into()];
    let fields = vec![
        description,
        ours("token_service_url", "https://t.example"),
        ours("client_id", "{ env: S }"),
        ours("client_secret", "{ env: S }"),
    ];
    read(vec![section("profiles", "p", fields)]).config.profiles[0].description.clone()
}

/// What a header's template says as text, if it is nothing but text.
fn through_header(text: &str) -> String {
    let headers = Yaml::Map(vec![Entry::new("X-A", Yaml::Template(text.to_owned()))]);
    let upstream = Entry::new("upstream", Yaml::Text("https://u.example".into()));
    let loaded = read(vec![section("routes", "r", vec![upstream, Entry::new("headers", headers)])]);
    let parts = &loaded.config.routes[0].headers[0].value.0;
    let text = |part: &Part| match part {
        Part::Literal(text) => text.clone(),
        other => panic!("{other:?}"),
    };
    parts.iter().map(text).collect()
}

#[test]
fn texts_that_yaml_would_take_for_something_else_stay_texts() {
    for text in [
        "null",
        "~",
        "true",
        "No",
        "007",
        "1e3",
        "- a",
        "a: b",
        "a #b",
        "#",
        "{a}",
        "[a]",
        "*a",
        "&a",
        "!a",
        "|",
        ">",
        "%",
        "@",
        "`",
        "'",
        "\"",
        "''",
        "a'b",
        "a\\b",
        ": ",
        "a:",
        "?",
        "? a",
        "---",
        "...",
        "${S}",
        "$${S}",
        "$$${S}",
        "$S",
        "${",
        "{{X}}",
        " a ",
        "a  b",
        "\ta",
        "a\nb",
        "a\r\nb\n",
        "\u{0}",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "ü",
        "😀",
        "\u{202e}",
        "<<",
        "=",
        "a,b",
        "https://h/p?q=1&r=2#f",
        "sb-x!b1|cai!b2",
        "s$+/=",
    ] {
        assert_eq!(through(text, text).as_deref(), Some(text), "{text:?}");
    }
}

#[test]
fn the_braces_and_dollars_of_a_header_are_text() {
    for text in
        ["{a}", "${S}", "${S}}", "${{S}}", "${a{b}c}", "$${S}", "{{S}}", "}{", "$", "a ${b$c} d", "'x' #y"]
    {
        assert_eq!(through_header(text), text);
    }
}

#[test]
fn plain_words_have_no_quotes() {
    for text in ["acme", "https://h.example/a/b?c=d", "Perform LMS calls as admin.", "a-b_c!d|e", "/x"] {
        assert_eq!(quoted(text), text);
    }
}

proptest! {
    #[test]
    fn every_text_is_read_back(text in "[ -~\\n\\t\\r\u{80}-\u{10FFFF}]{1,40}|[${}:#'\"\\\\ \\-a&*!|>%@`\\n]{1,12}", comment in any::<String>()) {
        prop_assert_eq!(through(&text, &comment), Some(text));
    }

    #[test]
    fn every_header_is_read_back(text in "[ -~]{1,30}|[${}aS]{1,10}") {
        prop_assert_eq!(through_header(&text), text);
    }

    #[test]
    fn every_key_is_read_back(key in "[!-~\u{a1}-\u{2fff}][ -~\u{a1}-\u{2fff}]{0,10}") {
        prop_assume!(!key.contains("${") && key != "<<" && !key.trim().is_empty());
        prop_assume!(!["client_id", "client_secret", "grant_type"].contains(&key.as_str()));
        let mut text = String::new();
        let body = Yaml::Map(vec![Entry::new(key.clone(), Yaml::Text("v".into()))]);
        let fields = ["token_service_url", "client_id", "client_secret"]
            .map(|key| Entry::new(key, Yaml::Ours("https://t.example".into())))
            .into_iter()
            .chain([Entry::new("custom_parameters", Yaml::Map(vec![Entry::new("body", body)]))])
            .collect();
        entries(&[section("profiles", "p", fields)], 0, &mut text);
        let loaded = load(&[ConfigFile { path: "out.yaml".into(), text }], &Environment::new()).unwrap();
        let request = &loaded.config.profiles[0].oauth2().unwrap().request;
        prop_assert_eq!(&request.custom_parameters[0].key, &key);
    }
}
