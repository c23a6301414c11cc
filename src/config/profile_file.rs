//! `profiles:` as written: what all types share, and which type has which part.

mod answer;
mod assertion;
mod binding;
mod client;
mod exchange;
mod grant;
mod keys;
mod login;
mod preset;
mod request;
mod saml;

use std::collections::BTreeMap;
use std::time::Duration;

use self::client::Unless;
pub(crate) use self::client::certified_pair;
use self::keys::{KEYS, Type};
use super::form::{self, Kind};
use super::names::Names;
use super::profile::{
    AnswerRules, ClientAuthentication, ClientConfig, DpopConfig, Grant, KeyPairConfig, OAuth2, ProfileConfig,
    ProfileKind, TokenEndpoint, Transport, Written,
};
use super::reader::{At, Fields, Read};
use super::url::Scheme;
use super::{HttpUrl, ListenAddress, Name, SecretSource};

/// What a profile is checked against.
pub(crate) struct Around<'a> {
    /// Our own listeners.
    pub(crate) listeners: &'a [ListenAddress],
    /// All profiles, for one that signs in with another's token.
    pub(crate) profiles: &'a Names,
    /// The secure parameters, for a login's placeholders: all their names, and the sources of those that are sound.
    pub(crate) parameters: (&'a Names, &'a BTreeMap<Name, SecretSource>),
}

/// Reads one profile.
pub(crate) fn profile(at: &At<'_>, name: Name, around: &Around<'_>) -> Read<ProfileConfig> {
    // Before the preset, which then knows what the binding has brought.
    let bound = binding::expand(at);
    let at = &At { node: bound.as_ref().unwrap_or(at.node), ..at.clone() };
    let expanded = preset::expand(at)?;
    let filled = expanded.as_ref().map(|(_, node)| node);
    let at = &At { node: filled.unwrap_or(at.node), ..at.clone() };
    let expected = Type::expected(at.node);
    let fields = at.fields_of(&KEYS, |key| expected.is_none_or(|kind| kind.allows(key)))?;
    let kind = Type::read(&fields);
    let foreign = kind.map(|kind| kind.check(&fields));
    // Of a type that is not known, what every type has is read all the same.
    let parts = kind.and_then(|kind| parts(&fields, kind, around));
    let answer = fields.or("answer", AnswerRules::default(), answer::answer);
    let description = fields.optional("description", At::text);
    let required = fields.or("required", true, At::boolean);
    let default_lifetime = fields.or("default_lifetime", Duration::from_secs(300), At::some_time);
    let stale_if_error = fields.or("stale_if_error", Duration::ZERO, At::duration);
    let token_wait = fields.or("token_wait", Duration::from_secs(5), At::duration);
    foreign??;
    let (kind, transport) = parts?;
    Ok(ProfileConfig {
        name,
        description: description?,
        kind,
        transport,
        answer: answer?,
        required: required?,
        default_lifetime: default_lifetime?,
        stale_if_error: stale_if_error?,
        token_wait: token_wait?,
        written: Written::of(at.node, expanded.as_ref().map(|(preset, _)| *preset)),
    })
}

/// What a type has of its own, and how its service is reached.
fn parts(fields: &Fields<'_>, kind: Type, around: &Around<'_>) -> Read<(ProfileKind, Transport)> {
    let allow_cleartext = fields.or("allow_cleartext", false, At::boolean);
    let ca_file = fields.optional("ca_file", form::ca_file);
    let cleartext = allow_cleartext.unwrap_or(true);
    let (kind, key_pair) = match kind {
        Type::StaticToken => {
            let token = fields.required("token", |at| form::source(at, Kind::Secret))?;
            (ProfileKind::StaticToken(token), Ok(None))
        }
        Type::UserCredentials => (user_credentials(fields)?, Ok(None)),
        Type::SelfSignedJwt => {
            // Not longer than what Snowflake and Apple take.
            let assertion = assertion::assertion(fields, Duration::from_secs(15 * 60))?;
            (ProfileKind::SelfSignedJwt(Box::new(assertion)), Ok(None))
        }
        Type::HttpLogin => {
            let url = fields.required("token_service_url", |at| service_url(at, cleartext, around));
            let key_pair = fields.optional("key_pair", client::certified_pair);
            (ProfileKind::HttpLogin(Box::new(login::login(fields, url, around)?)), key_pair)
        }
        kind => {
            let oauth2 = oauth2(fields, kind, cleartext, around)?;
            let key_pair = tls_pair(fields, &oauth2);
            (ProfileKind::OAuth2(Box::new(oauth2)), key_pair)
        }
    };
    let transport = Transport { ca_file: ca_file?, allow_cleartext: allow_cleartext?, key_pair: key_pair? };
    Ok((kind, transport))
}

