//! A header value as a template: `Token {cai_request_token}`, parsed at load, rendered on the control plane.

use super::names::Names;
use super::node::{Origin, Piece, Scalar};
use super::suggest::nearest;
use super::{Name, SecretSource};
use crate::secret::Secret;

/// The parts of a header value, in order.
#[derive(Clone, Debug)]
pub struct Template(pub Vec<Part>);

/// One part of a template.
#[derive(Clone, Debug)]
pub enum Part {
    /// Text as it stands (`{{` and `}}` already turned to braces).
    Literal(String),
    /// `{token}`: the access token of the route's profile.
    Token,
    /// `{token.a.b}`: what else the token answer said, by path.
    Field(String),
    /// `{claim.a.b}`: a claim of the access token, which must be a JWT, by path.
    Claim(String),
    /// `{name}`: a secure parameter.
    Parameter(Name),
    /// A header that is a secret form as a whole: `X-Api-Key: { env: KEY }`.
    Secret(SecretSource),
}

/// Characters of the path in `{token.path}` and `{claim.path}`.
const LONGEST_PATH: usize = 200;

impl Template {
    /// Whether the access token is one of the parts.
    pub fn uses_token(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Token))
    }

    /// Whether the value changes with the token: it, a field of its answer or a claim is one of the parts.
    pub fn depends_on_token(&self) -> bool {
        self.needs_profile().is_some()
    }

    /// The first part that only a profile can fill, as it stands in the braces.
    pub(crate) fn needs_profile(&self) -> Option<String> {
        self.0.iter().find_map(|part| match part {
            Part::Token => Some("token".to_owned()),
            Part::Field(path) => Some(format!("token.{path}")),
            Part::Claim(path) => Some(format!("claim.{path}")),
            Part::Literal(_) | Part::Parameter(_) | Part::Secret(_) => None,
        })
    }
}

/// What is wrong with a template, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TemplateError {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// What carries the text of a template.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// A header, which holds visible ASCII and spaces.
    Header,
    /// A body or a query, which hold any text.
    Body,
}

impl Template {
    /// Reads a template of a header; see [`Template::parse_for`].
    pub(crate) fn parse(scalar: &Scalar, parameters: &Names) -> Result<Self, TemplateError> {
        Self::parse_for(Carrier::Header, scalar, parameters)
    }

    /// Reads a template; `parameters` are the names of the secure parameters. What a variable brought is a part of its
    /// own ([`Part::Secret`]): its braces are text.
    pub(crate) fn parse_for(
        carrier: Carrier,
        scalar: &Scalar,
        parameters: &Names,
    ) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        for Piece { text, origin } in &scalar.pieces {
            match origin {
                Origin::Written => written(text, carrier, parameters, &mut parts)?,
                Origin::Escaped | Origin::Default => literal(text, carrier, &mut parts)?,
                Origin::Variable(_) if text.is_empty() => {}
                Origin::Variable(name) => parts.push(Part::Secret(SecretSource::Env {
                    name: name.clone(),
                    value: Secret::new(text.clone()),
                })),
            }
        }
        Ok(Self(parts))
    }

    /// Whether everything of it stands in the file.
    pub(crate) fn is_literal(&self) -> bool {
        self.0.iter().all(|part| matches!(part, Part::Literal(_)))
    }
}

fn literal(text: &str, carrier: Carrier, parts: &mut Vec<Part>) -> Result<(), TemplateError> {
    if carrier == Carrier::Header && text.chars().any(|c| !(c == ' ' || c.is_ascii_graphic())) {
        return Err(TemplateError {
            message: "a header cannot hold a line break, a control character, or one that is not ASCII"
                .into(),
            hint: None,
        });
    }
    match parts.last_mut() {
        Some(Part::Literal(before)) => before.push_str(text),
        _ if text.is_empty() => {}
        _ => parts.push(Part::Literal(text.to_owned())),
    }
    Ok(())
}

fn written(
    text: &str,
    carrier: Carrier,
    parameters: &Names,
    parts: &mut Vec<Part>,
) -> Result<(), TemplateError> {
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        literal(&rest[..at], carrier, parts)?;
        let from = &rest[at..];
        if from.starts_with("{{") || from.starts_with("}}") {
            literal(&from[..1], carrier, parts)?;
            rest = &from[2..];
            continue;
        }
        let inside = from.strip_prefix('{').ok_or_else(|| unbalanced("a `}` has no `{` before it"))?;
        let end = inside.find(['{', '}']).filter(|end| inside[*end..].starts_with('}'));
        let end = end.ok_or_else(|| unbalanced("a `{` is not closed"))?;
        parts.push(placeholder(&inside[..end], parameters)?);
        rest = &inside[end + 1..];
    }
    literal(rest, carrier, parts)
}

