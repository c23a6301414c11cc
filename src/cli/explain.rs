//! `sidepass explain METHOD URL`: route, profile, headers (masked) and upstream URL, from the same tables as the proxy.
//! `sidepass explain --profile NAME`: the profile alone, in full.

use std::sync::Arc;

use clap::Args;
use http::header::HOST;
use http::{HeaderName, Method, Request, Uri};

use super::{Config, EX_USAGE, Failure, settings};
use crate::app::hosts;
use crate::config::route::{HostHeader, HostPort, Http2};
use crate::config::template::Part;
use crate::config::{
    self, Access, Environment, HttpUrl, ProfileConfig, RouteConfig, RouteUpstream, Template,
};
use crate::error::ProxyError;
use crate::forward::PathRule;
use crate::guard::path::{self, Terms};
use crate::guard::{Caller, Guard};
use crate::route::RouteTable;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// GET, POST, ...
    #[arg(required_unless_present = "profile")]
    method: Option<String>,
    /// What the app would ask for: http://localhost:4080/cai/v2/request, or just the path
    #[arg(required_unless_present = "profile")]
    url: Option<String>,
    /// A profile instead of a request: all its settings
    #[arg(long, value_name = "NAME", conflicts_with_all = ["method", "url"])]
    profile: Option<String>,
    #[command(flatten)]
    config: Config,
}

pub(super) fn run(options: &Options, environment: &Environment) -> Result<(), Failure> {
    let config = || options.config.load(environment).map(|loaded| loaded.config);
    match (&options.profile, &options.method, &options.url) {
        (Some(name), _, _) => explain_profile(&config()?, name),
        (None, Some(method), Some(url)) => explain_request(&config, method, url),
        (None, _, _) => Err(usage("name a method and a URL, or a profile")),
    }
}

fn usage(text: &str) -> Failure {
    Failure { code: EX_USAGE, text: text.to_owned() }
}

fn explain_profile(config: &config::Config, name: &str) -> Result<(), Failure> {
    let Some(profile) = config.profiles.iter().find(|profile| profile.name.as_str() == name) else {
        let names: Vec<_> = config.profiles.iter().map(|profile| profile.name.as_str()).collect();
        return Err(usage(&format!("no profile is called `{name}`; there are: {}", names.join(", "))));
    };
    print!("{}", settings::full(profile));
    Ok(())
}

fn explain_request(
    config: &impl Fn() -> Result<config::Config, Failure>,
    method: &str,
    url: &str,
) -> Result<(), Failure> {
    let method: Method = method.to_uppercase().parse().map_err(|_| usage("that is no HTTP method"))?;
    let target =
        if url.contains("://") || url.starts_with('/') { url.to_owned() } else { format!("http://{url}") };
    let target: Uri = target.parse().map_err(|_| usage("that is no URL"))?;
    let config = config()?;
    admit(&config, &method, &target)?;
    let table = RouteTable::new(config.routes.iter().map(|route| (route.matches.clone(), route)));
    let host = target.host().unwrap_or("localhost");
    let route = find(&table, host, &target, &method)?;
    let profile = config.profiles.iter().find(|profile| Some(&profile.name) == route.profile.as_ref());
    let subject = profile.and_then(ProfileConfig::subject_header);
    print!("{}", describe(route, subject, &method, &target)?);
    if let Some(profile) = profile {
        print!("\n{}", settings::full(profile));
    }
    Ok(())
}

/// What a listener refuses whatever the route: a method, or a host that none of them serves. Access rules are left
/// out, since who will ask is not known here.
fn admit(config: &config::Config, method: &Method, target: &Uri) -> Result<(), Failure> {
    let host = target.authority().map_or("localhost", http::uri::Authority::as_str);
    let request = Request::builder().method(method).uri(target).header(HOST, host).body(());
    let request = request.map_err(|error| Failure { code: EX_USAGE, text: error.to_string() })?;
    let (request, ()) = request.into_parts();
    let names = Arc::new(hosts(config));
    let mut refused = None;
    for listener in &config.proxy.listen {
        let (guard, _) =
            Guard::new(&listener.address, &Access::Local, Arc::clone(&names), &config.proxy.limits);
        match guard.check(&request, &Caller::new(None)) {
            Ok(_) => return Ok(()),
            Err(refusal) => refused = Some(ProxyError::from(refusal)),
        }
    }
    refused.map_or(Ok(()), |error| {
        Err(Failure::new(format!(
            "refused: {} {} ({method} {host} {}: {})",
            error.status().as_u16(),
            error.reason(),
            target.path(),
            error.title()
        )))
    })
}

