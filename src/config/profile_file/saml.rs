//! CPI's "OAuth2 SAML Bearer Assertion" artifact as written.

use super::super::form::{self, Kind};
use super::super::profile::{SamlAssertion, TargetSystem, UserId};
use super::super::reader::{Fields, Read, fold_value};
use super::client;

/// Reads what the assertion says.
pub(super) fn saml(fields: &Fields<'_>) -> Read<SamlAssertion> {
    let target = fields.required("target_system_type", |at| {
        at.choice(
            &[
                ("successfactors", TargetSystem::SuccessFactors),
                ("btp_neo", TargetSystem::BtpNeo),
                ("SAP BTP (Neo)", TargetSystem::BtpNeo),
                ("btp_cf", TargetSystem::BtpCf),
                ("SAP BTP (CF)", TargetSystem::BtpCf),
            ],
            "`successfactors`, `btp_neo` or `btp_cf`",
        )
    });
    let key = fields.required("key_pair", client::certified_pair);
    let audience = fields.required("audience", |at| form::source(at, Kind::Plain));
    let company_id = fields.optional("company_id", |at| form::source(at, Kind::Plain));
    let user = fields.or("user_id", UserId::KeyPairCommonName, |at| {
        let text = if at.map().is_some() { None } else { Some(fold_value(&at.text()?)) };
        match text.as_deref() {
            Some("keypaircommonname" | "keypaircommonname(cn)" | "cn") => Ok(UserId::KeyPairCommonName),
            Some("principalpropagation") => Err(at.error_hint(
                "there is no principal to propagate: sidepass knows no users",
                "name the technical user, or leave `user_id` out for the key pair's common name",
            )),
            _ => Ok(UserId::Fixed(form::source(at, Kind::Plain)?)),
        }
    });
    // CPI "Client Key"; the other services know it as the user of the token service.
    let client = fields.required("client_id", |at| form::source(at, Kind::Plain));
    let target = target?;
    client?;
    if let (TargetSystem::SuccessFactors, Ok(None)) = (target, &company_id) {
        let at = &fields.at;
        return Err(at.key_error("`company_id` is missing", Some("SuccessFactors wants it".to_owned())));
    }
    Ok(SamlAssertion {
        target,
        key: key?,
        audience: audience?,
        issuer: None,
        user: user?,
        company_id: company_id?,
    })
}
