//! `routes:` as written.

use super::form;
use super::headers::{self, HasProfile};
use super::names::{self, Names};
use super::profile::AuthorizationScheme;
use super::reader::{At, Broken, Fields, Keys, Read};
use super::route::{HostHeader, HostPort, Http2, On401, PathMatch, PathRules, RouteConfig, RouteMatch};
use super::route_certificate::OfProfile;
use super::{HttpUrl, ListenAddress, Name, ProfileConfig};
use super::{route_certificate, route_csrf, route_match, route_transport, route_upstream};

const KEYS: Keys = Keys {
    known: &[
        "match",
        "upstream",
        "upstream_hosts",
        "strip_prefix",
        "profile",
        "headers",
        "allow_cleartext",
        "on_401",
        "replay_buffer",
        "ca_file",
        "client_certificate",
        "timeouts",
        "http2",
        "host",
        "connect_to",
        "server_name",
        "upgrades",
        "allow_paths",
        "pool",
        "csrf",
    ],
    aliases: &[
        ("target", "upstream"),
        ("backend", "upstream"),
        ("url", "upstream"),
        ("proxy_pass", "upstream"),
        ("cluster", "upstream"),
        ("destination", "upstream"),
        ("allowed_hosts", "upstream_hosts"),
        ("allowed_upstreams", "upstream_hosts"),
        ("upstream_host", "upstream_hosts"),
        ("prefix", "it stands under `match`: match: { path_prefix: /… }"),
        ("path_prefix", "it stands under `match`: match: { path_prefix: /… }"),
        ("path", "it stands under `match`: match: { path: /… }"),
        ("hosts", "it stands under `match`: match: { host: … }"),
        ("hostname", "it stands under `match`: match: { host: … }"),
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
        ("key_pair", "client_certificate"),
        ("mtls", "client_certificate"),
        ("tls_certificate", "client_certificate"),
        ("proxy_ssl_certificate", "client_certificate"),
        ("host_rewrite", "host"),
        ("host_rewrite_literal", "host"),
        ("upstream_vhost", "host"),
        ("host_header", "host"),
        ("preserve_host", "write host: preserve"),
        ("pass_host_header", "write host: preserve"),
        ("auto_host_rewrite", "it is the default: host: upstream"),
        ("change_origin", "it is the default: host: upstream"),
        ("connect", "connect_to"),
        ("endpoint", "connect_to"),
        ("dial", "connect_to"),
        ("resolve", "connect_to"),
        ("sni", "server_name"),
        ("tls_server_name", "server_name"),
        ("proxy_ssl_name", "server_name"),
        ("ssl_name", "server_name"),
        ("protocol", "http2"),
        ("http_version", "http2"),
        ("proxy_http_version", "http2"),
        ("http2_protocol_options", "http2"),
        ("h2c", "write http2: prior_knowledge"),
        ("h2", "http2"),
        ("grpc", "write http2: prior_knowledge"),
        ("websocket", "upgrades"),
        ("websockets", "upgrades"),
        ("upgrade", "upgrades"),
        ("upgrade_configs", "upgrades"),
        ("paths", "allow_paths"),
        ("path_rules", "allow_paths"),
        ("allow_encoded_slashes", "write allow_paths: [encoded_slash]"),
        ("encoded_slash", "write allow_paths: [encoded_slash]"),
        ("encoded_slashes", "write allow_paths: [encoded_slash]"),
        ("merge_slashes", "paths leave as they came; `//` needs no setting"),
        ("normalize_path", "paths leave as they came; what could mean another route is refused"),
        ("path_with_escaped_slashes_action", "write allow_paths: [encoded_slash]"),
        ("keepalive", "write pool: { size: … }"),
        ("keepalive_timeout", "write pool: { idle_timeout: … }"),
        ("connection_pool", "pool"),
        ("upstream_connection_options", "pool"),
        ("csrf_token", "csrf"),
        ("x_csrf_token", "csrf"),
        ("csrf_protection", "csrf"),
        ("csrfConfig", "csrf"),
        ("connect_timeout", "it stands under `timeouts`: timeouts: { connect: 5s }"),
        ("read_timeout", "it stands under `timeouts`: timeouts: { response_head: 60s }"),
        ("idle_timeout", "under `timeouts` it is called body_idle, and under `pool` idle_timeout"),
        ("name", "the name of a route is its key: `routes: { NAME: … }`"),
    ],
};

