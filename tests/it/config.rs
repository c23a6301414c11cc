//! Configurations from `tests/fixtures/config`: each bad one has its message beside it, each good one loads.
//!
//! `UPDATE_GOLDEN=1 cargo test --test it config` writes the messages anew; read the difference before you commit it.
//! Lines at the head of a fixture ask for more: `# also: NAME.yaml` loads that file together with it (`NAME.part.yaml` is
//! only ever such a second file), `# env: NAME=value` adds a variable to the environment that [`environment`] makes.

#![allow(clippy::unwrap_used, reason = "a test's panic is its report, also in its helpers")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use sidepass::config::profile::{
    ClientAuthentication, ContentType, GrantTypePlace, OAuth2, ParameterPlace, Scope,
};
use sidepass::config::route::{HostHeader, HostPort, Http2, On401, PathMatch, PathRules, PoolConfig};
use sidepass::config::server::{Limits, LogFormat, LogLevel, Via, Workers};
use sidepass::config::template::Part;
use sidepass::config::{
    Access, ConfigFile, Environment, ListenAddress, Loaded, RouteConfig, SecretSource, Template, load,
};

/// What stands in no message, whatever goes wrong: every secret of the fixtures and of the environment below.
const SECRETS: [&str; 3] = ["hunter2", "s3cr3t", "environment-secret"];

/// The environment of every fixture. `# env: NAME=value` lines at the head of a fixture add to it.
fn environment() -> Environment {
    [
        ("CLIENT_ID", "sb-bot!b1|cai!b2"),
        ("CLIENT_SECRET", "environment-secret$+="),
        ("REQUEST_TOKEN", "environment-secret-token"),
        ("EMPTY", ""),
        ("BRACES", "environment-secret {token} ${CLIENT_ID} }}"),
        ("UPSTREAM", "https://api.example.com"),
        ("SIDEPASS_PORT", "tcp://10.0.0.1:80"),
        ("SIDEPASS_SERVICE_HOST", "10.0.0.1"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

fn fixtures(kind: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root().join(kind))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    files
}

/// Relative to the package, where cargo runs the tests: messages name no machine's directories.
fn root() -> &'static Path {
    Path::new("tests/fixtures/config")
}

/// Reads a fixture with what its head asks for.
fn read(path: &Path) -> (Vec<ConfigFile>, Environment) {
    let file = ConfigFile::read(path).unwrap();
    let mut env = environment();
    let mut files = Vec::new();
    for line in file.text.lines().take_while(|line| line.starts_with('#')) {
        if let Some((name, value)) = line.strip_prefix("# env: ").and_then(|pair| pair.split_once('=')) {
            env.insert(name.to_owned(), value.to_owned());
        } else if let Some(other) = line.strip_prefix("# also: ") {
            files.push(ConfigFile::read(&path.with_file_name(other)).unwrap());
        }
    }
    files.insert(0, file);
    (files, env)
}

#[test]
fn every_bad_configuration_says_what_is_wrong() {
    let update = std::env::vars_os().any(|(name, _)| name == "UPDATE_GOLDEN");
    let mut wrong = Vec::new();
    let mut cases = 0;
    for path in fixtures("bad") {
        if path.to_string_lossy().ends_with(".part.yaml") {
            continue;
        }
        cases += 1;
        let (files, env) = read(&path);
        let said = match load(&files, &env) {
            Ok(_) => {
                wrong.push(format!("{} loads", path.display()));
                continue;
            }
            Err(errors) => format!("{errors}\n"),
        };
        for secret in SECRETS {
            assert!(!said.contains(secret), "{} shows a secret:\n{said}", path.display());
        }
        let golden = path.with_extension("txt");
        if update {
            std::fs::write(&golden, &said).unwrap();
        }
        match std::fs::read_to_string(&golden) {
            Ok(expected) if expected == said => {}
            Ok(expected) => {
                wrong.push(format!("{}\n--- expected\n{expected}--- said\n{said}", path.display()))
            }
            Err(error) => wrong.push(format!("{}: {error}; it says\n{said}", golden.display())),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases >= 45, "only {cases} cases");
}

#[test]
fn every_good_configuration_loads() {
    let files = fixtures("good");
    assert!(files.len() >= 4);
    for path in files {
        let (files, env) = read(&path);
        let loaded = load(&files, &env).unwrap_or_else(|errors| panic!("{}:\n{errors}", path.display()));
        let shown =
            format!("{loaded:?} {:?}", loaded.warnings.iter().map(ToString::to_string).collect::<Vec<_>>());
        for secret in SECRETS {
            assert!(!shown.contains(secret), "{} shows a secret: {shown}", path.display());
        }
    }
}

#[test]
fn the_default_authorization_has_the_word_of_the_profile() {
    let loaded = good("schemes.yaml");
    for (name, expected) in [
        ("basic", "Basic <token>"),
        ("static", "Bearer <token>"),
        ("bound", "DPoP <token>"),
        ("own_word", "Token <token>"),
    ] {
        assert_eq!(parts(header(route(&loaded, name), "authorization")), expected, "{name}");
    }
}

fn good(name: &str) -> Loaded {
    let (files, env) = read(&root().join("good").join(name));
    load(&files, &env).unwrap_or_else(|errors| panic!("{name}:\n{errors}"))
}

fn text(source: &SecretSource) -> String {
    source.read().unwrap().expose().to_owned()
}

fn route<'l>(loaded: &'l Loaded, name: &str) -> &'l RouteConfig {
    loaded.config.routes.iter().find(|route| route.name.as_str() == name).unwrap()
}

