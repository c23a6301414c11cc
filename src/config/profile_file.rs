//! `profiles:` as written.

use std::time::Duration;

use super::form::{self, Kind};
use super::parameters;
use super::profile::{BasicEncoding, ClientAuthentication, ContentType, GrantTypePlace, ProfileConfig};
use super::reader::{At, Fields, Keys, Read, fold_value};
use super::scope;
use super::url::Scheme;
use super::{HttpUrl, ListenAddress, Name, SecretSource};

const KEYS: Keys = Keys {
    known: &[
        "type",
        "description",
        "token_service_url",
        "client_id",
        "client_secret",
        "client_authentication",
        "basic_encoding",
        "grant_type",
        "grant_type_in",
        "scope",
        "resource",
        "audience",
        "content_type",
        "custom_parameters",
        "ca_file",
        "allow_cleartext",
        "required",
        "default_lifetime",
        "stale_if_error",
        "token_wait",
    ],
    aliases: &[
        ("token_url", "token_service_url"),
        ("token_endpoint", "token_service_url"),
        ("token_uri", "token_service_url"),
        ("access_token_url", "token_service_url"),
        ("url", "token_service_url"),
        ("uri", "token_service_url"),
        ("auth_url", "token_service_url"),
        ("id", "client_id"),
        ("clientid", "client_id"),
        ("app_id", "client_id"),
        ("username", "client_id"),
        ("user", "client_id"),
        ("secret", "client_secret"),
        ("clientsecret", "client_secret"),
        ("app_secret", "client_secret"),
        ("password", "client_secret"),
        ("scopes", "scope"),
        ("scope_content_type", "content_type"),
        ("include_scope", "leave `scope` out, or write it: there is no switch for it"),
        ("client_auth", "client_authentication"),
        ("auth_style", "client_authentication"),
        ("auth_method", "client_authentication"),
        ("auth_type", "client_authentication"),
        ("token_endpoint_auth_method", "client_authentication"),
        ("send_as", "client_authentication"),
        ("grant", "grant_type"),
        ("aud", "audience"),
        ("resources", "resource"),
        ("params", "custom_parameters"),
        ("parameters", "custom_parameters"),
        ("custom_parameter", "custom_parameters"),
        ("endpoint_params", "custom_parameters"),
        ("extra_params", "custom_parameters"),
        ("ca", "ca_file"),
        ("cacert", "ca_file"),
        ("tls_ca", "ca_file"),
        ("insecure", "allow_cleartext"),
        ("lifetime", "default_lifetime"),
        ("expires_in", "default_lifetime"),
        ("token_fetch_retry_interval", "there is nothing to set: retries back off by themselves"),
        ("timeout", "token_wait"),
        ("name", "the name of a profile is its key: `profiles: { NAME: … }`"),
    ],
};

/// What a profile is checked against.
pub(crate) struct Around<'a> {
    /// Our own listeners.
    pub(crate) listeners: &'a [ListenAddress],
}

/// Reads one profile.
pub(crate) fn profile(at: &At<'_>, name: Name, around: &Around<'_>) -> Read<ProfileConfig> {
    let fields = at.fields(&KEYS)?;
    let kinds = (kind(&fields), grant_type(&fields));
    let allow_cleartext = fields.or("allow_cleartext", false, At::boolean);
    let token_service_url = fields
        .required("token_service_url", |at| token_service_url(at, allow_cleartext.unwrap_or(true), around));
    let client_id = fields.required("client_id", |at| form::source(at, Kind::Plain));
    let client_secret = fields.required("client_secret", |at| form::source(at, Kind::Secret));
    let client_authentication =
        fields.or("client_authentication", ClientAuthentication::RequestHeader, client_authentication);
    let basic_encoding = fields.or("basic_encoding", BasicEncoding::Form, |at| {
        at.choice(&[("form", BasicEncoding::Form), ("raw", BasicEncoding::Raw)], "`form` or `raw`")
    });
    let grant_type_in = fields.or("grant_type_in", GrantTypePlace::Body, grant_type_in);
    let content_type = fields.or("content_type", ContentType::Form, content_type);
    let scope = fields.optional("scope", |at| scope::scope(at, content_type));
    let source = |key| fields.optional(key, |at| form::source(at, Kind::Plain));
    let (resource, audience) = (source("resource"), source("audience"));
    let custom_parameters = fields.or("custom_parameters", Vec::new(), parameters::custom_parameters);
    let description = fields.optional("description", At::text);
    let ca_file = fields.optional("ca_file", form::ca_file);
    let required = fields.or("required", true, At::boolean);
    let default_lifetime = fields.or("default_lifetime", Duration::from_secs(300), At::some_time);
    let stale_if_error = fields.or("stale_if_error", Duration::ZERO, At::duration);
    let token_wait = fields.or("token_wait", Duration::from_secs(5), At::duration);
    kinds.0?;
    kinds.1?;
    Ok(ProfileConfig {
        name,
        description: description?,
        token_service_url: token_service_url?,
        client_id: client_id?,
        client_secret: client_secret?,
        client_authentication: client_authentication?,
        basic_encoding: basic_encoding?,
        grant_type_in: grant_type_in?,
        scope: scope?.flatten(),
        resource: resource?,
        audience: audience?,
        content_type: content_type?,
        custom_parameters: custom_parameters?,
        ca_file: ca_file?,
        allow_cleartext: allow_cleartext?,
        required: required?,
        default_lifetime: default_lifetime?,
        stale_if_error: stale_if_error?,
        token_wait: token_wait?,
    })
}

