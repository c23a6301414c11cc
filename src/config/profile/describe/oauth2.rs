//! What a token request is made of, described.

use serde_json::{Map, Value};

use super::Out;
use crate::config::headers::looks_secret;
use crate::config::profile::{
    ActorToken, AssertionConfig, AuthorizationCode, BasicEncoding, ClientAuthentication, ClientConfig,
    ClientSecret, ContentType, CustomParameter, DpopConfig, Grant, GrantTypePlace, JwtOptions, OAuth2,
    ParameterPlace, RefreshToken, RequestConfig, RequestMethod, SamlAssertion, Scope, SubjectToken,
    TargetSystem, Thumbprint, TokenEndpoint, TokenExchange, UserId,
};

impl Out<'_> {
    pub(super) fn oauth2(&mut self, oauth2: &OAuth2) {
        let OAuth2 { endpoint, client, grant, request, dpop } = oauth2;
        match endpoint {
            TokenEndpoint::Url(url) => self.url("token_service_url", url),
            TokenEndpoint::Issuer(issuer) => self.url("issuer", issuer),
        }
        self.client(client);
        self.grant(grant);
        self.request(request);
        if let Some(DpopConfig { private_key, algorithm }) = dpop {
            match private_key {
                Some(key) => self.secret("dpop.private_key", key),
                None => self.word("dpop", "true"),
            }
            if let Some(algorithm) = algorithm {
                self.word("dpop.algorithm", algorithm.as_str());
            }
        }
    }

    fn client(&mut self, client: &ClientConfig) {
        let ClientConfig { id, authentication } = client;
        if let Some(id) = id {
            self.plain("client_id", id);
        }
        self.word("client_authentication", authentication.as_str());
        match authentication {
            ClientAuthentication::RequestHeader { secret, encoding, scheme } => {
                self.client_secret(secret);
                let encoding = match encoding {
                    BasicEncoding::Form => "form",
                    BasicEncoding::Raw => "raw",
                };
                self.word("basic_encoding", encoding);
                self.word("authentication_scheme", scheme);
            }
            ClientAuthentication::BodyParameter { secret } => self.client_secret(secret),
            ClientAuthentication::None | ClientAuthentication::Tls => {}
            ClientAuthentication::SecretJwt { secret, jwt } => {
                self.client_secret(secret);
                self.jwt("client_assertion", jwt);
            }
            ClientAuthentication::KeyJwt { key, jwt } => {
                self.key_pair(key);
                self.jwt("client_assertion", jwt);
            }
            ClientAuthentication::Assertion(assertion) => self.secret("client_assertion", assertion),
        }
    }

    fn client_secret(&mut self, secret: &ClientSecret) {
        let ClientSecret { current, next } = secret;
        match next {
            None => self.secret("client_secret", current),
            Some(next) => {
                self.secret("client_secret.current", current);
                self.secret("client_secret.next", next);
            }
        }
    }

    fn jwt(&mut self, path: &str, jwt: &JwtOptions) {
        let JwtOptions { algorithm, key_id, thumbprint, audience, lifetime } = jwt;
        if let Some(audience) = audience {
            self.plain(&format!("{path}.audience"), audience);
        }
        if let Some(algorithm) = algorithm {
            self.word(&format!("{path}.algorithm"), algorithm.as_str());
        }
        if let Some(key_id) = key_id {
            self.plain(&format!("{path}.key_id"), key_id);
        }
        let thumbprint = match thumbprint {
            Thumbprint::None => "none",
            Thumbprint::X5t => "x5t",
            Thumbprint::X5tS256 => "x5t#S256",
            Thumbprint::Both => "both",
        };
        self.word(&format!("{path}.thumbprint"), thumbprint);
        self.duration(&format!("{path}.lifetime"), *lifetime);
    }

    pub(super) fn assertion(&mut self, assertion: &AssertionConfig) {
        let AssertionConfig { key, issuer, subject, scope, claims, jwt } = assertion;
        self.key_pair(key);
        for (claim, source) in [("issuer", issuer), ("subject", subject)] {
            if let Some(source) = source {
                self.plain(&format!("assertion.{claim}"), source);
            }
        }
        if let Some(scope) = scope {
            self.plain("assertion.scope", scope);
        }
        self.object("assertion.claims", claims);
        self.jwt("assertion", jwt);
    }

    fn grant(&mut self, grant: &Grant) {
        match grant {
            Grant::ClientCredentials | Grant::Custom(_) => self.text("grant_type", grant.grant_type()),
            Grant::Password { username, password } => {
                self.plain("username", username);
                self.secret("password", password);
            }
            Grant::RefreshToken(RefreshToken { token, state_file }) => {
                self.secret("refresh_token", token);
                if let Some(path) = state_file {
                    self.push("state_file", path.display().to_string());
                }
            }
            Grant::AuthorizationCode(AuthorizationCode { authorization_url, state_file, redirect_port }) => {
                if let Some(url) = authorization_url {
                    self.url("authorization_url", url);
                }
                self.push("state_file", state_file.display().to_string());
                self.push("redirect_port", redirect_port.to_string());
            }
            Grant::JwtBearer(assertion) => self.assertion(assertion),
            Grant::SamlBearer(saml) => self.saml(saml),
            Grant::TokenExchange(exchange) => self.exchange(exchange),
        }
    }

    fn saml(&mut self, saml: &SamlAssertion) {
        let SamlAssertion { target, key, audience, issuer, user, company_id } = saml;
        let target = match target {
            TargetSystem::SuccessFactors => "successfactors",
            TargetSystem::BtpNeo => "btp_neo",
            TargetSystem::BtpCf => "btp_cf",
        };
        self.word("target_system_type", target);
        self.plain("audience", audience);
        if let Some(issuer) = issuer {
            self.plain("assertion.issuer", issuer);
        }
        match user {
            UserId::KeyPairCommonName => self.word("user_id", "(the key pair's common name)"),
            UserId::Fixed(user) => self.plain("user_id", user),
        }
        if let Some(company) = company_id {
            self.plain("company_id", company);
        }
        self.key_pair(key);
    }

    fn exchange(&mut self, exchange: &TokenExchange) {
        let TokenExchange { subject, subject_type, actor, requested_type } = exchange;
        match subject {
            SubjectToken::Source(source) => self.secret("subject_token", source),
            SubjectToken::Header(name) => self.push("subject_token.header", name.to_string()),
        }
        self.text("subject_token_type", subject_type);
        if let Some(ActorToken { token, kind }) = actor {
            self.secret("actor_token", token);
            self.text("actor_token_type", kind);
        }
        if let Some(kind) = requested_type {
            self.text("requested_token_type", kind);
        }
    }

    fn request(&mut self, request: &RequestConfig) {
        let RequestConfig {
            method,
            grant_type_in,
            content_type,
            scope,
            resource,
            audience,
            custom_parameters,
        } = request;
        let method = match method {
            RequestMethod::Post => "post",
            RequestMethod::Get => "get",
        };
        let place = match grant_type_in {
            GrantTypePlace::Body => "body",
            GrantTypePlace::Url => "url",
        };
        let content_type = match content_type {
            ContentType::Form => "application/x-www-form-urlencoded",
            ContentType::Json => "application/json",
        };
        for (key, word) in [("method", method), ("grant_type_in", place), ("content_type", content_type)] {
            self.word(key, word);
        }
        match scope {
            Some(Scope::Text(source)) => self.plain("scope", source),
            Some(Scope::Object(object)) => self.object("scope", object),
            None => {}
        }
        for (key, source) in [("resource", resource), ("audience", audience)] {
            if let Some(source) = source {
                self.plain(key, source);
            }
        }
        custom_parameters.iter().for_each(|parameter| self.parameter(parameter));
    }

    fn parameter(&mut self, parameter: &CustomParameter) {
        let CustomParameter { place, key, values } = parameter;
        let place = match place {
            ParameterPlace::Body => "body",
            ParameterPlace::Header => "header",
            ParameterPlace::Url => "url",
        };
        let path = format!("custom_parameters.{place}.{key}");
        for (index, value) in values.iter().enumerate() {
            let path = if values.len() == 1 { path.clone() } else { format!("{path}.{index}") };
            if looks_secret(key) { self.secret(&path, value) } else { self.plain(&path, value) }
        }
    }

    /// A JSON object, a line each member.
    fn object(&mut self, path: &str, object: &Map<String, Value>) {
        for (key, value) in object {
            let path = format!("{path}.{key}");
            match value {
                Value::Object(members) => self.object(&path, members),
                Value::String(text) if !looks_secret(key) => self.text(&path, text),
                Value::String(_) => self.word(&path, super::HIDDEN),
                // A variable may have brought an item.
                Value::Array(items) => self.push(&path, format!("[{} items]", items.len())),
                other => {
                    let text = other.to_string();
                    self.text(&path, &text);
                }
            }
        }
    }
}