fn header<'r>(route: &'r RouteConfig, name: &str) -> &'r Template {
    &route.headers.iter().find(|header| header.name == name).unwrap().value
}

/// A template as its parts, secrets in the clear.
fn parts(template: &Template) -> String {
    let part = |part: &Part| match part {
        Part::Literal(text) => text.clone(),
        Part::Token => "<token>".into(),
        Part::Field(path) => format!("<token.{path}>"),
        Part::Claim(path) => format!("<claim.{path}>"),
        Part::Parameter(name) => format!("<{name}>"),
        Part::Secret(source) => format!("<{}: {}>", source.describe(), text(source)),
    };
    template.0.iter().map(part).collect()
}

#[test]
fn the_example_of_the_repository_loads_without_a_warning() {
    let file = ConfigFile::read(Path::new("proxy.yaml")).unwrap();
    let names = [
        "CAI_CLIENT_ID",
        "CAI_CLIENT_SECRET",
        "CAI_REQUEST_TOKEN",
        "LMS_CLIENT_SECRET",
        "IOT_CLIENT_ID",
        "IOT_CLIENT_SECRET",
    ];
    let env: Environment =
        names.iter().map(|name| ((*name).to_owned(), format!("value of {name}"))).collect();
    let loaded = load(&[file], &env).unwrap();
    assert_eq!(loaded.warnings, []);
    let config = &loaded.config;
    assert_eq!(config.proxy.listen[0].address, ListenAddress::Localhost { port: 4080 });
    assert_eq!(config.admin.listen, [ListenAddress::Localhost { port: 4090 }]);
    let names: Vec<&str> = config.profiles.iter().map(|profile| profile.name.as_str()).collect();
    assert_eq!(names, ["cai_bot", "lms_admin_OAuth2", "Leonardo-IoT"]);
    let cai = route(&loaded, "cai");
    assert_eq!(cai.matches.path, PathMatch::Prefix("/cai".into()));
    assert_eq!(cai.strip_prefix.as_deref(), Some("/cai"));
    assert_eq!(cai.upstream.to_string(), "https://api.cai.tools.sap");
    assert_eq!(parts(header(cai, "authorization")), "Bearer <token>");
    assert_eq!(parts(header(cai, "x-token")), "Token <cai_request_token>");
    let lms = &config.profiles[1].oauth2().unwrap().request;
    assert_eq!(lms.content_type, ContentType::Json);
    let Some(Scope::Object(scope)) = &lms.scope else { panic!("{:?}", lms.scope) };
    assert_eq!(
        serde_json::to_string(scope).unwrap(),
        r#"{"companyId":"acme","resourceType":"learning_public_api","userId":"admin","userType":"admin"}"#
    );
}

