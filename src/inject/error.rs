//! Why something that goes with a request could not be made.

use std::fmt;

use http::HeaderName;

use crate::config::Name;
use crate::config::upstream::UpstreamFault;

/// What could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A header of the route.
    Header(HeaderName),
    /// Where the route leads.
    Upstream,
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header {name}"),
            Self::Upstream => f.write_str("upstream"),
        }
    }
}

/// Why a value could not be made. Names it and what is missing there, never a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrepareError {
    /// A byte that no header may hold.
    #[error("{0}: the value has a character that does not fit a header (a line break, perhaps)")]
    Unfit(Item),
    /// The token names an upstream that no request may go to.
    #[error("upstream: {0}")]
    Upstream(UpstreamFault),
    /// A file that cannot be read.
    #[error("{0}: {1}")]
    Unreadable(Item, String),
    /// A name that the configuration does not know; it was checked at load.
    #[error("{0}: the secure parameter `{1}` is gone")]
    Unknown(Item, Name),
    /// There is no token yet.
    #[error("{0}: there is no token yet")]
    NoToken(Item),
    /// What the token, or the answer that it came with, does not say.
    #[error("{0}: {1}")]
    Lacking(Item, Lack),
}

/// What a token, or the answer that it came with, does not say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// `{token.x}`, and no such member.
    #[error("the token answer has no field `{path}` (it has: {known})")]
    Field {
        /// The path in the template.
        path: String,
        /// The names that there are.
        known: String,
    },
    /// `{claim.x}`, and no such claim.
    #[error("the access token has no claim `{path}` (it has: {known})")]
    Claim {
        /// The path in the template.
        path: String,
        /// The names that there are.
        known: String,
    },
    /// `{claim.x}`, and the token is opaque.
    #[error("`{{claim.{path}}}` needs an access token that is a JWT, and this one is none")]
    Opaque {
        /// The path in the template.
        path: String,
    },
    /// A character within the host of a URL that would make another host of it.
    #[error("`{{{written}}}` holds a character that no part of a host has")]
    NoHost {
        /// What stands in the braces of the template.
        written: String,
    },
    /// An object, an array or null, which no header can carry.
    #[error("`{{{written}}}` is neither a text, nor a number, nor true or false")]
    NoText {
        /// What stands in the braces of the template.
        written: String,
    },
}