fn placeholder(name: &str, parameters: &Names) -> Result<Part, TemplateError> {
    if name == "token" {
        return Ok(Part::Token);
    }
    if let Some(path) = name.strip_prefix("token.") {
        return field_path(path, "token.instance_url").map(Part::Field);
    }
    if let Some(path) = name.strip_prefix("claim.") {
        return field_path(path, "claim.sub").map(Part::Claim);
    }
    if name == "claim" {
        return Err(TemplateError {
            message: "`{claim}` does not say which claim".into(),
            hint: Some("write its name: {claim.sub}".into()),
        });
    }
    let known = parameters.may_hold(name);
    if let Some(parameter) = Name::new(name).filter(|_| known) {
        return Ok(Part::Parameter(parameter));
    }
    // Braces in a literal secret look like this too, so only what can be a name is quoted.
    let plain =
        Name::new(name).is_some() && name.len() <= 60 && name.starts_with(|c: char| c.is_ascii_alphabetic());
    let message = if plain {
        format!("no secure parameter is called `{name}`")
    } else {
        "what stands in the braces is no secure parameter".into()
    };
    let candidates = parameters.iter().chain(["token"]);
    let hint = match nearest(name, candidates) {
        Some(near) => format!("did you mean `{{{near}}}`?"),
        None => {
            "name it under secure_parameters; a brace that is meant as text is written `{{` or `}}`".into()
        }
    };
    Err(TemplateError { message, hint: Some(hint) })
}

/// Names of members, joined with dots. A member may be called by a URL, so nearly everything may stand in a name.
fn field_path(path: &str, example: &str) -> Result<String, TemplateError> {
    let sound = path.len() <= LONGEST_PATH
        && path.split('.').all(|name| !name.is_empty())
        && path.bytes().all(|b| b.is_ascii_graphic());
    if sound {
        return Ok(path.to_owned());
    }
    let longest = format!("at most {LONGEST_PATH} characters, and no spaces");
    Err(TemplateError {
        message: "what stands behind the dot is no path to a field".into(),
        hint: Some(format!("write names joined with dots, {longest}: {{{example}}}")),
    })
}

fn unbalanced(message: &str) -> TemplateError {
    TemplateError {
        message: message.into(),
        hint: Some("a brace that is meant as text is written `{{` or `}}`".into()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Environment;
    use super::super::expand::expand;
    use super::super::node::Style;
    use super::*;

    fn parse(text: &str, env: &[(&str, &str)]) -> Result<String, TemplateError> {
        let env: Environment = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let scalar = Scalar { style: Style::Quoted, pieces: expand(text, &env).unwrap() };
        let template = Template::parse(&scalar, &Names::just(&["cai_request_token"]))?;
        Ok(template.0.iter().map(show).collect())
    }

    fn show(part: &Part) -> String {
        match part {
            Part::Literal(text) => format!("'{text}'"),
            Part::Token => "TOKEN".into(),
            Part::Field(path) => format!("FIELD={path}"),
            Part::Claim(path) => format!("CLAIM={path}"),
            Part::Parameter(name) => format!("<{name}>"),
            Part::Secret(SecretSource::Env { name, value }) => format!("${name}={}", value.expose()),
            Part::Secret(_) => "?".into(),
        }
    }

    #[test]
    fn reads_parts_in_order() {
        assert_eq!(parse("Token {cai_request_token}", &[]).unwrap(), "'Token '<cai_request_token>");
        assert_eq!(parse("Bearer {token}", &[]).unwrap(), "'Bearer 'TOKEN");
        assert_eq!(parse("{{a}} {token}{token}", &[]).unwrap(), "'{a} 'TOKENTOKEN");
        assert_eq!(parse("", &[]).unwrap(), "");
    }

    #[test]
    fn fields_and_claims_are_paths() {
        assert_eq!(parse("{token.instance_url}/x", &[]).unwrap(), "FIELD=instance_url'/x'");
        assert_eq!(parse("{claim.ext_attr.zdn}", &[]).unwrap(), "CLAIM=ext_attr.zdn");
        assert_eq!(parse("{claim.https://x.example/zone}", &[]).unwrap(), "CLAIM=https://x.example/zone");
        let long = format!("{{token.{}}}", "x".repeat(201));
        assert!(parse(&long, &[]).is_err());
        assert_eq!(parse("{claim}", &[]).unwrap_err().hint.unwrap(), "write its name: {claim.sub}");
    }

    #[test]
    fn braces_of_a_variable_are_text() {
        assert_eq!(parse("a {token}${X}", &[("X", "{token}}{")]).unwrap(), "'a 'TOKEN$X={token}}{");
        assert_eq!(parse("{${X}ken}", &[("X", "to")]).unwrap_err().message, "a `{` is not closed");
        assert_eq!(parse("$${token} {token}", &[]).unwrap(), "'${token} 'TOKEN");
    }

    #[test]
    fn says_what_is_wrong() {
        for text in [
            "{",
            "}",
            "{a",
            "a}",
            "{a{b}",
            "{token.}",
            "{token.a..b}",
            "{claim.a b}",
            "{claim.ü}",
            "{claim}",
            "{}",
            "{nope}",
            "ü",
            "a\nb",
        ] {
            assert!(parse(text, &[]).is_err(), "{text}");
        }
        let error = parse("{cai_reqest_token}", &[]).unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("did you mean `{cai_request_token}`?"));
    }

    proptest! {
        #[test]
        fn never_panics(text in "[{}a-c.tokenü]{0,20}") {
            let _ = parse(&text, &[]);
        }

        #[test]
        fn what_a_variable_brings_is_never_a_template(value in "[{}a-z]{1,20}") {
            prop_assert_eq!(parse("x${V}", &[("V", &value)]).unwrap(), format!("'x'$V={value}"));
        }
    }
}