#[test]
fn a_missing_file_says_how_to_name_one() {
    let errors = ConfigFile::read(Path::new("tests/fixtures/none.yaml")).err().unwrap();
    assert_eq!(
        errors.to_string(),
        "tests/fixtures/none.yaml: the configuration file does not exist\n    hint: name it: --config PATH"
    );
}

#[test]
fn every_key_is_read() {
    let loaded = good("full.yaml");
    let proxy = &loaded.config.proxy;
    let listen: Vec<String> = proxy.listen.iter().map(|listener| listener.address.to_string()).collect();
    assert_eq!(listen, ["localhost:4080", "unix:/run/sidepass/sidepass.sock", "[::]:4081", "0.0.0.0:4082"]);
    let Access::Rules(rules) = &proxy.listen[0].access else { panic!("the rule of proxy.access holds") };
    assert_eq!(rules.allow_from, ["10.0.0.0/8".parse().unwrap()]);
    let Access::Rules(rules) = &proxy.listen[2].access else { panic!("its own rule holds") };
    assert!(rules.allow_from.contains(&"fc00::/7".parse().unwrap()));
    assert!(rules.allow_from.contains(&"203.0.113.7/32".parse().unwrap()));
    let (name, key) = rules.header.as_ref().unwrap();
    assert_eq!((name.as_str(), text(key).as_str()), ("x-key", "hunter2$+="));
    assert!(matches!(proxy.listen[3].access, Access::Open));
    assert_eq!(proxy.hosts, ["sidepass.local", "[::1]"]);
    assert_eq!(proxy.workers, Workers::Auto);
    let limits = Limits {
        connections: 500,
        connections_per_caller: 20,
        header_bytes: 32 << 10,
        headers: 50,
        uri_bytes: 8 << 10,
        body_bytes: 1 << 20,
        streams: 10,
        pending_resets: 5,
        first_byte_timeout: Duration::from_secs(3),
        header_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(90),
    };
    assert_eq!((proxy.limits, proxy.via), (limits, Via::Omit));
    assert_eq!(proxy.shutdown.delay, Duration::from_secs(5));
    assert_eq!(proxy.shutdown.deadline, Duration::from_secs(60));
    assert!(matches!(&loaded.config.admin.access, Access::Rules(rules) if rules.allow_from.is_empty()));
    assert_eq!((loaded.config.log.level, loaded.config.log.format), (LogLevel::Debug, LogFormat::Json));
}

#[test]
fn every_key_of_a_profile_is_read() {
    let loaded = good("full.yaml");
    let bot = &loaded.config.profiles[0];
    assert_eq!(bot.description.as_deref(), Some("A bot: with every field"));
    let client = &bot.oauth2().unwrap().client;
    assert_eq!(text(client.id.as_ref().unwrap()), "sb-bot!b1|cai!b2");
    let ClientAuthentication::BodyParameter { secret } = &client.authentication else { panic!("{client:?}") };
    assert!(matches!(&secret.current, SecretSource::File(path) if path.ends_with("files/client_secret")));
    let request = &bot.oauth2().unwrap().request;
    assert_eq!(request.grant_type_in, GrantTypePlace::Url);
    assert!(matches!(&request.scope, Some(Scope::Text(scope)) if text(scope) == "read write"));
    assert_eq!(text(request.resource.as_ref().unwrap()), "urn:x");
    assert_eq!(text(request.audience.as_ref().unwrap()), "https://api.example.com");
    let rows: Vec<(ParameterPlace, &str, Vec<String>)> = request
        .custom_parameters
        .iter()
        .map(|row| (row.place, row.key.as_str(), row.values.iter().map(text).collect()))
        .collect();
    let row = |place, key, values: &[&str]| (place, key, values.iter().map(|v| (*v).to_owned()).collect());
    assert_eq!(
        rows,
        [
            row(ParameterPlace::Body, "tenant", &["007"]),
            row(ParameterPlace::Body, "list", &["a", "1e3"]),
            row(ParameterPlace::Body, "flag", &["no"]),
            row(ParameterPlace::Header, "X-Tenant", &["acme"]),
            row(ParameterPlace::Url, "response_type", &["token"]),
            row(ParameterPlace::Url, "secret", &["environment-secret$+="]),
        ]
    );
    assert!(bot.transport.ca_file.is_some() && bot.transport.allow_cleartext && !bot.required);
    assert_eq!(bot.default_lifetime, Duration::from_secs(600));
    assert_eq!(bot.stale_if_error, Duration::from_secs(300));
    assert_eq!(bot.token_wait, Duration::ZERO);
}

