//! Looks into a JWT without verifying it: for `exp`, and to show an operator what the token says of itself.
//!
//! The token is for the upstream, which alone can verify it; nothing here decides whether a token is good.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// The claims of a JWT (JWS compact form, RFC 7515 §3.1), unverified; nothing if the token is not one.
pub fn claims(token: &str) -> Option<Map<String, Value>> {
    let mut parts = token.split('.');
    let (header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    object(header)?;
    object(payload)
}

fn object(part: &str) -> Option<Map<String, Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// A JWT with these claims and a signature that nobody checks.
    pub(crate) fn jwt(claims: &Value) -> String {
        let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
        format!("{}.{}.c2ln", part(r#"{"alg":"RS256"}"#), part(&claims.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_the_claims_of_a_jwt() {
        let token = testing::jwt(&json!({"exp": 1_800_000_000, "sub": "acme"}));
        assert_eq!(claims(&token).unwrap()["sub"], "acme");
    }

    #[test]
    fn an_opaque_token_has_no_claims() {
        for token in ["", "abc", "a.b.c", "a.b.c.d", "eyJ9.eyJ9.x", "e30.W10.x", "e30.e30.x.y"] {
            assert!(claims(token).is_none(), "{token}");
        }
        assert!(claims("e30.e30.x").unwrap().is_empty());
    }
}