const ONLY: &str = "sidepass knows oauth2_client_credentials; other kinds are not there yet";

fn kind(fields: &Fields<'_>) -> Read<()> {
    let Some(at) = fields.get("type") else { return Ok(()) };
    match fold_value(&at.text()?).as_str() {
        "oauth2clientcredentials" | "oauth2credentials" | "clientcredentials" => Ok(()),
        _ => Err(at.error_hint(format!("{} is not a type of profile that is there", at.quoted()), ONLY)),
    }
}

fn grant_type(fields: &Fields<'_>) -> Read<()> {
    let Some(at) = fields.get("grant_type") else { return Ok(()) };
    match fold_value(&at.text()?).as_str() {
        "clientcredentials" => Ok(()),
        // CPI's field "Grant Type" holds the placement.
        place @ ("body" | "url") => Err(at.error_hint(
            "this says where the grant type stands, not what it is",
            format!("write `grant_type_in: {place}`"),
        )),
        _ => Err(at.error_hint(
            format!("{} is not a grant type that is there", at.quoted()),
            "sidepass knows client_credentials; other grants are not there yet",
        )),
    }
}

fn client_authentication(at: &At<'_>) -> Read<ClientAuthentication> {
    use ClientAuthentication::{BodyParameter, RequestHeader};
    at.choice(
        &[
            ("request_header", RequestHeader),
            ("header", RequestHeader),
            ("client_secret_basic", RequestHeader),
            ("basic", RequestHeader),
            ("basic_auth_header", RequestHeader),
            ("body_parameter", BodyParameter),
            ("body", BodyParameter),
            ("client_secret_post", BodyParameter),
            ("post", BodyParameter),
        ],
        "`request_header` or `body_parameter`; other ways are not there yet",
    )
}

fn grant_type_in(at: &At<'_>) -> Read<GrantTypePlace> {
    use GrantTypePlace::{Body, Url};
    at.choice(&[("body", Body), ("url", Url), ("query", Url)], "`body` or `url`")
}

fn content_type(at: &At<'_>) -> Read<ContentType> {
    if at.is_null() {
        return Ok(ContentType::Form);
    }
    let text = at.text()?;
    // `application/json; charset=utf-8`
    let bare = text.split(';').next().unwrap_or_default();
    match fold_value(bare).as_str() {
        "" | "form" | "urlencoded" | "application/xwwwformurlencoded" | "xwwwformurlencoded" => {
            Ok(ContentType::Form)
        }
        "json" | "application/json" => Ok(ContentType::Json),
        _ => Err(at.error_hint(
            format!("{} is not known here", at.quoted()),
            "write `application/x-www-form-urlencoded` or `application/json`",
        )),
    }
}

fn token_service_url(at: &At<'_>, allow_cleartext: bool, around: &Around<'_>) -> Read<SecretSource> {
    let source = form::source(at, Kind::Plain)?;
    let text = source.read().map_err(|error| at.error(error.0))?;
    let url = HttpUrl::parse(text.expose()).map_err(|error| at.error(format!("this {error}")))?;
    own_listener(at, &url, around.listeners)?;
    if url.scheme() == Scheme::Http && !url.is_loopback() {
        if !allow_cleartext {
            return Err(at.error_hint(
                "the client secret would go over http:// in clear text",
                "write https://, or `allow_cleartext: true` for this profile if the network is yours",
            ));
        }
        at.warn("the client secret goes over http:// in clear text", "use https:// where you can");
    }
    Ok(source)
}

/// A request to ourselves would come back for ever.
pub(crate) fn own_listener(at: &At<'_>, url: &HttpUrl, listeners: &[ListenAddress]) -> Read<()> {
    match listeners.iter().find(|listener| listener.answers(url)) {
        Some(listener) => Err(at.error_hint(
            format!("this is sidepass itself: it listens on {listener}"),
            "write the address of the API, or change the port of the listener",
        )),
        None => Ok(()),
    }
}