/// What a route is checked against.
pub(crate) struct Around<'a> {
    /// The names of all profiles, broken ones too.
    pub(crate) profiles: &'a Names,
    /// The profiles that could be read.
    pub(crate) sound: &'a [&'a ProfileConfig],
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
    let credential = match &profile {
        Ok(Some(name)) => around.sound.iter().find(|profile| profile.name == *name),
        _ => None,
    };
    let has_profile = match fields.get("profile") {
        Some(_) => HasProfile::Yes(credential.map_or(AuthorizationScheme::Bearer, |c| c.scheme())),
        None => HasProfile::No,
    };
    let headers = headers::headers(fields.get("headers"), has_profile, around.parameters);
    let allow_cleartext = fields.or("allow_cleartext", false, At::boolean);
    let connect_to = fields.optional("connect_to", |at| route_upstream::connect_to(at, around.listeners));
    // A broken `connect_to` is one all the same: what it would have excused is not reported.
    let unread = Some(HostPort { host: "localhost".to_owned(), port: 1 });
    let way_to = connect_to.as_ref().unwrap_or(&unread).as_ref();
    let led = fields.required("upstream", |at| {
        let around = route_upstream::Around {
            parameters: around.parameters,
            profile: has_profile,
            listeners: around.listeners,
            way: (way_to, allow_cleartext.unwrap_or(true)),
        };
        route_upstream::upstream(at, fields.get("upstream_hosts"), &around)
    });
    let cleartext = match (&led, &connect_to, &headers, allow_cleartext) {
        (Ok((_, Some(url))), Ok(to), Ok(headers), Ok(allowed)) => {
            route_upstream::cleartext(&fields, url, to.as_ref(), headers, allowed)
        }
        _ => Ok(()),
    };
    let scheme = led.as_ref().ok().and_then(|(_, url)| url.as_ref()).map(HttpUrl::scheme);
    let host = fields.or("host", HostHeader::Upstream, route_upstream::host);
    let server_name = fields.optional("server_name", |at| route_upstream::server_name(at, scheme));
    let http2 = fields.or("http2", Http2::Auto, |at| route_transport::http2(at, scheme));
    let upgrades =
        fields.or("upgrades", vec!["websocket".to_owned()], |at| route_transport::upgrades(at, http2.ok()));
    let paths = fields.or("allow_paths", PathRules::default(), path_rules);
    let pool = route_transport::pool(&fields);
    let on_401 = fields.or("on_401", On401::Replay, |at| {
        at.choice(&[("replay", On401::Replay), ("pass", On401::Pass)], "`replay` or `pass`")
    });
    let replay_buffer = fields.or("replay_buffer", 64 << 10, |at| at.size(0, 64 << 20));
    let ca_file = fields.optional("ca_file", form::ca_file);
    let certificate = fields.or("client_certificate", None, |at| {
        let of_profile = match (credential, fields.get("profile")) {
            (Some(profile), _) => OfProfile::Sound(profile),
            (None, Some(_)) => OfProfile::Broken,
            (None, None) => OfProfile::None,
        };
        route_certificate::client_certificate(at, of_profile, scheme)
    });
    let timeouts = route_transport::timeouts(&fields);
    let upstream = led.map(|(upstream, _)| upstream);
    let csrf = route_csrf::csrf(&fields, &upstream, &headers);
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
        client_certificate: certificate?,
        timeouts: timeouts?,
        http2: http2?,
        host: host?,
        connect_to: connect_to?,
        server_name: server_name?,
        upgrades: upgrades?,
        paths: paths?,
        pool: pool?,
        csrf: csrf?,
        dpop: has_profile == HasProfile::Yes(AuthorizationScheme::Dpop),
    })
}

/// Reads which paths pass although some backends read them in two ways.
fn path_rules(at: &At<'_>) -> Read<PathRules> {
    use PathRule::{Backslash, DotSegments, DoubleEncoding, EncodedSlash, InvalidUtf8};
    let words = [
        ("encoded_slash", EncodedSlash),
        ("backslash", Backslash),
        ("double_encoding", DoubleEncoding),
        ("dot_segments", DotSegments),
        ("invalid_utf8", InvalidUtf8),
        ("encoded_slashes", EncodedSlash),
        ("escaped_slashes", EncodedSlash),
        ("%2F", EncodedSlash),
        ("encoded_backslash", Backslash),
        ("backslashes", Backslash),
        ("%5C", Backslash),
        ("double_encoded", DoubleEncoding),
        ("dot_segment", DotSegments),
        ("dots", DotSegments),
        ("utf8", InvalidUtf8),
        ("overlong_utf8", InvalidUtf8),
    ];
    const TEACH: &str = "`encoded_slash`, `backslash`, `double_encoding`, `dot_segments` or `invalid_utf8`";
    let mut rules = PathRules::default();
    let read: Vec<Read<PathRule>> = at.items().iter().map(|at| at.choice(&words, TEACH)).collect();
    for rule in read.into_iter().collect::<Read<Vec<_>>>()? {
        match rule {
            EncodedSlash => rules.encoded_slash = true,
            Backslash => rules.backslash = true,
            DoubleEncoding => rules.double_encoding = true,
            DotSegments => rules.dot_segments = true,
            InvalidUtf8 => rules.invalid_utf8 = true,
        }
    }
    Ok(rules)
}

/// One of [`PathRules`].
#[derive(Clone, Copy)]
enum PathRule {
    EncodedSlash,
    Backslash,
    DoubleEncoding,
    DotSegments,
    InvalidUtf8,
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