fn find<'a>(
    table: &RouteTable<&'a RouteConfig>,
    host: &str,
    target: &Uri,
    method: &Method,
) -> Result<&'a RouteConfig, Failure> {
    let find = |path: &str| table.find(host, path, method);
    let terms = |route: &&RouteConfig| Terms { cut: path_rule(route).cut_bare(), rules: route.paths };
    let found = path::select(target.path(), find, terms).map_err(|_| {
        Failure::new("refused: 400 ambiguous_path (some backends would read it as another path)")
    })?;
    let found = found.copied();
    found.ok_or_else(|| Failure::new(format!("refused: 404 no_route ({method} {host} {})", target.path())))
}

fn path_rule(route: &RouteConfig) -> PathRule {
    PathRule::new(route.strip_prefix.as_deref(), route.upstream.url().map_or("", HttpUrl::path))
}

/// `subject` is the header that callers show whom they speak for in.
fn describe(
    route: &RouteConfig,
    subject: Option<&HeaderName>,
    method: &Method,
    target: &Uri,
) -> Result<String, Failure> {
    let path = path_rule(route)
        .apply(target)
        .ok_or_else(|| Failure::new("refused: 404 no_route (nothing to forward)"))?;
    let profile = route.profile.as_ref().map_or("none".to_owned(), ToString::to_string);
    let upstream = match &route.upstream {
        RouteUpstream::Fixed(url) => format!("{}{path}", url.origin()),
        RouteUpstream::OfToken(template) => {
            let hosts: Vec<_> = template.hosts.iter().map(ToString::to_string).collect();
            let base = template.to_string();
            format!("{}{path}\nonly to   {}", base.trim_end_matches('/'), hosts.join(", "))
        }
    };
    let name = &route.name;
    let mut text = format!("route     {name}\nprofile   {profile}\nupstream  {upstream}\n{}", way(route));
    if let Some(header) = subject {
        text.push_str(&format!(
            "subject   the caller's {header}, exchanged for an access token of its own\n"
        ));
    }
    for header in &route.headers {
        text.push_str(&format!("sets      {}: {}\n", header.name, masked(&header.value)));
    }
    if route.dpop {
        text.push_str("sets      dpop: <a proof for each request>\n");
    }
    if let Some(csrf) = route.csrf.as_ref().filter(|csrf| csrf.methods.contains(method)) {
        let path = csrf.path.path();
        text.push_str(&format!(
            "sets      x-csrf-token: <fetched with {} {path}, with its cookies>\n",
            csrf.fetch
        ));
    }
    text.push_str(
        "drops     the caller's own credentials, Forwarded, X-Forwarded-*, X-Real-IP, hop-by-hop headers\n",
    );
    Ok(text)
}

/// How the upstream is reached; what is as it is everywhere is left out.
fn way(route: &RouteConfig) -> String {
    let mut text = String::new();
    if let Some(HostPort { host, port }) = &route.connect_to {
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        text.push_str(&format!("connects  {host}:{port}\n"));
    }
    let host = match &route.host {
        HostHeader::Upstream => match &route.upstream {
            RouteUpstream::Fixed(url) => url.authority(),
            RouteUpstream::OfToken(_) => "<the upstream's>".to_owned(),
        },
        HostHeader::Preserve => "<the caller's>".to_owned(),
        HostHeader::Fixed(host) => host.clone(),
    };
    text.push_str(&format!("Host      {host}\n"));
    if let Some(name) = &route.server_name {
        text.push_str(&format!("TLS name  {name}\n"));
    }
    match route.http2 {
        Http2::Auto => {}
        Http2::PriorKnowledge => text.push_str("HTTP/2    prior_knowledge\n"),
        Http2::Off => text.push_str("HTTP/2    off\n"),
    }
    if route.upgrades != ["websocket"] {
        let upgrades = if route.upgrades.is_empty() { "none".to_owned() } else { route.upgrades.join(", ") };
        text.push_str(&format!("upgrades  {upgrades}\n"));
    }
    text
}

