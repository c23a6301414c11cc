//! Bringing credentials over: what CPI, BTP and Google export, as the text of a proxy.yaml.
//!
//! Pure: JSON text in, YAML text and warnings out; nothing is read, fetched or written here. Three promises:
//! no secret of the input is ever in the output, which holds references (`{ env: NAME }`, `{ file: NAME.key }`) instead;
//! nothing half-imported: any mistake in the input is an error, and then there is no output at all;
//! what is printed passes [`crate::config::load`] once the variables and files that it names are there.

mod cpi;
mod custom;
mod destination;
mod draft;
mod input;
mod name;
mod scope;
mod service_key;
mod token_url;
mod vcap;
mod yaml;

pub use input::MAX_BYTES;

use draft::Draft;

/// What the input is an export of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// OData JSON of CPI's `OAuth2ClientCredentials`, `UserCredentials` and `SecureParameters`.
    Cpi,
    /// Destinations of SAP BTP.
    Destination,
    /// A service key or binding of BTP, or a Google service-account key.
    ServiceKey,
    /// `VCAP_SERVICES` of Cloud Foundry.
    Vcap,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Cpi, Self::Destination, Self::ServiceKey, Self::Vcap];

    /// The word of the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Cpi => "cpi",
            Self::Destination => "destination",
            Self::ServiceKey => "service-key",
            Self::Vcap => "vcap",
        }
    }
}

/// Where a text came from, for comments and messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin<'a> {
    /// A file, as it was named.
    File(&'a str),
    /// Standard input.
    Input,
    /// An environment variable.
    Variable(&'a str),
}

/// What became of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// A proxy.yaml: profiles, secure parameters, routes; references where the secrets go.
    pub yaml: String,
    /// What could not be carried over, one line each; the YAML holds them as comments too.
    pub warnings: Vec<String>,
}

/// Why nothing was imported: every mistake, one line each. No line holds a secret of the input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ImportError(pub Vec<String>);

/// Turns an export into a proxy.yaml.
pub fn import(kind: Kind, text: &str, origin: Origin<'_>) -> Result<Imported, ImportError> {
    let documents = input::documents(text, origin)?;
    let mut draft = Draft::new(kind, origin);
    match kind {
        Kind::Cpi => cpi::read(&mut draft, &documents),
        Kind::Destination => destination::read(&mut draft, &documents),
        Kind::ServiceKey => service_key::read(&mut draft, &documents),
        Kind::Vcap => vcap::read(&mut draft, &documents),
    }
    draft.finish()
}

/// A text of the input for a message: one line, not too long.
fn short(text: &str) -> String {
    let mut short: String = text.chars().filter(|c| !c.is_control()).take(60).collect();
    if text.chars().count() > 60 {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests;
