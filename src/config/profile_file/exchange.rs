//! A token exchange (RFC 8693) as written.

use http::HeaderName;

use super::super::form::{self, Kind};
use super::super::headers::OURS;
use super::super::profile::{ActorToken, SubjectToken, TokenExchange};
use super::super::reader::{At, Fields, Keys, Read};

/// RFC 8693 §3
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// Reads what is exchanged for what.
pub(super) fn exchange(fields: &Fields<'_>) -> Read<TokenExchange> {
    let subject = fields.required("subject_token", subject);
    let subject_type = fields.or("subject_token_type", ACCESS_TOKEN.to_owned(), token_type);
    let actor = fields.optional("actor_token", |at| form::source(at, Kind::Secret));
    let actor_type = fields.or("actor_token_type", ACCESS_TOKEN.to_owned(), token_type);
    let requested_type = fields.optional("requested_token_type", token_type);
    Ok(TokenExchange {
        subject: subject?,
        subject_type: subject_type?,
        actor: match (actor?, actor_type?) {
            (Some(token), kind) => Some(ActorToken { token, kind }),
            (None, _) => None,
        },
        requested_type: requested_type?,
    })
}

const HEADER: Keys = Keys { known: &["header"], aliases: &[] };

/// `{ header: Authorization }`, or where else a secret comes from.
fn subject(at: &At<'_>) -> Read<SubjectToken> {
    let of_header = at.map().is_some_and(|map| map.entries.iter().any(|entry| entry.key == "header"));
    if !of_header {
        return Ok(SubjectToken::Source(form::source(at, Kind::Secret)?));
    }
    let fields = at.fields(&HEADER)?;
    fields.required("header", |at| {
        let name = HeaderName::from_bytes(at.text()?.as_bytes())
            .map_err(|_| at.error("this is not a valid header name"))?;
        // What is shown to us goes no further, and without these no request does.
        if OURS.contains(&name.as_str()) {
            return Err(at.error_hint(
                format!("`{name}` belongs to the connection, and carries no token"),
                "write Authorization, or a header of your own",
            ));
        }
        Ok(SubjectToken::Header(name))
    })
}

/// `access_token`, or the whole URI.
fn token_type(at: &At<'_>) -> Read<String> {
    let text = at.text()?;
    let short = ["access_token", "refresh_token", "id_token", "saml1", "saml2", "jwt"];
    if short.contains(&text.as_str()) {
        return Ok(format!("urn:ietf:params:oauth:token-type:{text}"));
    }
    if !text.contains(':') || text.contains(char::is_whitespace) {
        return Err(at.error_hint(
            "this is no type of token",
            "write `access_token`, `jwt`, `id_token`, or a URI (RFC 8693 §3)",
        ));
    }
    Ok(text)
}