fn user_credentials(fields: &Fields<'_>) -> Read<ProfileKind> {
    let user = fields.required("user", |at| {
        let source = form::source(at, Kind::Plain)?;
        let colon = source.read().is_ok_and(|user| user.expose().contains(':'));
        if colon {
            Err(at.error("a user name with a colon does not fit into Basic (RFC 7617)"))
        } else {
            Ok(source)
        }
    });
    let password = fields.required("password", |at| form::source(at, Kind::Secret));
    Ok(ProfileKind::UserCredentials { user: user?, password: password? })
}

fn oauth2(fields: &Fields<'_>, kind: Type, cleartext: bool, around: &Around<'_>) -> Read<OAuth2> {
    let endpoint = endpoint(fields, cleartext, around);
    let unless = match kind {
        Type::JwtBearer | Type::SamlBearer => Unless::Nothing,
        _ => Unless::Secret,
    };
    let client = client::client(fields, unless);
    let grant = grant::grant(fields, kind);
    let request = request::request(fields);
    let dpop = fields.or("dpop", None, client::dpop);
    let mut request = request?;
    let (client, grant) = (client?, grant?);
    if let (Grant::JwtBearer(assertion), None) = (&grant, &client.id)
        && assertion.issuer.is_none()
    {
        return Err(fields.at.key_error(
            "nobody issues the assertion: `assertion.issuer` and `client_id` are missing",
            Some("RFC 7523 §3 wants an issuer; without a word it is the client_id".to_owned()),
        ));
    }
    if kind == Type::SamlBearer {
        // It stands in the assertion.
        request.audience = None;
    }
    let dpop = dpop?;
    lasting_key(fields, &client, &grant, dpop.as_ref());
    Ok(OAuth2 { endpoint: endpoint?, client, grant, request, dpop })
}

/// The refresh token of a public client is bound to the key as well (RFC 9449 §5), and outlives the process.
fn lasting_key(fields: &Fields<'_>, client: &ClientConfig, grant: &Grant, dpop: Option<&DpopConfig>) {
    let lasts = matches!(grant, Grant::RefreshToken(_) | Grant::AuthorizationCode(_));
    let public = matches!(client.authentication, ClientAuthentication::None);
    if let (Some(at), Some(DpopConfig { private_key: None, .. })) = (fields.get("dpop"), dpop)
        && lasts
        && public
    {
        at.warn(
            "the refresh token of a client that proves nothing is bound to this key, which ends with the process",
            "name a key that stays: dpop: { private_key: { file: key.pem } }",
        );
    }
}

/// `token_service_url`, or the `issuer` whose metadata name it.
fn endpoint(fields: &Fields<'_>, cleartext: bool, around: &Around<'_>) -> Read<TokenEndpoint> {
    match fields.get("issuer") {
        Some(at) if fields.get("token_service_url").is_some() => Err(at.key_error(
            "`issuer` and `token_service_url` say the same thing twice",
            Some("keep one: metadata of the issuer name the token endpoint".to_owned()),
        )),
        Some(at) => issuer(at, cleartext, around).map(TokenEndpoint::Issuer),
        None => fields
            .required("token_service_url", |at| service_url(at, cleartext, around))
            .map(TokenEndpoint::Url),
    }
}

/// What the metadata call `issuer`: a URL without a query (RFC 8414 §2).
fn issuer(at: &At<'_>, cleartext: bool, around: &Around<'_>) -> Read<SecretSource> {
    let source = service_url(at, cleartext, around)?;
    let text = source.read().map_err(|error| at.error(error.0))?;
    if text.expose().contains("/.well-known/") {
        return Err(at.error_hint(
            "this is where the metadata stand, not the issuer",
            "write what they name as `issuer`; most often it is this URL without `/.well-known/…`",
        ));
    }
    if text.expose().contains('?') {
        return Err(at.error("an issuer has no query (RFC 8414 §2)"));
    }
    Ok(source)
}

/// The key pair as our certificate in TLS: where the client proves itself with it, or where nothing is signed with it.
fn tls_pair(fields: &Fields<'_>, oauth2: &OAuth2) -> Read<Option<KeyPairConfig>> {
    let signs = matches!(oauth2.client.authentication, ClientAuthentication::KeyJwt { .. })
        || matches!(oauth2.grant, Grant::JwtBearer(_) | Grant::SamlBearer(_));
    if signs && !matches!(oauth2.client.authentication, ClientAuthentication::Tls) {
        return Ok(None);
    }
    fields.optional("key_pair", client::certified_pair)
}

fn service_url(at: &At<'_>, allow_cleartext: bool, around: &Around<'_>) -> Read<SecretSource> {
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
