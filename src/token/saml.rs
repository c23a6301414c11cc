//! A SAML 2.0 bearer assertion, signed (RFC 7522 §3; SAML Core, XML Signature).
//!
//! Invariant: the text is written in the form that exclusive canonicalization (XML-EXC-C14N) would give it, so what is
//! digested and signed is the very text that is sent: no XML library, and nothing that a parser could read in two ways.

mod bearer;

use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{self, SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub(super) use self::bearer::members;

const ASSERTION: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
const EXC_C14N: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";

/// Clocks of two machines may differ by this.
const SKEW: Duration = Duration::from_secs(60);

/// An assertion is used at once; SAP's own tool lets it live for ten minutes.
const LIFETIME: Duration = Duration::from_secs(600);

/// What an assertion says.
#[derive(Debug)]
pub(super) struct Statement<'a> {
    /// Who says it.
    pub(super) issuer: &'a str,
    /// Whom it speaks of.
    pub(super) user: &'a str,
    /// For whom it is meant.
    pub(super) audience: &'a str,
    /// Where it is shown: the token endpoint.
    pub(super) recipient: &'a str,
    /// Attributes: name and value.
    pub(super) attributes: &'a [(&'a str, &'a str)],
}

/// What signs an assertion.
pub(super) trait Signer {
    /// Why it could not.
    type Error;
    /// The name of the algorithm (XML Signature 1.1 §6.4).
    fn algorithm(&self) -> &'static str;
    /// The certificate of the key, as DER.
    fn certificate(&self) -> &[u8];
    /// Signs a text; for ECDSA, two numbers of equal length (RFC 4050).
    fn sign(&self, text: &[u8]) -> Result<Vec<u8>, Self::Error>;
}

/// Writes and signs an assertion.
pub(super) fn assertion<S: Signer>(
    statement: &Statement<'_>,
    now: SystemTime,
    id: &str,
    signer: &S,
) -> Result<String, S::Error> {
    let (before, after) = parts(statement, now, id);
    let digest = digest::digest(&SHA256, [before.as_str(), &after].concat().as_bytes());
    let digest = STANDARD.encode(digest.as_ref());
    // Alone it has to name its namespace; within the signature that is inherited.
    let signed = signed_info(&format!(" xmlns:ds=\"{DSIG}\""), id, &digest, signer.algorithm());
    let value = STANDARD.encode(signer.sign(signed.as_bytes())?);
    let info = signed_info("", id, &digest, signer.algorithm());
    let certificate = STANDARD.encode(signer.certificate());
    Ok(format!(
        "{before}<ds:Signature xmlns:ds=\"{DSIG}\">{info}<ds:SignatureValue>{value}</ds:SignatureValue><ds:KeyInfo>\
         <ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></ds:Signature>\
         {after}"
    ))
}

/// The assertion before and after the place of its signature, which is behind the issuer (SAML Core §2.3.3).
fn parts(statement: &Statement<'_>, now: SystemTime, id: &str) -> (String, String) {
    let time = |time: SystemTime| humantime::format_rfc3339_millis(time).to_string();
    let (issued, until) = (time(now), time(now + LIFETIME));
    let (issuer, user) = (text(statement.issuer), text(statement.user));
    let (audience, recipient) = (text(statement.audience), attribute(statement.recipient));
    let before = format!(
        "<saml2:Assertion xmlns:saml2=\"{ASSERTION}\" ID=\"{id}\" IssueInstant=\"{issued}\" Version=\"2.0\">\
         <saml2:Issuer>{issuer}</saml2:Issuer>",
        id = attribute(id),
    );
    let mut after = format!(
        "<saml2:Subject><saml2:NameID Format=\"urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified\">{user}\
         </saml2:NameID><saml2:SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\">\
         <saml2:SubjectConfirmationData NotOnOrAfter=\"{until}\" Recipient=\"{recipient}\">\
         </saml2:SubjectConfirmationData></saml2:SubjectConfirmation></saml2:Subject>\
         <saml2:Conditions NotBefore=\"{from}\" NotOnOrAfter=\"{until}\"><saml2:AudienceRestriction>\
         <saml2:Audience>{audience}</saml2:Audience></saml2:AudienceRestriction></saml2:Conditions>\
         <saml2:AuthnStatement AuthnInstant=\"{issued}\" SessionIndex=\"{session}\"><saml2:AuthnContext>\
         <saml2:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport\
         </saml2:AuthnContextClassRef></saml2:AuthnContext></saml2:AuthnStatement>",
        from = time(now - SKEW),
        session = attribute(id),
    );
    if !statement.attributes.is_empty() {
        after.push_str("<saml2:AttributeStatement>");
        for (name, value) in statement.attributes {
            after.push_str(&format!(
                "<saml2:Attribute Name=\"{}\"><saml2:AttributeValue xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" \
                 xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"xs:string\">{}\
                 </saml2:AttributeValue></saml2:Attribute>",
                attribute(name),
                text(value),
            ));
        }
        after.push_str("</saml2:AttributeStatement>");
    }
    after.push_str("</saml2:Assertion>");
    (before, after)
}

/// What is signed: by which rules the assertion was digested, and its digest. `xs` is named because only a value uses it.
fn signed_info(namespace: &str, id: &str, digest: &str, algorithm: &str) -> String {
    format!(
        "<ds:SignedInfo{namespace}><ds:CanonicalizationMethod Algorithm=\"{EXC_C14N}\"></ds:CanonicalizationMethod>\
         <ds:SignatureMethod Algorithm=\"{algorithm}\"></ds:SignatureMethod><ds:Reference URI=\"#{id}\">\
         <ds:Transforms><ds:Transform Algorithm=\"{DSIG}enveloped-signature\"></ds:Transform>\
         <ds:Transform Algorithm=\"{EXC_C14N}\"><ec:InclusiveNamespaces xmlns:ec=\"{EXC_C14N}\" PrefixList=\"xs\">\
         </ec:InclusiveNamespaces></ds:Transform></ds:Transforms>\
         <ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"></ds:DigestMethod>\
         <ds:DigestValue>{digest}</ds:DigestValue></ds:Reference></ds:SignedInfo>",
        id = attribute(id),
    )
}

/// A text in canonical form (XML-C14N §1.3).
fn text(raw: &str) -> String {
    raw.chars().fold(String::with_capacity(raw.len()), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#xD;"),
            // XML 1.0 has no way to write these.
            c if (c.is_control() && !matches!(c, '\t' | '\n')) || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                out.push('\u{fffd}');
            }
            c => out.push(c),
        }
        out
    })
}

/// The value of an attribute in canonical form.
fn attribute(raw: &str) -> String {
    text(raw)
        .chars()
        .fold(String::with_capacity(raw.len()), |mut out, c| {
            match c {
                '"' => out.push_str("&quot;"),
                '\t' => out.push_str("&#x9;"),
                '\n' => out.push_str("&#xA;"),
                c => out.push(c),
            }
            out
        })
        // In an attribute `>` stands as it is.
        .replace("&gt;", ">")
}

#[cfg(test)]
mod tests;
