//! Which route takes a path, with which profile's token, and which bytes leave: the corpus `tests/fixtures/paths.txt`.
//!
//! Judged twice: by the function that the proxy asks, and through a real proxy with a token for each profile.

use http::Method;
use sidepass::config::{ConfigFile, Environment, RouteConfig, load};
use sidepass::forward::PathRule;
use sidepass::guard::path::{self, Terms};
use sidepass::route::RouteTable;

use crate::support::rig::Rig;
use crate::support::setup::Setup;

const PROFILES: [&str; 4] = ["public", "deep", "admin", "rest"];

/// What becomes of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// A route takes it, and its upstream sees this.
    Taken {
        route: String,
        target: String,
    },
    Ambiguous,
    NoRoute,
}

struct Case {
    target: String,
    outcome: Outcome,
}

/// The cases below `[table]`.
fn cases(table: &str) -> Vec<Case> {
    let corpus = include_str!("../fixtures/paths.txt");
    let (_, rest) = corpus.split_once(&format!("[{table}]\n")).unwrap();
    let part = rest.split("\n[").next().unwrap();
    let lines = part.lines().filter(|line| !line.is_empty() && !line.starts_with("# "));
    lines.map(case).collect()
}

fn case(line: &str) -> Case {
    let (target, outcome) = line.split_once(" => ").unwrap_or_else(|| panic!("{line}"));
    let outcome = outcome.split("  # ").next().unwrap();
    let outcome = match outcome.split_once(' ') {
        Some((route, bytes)) => {
            let seen = if bytes == "=" { target } else { bytes };
            Outcome::Taken { route: route.to_owned(), target: seen.to_owned() }
        }
        None if outcome == "ambiguous" => Outcome::Ambiguous,
        None if outcome == "none" => Outcome::NoRoute,
        None => panic!("{line}"),
    };
    Case { target: target.to_owned(), outcome }
}

/// proxy.yaml for a table.
fn yaml(table: &str) -> String {
    let profile = |name: &&str| {
        format!(
            "  {name}: {{ token_service_url: \"${{TOKEN_URL}}\", client_id: {name}, client_secret: {{ env: CLIENT_SECRET }} }}\n"
        )
    };
    let rest = "  rest: { upstream: \"${UPSTREAM}\", profile: rest }\n";
    let routes = include_str!("../fixtures/paths.yaml");
    let profiles: String = PROFILES.iter().map(profile).collect();
    format!("profiles:\n{profiles}{routes}{}", if table == "open" { rest } else { "" })
}

fn routes(table: &str) -> Vec<RouteConfig> {
    let variables =
        [("TOKEN_URL", "https://id.example"), ("UPSTREAM", "https://api.example"), ("CLIENT_SECRET", "x")];
    let env: Environment = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let file = ConfigFile { path: "paths.yaml".into(), text: yaml(table) };
    load(&[file], &env).unwrap_or_else(|errors| panic!("{errors}")).config.routes
}

fn select(table: &RouteTable<RouteConfig>, target: &str) -> Outcome {
    let uri: http::Uri = target.parse().unwrap();
    let rule = |route: &RouteConfig| {
        PathRule::new(route.strip_prefix.as_deref(), route.upstream.url().unwrap().path())
    };
    let find = |path: &str| table.find("localhost", path, &Method::GET);
    let terms = |route: &RouteConfig| Terms { cut: rule(route).cut_bare(), rules: route.paths };
    match path::select(uri.path(), find, terms) {
        Err(path::Ambiguous) => Outcome::Ambiguous,
        Ok(None) => Outcome::NoRoute,
        Ok(Some(route)) => Outcome::Taken {
            route: route.name.to_string(),
            target: rule(route).apply(&uri).unwrap().to_string(),
        },
    }
}

#[test]
fn every_path_of_the_corpus_selects_what_it_says() {
    let mut wrong = Vec::new();
    for table in ["closed", "open"] {
        let routes = RouteTable::new(routes(table).into_iter().map(|route| (route.matches.clone(), route)));
        for Case { target, outcome } in cases(table) {
            let selected = select(&routes, &target);
            if selected != outcome {
                wrong.push(format!("{table}: {target}: {selected:?} instead of {outcome:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_corpus_is_as_large_as_it_should_be() {
    let all: Vec<Case> = ["closed", "open"].into_iter().flat_map(cases).collect();
    let taken = all.iter().filter(|case| matches!(case.outcome, Outcome::Taken { .. })).count();
    let refused = all.iter().filter(|case| case.outcome == Outcome::Ambiguous).count();
    assert!(all.len() >= 200 && taken >= 80 && refused >= 100, "{} {taken} {refused}", all.len());
}

fn start(table: &str) -> Rig {
    let setup = Setup::new().yaml(&yaml(table)).rate(40);
    for profile in PROFILES {
        setup.idp.set_client(profile, &setup.secret);
    }
    setup.start()
}

/// What the proxy made of a target, and whose token went along.
fn through(rig: &Rig, routes: &[RouteConfig], target: &str) -> (Outcome, Option<String>) {
    let before = rig.upstream.count();
    let mut caller = rig.connect();
    let answer = caller.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")).read();
    match (answer.status, answer.reason().as_str()) {
        (400, "ambiguous_path") | (404, "no_route") => {
            assert_eq!(rig.upstream.count(), before, "{target}: refused, and sent on");
            let refused = if answer.status == 400 { Outcome::Ambiguous } else { Outcome::NoRoute };
            (refused, None)
        }
        (200, "") => {
            let seen = rig.upstream.last();
            let token = seen.head.get("authorization").unwrap().trim_start_matches("Bearer ").to_owned();
            let client = rig.idp.tokens().find(&token).unwrap().client;
            // The upstream does not know of routes: the one that the corpus names is looked up by its profile below.
            let route =
                routes.iter().find(|route| seen_by(route, target)).map(|route| route.name.to_string());
            let target = seen.head.word(1).to_owned();
            (Outcome::Taken { route: route.unwrap_or_default(), target }, Some(client))
        }
        other => panic!("{target}: {other:?}"),
    }
}

/// Whether a target as it was sent begins with what this route matches; the longest match comes first.
fn seen_by(route: &RouteConfig, target: &str) -> bool {
    use sidepass::config::route::PathMatch;
    let path = target.split(['?', '#']).next().unwrap();
    match &route.matches.path {
        PathMatch::Any => true,
        PathMatch::Exact(exact) => path == exact,
        PathMatch::Prefix(prefix) => {
            path.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
    }
}

#[test]
fn every_path_leaves_with_its_bytes_and_the_token_of_its_route() {
    for table in ["closed", "open"] {
        let mut routes = routes(table);
        routes.sort_by_key(|route| std::cmp::Reverse(format!("{:?}", route.matches.path).len()));
        let rig = start(table);
        let mut wrong = Vec::new();
        for Case { target, outcome } in cases(table) {
            let (got, client) = through(&rig, &routes, &target);
            let expected = match &outcome {
                Outcome::Taken { route, .. } => {
                    let route = routes.iter().find(|config| config.name.as_str() == route).unwrap();
                    route.profile.as_ref().map(ToString::to_string)
                }
                _ => None,
            };
            if (&got, &client) != (&outcome, &expected) {
                wrong.push(format!("{target}: {got:?} {client:?} instead of {outcome:?} {expected:?}"));
            }
        }
        assert!(wrong.is_empty(), "{table}:\n{}", wrong.join("\n"));
    }
}
