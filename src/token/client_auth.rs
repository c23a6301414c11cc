//! How the client proves itself at the token endpoint (RFC 6749 §2.3, RFC 7523 §2.2, RFC 8705 §2).
//!
//! Invariant: exactly one proof is shown.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::error::FetchError;
use super::request::{Member, Occasion, read, unfit};
use super::{SecretSlot, client_assertion, form};
use crate::config::profile::{BasicEncoding, ClientAuthentication, ClientSecret, OAuth2};
use crate::secret::Secret;

/// Goes with Basic credentials that form-encoding changed; SAP's XSUAA decodes them only then.
pub const ENCODED_CREDENTIALS: &str = "x-cf-encoded-credentials";

/// RFC 7523 §2.2
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What shows who the client is.
#[derive(Debug, Default)]
pub struct ClientProof {
    /// The value of `Authorization`.
    pub authorization: Option<Secret>,
    /// Whether [`ENCODED_CREDENTIALS`] has to go with it.
    pub encoded: bool,
    /// Members of the body.
    pub members: Vec<Member>,
    /// What must not be shown if an answer echoes it.
    pub hidden: Vec<Secret>,
}

/// Makes the proof. Every source is read just now.
pub fn prove(oauth2: &OAuth2, occasion: &Occasion<'_>) -> Result<ClientProof, FetchError> {
    let client = &oauth2.client;
    let id = client.id.as_ref().map(|id| read(id, "client_id")).transpose()?;
    let named = |id: Option<Secret>| id.map(|id| ("client_id", id)).into_iter().collect::<Vec<Member>>();
    match &client.authentication {
        ClientAuthentication::RequestHeader { secret, encoding, scheme } => {
            let secret = of_slot(secret, occasion.slot)?;
            let basic = basic(needed(id.as_ref())?, &secret, *encoding);
            let value = basic.value.expose();
            let base64 = value.strip_prefix("Basic ").unwrap_or(value);
            let hidden = vec![secret, Secret::new(base64.to_owned())];
            let encoded = basic.encoded;
            let authorization = Some(Secret::new([scheme, " ", base64].concat()));
            Ok(ClientProof { authorization, encoded, members: Vec::new(), hidden })
        }
        ClientAuthentication::BodyParameter { secret } => {
            let secret = of_slot(secret, occasion.slot)?;
            let mut members = named(id);
            members.push(("client_secret", secret.clone()));
            Ok(ClientProof { members, hidden: vec![secret], ..ClientProof::default() })
        }
        ClientAuthentication::None | ClientAuthentication::Tls => {
            Ok(ClientProof { members: named(id), ..ClientProof::default() })
        }
        ClientAuthentication::Assertion(assertion) => {
            Ok(with_assertion(named(id), read(assertion, "client_assertion")?))
        }
        ClientAuthentication::SecretJwt { secret, jwt } => {
            let secret = of_slot(secret, occasion.slot)?;
            let jwt = client_assertion::with_secret(jwt, needed(id.as_ref())?, &secret, occasion)?;
            Ok(with_assertion(named(id), jwt))
        }
        ClientAuthentication::KeyJwt { jwt, .. } => {
            let jwt = client_assertion::with_key(jwt, needed(id.as_ref())?, occasion)?;
            Ok(with_assertion(named(id), jwt))
        }
    }
}

fn needed(id: Option<&Secret>) -> Result<&Secret, FetchError> {
    id.ok_or_else(|| unfit("client_id is missing".to_owned()))
}

/// A JWT that is the proof.
fn with_assertion(mut members: Vec<Member>, assertion: Secret) -> ClientProof {
    members.push(("client_assertion_type", Secret::new(ASSERTION_TYPE.to_owned())));
    members.push(("client_assertion", assertion.clone()));
    ClientProof { members, hidden: vec![assertion], ..ClientProof::default() }
}

fn of_slot(secret: &ClientSecret, slot: SecretSlot) -> Result<Secret, FetchError> {
    match (slot, &secret.next) {
        (SecretSlot::Next, Some(next)) => read(next, "client_secret.next"),
        _ => read(&secret.current, "client_secret"),
    }
}

