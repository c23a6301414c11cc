//! The SAML bearer grant (RFC 7522 §2.1) in the three shapes that CPI knows: SuccessFactors, SAP BTP (Neo), SAP BTP (CF).

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::{Signer, Statement, assertion};
use crate::config::profile::{Algorithm, SamlAssertion, TargetSystem, UserId};
use crate::secret::Secret;
use crate::token::error::{FetchError, FetchErrorCode};
use crate::token::keys::KeyPair;
use crate::token::request::{Member, Occasion, read, unfit};
use crate::token::sign::{self, KeyError, SigningKey};

/// The members of the body that belong to the grant. Every source is read just now.
pub(in crate::token) fn members(
    config: &SamlAssertion,
    client_id: Option<&Secret>,
    occasion: &Occasion<'_>,
) -> Result<Vec<Member>, FetchError> {
    let pair = occasion.keys.current(occasion.now.wall())?;
    let signer = XmlSigner::new(&pair)?;
    let audience = read(&config.audience, "audience")?;
    let company = config.company_id.as_ref().map(|company| read(company, "company_id")).transpose()?;
    let common_name = || {
        let name = pair.leaf().and_then(|leaf| leaf.common_name.clone());
        name.ok_or_else(|| unfit("key_pair: the certificate has no common name; set user_id".to_owned()))
    };
    let user = match &config.user {
        UserId::Fixed(user) => read(user, "user_id")?.expose().to_owned(),
        UserId::KeyPairCommonName => common_name()?,
    };
    let issuer = match (&config.issuer, config.target, client_id) {
        (Some(issuer), ..) => read(issuer, "issuer")?.expose().to_owned(),
        // Any name will do: the client is known by its key.
        (None, TargetSystem::SuccessFactors, Some(id)) => id.expose().to_owned(),
        (None, ..) => common_name()?,
    };
    let url = occasion.endpoint.url.expose();
    let api_key = client_id.map(|id| ("api_key", id.expose()));
    let attributes: Vec<_> = match config.target {
        TargetSystem::SuccessFactors => api_key.into_iter().collect(),
        TargetSystem::BtpNeo | TargetSystem::BtpCf => Vec::new(),
    };
    let statement = Statement {
        issuer: &issuer,
        user: &user,
        audience: audience.expose(),
        // Without the query, which may hold a secret.
        recipient: url.split('?').next().unwrap_or(url),
        attributes: &attributes,
    };
    // An XML ID does not begin with a digit.
    let id = format!("_{}", sign::fresh_id().map_err(refused)?);
    let xml = assertion(&statement, occasion.now.wall(), &id, &signer).map_err(refused)?;
    Ok(shown(config.target, company, &xml))
}

/// SuccessFactors wants plain Base64, and a new token rather than the rest of an old one (SAP KBA 2872019); the others
/// what RFC 7522 §2.1 says.
fn shown(target: TargetSystem, company: Option<Secret>, xml: &str) -> Vec<Member> {
    let mut members: Vec<Member> = company.into_iter().map(|company| ("company_id", company)).collect();
    match target {
        TargetSystem::SuccessFactors => {
            members.push(("assertion", Secret::new(STANDARD.encode(xml))));
            members.push(("new_token", Secret::new("true".to_owned())));
        }
        TargetSystem::BtpNeo | TargetSystem::BtpCf => {
            members.push(("assertion", Secret::new(URL_SAFE_NO_PAD.encode(xml))));
        }
    }
    members
}

fn refused(error: KeyError) -> FetchError {
    FetchError::new(FetchErrorCode::RequestInvalid, format!("key_pair: {error}"))
}

/// A key that signs XML, and its certificate.
struct XmlSigner<'a> {
    key: SigningKey,
    algorithm: &'static str,
    certificate: &'a [u8],
}

impl<'a> XmlSigner<'a> {
    fn new(pair: &'a KeyPair) -> Result<Self, FetchError> {
        let key = pair.signing_key(None).map_err(refused)?;
        let algorithm = match key.algorithm() {
            Algorithm::Rs256 => "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
            Algorithm::Es256 => "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
            Algorithm::Es384 => "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384",
            Algorithm::Es512 => "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512",
            other => {
                let name = other.as_str();
                return Err(unfit(format!(
                    "key_pair: a SAML assertion is signed with RSA or ECDSA, not {name}"
                )));
            }
        };
        let leaf = pair.leaf().ok_or_else(|| unfit("key_pair: the certificate is missing".to_owned()))?;
        Ok(Self { key, algorithm, certificate: leaf.der() })
    }
}

impl Signer for XmlSigner<'_> {
    type Error = KeyError;

    fn algorithm(&self) -> &'static str {
        self.algorithm
    }

    fn certificate(&self) -> &[u8] {
        self.certificate
    }

    fn sign(&self, text: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.key.sign(text)
    }
}

#[cfg(test)]
mod tests;
