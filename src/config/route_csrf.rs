//! `csrf` of a route: the `X-CSRF-Token` that OData services of SAP want with every write, as written and as meant.

use http::uri::PathAndQuery;
use http::{HeaderName, Method};

use super::RouteUpstream;
use super::reader::{At, Broken, Fields, Keys, Read};
use super::route::HeaderConfig;

/// The field that carries the token, both ways.
pub const X_CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");

/// How a route comes by the token that its writes need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsrfConfig {
    /// Where it is fetched: a path of the upstream from its root, with a query if need be.
    pub path: PathAndQuery,
    /// What it is fetched with: GET or HEAD.
    pub fetch: Method,
    /// The methods that need it.
    pub methods: Vec<Method>,
}

const KEYS: Keys = Keys {
    known: &["path", "fetch", "methods"],
    aliases: &[
        ("url", "path"),
        ("token_path", "path"),
        ("tokenEndpointURL", "path"),
        ("csrfTokenUrl", "path"),
        ("service", "path"),
        ("method", "what it is fetched with is called `fetch`, what needs it `methods`"),
        ("fetch_method", "fetch"),
        ("verbs", "methods"),
        ("header", "the header is always X-CSRF-Token"),
    ],
};

/// Reads `csrf`; `upstream` and `headers` are the route's.
pub(crate) fn csrf(
    fields: &Fields<'_>,
    upstream: &Read<RouteUpstream>,
    headers: &Read<Vec<HeaderConfig>>,
) -> Read<Option<CsrfConfig>> {
    let Some(at) = fields.get("csrf") else { return Ok(None) };
    let config = if at.map().is_some() {
        let fields = at.fields(&KEYS)?;
        let path = match fields.get("path") {
            Some(at) => path(at),
            None => base_path(at, upstream),
        };
        let words = [("get", Method::GET), ("head", Method::HEAD)];
        let words = words.each_ref().map(|(word, method)| (*word, method));
        let fetch =
            fields.get("fetch").map_or(Ok(Method::GET), |at| at.choice(&words, "`get` or `head`").cloned());
        let methods = fields.or("methods", writes(), methods);
        CsrfConfig { path: path?, fetch: fetch?, methods: methods? }
    } else if at.boolean()? {
        CsrfConfig { path: base_path(at, upstream)?, fetch: Method::GET, methods: writes() }
    } else {
        return Ok(None);
    };
    no_second_source(at, headers)?;
    Ok(Some(config))
}

/// What OData writes with; MERGE is its own word for PATCH (V2).
fn writes() -> Vec<Method> {
    let merge = Method::from_bytes(b"MERGE");
    [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].into_iter().chain(merge).collect()
}

/// The upstream's base path, which is the service's root document. The root of a whole host gives no tokens.
fn base_path(at: &At<'_>, upstream: &Read<RouteUpstream>) -> Read<PathAndQuery> {
    let Some(url) = upstream.as_ref().map_err(|_| Broken)?.url() else {
        return Err(at.error_hint(
            "where is the token fetched? The upstream comes with the access token",
            "write csrf: { path: /sap/opu/odata/sap/… }, the root of the service",
        ));
    };
    let base = url.path().trim_end_matches('/').to_owned();
    if base.is_empty() {
        return Err(at.error_hint(
            "where is the token fetched? The upstream has no base path, which would be the place",
            "write csrf: { path: /sap/opu/odata/sap/… }, the root of the service",
        ));
    }
    PathAndQuery::try_from(base + "/")
        .map_err(|_| at.error("the upstream's base path is no place for a token"))
}

fn path(at: &At<'_>) -> Read<PathAndQuery> {
    const WRITE: &str = "write the path of the service from the upstream's root: /sap/opu/odata/sap/…";
    let text = at.text()?;
    if !text.starts_with('/') || text.contains('#') {
        return Err(at.error_hint(format!("{} is no path", at.quoted()), WRITE));
    }
    PathAndQuery::try_from(text)
        .map_err(|_| at.error_hint("a character stands here that no path may have", WRITE))
}

fn methods(at: &At<'_>) -> Read<Vec<Method>> {
    const WRITE: &str = "write methods that change something: [POST, PUT, PATCH, DELETE, MERGE]";
    let method = |at: &At<'_>| {
        let text = at.text()?;
        let method = Method::from_bytes(text.trim().to_ascii_uppercase().as_bytes());
        // A token that reads would need is one that reads could not fetch.
        let reads = |method: &Method| [Method::GET, Method::HEAD, Method::OPTIONS].contains(method);
        match method {
            Ok(method) if reads(&method) => {
                Err(at.error_hint(format!("{} needs no CSRF token", at.quoted()), WRITE))
            }
            Ok(method) => Ok(method),
            Err(_) => Err(at.error_hint(format!("{} is no method", at.quoted()), WRITE)),
        }
    };
    let read: Vec<Read<Method>> = at.items().iter().map(method).collect();
    let mut methods = read.into_iter().collect::<Read<Vec<_>>>()?;
    if methods.is_empty() {
        return Err(at.error_hint("without a method there is nothing to do", WRITE));
    }
    methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    methods.dedup();
    Ok(methods)
}

/// What `csrf` sets, no header of the route sets as well.
fn no_second_source(at: &At<'_>, headers: &Read<Vec<HeaderConfig>>) -> Read<()> {
    let Ok(headers) = headers else { return Ok(()) };
    let taken = [X_CSRF_TOKEN, http::header::COOKIE];
    match headers.iter().find(|header| taken.contains(&header.name)) {
        None => Ok(()),
        Some(header) => Err(at.error_hint(
            format!("`csrf` sets `{}`, and so does `headers` of this route", header.name),
            "remove one of the two",
        )),
    }
}