#[test]
fn every_key_of_a_route_is_read() {
    let loaded = good("full.yaml");
    let api = route(&loaded, "api");
    assert_eq!(api.matches.host.as_deref(), Some("api.example.com"));
    assert_eq!(api.matches.path, PathMatch::Prefix("/erp/v1".into()));
    assert_eq!(api.matches.methods, [http::Method::GET, http::Method::POST]);
    assert_eq!(api.upstream.to_string(), "https://api.example.com/base/");
    assert_eq!(api.strip_prefix.as_deref(), Some("/erp"));
    assert_eq!(api.profile.as_ref().unwrap().as_str(), "bot");
    assert_eq!((api.on_401, api.replay_buffer), (On401::Pass, 1 << 20));
    assert_eq!(api.timeouts.connect, Duration::from_secs(1));
    assert_eq!(api.timeouts.response_head, Duration::ZERO);
    assert_eq!(api.timeouts.body_idle, Duration::from_secs(3600));
    let names: Vec<&str> = api.headers.iter().map(|header| header.name.as_str()).collect();
    assert_eq!(names, ["x-token", "x-api-key", "x-braces", "x-variable", "x-whole", "x-plain"]);
    assert_eq!(parts(header(api, "x-braces")), "{x} <token>");
    assert_eq!(
        parts(header(api, "x-variable")),
        "a <the environment variable BRACES: environment-secret {token} ${CLIENT_ID} }}> b"
    );
    assert_eq!(
        parts(header(api, "x-whole")),
        "<the environment variable CLIENT_SECRET: environment-secret$+=>"
    );
    assert_eq!(route(&loaded, "exact").matches.path, PathMatch::Exact("/erp/v1".into()));
    let rest = route(&loaded, "rest");
    assert_eq!((&rest.matches.path, &rest.strip_prefix), (&PathMatch::Any, &None));
    assert!(rest.headers.is_empty());
}

#[test]
fn every_key_of_the_way_to_an_upstream_is_read() {
    let loaded = good("full.yaml");
    let api = route(&loaded, "api");
    assert_eq!((api.http2, &api.host), (Http2::PriorKnowledge, &HostHeader::Preserve));
    assert_eq!(api.connect_to, Some(HostPort { host: "2001:db8::1".into(), port: 8443 }));
    assert_eq!(api.server_name.as_deref(), Some("api.internal.example.com"));
    assert!(api.upgrades.is_empty(), "{:?}", api.upgrades);
    let all = PathRules {
        encoded_slash: true,
        backslash: true,
        double_encoding: true,
        dot_segments: true,
        invalid_utf8: true,
    };
    assert_eq!(api.paths, all);
    let (idle_timeout, max_age) = (Duration::from_secs(5), Duration::from_secs(60));
    assert_eq!(api.pool, PoolConfig { size: 7, idle_timeout, max_age, streams: 30 });
    assert_eq!((api.timeouts.total.as_secs(), api.timeouts.upgrade_idle.as_secs()), (7200, 600));
    let exact = route(&loaded, "exact");
    assert_eq!(
        (exact.http2, &exact.host),
        (Http2::PriorKnowledge, &HostHeader::Fixed("other.example.com:81".into()))
    );
    assert_eq!(exact.connect_to, Some(HostPort { host: "localhost".into(), port: 10 }));
    assert_eq!(exact.paths, PathRules { encoded_slash: true, ..PathRules::default() });
    let get = route(&loaded, "get");
    assert_eq!((get.http2, &get.host), (Http2::Off, &HostHeader::Upstream));
    assert_eq!(get.upgrades, ["tls_x", "websocket"]);
}

