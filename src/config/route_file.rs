//! `routes:` as written.

use std::time::Duration;

use super::form;
use super::headers::{self, HasProfile, looks_secret};
use super::names::{self, Names};
use super::profile_file::own_listener;
use super::reader::{At, Broken, Fields, Keys, Read};
use super::route::{HeaderConfig, On401, PathMatch, RouteConfig, RouteMatch, Timeouts};
use super::route_match;
use super::template::Part;
use super::url::Scheme;
use super::{HttpUrl, ListenAddress, Name};

const KEYS: Keys = Keys {
    known: &[
        "match",
        "upstream",
        "strip_prefix",
        "profile",
        "headers",
        "allow_cleartext",
        "on_401",
        "replay_buffer",
        "ca_file",
        "timeouts",
    ],
    aliases: &[
        ("target", "upstream"),
        ("backend", "upstream"),
        ("url", "upstream"),
        ("proxy_pass", "upstream"),
        ("cluster", "upstream"),
        ("destination", "upstream"),
        ("prefix", "it stands under `match`: match: { path_prefix: /… }"),
        ("path_prefix", "it stands under `match`: match: { path_prefix: /… }"),
        ("path", "it stands under `match`: match: { path: /… }"),
        ("host", "it stands under `match`: match: { host: … }"),
        ("methods", "it stands under `match`: match: { methods: [GET] }"),
        ("method", "it stands under `match`: match: { methods: [GET] }"),
        ("location", "match: { path_prefix: /… }"),
        ("credential", "profile"),
        ("credentials", "profile"),
        ("credential_name", "profile"),
        ("auth", "profile"),
        ("header", "headers"),
        ("set_headers", "headers"),
        ("request_headers", "headers"),
        ("proxy_set_header", "headers"),
        ("prefix_rewrite", "strip_prefix"),
        ("rewrite", "strip_prefix"),
        ("strip_path", "strip_prefix"),
        ("insecure", "allow_cleartext"),
        ("timeout", "timeouts"),
        ("ca", "ca_file"),
        ("name", "the name of a route is its key: `routes: { NAME: … }`"),
    ],
};

const TIMEOUTS: Keys = Keys {
    known: &["connect", "response_head", "body_idle"],
    aliases: &[
        ("proxy_connect_timeout", "connect"),
        ("connect_timeout", "connect"),
        ("read", "response_head"),
        ("response", "response_head"),
        ("request", "response_head"),
        ("proxy_read_timeout", "response_head"),
        ("idle", "body_idle"),
    ],
};

/// What a route is checked against.
pub(crate) struct Around<'a> {
    /// The names of all profiles, broken ones too.
    pub(crate) profiles: &'a Names,
    /// The names of all secure parameters, broken ones too.
    pub(crate) parameters: &'a Names,
    /// Our own listeners.
    pub(crate) listeners: &'a [ListenAddress],
}

/// Reads one route.
pub(crate) fn route(at: &At<'_>, name: Name, around: &Around<'_>) -> Read<RouteConfig> {
    let fields = at.fields(&KEYS)?;
    let matches = fields.or("match", RouteMatch::default(), route_match::route_match);
    let strip_prefix = strip_prefix(&fields, &matches);
    let profile = fields.optional("profile", |at| {
        names::refer(at, around.profiles, "profile", "there is no section `profiles` with profiles in it")
    });
    let has_profile = if fields.get("profile").is_some() { HasProfile::Yes } else { HasProfile::No };
    let headers = headers::headers(fields.get("headers"), has_profile, around.parameters);
    let allow_cleartext = fields.or("allow_cleartext", false, At::boolean);
    let upstream = fields.required("upstream", |at| upstream(at, around.listeners));
    let cleartext = match (fields.get("upstream"), &upstream, &headers, allow_cleartext) {
        (Some(at), Ok(upstream), Ok(headers), Ok(allowed)) => cleartext(at, upstream, headers, allowed),
        _ => Ok(()),
    };
    let on_401 = fields.or("on_401", On401::Replay, |at| {
        at.choice(&[("replay", On401::Replay), ("pass", On401::Pass)], "`replay` or `pass`")
    });
    let replay_buffer = fields.or("replay_buffer", 64 << 10, |at| at.size(0, 64 << 20));
    let ca_file = fields.optional("ca_file", form::ca_file);
    let timeouts = timeouts(&fields);
    cleartext?;
    Ok(RouteConfig {
        name,
        matches: matches?,
        upstream: upstream?,
        strip_prefix: strip_prefix?,
        profile: profile?,
        headers: headers?,
        allow_cleartext: allow_cleartext?,
        on_401: on_401?,
        replay_buffer: replay_buffer?,
        ca_file: ca_file?,
        timeouts: timeouts?,
    })
}

