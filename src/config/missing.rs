//! How a key that is missing is written, for whoever meets it for the first time.

/// What to write for a key that must be there.
pub(crate) fn hint(key: &str) -> Option<String> {
    let text = match key {
        "token_service_url" => {
            "write the token endpoint, https://…; or `issuer`, `preset`, `service_key` or `from_binding`"
        }
        "client_id" | "username" | "password" | "refresh_token" | "user" => {
            return Some(format!("write {key}: {{ env: NAME }} or {{ file: path }}"));
        }
        "client_secret" => {
            "write client_secret: { env: NAME } or { file: path }; a client without one says so by `client_authentication`: \
             none, private_key_jwt, tls_client_auth"
        }
        "key_pair" => {
            "write key_pair: { certificate: { file: client.crt }, private_key: { file: client.key } }"
        }
        "subject_token" => "write { file: path }, or { header: Authorization } for the token of each caller",
        "audience" => "write whom the assertion is for, as in audience: www.successfactors.com",
        "target_system_type" => "write `successfactors`, `btp_neo` or `btp_cf`",
        "authorization_url" => "write the page where a person consents; or `issuer`, which knows it",
        "state_file" => "write where the newest refresh token is kept, as in state_file: crm.state.json",
        "assertion" => "write what the JWT says: assertion: { issuer: …, subject: … }",
        "upstream" => "write where requests go: upstream: https://api.example.com",
        _ => return None,
    };
    Some(text.to_owned())
}