#[test]
fn what_is_not_written_has_its_default() {
    let loaded = good("minimal.yaml");
    let limits = Limits {
        connections: 10_000,
        connections_per_caller: 0,
        header_bytes: 64 << 10,
        headers: 100,
        uri_bytes: 16 << 10,
        body_bytes: 0,
        streams: 100,
        pending_resets: 50,
        first_byte_timeout: Duration::from_secs(10),
        header_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(120),
    };
    assert_eq!((loaded.config.proxy.limits, loaded.config.proxy.via), (limits, Via::Add));
    let route = &loaded.config.routes[0];
    assert_eq!((route.http2, &route.host), (Http2::Auto, &HostHeader::Upstream));
    assert_eq!((&route.connect_to, &route.server_name), (&None, &None));
    assert_eq!(
        (route.upgrades.as_slice(), route.paths),
        (&["websocket".to_owned()][..], PathRules::default())
    );
    let (idle_timeout, max_age) = (Duration::from_secs(15), Duration::from_secs(300));
    assert_eq!(route.pool, PoolConfig { size: 256, idle_timeout, max_age, streams: 100 });
    let seconds = |span: Duration| span.as_secs();
    let timeouts = route.timeouts;
    assert_eq!([timeouts.connect, timeouts.response_head, timeouts.body_idle].map(seconds), [5, 60, 300]);
    assert_eq!([timeouts.total, timeouts.upgrade_idle].map(seconds), [0, 0]);
}

#[test]
fn true_is_http2_in_the_way_that_the_scheme_has() {
    for (upstream, http2) in
        [("https://h.example", Http2::Auto), ("http://localhost:9", Http2::PriorKnowledge)]
    {
        let text = format!("routes: {{ a: {{ upstream: '{upstream}', http2: true }} }}");
        let loaded = load(&[ConfigFile { path: "x.yaml".into(), text }], &Environment::new()).unwrap();
        assert_eq!(loaded.config.routes[0].http2, http2, "{upstream}");
    }
}

#[test]
fn clear_text_to_this_machine_is_fine_whatever_the_url_says() {
    let text = "secure_parameters: { key: { env: KEY } }\nroutes:\n  a:\n    upstream: http://api.example.com\n    connect_to: 127.0.0.1:9\n    headers: { X-Key: '{key}' }\n";
    let env = Environment::from([("KEY".to_owned(), "k".to_owned())]);
    let loaded = load(&[ConfigFile { path: "x.yaml".into(), text: text.into() }], &env).unwrap();
    assert_eq!(loaded.warnings, []);
}