fn upstream(at: &At<'_>, listeners: &[ListenAddress]) -> Read<HttpUrl> {
    let scalar = at.scalar()?;
    form::refuse_placeholder(at, scalar)?;
    let url = HttpUrl::parse(&scalar.text()).map_err(|error| at.error(format!("this {error}")))?;
    if url.query().is_some() {
        return Err(at.error_hint(
            "this must not hold a query (`?…`): the caller's query is forwarded",
            "cut it off; a constant parameter belongs to the caller",
        ));
    }
    own_listener(at, &url, listeners)?;
    Ok(url)
}

/// Clear text shows the credential to everybody on the way.
fn cleartext(at: &At<'_>, upstream: &HttpUrl, headers: &[HeaderConfig], allowed: bool) -> Read<()> {
    let secret = |header: &HeaderConfig| {
        header.value.0.iter().any(|part| !matches!(part, Part::Literal(_)))
            || looks_secret(header.name.as_str())
    };
    let Some(header) = headers.iter().find(|header| secret(header)) else { return Ok(()) };
    if upstream.scheme() == Scheme::Https || upstream.is_loopback() {
        return Ok(());
    }
    if allowed {
        at.warn(
            format!("the header `{}` goes over http:// in clear text", header.name),
            "use https:// where you can",
        );
        return Ok(());
    }
    Err(at.error_hint(
        format!("the header `{}` would go over http:// in clear text", header.name),
        "write https://, or `allow_cleartext: true` for this route if the network is yours",
    ))
}

fn strip_prefix(fields: &Fields<'_>, matches: &Read<RouteMatch>) -> Read<Option<String>> {
    let Some(at) = fields.get("strip_prefix") else { return Ok(None) };
    let text = at.text()?;
    if text.starts_with('/') {
        let strip = route_match::path(at, &text)?.trim_end_matches('/').to_owned();
        if strip.is_empty() {
            return Ok(None);
        }
        let (PathMatch::Exact(path) | PathMatch::Prefix(path)) = &matches.as_ref().map_err(|_| Broken)?.path
        else {
            return Err(at.error_hint("this route matches every path", "add match: { path_prefix: … }"));
        };
        let rest = path.strip_prefix(strip.as_str());
        return if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            Ok(Some(strip))
        } else {
            Err(at.error_hint(
                format!("what this route matches does not begin with {}", at.quoted()),
                format!("whole segments of `{path}` can be cut"),
            ))
        };
    }
    match text.to_ascii_lowercase().as_str() {
        "true" => {}
        "false" => return Ok(None),
        _ => {
            return Err(at.error_hint(
                "this is neither true, nor false, nor the beginning of a path",
                "write `true`, or what to cut: strip_prefix: /…",
            ));
        }
    }
    match &matches.as_ref().map_err(|_| Broken)?.path {
        PathMatch::Prefix(prefix) => Ok(Some(prefix.clone())),
        PathMatch::Any if has_root_prefix(fields) => Ok(None),
        PathMatch::Any | PathMatch::Exact(_) => Err(at.error_hint(
            "there is no prefix to strip",
            "add match: { path_prefix: /… }, or cut a part: strip_prefix: /…",
        )),
    }
}

/// `path_prefix: /` matches everything, and cutting it cuts nothing.
fn has_root_prefix(fields: &Fields<'_>) -> bool {
    fields.get("match").is_some_and(|at| at.node.get("path_prefix").is_some())
}

fn timeouts(fields: &Fields<'_>) -> Read<Timeouts> {
    let mut timeouts = Timeouts {
        connect: Duration::from_secs(5),
        response_head: Duration::from_secs(60),
        body_idle: Duration::from_secs(300),
    };
    if let Some(at) = fields.get("timeouts") {
        let fields = at.fields(&TIMEOUTS)?;
        let connect = fields.or("connect", timeouts.connect, At::duration);
        let response_head = fields.or("response_head", timeouts.response_head, At::duration);
        let body_idle = fields.or("body_idle", timeouts.body_idle, At::duration);
        timeouts = Timeouts { connect: connect?, response_head: response_head?, body_idle: body_idle? };
    }
    Ok(timeouts)
}
