//! `sidepass explain METHOD URL`: route, profile, headers (masked) and upstream URL, from the same tables as the proxy.

use std::sync::Arc;

use clap::Args;
use http::header::HOST;
use http::{Method, Request, Uri};

use super::{Config, EX_USAGE, Failure};
use crate::app::hosts;
use crate::config::template::Part;
use crate::config::{self, Access, Environment, RouteConfig, Template};
use crate::error::ProxyError;
use crate::forward::PathRule;
use crate::guard::path;
use crate::guard::{Caller, Guard};
use crate::route::RouteTable;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// GET, POST, ...
    method: String,
    /// What the app would ask for: http://localhost:4080/cai/v2/request, or just the path
    url: String,
    #[command(flatten)]
    config: Config,
}

pub(super) fn run(options: &Options, environment: &Environment) -> Result<(), Failure> {
    let usage = |text: String| Failure { code: EX_USAGE, text };
    let method: Method =
        options.method.to_uppercase().parse().map_err(|_| usage("that is no HTTP method".into()))?;
    let target = if options.url.contains("://") || options.url.starts_with('/') {
        options.url.clone()
    } else {
        format!("http://{}", options.url)
    };
    let target: Uri = target.parse().map_err(|_| usage("that is no URL".into()))?;
    let config = options.config.load(environment)?.config;
    admit(&config, &method, &target)?;
    let table = RouteTable::new(config.routes.iter().map(|route| (route.matches.clone(), route)));
    let host = target.host().unwrap_or("localhost");
    let route = find(&table, host, &target, &method)?;
    print!("{}", describe(route, &target)?);
    Ok(())
}

/// What a listener refuses whatever the route: a method, or a host that none of them serves. Access rules are left
/// out, since who will ask is not known here.
fn admit(config: &config::Config, method: &Method, target: &Uri) -> Result<(), Failure> {
    let host = target.authority().map_or("localhost", http::uri::Authority::as_str);
    let request = Request::builder().method(method).uri(target).header(HOST, host).body(());
    let request = request.map_err(|error| Failure { code: EX_USAGE, text: error.to_string() })?;
    let names = Arc::new(hosts(config));
    let mut refused = None;
    for listener in &config.proxy.listen {
        let (guard, _) = Guard::new(&listener.address, &Access::Local, Arc::clone(&names));
        match guard.check(&request, &Caller { peer: None }) {
            Ok(_) => return Ok(()),
            Err(refusal) => refused = Some(ProxyError::from(refusal)),
        }
    }
    refused.map_or(Ok(()), |error| {
        Err(Failure::new(format!(
            "refused: {} {} ({})",
            error.status().as_u16(),
            error.reason(),
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
    let cut = |route: &&RouteConfig| path_rule(route).cut_bare();
    let found = path::select(target.path(), find, cut).map_err(|_| {
        Failure::new("refused: 400 ambiguous_path (some backends would read it as another path)")
    })?;
    let found = found.copied();
    found.ok_or_else(|| Failure::new(format!("refused: 404 no_route ({method} {host} {})", target.path())))
}

fn path_rule(route: &RouteConfig) -> PathRule {
    PathRule::new(route.strip_prefix.as_deref(), route.upstream.path())
}

fn describe(route: &RouteConfig, target: &Uri) -> Result<String, Failure> {
    let path = path_rule(route)
        .apply(target)
        .ok_or_else(|| Failure::new("refused: 404 no_route (nothing to forward)"))?;
    let profile = route.profile.as_ref().map_or("none".to_owned(), ToString::to_string);
    let mut text = format!(
        "route     {}\nprofile   {profile}\nupstream  {}{path}\nHost      {}\n",
        route.name,
        route.upstream.origin(),
        route.upstream.authority(),
    );
    for header in &route.headers {
        text.push_str(&format!("sets      {}: {}\n", header.name, masked(&header.value)));
    }
    text.push_str(
        "drops     the caller's own credentials, Forwarded, X-Forwarded-*, X-Real-IP, hop-by-hop headers\n",
    );
    Ok(text)
}

/// A template with its secrets named instead of shown.
fn masked(template: &Template) -> String {
    let part = |part: &Part| match part {
        Part::Literal(text) => text.clone(),
        Part::Token => "<access token>".to_owned(),
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
    fn what_a_listener_refuses_is_explained_as_refused() {
        for url in ["/x", "http://localhost:4080/x", "http://127.0.0.1/x"] {
            assert_eq!(admitted("GET", url), Ok(()));
        }
        let host = admitted("GET", "http://evil.example/x").unwrap_err();
        assert!(host.starts_with("refused: 421 host_not_allowed") && host.contains("proxy.hosts"), "{host}");
        assert!(admitted("TRACE", "/x").unwrap_err().starts_with("refused: 405 method_refused"));
    }
}
