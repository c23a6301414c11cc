//! The client of a token request as written: id, secret, keys, and how they are shown.

use super::super::SecretSource;
use super::super::form::{self, Kind};
use super::super::node::Value;
use super::super::profile::{
    Algorithm, BasicEncoding, ClientAuthentication, ClientConfig, ClientSecret, DpopConfig, KeyPairConfig,
};
use super::super::reader::{At, Fields, Keys, Read, fold_value};
use super::assertion;

/// The ways to prove who the client is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    RequestHeader,
    BodyParameter,
    None,
    SecretJwt,
    KeyJwt,
    Tls,
    Assertion,
}

const TEACH: &str = "`request_header`, `body_parameter`, `none`, `client_secret_jwt`, `private_key_jwt`, \
                     `tls_client_auth` or `client_assertion`";

/// Ways by name: ours first among those of one meaning.
const WAYS: [(&str, Way); 18] = [
    ("request_header", Way::RequestHeader),
    ("header", Way::RequestHeader),
    ("client_secret_basic", Way::RequestHeader),
    ("basic", Way::RequestHeader),
    ("basic_auth_header", Way::RequestHeader),
    ("body_parameter", Way::BodyParameter),
    ("body", Way::BodyParameter),
    ("client_secret_post", Way::BodyParameter),
    ("post", Way::BodyParameter),
    ("none", Way::None),
    ("public", Way::None),
    ("client_secret_jwt", Way::SecretJwt),
    ("private_key_jwt", Way::KeyJwt),
    ("tls_client_auth", Way::Tls),
    ("self_signed_tls_client_auth", Way::Tls),
    ("mtls", Way::Tls),
    ("x509", Way::Tls),
    ("client_assertion", Way::Assertion),
];

fn way(at: &At<'_>) -> Read<Way> {
    at.choice(&WAYS, TEACH)
}

/// The same without a word about what is not known.
pub(super) fn known_way(at: &At<'_>) -> Option<Way> {
    let Value::Scalar(scalar) = &at.node.value else { return None };
    let folded = fold_value(&scalar.text());
    WAYS.iter().find(|(name, _)| fold_value(name) == folded).map(|(_, way)| *way)
}

impl Way {
    pub(super) fn needs_secret(self) -> bool {
        matches!(self, Self::RequestHeader | Self::BodyParameter | Self::SecretJwt)
    }

    pub(super) fn needs_key(self) -> bool {
        matches!(self, Self::KeyJwt | Self::Tls)
    }
}

/// What a client is unless it says so.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unless {
    /// It shows a secret in the header.
    Secret,
    /// It shows nothing: the grant itself is the proof.
    Nothing,
}

/// Reads the client. Exactly the settings that its way needs must be there.
pub(super) fn client(fields: &Fields<'_>, unless: Unless) -> Read<ClientConfig> {
    let default = match unless {
        _ if fields.get("client_assertion").is_some_and(is_foreign) => Way::Assertion,
        Unless::Nothing if fields.get("client_secret").is_none() => Way::None,
        Unless::Secret | Unless::Nothing => Way::RequestHeader,
    };
    let way = fields.or("client_authentication", default, way)?;
    let plain = |at: &At<'_>| form::source(at, Kind::Plain);
    let id = match way {
        Way::RequestHeader | Way::BodyParameter | Way::SecretJwt | Way::KeyJwt | Way::Tls => {
            fields.required("client_id", plain).map(Some)
        }
        Way::None | Way::Assertion => fields.optional("client_id", plain),
    };
    let authentication = authentication(fields, way);
    let unused = unused(fields, way);
    unused?;
    Ok(ClientConfig { id: id?, authentication: authentication? })
}

fn authentication(fields: &Fields<'_>, way: Way) -> Read<ClientAuthentication> {
    let secret = || fields.required("client_secret", client_secret);
    Ok(match way {
        Way::RequestHeader => {
            let secret = secret();
            let encoding = fields.or("basic_encoding", BasicEncoding::Form, |at| {
                at.choice(&[("form", BasicEncoding::Form), ("raw", BasicEncoding::Raw)], "`form` or `raw`")
            });
            let scheme = fields.or("authentication_scheme", "Basic".to_owned(), scheme);
            ClientAuthentication::RequestHeader { secret: secret?, encoding: encoding?, scheme: scheme? }
        }
        Way::BodyParameter => ClientAuthentication::BodyParameter { secret: secret()? },
        Way::None => ClientAuthentication::None,
        Way::SecretJwt => {
            let jwt = assertion::client_jwt(fields, assertion::Signer::Secret);
            ClientAuthentication::SecretJwt { secret: secret()?, jwt: jwt? }
        }
        Way::KeyJwt => {
            let jwt = assertion::client_jwt(fields, assertion::Signer::Key);
            let key = fields.required("key_pair", key_pair);
            let (key, jwt) = (key?, jwt?);
            if let Some(at) = fields.get("client_assertion") {
                assertion::certified(at, &jwt, &key)?;
            }
            ClientAuthentication::KeyJwt { key, jwt }
        }
        Way::Tls => {
            fields.required("key_pair", certified_pair)?;
            ClientAuthentication::Tls
        }
        Way::Assertion => ClientAuthentication::Assertion(
            fields.required("client_assertion", |at| form::source(at, Kind::Secret))?,
        ),
    })
}

