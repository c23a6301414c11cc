//! A template and what fills it: a text, on the control plane.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use http::HeaderValue;
use zeroize::Zeroizing;

use super::error::{Item, Lack, PrepareError};
use crate::config::template::Part;
use crate::config::{Name, SecretSource, Template};
use crate::token::fields::{FieldFault, TokenFields};
use crate::token::{AccessToken, jwt};

/// Whether a text must not be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Secrecy {
    /// It stands in the configuration.
    Open,
    /// It came from a secret, or with a token.
    Sensitive,
}

/// What fills templates: the secure parameters, and one token.
pub(super) struct Renderer<'a> {
    parameters: &'a BTreeMap<Name, SecretSource>,
    token: Option<&'a AccessToken>,
    /// The claims of that token, read when a template first asks; nothing if it is no JWT.
    claims: OnceCell<Option<TokenFields>>,
}

impl<'a> Renderer<'a> {
    /// One for this token, or for none.
    pub(super) fn new(parameters: &'a BTreeMap<Name, SecretSource>, token: Option<&'a AccessToken>) -> Self {
        Self { parameters, token, claims: OnceCell::new() }
    }

    /// The value of a header; marked sensitive unless all of it stands in the configuration.
    pub(super) fn header(&self, item: &Item, template: &Template) -> Result<HeaderValue, PrepareError> {
        let (text, secrecy) = self.fill(item, template)?;
        let mut value = HeaderValue::from_str(&text).map_err(|_| PrepareError::Unfit(item.clone()))?;
        value.set_sensitive(secrecy == Secrecy::Sensitive);
        Ok(value)
    }

    /// The URL of a route's upstream, unchecked but for this: no value makes another host of a host that is written.
    pub(super) fn upstream(&self, template: &Template) -> Result<Zeroizing<String>, PrepareError> {
        Ok(self.fill(&Item::Upstream, template)?.0)
    }

    fn fill(&self, item: &Item, template: &Template) -> Result<(Zeroizing<String>, Secrecy), PrepareError> {
        let mut text = Zeroizing::new(String::new());
        let mut secrecy = Secrecy::Open;
        for part in &template.0 {
            match part {
                Part::Literal(literal) => {
                    text.push_str(literal);
                    continue;
                }
                Part::Token => text.push_str(self.token(item)?.text.expose()),
                Part::Field(path) => {
                    let value = self.field(item, path)?;
                    check_host(item, &text, &value, || format!("token.{path}"))?;
                    text.push_str(&value);
                }
                Part::Claim(path) => {
                    let value = self.claim(item, path)?;
                    check_host(item, &text, &value, || format!("claim.{path}"))?;
                    text.push_str(&value);
                }
                Part::Parameter(name) => {
                    let source = self.parameters.get(name);
                    let source = source.ok_or_else(|| PrepareError::Unknown(item.clone(), name.clone()))?;
                    text.push_str(read(item, source)?.expose());
                }
                Part::Secret(source) => text.push_str(read(item, source)?.expose()),
            }
            secrecy = Secrecy::Sensitive;
        }
        Ok((text, secrecy))
    }

    fn token(&self, item: &Item) -> Result<&'a AccessToken, PrepareError> {
        self.token.ok_or_else(|| PrepareError::NoToken(item.clone()))
    }

    fn field(&self, item: &Item, path: &str) -> Result<Zeroizing<String>, PrepareError> {
        let fields = &self.token(item)?.fields;
        let lack = |fault| match fault {
            FieldFault::Missing => Lack::Field { path: path.to_owned(), known: fields.names() },
            FieldFault::NoText => Lack::NoText { written: format!("token.{path}") },
        };
        fields
            .read(path)
            .map(Zeroizing::new)
            .map_err(|fault| PrepareError::Lacking(item.clone(), lack(fault)))
    }

    fn claim(&self, item: &Item, path: &str) -> Result<Zeroizing<String>, PrepareError> {
        let token = self.token(item)?;
        let claims = self.claims.get_or_init(|| jwt::claims(token.text.expose()).map(TokenFields::of));
        let lacking = |lack| PrepareError::Lacking(item.clone(), lack);
        let Some(claims) = claims else { return Err(lacking(Lack::Opaque { path: path.to_owned() })) };
        let lack = |fault| match fault {
            FieldFault::Missing => Lack::Claim { path: path.to_owned(), known: claims.names() },
            FieldFault::NoText => Lack::NoText { written: format!("claim.{path}") },
        };
        claims.read(path).map(Zeroizing::new).map_err(|fault| lacking(lack(fault)))
    }
}

/// Behind `https://` and before the next `/` stands a host: a value there must not end it early.
fn check_host(
    item: &Item,
    before: &str,
    value: &str,
    written: impl FnOnce() -> String,
) -> Result<(), PrepareError> {
    let in_host = before.split_once("://").is_some_and(|(_, host)| !host.contains('/'));
    if *item == Item::Upstream && in_host && value.contains(['/', '\\', '?', '#', '@', ':']) {
        return Err(PrepareError::Lacking(item.clone(), Lack::NoHost { written: written() }));
    }
    Ok(())
}

fn read(item: &Item, source: &SecretSource) -> Result<crate::secret::Secret, PrepareError> {
    source.read().map_err(|error| PrepareError::Unreadable(item.clone(), error.to_string()))
}