#[test]
fn values_are_forgiving_and_scalars_stay_as_written() {
    let loaded = good("forgiving.yaml");
    let profiles: Vec<&OAuth2> =
        loaded.config.profiles.iter().map(|profile| profile.oauth2().unwrap()).collect();
    let ids: Vec<String> = profiles.iter().map(|profile| text(profile.client.id.as_ref().unwrap())).collect();
    assert_eq!(ids, ["007", "no", "123456789012345678901234567890", "no", "1e3", "0x10"]);
    let body = |at: usize| profiles[at].client.authentication.as_str() == "body_parameter";
    assert_eq!([0, 1, 2, 4, 5].map(body), [true, false, true, false, false]);
    assert_eq!(profiles[0].request.grant_type_in, GrantTypePlace::Url);
    assert_eq!(profiles[1].request.grant_type_in, GrantTypePlace::Body);
    let json = |at: usize| profiles[at].request.content_type == ContentType::Json;
    assert_eq!([0, 1, 2, 4, 5].map(json), [false, true, true, false, false]);
    assert!(profiles[0].request.scope.is_none() && profiles[4].request.scope.is_none());
    assert!(matches!(&profiles[5].request.scope, Some(Scope::Text(scope)) if text(scope) == "a b"));
    let Some(Scope::Object(object)) = &profiles[1].request.scope else { panic!("a JSON text is an object") };
    assert_eq!(object["userId"], "environment-secret {token} ${CLIENT_ID} }}");
    assert_eq!(object["n"], 7);
    let Some(Scope::Object(object)) = &profiles[2].request.scope else { panic!("a map is an object") };
    assert_eq!(
        serde_json::to_value(object).unwrap(),
        serde_json::json!({
            "userId": "007", "active": true, "n": 12.5, "s": "true", "none": null, "v": "sb-bot!b1|cai!b2",
            "deep": { "list": [1, "x"] }
        })
    );
    let secret = &profiles[1].client.authentication.secret().unwrap().current;
    assert!(matches!(secret, SecretSource::Env { name, .. } if name == "CLIENT_SECRET"));
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_defaults() {
    let config = good("environment.yaml").config;
    let listen: Vec<String> =
        config.proxy.listen.iter().map(|listener| listener.address.to_string()).collect();
    assert_eq!(listen, ["localhost:1", "unix:/run/s.sock"]);
    assert_eq!(config.proxy.shutdown.delay, Duration::from_secs(7));
    assert_eq!(config.proxy.shutdown.deadline, Duration::from_secs(9));
    assert_eq!(config.proxy.workers, Workers::Count(3.try_into().unwrap()));
    assert_eq!(config.proxy.limits.connections, 10_000);
    assert_eq!(config.admin.listen[0].to_string(), "127.0.0.1:0");
    assert_eq!((config.log.level, config.log.format), (LogLevel::Warn, LogFormat::Text));
}

#[test]
fn files_are_united_by_name() {
    for name in ["two_files.yaml", "two_files_more.yaml"] {
        let config = good(name).config;
        assert_eq!(config.proxy.workers, Workers::Count(2.try_into().unwrap()));
        assert_eq!((config.proxy.limits.headers, config.proxy.limits.connections), (7, 8));
        assert_eq!((config.profiles.len(), config.routes.len()), (1, 1));
    }
}

#[test]
fn what_works_but_should_not_stay_so_is_warned_about() {
    let warnings: Vec<String> =
        good("warned.yaml").warnings.iter().map(|warning| warning.key.clone()).collect();
    assert_eq!(
        warnings,
        [
            "profiles.bot.token_service_url",
            "profiles.bot.client_secret",
            "profiles.bot.custom_parameters.body.client_assertion",
            "secure_parameters.key",
            "secure_parameters.defaulted",
            "proxy.limits.connections_per_caller",
            "routes.api.upstream",
            "routes.api.headers.X-Api-Key",
            "routes.api.headers.X-Left",
            "routes.transport.upgrades",
            "routes.transport.timeouts.response_head",
            "routes.transport.pool.idle_timeout",
        ]
    );
    let warnings = good("empty.yaml").warnings;
    assert_eq!(warnings[0].key, "routes");
    let line = warnings[0].one_line();
    assert!(line.contains("there is no route") && line.contains("; add routes:"), "{line}");
    assert_eq!(line.lines().count(), 1, "a log has an event a line");
    assert_eq!(good("minimal.yaml").warnings, []);
}

#[test]
fn errors_hold_no_value_in_any_form() {
    let yaml = "profiles:\n  b:\n    client_secret: hunter2\n    client_id: [hunter2]\n    token_wait: hunter2-and-more-than-sixty-characters-of-it-so-that-nobody-quotes-it\n";
    let file = ConfigFile { path: "x.yaml".into(), text: yaml.into() };
    let errors = load(&[file], &environment()).unwrap_err();
    let said = format!("{errors} {errors:?} {:?}", errors.diagnostics());
    assert!(!said.contains("hunter2"), "{said}");
    assert_eq!(errors.diagnostics().len(), 3, "{errors}");
}

#[test]
fn carriage_returns_and_a_byte_order_mark_change_nothing() {
    let file = ConfigFile::read(&root().join("good/full.yaml")).unwrap();
    let (_, env) = read(&root().join("good/full.yaml"));
    let text = format!("\u{feff}{}", file.text.replace('\n', "\r\n"));
    let loaded = load(&[ConfigFile { path: file.path.clone(), text }], &env).unwrap();
    assert_eq!(format!("{loaded:?}"), format!("{:?}", load(&[file], &env).unwrap()));
}

#[test]
fn a_large_configuration_loads() {
    let routes = |count: usize| -> String {
        (0..count)
            .map(|n| format!("  r{n}: {{ match: {{ path: /{n} }}, upstream: 'https://h' }}\n"))
            .collect()
    };
    let load_text = |text| load(&[ConfigFile { path: "large.yaml".into(), text }], &Environment::new());
    assert_eq!(load_text(format!("routes:\n{}", routes(2000))).unwrap().config.routes.len(), 2000);
    let errors = load_text(format!("routes:\n{}", routes(12_000))).unwrap_err();
    assert!(errors.to_string().contains("holds too much"), "{errors}");
}

/// One thoughtless edit of a text.
#[derive(Clone, Debug)]
enum Edit {
    Cut { at: usize, length: usize },
    Insert { at: usize, what: &'static str },
    Repeat { line: usize, after: usize },
}

impl Edit {
    fn apply(&self, text: &str) -> String {
        let chars: Vec<char> = text.chars().collect();
        let place = |at: usize| at % (chars.len() + 1);
        let part = |from: usize, to: usize| {
            chars[from.min(chars.len())..to.min(chars.len())].iter().collect::<String>()
        };
        match self {
            Self::Cut { at, length } => part(0, place(*at)) + &part(place(*at) + length, usize::MAX),
            Self::Insert { at, what } => part(0, place(*at)) + what + &part(place(*at), usize::MAX),
            Self::Repeat { line, after } => {
                let mut lines: Vec<&str> = text.lines().collect();
                if !lines.is_empty() {
                    let copy = lines[line % lines.len()];
                    lines.insert(after % lines.len(), copy);
                }
                lines.join("\n")
            }
        }
    }
}

fn edit() -> impl Strategy<Value = Edit> {
    let what = prop::sample::select(vec![
        ":",
        " ",
        "\n",
        "{",
        "}",
        "[",
        "]",
        "\"",
        "'",
        "~",
        "null",
        "- ",
        "&a ",
        "*a",
        "<<: ",
        "${",
        "${PLAIN}",
        "{token}",
        "{{X}}",
        "!!str ",
        "#",
        "\t",
        "\u{0}",
        "ü",
        "| ",
        "0",
        "true",
        "{ env: CLIENT_SECRET }",
        ", ",
        "? ",
        "---\n",
    ]);
    prop_oneof![
        (any::<usize>(), 1..40_usize).prop_map(|(at, length)| Edit::Cut { at, length }),
        (any::<usize>(), what).prop_map(|(at, what)| Edit::Insert { at, what }),
        (any::<usize>(), any::<usize>()).prop_map(|(line, after)| Edit::Repeat { line, after }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_configuration_never_panics_and_always_says_why(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec(edit(), 1..5),
    ) {
        let paths: Vec<PathBuf> = ["good", "bad"].into_iter().flat_map(fixtures).collect();
        let (mut files, mut env) = read(which.get(&paths).as_path());
        // Where a path is written, a message shows it, whatever brought it: so this one is no secret.
        env.insert("PLAIN".to_owned(), "{token} ${CLIENT_ID} }}".to_owned());
        files[0].text = edits.iter().fold(files[0].text.clone(), |text, edit| edit.apply(&text));
        if let Err(errors) = load(&files, &env) {
            prop_assert!(!errors.diagnostics().is_empty(), "broken, and nobody says why:\n{}", files[0].text);
            let said = format!("{errors}");
            prop_assert!(!said.contains("environment-secret"), "{}", said);
        }
    }
}