/// A template with its secrets named instead of shown.
fn masked(template: &Template) -> String {
    let part = |part: &Part| match part {
        Part::Literal(text) => text.clone(),
        Part::Token => "<access token>".to_owned(),
        Part::Field(path) => format!("<{path} of the token answer>"),
        Part::Claim(path) => format!("<claim {path}>"),
        Part::Parameter(name) => format!("<{name}>"),
        Part::Secret(source) => format!("<{}>", source.describe()),
    };
    template.0.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(method: &str, url: &str) -> Result<(), String> {
        let file = config::ConfigFile { path: "p.yaml".into(), text: String::new() };
        let config = config::load(&[file], &Environment::new()).unwrap().config;
        admit(&config, &method.parse().unwrap(), &url.parse().unwrap()).map_err(|failure| failure.text)
    }

    #[test]
    fn the_way_to_the_upstream_is_explained() {
        let text = "routes:\n  a:\n    upstream: https://api.example\n    connect_to: '[::1]:8443'\n    host: preserve\n    server_name: other.example\n    http2: off\n    upgrades: []\n  b:\n    match: { path: /b }\n    upstream: https://api.example:8443\n";
        let file = config::ConfigFile { path: "p.yaml".into(), text: text.into() };
        let routes = config::load(&[file], &Environment::new()).unwrap().config.routes;
        let expected = "connects  [::1]:8443\nHost      <the caller's>\nTLS name  other.example\nHTTP/2    off\nupgrades  none\n";
        assert_eq!(way(&routes[0]), expected);
        assert_eq!(way(&routes[1]), "Host      api.example:8443\n");
    }

    #[test]
    fn an_upstream_that_comes_with_the_token_is_shown_with_the_hosts_it_may_be() {
        let text = "profiles:\n  p:\n    token_service_url: https://id.example/token\n    client_id: a\n    client_secret: b\nroutes:\n  a:\n    match: { path_prefix: /a }\n    strip_prefix: true\n    upstream: '{token.instance_url}/v1/'\n    upstream_hosts: ['*.my.example']\n    profile: p\n    headers: { X-Zone: 'z-{claim.zone}' }\n";
        let file = config::ConfigFile { path: "p.yaml".into(), text: text.into() };
        let routes = config::load(&[file], &Environment::new()).unwrap().config.routes;
        let shown = Some(&http::header::AUTHORIZATION);
        let told = describe(&routes[0], shown, &Method::GET, &"/a/b?c=d".parse().unwrap())
            .map_err(|failure| failure.text)
            .unwrap();
        for line in [
            "upstream  {token.instance_url}/v1/b?c=d\n",
            "only to   *.my.example\n",
            "subject   the caller's authorization, exchanged for an access token of its own\n",
            "Host      <the upstream's>\n",
            "sets      x-zone: z-<claim zone>\n",
        ] {
            assert!(told.contains(line), "{told}");
        }
    }

    #[test]
    fn what_a_listener_refuses_is_explained_as_refused() {
        for url in ["/x", "http://localhost:4080/x", "http://127.0.0.1/x"] {
            assert_eq!(admitted("GET", url), Ok(()));
        }
        let host = admitted("GET", "http://evil.example/x").unwrap_err();
        assert!(host.starts_with("refused: 421 host_not_allowed") && host.contains("proxy.hosts"), "{host}");
        assert!(host.contains("(GET evil.example /x: "), "a path without its slash is a host: {host}");
        assert!(admitted("TRACE", "/x").unwrap_err().starts_with("refused: 405 method_refused"));
    }
}