/// An `Authorization: Basic` value.
#[derive(Clone, Debug)]
pub struct Basic {
    /// The header's whole value, `Basic …`.
    pub value: Secret,
    /// Whether form-encoding changed a byte, so that [`ENCODED_CREDENTIALS`] has to go with it.
    pub encoded: bool,
}

/// Builds Basic credentials of id and secret.
pub fn basic(id: &Secret, secret: &Secret, encoding: BasicEncoding) -> Basic {
    let prepare = |text: &Secret| {
        Zeroizing::new(match encoding {
            BasicEncoding::Form => form::encode(text.expose()),
            BasicEncoding::Raw => text.expose().to_owned(),
        })
    };
    let (ready_id, ready_secret) = (prepare(id), prepare(secret));
    let encoded = *ready_id != id.expose() || *ready_secret != secret.expose();
    let pair = Zeroizing::new([ready_id.as_str(), ":", ready_secret.as_str()].concat());
    let mut value = String::with_capacity("Basic ".len() + pair.len().div_ceil(3) * 4);
    value.push_str("Basic ");
    STANDARD.encode_string(pair.as_bytes(), &mut value);
    Basic { value: Secret::new(value), encoded }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    fn pair(basic: &Basic) -> String {
        let base64 = basic.value.expose().strip_prefix("Basic ").unwrap();
        String::from_utf8(STANDARD.decode(base64).unwrap()).unwrap()
    }

    #[test]
    fn plain_credentials_need_no_encoding_and_no_extra_header() {
        let basic = basic(&secret("acme"), &secret("s3cr-et_."), BasicEncoding::Form);
        assert_eq!(basic.value.expose(), "Basic YWNtZTpzM2NyLWV0Xy4=");
        assert!(!basic.encoded);
    }

    #[test]
    fn xsuaa_credentials_are_form_encoded_and_say_so() {
        let basic = basic(&secret("sb-app!t1|svc!b2"), &secret("a-b$c+d="), BasicEncoding::Form);
        assert_eq!(pair(&basic), "sb-app%21t1%7Csvc%21b2:a-b%24c%2Bd%3D");
        assert!(basic.encoded);
    }

    #[test]
    fn a_strict_server_reads_spaces_colons_and_percents_back() {
        let basic = basic(&secret("client"), &secret("s:e c+r%et"), BasicEncoding::Form);
        assert_eq!(pair(&basic), "client:s%3Ae+c%2Br%25et");
    }

    #[test]
    fn every_character_of_a_keyboard_survives() {
        let nasty = r#"~!@#$%^&*()_+{}|:"<>?`-=[]\;',./ äöü€"#;
        let basic = basic(&secret(nasty), &secret(nasty), BasicEncoding::Form);
        let pair = pair(&basic);
        let (id, secret) = pair.split_once(':').unwrap();
        assert_eq!((form::decode(id), form::decode(secret)), (nasty.to_owned(), nasty.to_owned()));
        assert_eq!(
            id,
            "%7E%21%40%23%24%25%5E%26*%28%29_%2B%7B%7D%7C%3A%22%3C%3E%3F%60-%3D%5B%5D%5C%3B%27%2C.%2F+\
             %C3%A4%C3%B6%C3%BC%E2%82%AC"
        );
    }

    #[test]
    fn raw_credentials_stay_as_they_are() {
        let basic = basic(&secret("sb!t1"), &secret("a$b+c d"), BasicEncoding::Raw);
        assert_eq!(pair(&basic), "sb!t1:a$b+c d");
        assert!(!basic.encoded);
    }

    proptest! {
        #[test]
        fn what_a_server_decodes_is_what_was_configured(id in any::<String>(), text in any::<String>()) {
            let basic = basic(&secret(&id), &secret(&text), BasicEncoding::Form);
            let pair = pair(&basic);
            let (left, right) = pair.split_once(':').unwrap();
            prop_assert_eq!(form::decode(left), id.as_str());
            prop_assert_eq!(form::decode(right), text.as_str());
            prop_assert_eq!(basic.encoded, left != id || right != text);
        }
    }
}
