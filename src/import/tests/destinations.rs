//! Destinations of SAP BTP.

use super::*;

#[test]
fn a_destination_becomes_a_profile_and_a_route() {
    let imported = ok(
        Kind::Destination,
        &json!({ "owner": {}, "authTokens": [{ "value": MARK }], "destinationConfiguration": {
            "Name": "crm", "Type": "HTTP", "URL": "https://crm.example/api?x=1", "ProxyType": "Internet",
            "Authentication": "OAuth2ClientCredentials", "clientId": "sb-x!t1|y", "clientSecret": MARK,
            "tokenServiceURL": "https://{tenant}.auth.example/oauth/token", "tokenServiceURLType": "Common",
            "tokenService.addClientCredentialsInBody": "false", "scope": "a b", "tokenService.body.resource": "r",
            "tokenServiceURL.headers.X-B": "1", "tokenServiceURL.queries.q": "2", "URL.headers.X-App": "{a} ${b}",
            "URL.headers.X-Api-Key": MARK, "URL.headers.Host": "h", "URL.headers.authorization": MARK, "sap-client": "100",
            "URL.queries.format": "json", "HTML5.DynamicDestination": "true", "foo": MARK
        } }),
    );
    assert!(
        !imported.yaml.contains(MARK) && !imported.warnings.join(" ").contains(MARK),
        "{}",
        imported.yaml
    );
    let config = loaded(&imported).config;
    let (profile, route) = (&config.profiles[0], &config.routes[0]);
    assert_eq!(token_url(profile), "https://filled.auth.example/oauth/token");
    assert_eq!(way(profile), "request_header");
    assert!(matches!(&request(profile).scope, Some(Scope::Text(scope)) if text(scope) == "a b"));
    let rows: Vec<_> =
        request(profile).custom_parameters.iter().map(|row| (row.place, row.key.as_str())).collect();
    assert_eq!(
        rows,
        [(ParameterPlace::Body, "resource"), (ParameterPlace::Header, "X-B"), (ParameterPlace::Url, "q")]
    );
    assert_eq!(route.upstream.to_string(), "https://crm.example/api");
    let headers: Vec<_> = route.headers.iter().map(|header| header.name.as_str()).collect();
    assert_eq!(headers, ["x-api-key", "x-app", "sap-client", "authorization"]);
    let said = imported.warnings.join("\n");
    for part in ["`Host`", "`authorization`", "URL.queries", "the query of its URL", "no counterpart: foo"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_resource_with_a_fragment_becomes_a_variable() {
    let json = destination("OAuth2ClientCredentials", json!({ "clientSecret": MARK, "resource": "urn:a#b" }));
    let imported = ok(Kind::Destination, &json);
    assert!(imported.yaml.contains("resource: { env: D_RESOURCE }"), "{}", imported.yaml);
    assert!(imported.warnings.iter().any(|warning| warning.contains("fragment")), "{:?}", imported.warnings);
    loaded(&imported);
}

#[test]
fn braces_in_the_url_of_a_destination_would_be_a_template() {
    for url in ["https://d.example/a{{X-Y}}", "https://d.example/{token.x}", "https://d.example/a}"] {
        let said = errors(Kind::Destination, &destination("NoAuthentication", json!({ "URL": url })));
        assert!(said.contains("its URL"), "{url}: {said}");
    }
}

#[test]
fn every_authentication_has_a_counterpart_or_a_reason() {
    for (authentication, more, parts) in [
        ("NoAuthentication", json!({}), &["upstream: https://d.example"][..]),
        (
            "BasicAuthentication",
            json!({ "User": "u", "Password": MARK }),
            &["type: user_credentials", "user: u", "password: { env: D_PASSWORD }", "profile: d"],
        ),
        (
            "ClientCertificateAuthentication",
            json!({ "KeyStoreLocation": "k.p12", "KeyStorePassword": MARK }),
            &["client_certificate: { certificate: { file: d.crt }, private_key: { file: d.key } }"],
        ),
        (
            "OAuth2ClientCredentials",
            json!({ "tokenServiceURL": format!("https://t.example/token?auth={MARK}&sid={MARK}&credential={MARK}") }),
            &[
                "token_service_url: https://t.example/token\n",
                "auth: { env: ",
                "sid: { env: ",
                "credential: { env: ",
            ],
        ),
        (
            "OAuth2Password",
            json!({ "User": "u", "Password": MARK }),
            &["type: oauth2_password", "username: u", "client_authentication: body_parameter"],
        ),
        (
            "OAuth2RefreshToken",
            json!({}),
            &["type: oauth2_refresh_token", "refresh_token: { env: D_REFRESH_TOKEN }"],
        ),
        (
            "OAuth2AuthorizationCode",
            json!({}),
            &["type: oauth2_authorization_code", "'${D_AUTHORIZATION_URL}'"],
        ),
        (
            "OAuth2SAMLBearerAssertion",
            json!({ "clientKey": "k", "companyId": "C", "SystemUser": "u", "audience": "w" }),
            &[
                "type: oauth2_saml_bearer_assertion",
                "target_system_type: successfactors",
                "client_id: k",
                "company_id: C",
                "user_id: u",
                "audience: w",
                "key_pair: { certificate: { file: d.crt }, private_key: { file: d.key } }",
            ],
        ),
        (
            "OAuth2SAMLBearerAssertion",
            json!({
                "clientKey": "k", "tokenServiceURL": "https://a.authentication.eu10.hana.ondemand.com/oauth/token",
                "tokenServiceUser": "u", "tokenServicePassword": MARK
            }),
            &["target_system_type: btp_cf", "client_id: u", "client_secret: { env: D_CLIENT_SECRET }"],
        ),
        (
            "OAuth2TokenExchange",
            json!({}),
            &["type: oauth2_token_exchange", "subject_token:\n      header: Authorization"],
        ),
        (
            "OAuth2ClientCredentials",
            json!({ "tokenService.KeyStoreLocation": "k.p12" }),
            &["client_authentication: tls_client_auth", "openssl pkcs12", "key_pair: {"],
        ),
        (
            "OAuth2ClientCredentials",
            json!({ "clientAssertion.destinationName": "other" }),
            &["client_authentication: client_assertion", "client_assertion: { file: d.jwt }"],
        ),
        (
            "OAuth2ClientCredentials",
            json!({ "tokenServiceUser": "u", "tokenServicePassword": MARK }),
            &["client_id: u", "client_authentication: request_header"],
        ),
    ] {
        let imported = ok(Kind::Destination, &destination(authentication, more));
        for part in parts {
            assert!(imported.yaml.contains(part), "{authentication}: {part}\n{}", imported.yaml);
        }
        assert!(!imported.yaml.contains(MARK), "{}", imported.yaml);
        loaded(&imported);
    }
    for (authentication, part) in [
        ("PrincipalPropagation", "Cloud Connector"),
        ("OAuth2TechnicalUserPropagation", "technical user"),
        ("SAMLAssertion", "oauth2_saml_bearer_assertion"),
        ("OAuth2JWTBearer", "oauth2_token_exchange"),
        ("OAuth2UserTokenExchange", "oauth2_token_exchange"),
        ("Kerberos", "there is no such type here"),
    ] {
        let said = errors(Kind::Destination, &destination(authentication, json!({})));
        assert!(said.contains(part) && said.contains(authentication), "{authentication}: {said}");
    }
}

#[test]
fn what_a_destination_says_is_what_the_profile_does() {
    let profile = |authentication, more| only(&ok(Kind::Destination, &destination(authentication, more)));
    let grant = |profile: ProfileConfig| oauth2_of(&profile).grant.clone();

    let basic = profile("BasicAuthentication", json!({ "User": "u" }));
    assert!(matches!(&basic.kind, ProfileKind::UserCredentials { user, .. } if text(user) == "u"));
    let password = grant(profile("OAuth2Password", json!({ "User": "u" })));
    assert!(matches!(password, Grant::Password { username, .. } if text(&username) == "u"));
    let Grant::RefreshToken(refresh) = grant(profile("OAuth2RefreshToken", json!({}))) else { panic!() };
    assert!(refresh.state_file.unwrap().ends_with("d.state") && text(&refresh.token) == "filled");
    let Grant::AuthorizationCode(code) = grant(profile("OAuth2AuthorizationCode", json!({}))) else {
        panic!()
    };
    assert_eq!(text(&code.authorization_url.unwrap()), "https://filled.example/in");
    let Grant::TokenExchange(exchange) = grant(profile("OAuth2TokenExchange", json!({}))) else { panic!() };
    assert!(matches!(exchange.subject, SubjectToken::Header(name) if name == "authorization"));

    let saml = profile(
        "OAuth2SAMLBearerAssertion",
        json!({ "clientKey": "k", "companyId": "C", "SystemUser": "u", "audience": "w" }),
    );
    assert_eq!((client_id(&saml).as_str(), way(&saml)), ("k", "none"));
    let Grant::SamlBearer(assertion) = grant(saml) else { panic!() };
    assert_eq!((assertion.target, text(&assertion.audience).as_str()), (TargetSystem::SuccessFactors, "w"));
    assert!(matches!(assertion.user, UserId::Fixed(user) if text(&user) == "u"));
    assert_eq!(text(&assertion.company_id.unwrap()), "C");
    let bare =
        profile("OAuth2SAMLBearerAssertion", json!({ "tokenServiceURL": "https://x.successfactors.com/t" }));
    assert!(
        matches!(grant(bare), Grant::SamlBearer(assertion) if matches!(assertion.user, UserId::KeyPairCommonName))
    );

    let mutual = profile("OAuth2ClientCredentials", json!({ "tokenService.KeyStoreLocation": "k.p12" }));
    assert_eq!((way(&mutual), mutual.transport.key_pair.is_some()), ("tls_client_auth", true));
    let foreign = profile("OAuth2ClientCredentials", json!({ "clientAssertion.destinationName": "other" }));
    assert_eq!(way(&foreign), "client_assertion");
}

#[test]
fn one_destination_without_counterpart_does_not_stop_the_others() {
    let imported = ok(
        Kind::Destination,
        &json!([
            destination("PrincipalPropagation", json!({ "Name": "pp" })),
            destination("OAuth2ClientCredentials", json!({})),
            destination("OAuth2ClientCredentials", json!({ "Name": "on", "ProxyType": "OnPremise" })),
            destination("NoAuthentication", json!({ "Name": "rfc", "Type": "RFC" })),
        ]),
    );
    let config = loaded(&imported).config;
    assert_eq!((config.profiles.len(), config.routes.len()), (2, 1));
    assert_eq!(imported.warnings.len(), 3, "{:?}", imported.warnings);
}
