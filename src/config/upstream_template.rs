//! A route's `upstream` with fields or claims in it, and its `upstream_hosts`, as written.

use super::ListenAddress;
use super::headers::HasProfile;
use super::names::Names;
use super::node::{Origin, Scalar};
use super::reader::{At, Read};
use super::route::HostPort;
use super::template::{Part, Template};
use super::upstream::{Cleartext, HostPattern, UpstreamTemplate};
use super::{HttpUrl, SecretSource};

/// What a template is checked with before there is a token: a value for the whole URL, or for a part of it.
const SAMPLES: [&str; 2] = ["https://sample.example", "sample"];

/// Whether fields or claims stand in an upstream: only what is written in the file counts.
pub(crate) fn is_template(scalar: &Scalar) -> bool {
    let holds = |text: &str| ["{token", "{claim"].iter().any(|word| text.contains(word));
    scalar.pieces.iter().any(|piece| piece.origin == Origin::Written && holds(&piece.text))
}

/// What an upstream template is checked against.
pub(crate) struct Around<'a> {
    /// The names of all secure parameters.
    pub(crate) parameters: &'a Names,
    /// Whether there is somebody to fill it.
    pub(crate) profile: HasProfile,
    /// `upstream_hosts`
    pub(crate) hosts: Option<&'a At<'a>>,
    /// Our own listeners; none where `connect_to` says where bytes go.
    pub(crate) listeners: &'a [ListenAddress],
    /// Whether clear text will do.
    pub(crate) cleartext: Cleartext,
}

/// Reads a template; also a URL in its shape, for what can be said of it before there is a token.
pub(crate) fn read(
    at: &At<'_>,
    scalar: &Scalar,
    around: &Around<'_>,
) -> Read<(UpstreamTemplate, Option<HttpUrl>)> {
    let template = Template::parse(scalar, around.parameters).map_err(|error| match error.hint {
        Some(hint) => at.error_hint(error.message, hint),
        None => at.error(error.message),
    });
    let hosts = hosts(at, around.hosts);
    let parts = template?.0.into_iter().map(|part| plain(at, part)).collect::<Read<Vec<Part>>>()?;
    let template = Template(parts);
    if let (Some(written), HasProfile::No) = (template.needs_profile(), around.profile) {
        let message = format!("`{{{written}}}` needs a profile, and this route has none");
        return Err(at.error_hint(message, "add `profile: NAME`"));
    }
    let sample = sample(at, &template)?;
    let listeners = around.listeners.to_vec();
    let template = UpstreamTemplate { template, hosts: hosts?, cleartext: around.cleartext, listeners };
    Ok((template, sample))
}

/// What may stand in an upstream: nothing that is secret.
fn plain(at: &At<'_>, part: Part) -> Read<Part> {
    match part {
        Part::Literal(_) | Part::Field(_) | Part::Claim(_) => Ok(part),
        Part::Secret(SecretSource::Env { value, .. }) => Ok(Part::Literal(value.expose().to_owned())),
        Part::Token => Err(at.error_hint(
            "the access token does not belong into a URL, which servers log",
            "write a field of the token answer, as in {token.instance_url}, or a claim: {claim.zone}",
        )),
        Part::Parameter(_) | Part::Secret(_) => Err(at.error_hint(
            "a secret does not belong into a URL, which servers log",
            "write a variable, ${NAME}, for what differs from place to place",
        )),
    }
}

/// The URL that the template may become; nothing if its scheme comes with the token.
fn sample(at: &At<'_>, template: &Template) -> Read<Option<HttpUrl>> {
    let mut text = String::new();
    for part in &template.0 {
        match part {
            Part::Literal(literal) => text.push_str(literal),
            _ => text.push_str(SAMPLES[usize::from(!text.is_empty())]),
        }
    }
    let url = HttpUrl::parse(&text).map_err(|error| at.error(format!("this {error}")))?;
    if url.query().is_some() {
        return Err(at.error_hint(
            "this must not hold a query (`?…`): the caller's query is forwarded",
            "cut it off; a constant parameter belongs to the caller",
        ));
    }
    Ok(matches!(template.0.first(), Some(Part::Literal(_))).then_some(url))
}

/// Reads `upstream_hosts`, which a template needs.
fn hosts(upstream: &At<'_>, hosts: Option<&At<'_>>) -> Read<Vec<HostPattern>> {
    const WRITE: &str = "add the hosts that a token may lead to: upstream_hosts: [\"*.my.example.com\"]";
    let Some(at) = hosts else {
        return Err(
            upstream.error_hint("an upstream that comes with the token needs `upstream_hosts`", WRITE)
        );
    };
    let items = at.items();
    if items.is_empty() {
        return Err(at.error_hint("the list is empty, so that no request could go anywhere", WRITE));
    }
    let pattern = |at: &At<'_>| {
        let text = at.text()?;
        HostPattern::parse(text.trim()).map_err(|(message, hint)| at.error_hint(message, hint))
    };
    let read: Vec<Read<HostPattern>> = items.iter().map(pattern).collect();
    read.into_iter().collect()
}

/// Which `http://` URLs will do: the way is that to `connect_to`, where there is one.
pub(crate) fn cleartext(allowed: bool, connect_to: Option<&HostPort>) -> Cleartext {
    match allowed || connect_to.is_some_and(HostPort::is_loopback) {
        true => Cleartext::Anywhere,
        false => Cleartext::Loopback,
    }
}