/// What is there and would not be used.
fn unused(fields: &Fields<'_>, way: Way) -> Read<()> {
    let mut sound = Ok(());
    let mut needs = |key: &str, used: bool, what: &str| {
        if let Some(at) = fields.get(key).filter(|_| !used) {
            sound = Err(at.key_error(
                format!("`{key}` is not used with this client_authentication"),
                Some(what.to_owned()),
            ));
        }
    };
    let header = way == Way::RequestHeader;
    let secret = way.needs_secret();
    let assertion = matches!(way, Way::SecretJwt | Way::KeyJwt | Way::Assertion);
    needs(
        "client_secret",
        secret,
        "remove it, or set client_authentication: request_header or body_parameter",
    );
    // With the secret in the body it says nothing, and does no harm.
    needs("basic_encoding", secret, "it is for client_authentication: request_header");
    needs("authentication_scheme", header, "it is for client_authentication: request_header");
    needs(
        "client_assertion",
        assertion,
        "it is for client_authentication: private_key_jwt or client_secret_jwt",
    );
    sound
}

/// A JWT from elsewhere, rather than how ours are signed.
fn is_foreign(at: &At<'_>) -> bool {
    match &at.node.value {
        Value::Map(map) => map
            .entries
            .iter()
            .any(|entry| matches!(entry.key.as_str(), "file" | "env" | "systemd_credential")),
        Value::Scalar(_) => true,
        _ => false,
    }
}

const SECRET_KEYS: Keys = Keys {
    known: &["current", "next"],
    aliases: &[("old", "current"), ("primary", "current"), ("new", "next"), ("secondary", "next")],
};

/// A secret, or two of them.
fn client_secret(at: &At<'_>) -> Read<ClientSecret> {
    let pair = at
        .map()
        .is_some_and(|map| map.entries.iter().any(|entry| SECRET_KEYS.known.contains(&entry.key.as_str())));
    if !pair {
        return Ok(ClientSecret { current: form::source(at, Kind::Secret)?, next: None });
    }
    let fields = at.fields(&SECRET_KEYS)?;
    let secret = |at: &At<'_>| form::source(at, Kind::Secret);
    let (current, next) = (fields.required("current", secret), fields.optional("next", secret));
    Ok(ClientSecret { current: current?, next: next? })
}

/// A word that may stand before credentials (RFC 9110 §11.1).
fn scheme(at: &At<'_>) -> Read<String> {
    let text = at.text()?;
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if text.is_empty() || !text.chars().all(token) {
        return Err(
            at.error_hint("this is not the name of a scheme", "write one word, such as `Basic` or `ID`")
        );
    }
    Ok(text)
}

const PAIR_KEYS: Keys = Keys {
    known: &["certificate", "private_key"],
    aliases: &[
        ("cert", "certificate"),
        ("crt", "certificate"),
        ("tls.crt", "certificate"),
        ("certificate_file", "certificate"),
        ("key", "private_key"),
        ("tls.key", "private_key"),
        ("key_file", "private_key"),
        ("password", "a key with a password is not read: decrypt it with `openssl pkey`"),
        ("passphrase", "a key with a password is not read: decrypt it with `openssl pkey`"),
    ],
};

/// A key, perhaps with its certificate.
pub(super) fn key_pair(at: &At<'_>) -> Read<KeyPairConfig> {
    let fields = at.fields(&PAIR_KEYS)?;
    let certificate = fields.optional("certificate", |at| pem(at, Kind::Plain, "CERTIFICATE"));
    let private_key = fields.required("private_key", |at| pem(at, Kind::Secret, "PRIVATE KEY"));
    Ok(KeyPairConfig { certificate: certificate?, private_key: private_key? })
}

/// A key with its certificate.
pub(crate) fn certified_pair(at: &At<'_>) -> Read<KeyPairConfig> {
    let pair = key_pair(at)?;
    if pair.certificate.is_none() {
        return Err(at.error_hint(
            "a certificate is needed beside the private key",
            "key_pair: { certificate: { file: … }, private_key: { file: … } }",
        ));
    }
    Ok(pair)
}

/// A PEM text in which a block of this label stands.
pub(super) fn pem(at: &At<'_>, kind: Kind, label: &str) -> Read<SecretSource> {
    let source = form::text_source(at, kind)?;
    let text = source.read_text().map_err(|error| at.error(error.0))?;
    let found = text.expose().lines().any(|line| line.trim_start().starts_with("-----BEGIN ") && line.contains(label))
        // A variable often holds it on one line, with `\n` for line breaks.
        || (text.expose().contains("\\n") && text.expose().contains(&format!("{label}-----")));
    if !found {
        return Err(at.error_hint(
            format!("{source} holds no PEM block with `{label}` in its first line"),
            "a PEM text begins with `-----BEGIN …-----`; convert DER or PKCS#12 with openssl",
        ));
    }
    Ok(source)
}

const DPOP_KEYS: Keys = Keys {
    known: &["private_key", "algorithm"],
    aliases: &[("key", "private_key"), ("alg", "algorithm"), ("key_pair", "private_key")],
};

/// `dpop: true`, or its key.
pub(super) fn dpop(at: &At<'_>) -> Read<Option<DpopConfig>> {
    if at.map().is_none() {
        return Ok(at.boolean()?.then(DpopConfig::default));
    }
    let fields = at.fields(&DPOP_KEYS)?;
    let private_key = fields.optional("private_key", |at| pem(at, Kind::Secret, "PRIVATE KEY"));
    let algorithm = fields.optional("algorithm", |at| {
        let algorithm = assertion::algorithm(at, assertion::Signer::Key)?;
        if fields.get("private_key").is_none() && algorithm != Algorithm::Es256 {
            return Err(at.error_hint(
                "a key that is made at start signs with ES256",
                "leave it out, or name the key: private_key: { file: key.pem }",
            ));
        }
        Ok(algorithm)
    });
    Ok(Some(DpopConfig { private_key: private_key?, algorithm: algorithm? }))
}
