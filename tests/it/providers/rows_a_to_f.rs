use serde_json::json;

use super::providers;
use super::row::{Ask, Row, ask, expect_jwt, row};
use crate::support::reply::Reply;
use crate::support::server::Seen;

const ENTRA: &str = "POST /contoso.onmicrosoft.com/oauth2/v2.0/token";

/// The shape of RFC 6749, for an hour.
pub(super) fn plain(ask: Ask, token: &str) -> Ask {
    ask.gets(json!({"access_token": token, "token_type": "Bearer", "expires_in": 3600}))
}

pub(super) fn json_of(seen: &Seen) -> serde_json::Value {
    serde_json::from_slice(&seen.body).unwrap()
}

fn entra() -> Row {
    let body: &[_] = &[
        ("grant_type", "client_credentials"),
        ("client_id", "the-ENTRA_CLIENT_ID"),
        ("client_secret", "the-ENTRA_CLIENT_SECRET"),
        ("scope", "https://graph.microsoft.com/.default"),
    ];
    let answer =
        json!({"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": "ey.E.2"});
    row("entra.yaml")
        .asks(ask(ENTRA).form(body).without(&["authorization"]).gets(answer))
        .sends("authorization", "Bearer ey.E.2")
        .lives("59m 59s", "expires_in")
}

fn entra_certificate() -> Row {
    let check = |seen: &Seen| {
        let body: std::collections::BTreeMap<_, _> =
            crate::support::message::form_pairs(&seen.body).into_iter().collect();
        let keys: Vec<&str> = body.keys().map(String::as_str).collect();
        assert_eq!(keys, ["client_assertion", "client_assertion_type", "client_id", "grant_type", "scope"]);
        assert_eq!(body["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        let audience =
            format!("http://{}/contoso.onmicrosoft.com/oauth2/v2.0/token", seen.header("host").unwrap());
        let head = body["client_assertion"].split('.').next().unwrap();
        let head: serde_json::Value = serde_json::from_slice(
            &base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, head).unwrap(),
        )
        .unwrap();
        let thumbprint = head["x5t#S256"].as_str().unwrap();
        assert_eq!(thumbprint.len(), 43, "{thumbprint}");
        expect_jwt(
            &body["client_assertion"],
            &json!({"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint}),
            &json!({"iss": "the-ENTRA_CLIENT_ID", "sub": "the-ENTRA_CLIENT_ID", "aud": audience}),
            600,
        );
    };
    row("entra-certificate.yaml")
        .asks(plain(ask(ENTRA).check(check), "ey.E.c"))
        .sends("authorization", "Bearer ey.E.c")
}

fn entra_federated() -> Row {
    let body: &[_] = &[
        ("grant_type", "client_credentials"),
        ("client_id", "the-ENTRA_CLIENT_ID"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", "their.own.jwt"),
        ("scope", "https://graph.microsoft.com/.default"),
    ];
    row("entra-federated.yaml")
        .asks(plain(ask(ENTRA).form(body), "ey.E.f"))
        .sends("authorization", "Bearer ey.E.f")
}

fn entra_v1() -> Row {
    let body: &[_] = &[
        ("grant_type", "client_credentials"),
        ("client_id", "the-ENTRA_CLIENT_ID"),
        ("client_secret", "the-ENTRA_CLIENT_SECRET"),
        ("resource", "https://service.contoso.com/"),
    ];
    let answer = json!({
        "access_token": "ey.E.1", "token_type": "Bearer", "expires_in": "3599", "expires_on": "1388452167",
        "resource": "https://service.contoso.com/",
    });
    row("entra-v1.yaml")
        .asks(ask("POST /contoso.onmicrosoft.com/oauth2/token").form(body).gets(answer))
        .sends("authorization", "Bearer ey.E.1")
        .lives("59m 59s", "expires_in")
}

fn azure_managed_app() -> Row {
    const LIST: &str = "POST /subscriptions/1/resourceGroups/acme/providers/Microsoft.Solutions/applications/acme/listTokens?api-version=2018-09-01-preview";
    let answer = json!({"value": [{
        "accessToken": "ey.M.A", "expiresIn": "3600", "expiresOn": "1388452167", "notBefore": "1388448267",
        "authorizationAudience": "https://management.azure.com/", "tokenType": "Bearer",
    }]});
    let body =
        json!({"authorizationAudience": "https://management.azure.com/", "userAssignedIdentities": []});
    row("azure-managed-app.yaml")
        .asks(plain(ask(ENTRA), "first"))
        .asks(plain(ask(ENTRA), "first"))
        .asks(ask(LIST).header("authorization", "Bearer first").json(body).gets(answer))
        .sends("authorization", "Bearer ey.M.A")
}

fn auth0() -> Row {
    let body = json!({
        "grant_type": "client_credentials", "client_id": "the-AUTH0_CLIENT_ID",
        "client_secret": "the-AUTH0_CLIENT_SECRET", "audience": "https://api.acme.example/", "organization": "org_acme",
    });
    let answer = json!({"access_token": "ey.A.0", "expires_in": 86400, "token_type": "Bearer"});
    row("auth0.yaml")
        .asks(ask("POST /oauth/token").json(body).gets(answer))
        .sends("authorization", "Bearer ey.A.0")
        .lives("1day", "expires_in")
}

fn amazon_sp_api() -> Row {
    let body: &[_] = &[
        ("grant_type", "refresh_token"),
        ("client_id", "the-LWA_CLIENT_ID"),
        ("client_secret", "the-LWA_CLIENT_SECRET"),
        ("refresh_token", "the-LWA_REFRESH_TOKEN"),
    ];
    let answer = json!({
        "access_token": "Atza|IQEBLjAsAexample", "refresh_token": "the-LWA_REFRESH_TOKEN", "token_type": "bearer",
        "expires_in": 3600,
    });
    row("amazon-sp-api.yaml")
        .asks(ask("POST /auth/o2/token").form(body).gets(answer))
        .sends("x-amz-access-token", "Atza|IQEBLjAsAexample")
        .sends_no(&["authorization"])
}

fn amazon_sp_api_restricted() -> Row {
    let body = json!({"restrictedResources": [
        {"method": "GET", "path": "/orders/v0/orders", "dataElements": ["buyerInfo", "shippingAddress"]},
    ]});
    row("amazon-sp-api-restricted.yaml")
        .asks(plain(ask("POST /auth/o2/token"), "Atza|first"))
        .asks(plain(ask("POST /auth/o2/token"), "Atza|first"))
        .asks(
            ask("POST /tokens/2021-03-01/restrictedDataToken")
                .header("x-amz-access-token", "Atza|first")
                .without(&["authorization"])
                .json(body)
                .gets(json!({"restrictedDataToken": "Atz.sprdt|1", "expiresIn": 3600})),
        )
        .sends("x-amz-access-token", "Atz.sprdt|1")
        .sends_no(&["authorization"])
}

fn amazon_sp_api_grantless() -> Row {
    let body: &[_] = &[
        ("grant_type", "client_credentials"),
        ("client_id", "the-LWA_CLIENT_ID"),
        ("client_secret", "the-LWA_CLIENT_SECRET"),
        ("scope", "sellingpartnerapi::notifications"),
    ];
    row("amazon-sp-api-grantless.yaml")
        .asks(plain(ask("POST /auth/o2/token").form(body), "Atc|g"))
        .sends("x-amz-access-token", "Atc|g")
        .sends_no(&["authorization"])
}

fn adp() -> Row {
    let asked = ask("POST /auth/oauth/v2/token")
        .form(&[("grant_type", "client_credentials")])
        .basic("the-ADP_CLIENT_ID", "the-ADP_CLIENT_SECRET");
    row("adp.yaml").mutual_tls().asks(plain(asked, "adp-token")).sends("authorization", "Bearer adp-token")
}

fn adobe_ims() -> Row {
    let body: &[_] = &[
        ("grant_type", "client_credentials"),
        ("client_id", "the-ADOBE_CLIENT_ID"),
        ("client_secret", "the-ADOBE_CLIENT_SECRET"),
        ("scope", "openid,AdobeID,read_organizations"),
    ];
    let answer = json!({"access_token": "ey.I.S", "token_type": "bearer", "expires_in": 86399});
    row("adobe-ims.yaml")
        .asks(ask("POST /ims/token/v3").form(body).gets(answer))
        .sends("authorization", "Bearer ey.I.S")
        .sends("x-api-key", "the-ADOBE_CLIENT_ID")
        .lives("23h 59m 59s", "expires_in")
}

fn adobe_ims_jwt() -> Row {
    let claims = json!({
        "iss": "ACME@AdobeOrg", "sub": "ROBOT@techacct.adobe.com", "aud": "https://ims-na1.adobelogin.com/c/acme",
        "https://ims-na1.adobelogin.com/s/ent_dataservices_sdk": true,
    });
    let answer = json!({"token_type": "bearer", "access_token": "ey.I.J", "expires_in": 86_399_999});
    row("adobe-ims-jwt.yaml")
        .asks(
            ask("POST /ims/exchange/jwt")
                .jwt("jwt_token", json!({"alg": "RS256", "typ": "JWT"}), claims, 900)
                .check(|seen| {
                    let body = seen.text();
                    assert!(
                        body.starts_with(
                            "client_id=the-ADOBE_CLIENT_ID&client_secret=the-ADOBE_CLIENT_SECRET&jwt_token=ey"
                        ),
                        "{body}"
                    );
                })
                .gets(answer),
        )
        .sends("authorization", "Bearer ey.I.J")
        .sends("x-api-key", "the-ADOBE_CLIENT_ID")
        .lives("23h 59m 59s", "expires_in")
}

fn app_store_connect() -> Row {
    row("app-store-connect.yaml")
        .sends_checked(|seen| {
            let token = seen.header("authorization").unwrap().strip_prefix("Bearer ").unwrap();
            expect_jwt(
                token,
                &json!({"alg": "ES256", "typ": "JWT", "kid": "the-APP_STORE_KEY_ID"}),
                &json!({"iss": "the-APP_STORE_ISSUER_ID", "aud": "appstoreconnect-v1"}),
                900,
            );
        })
        .lives("15m", "jwt_exp")
}

fn apple_sign_in() -> Row {
    let claims =
        json!({"iss": "the-APPLE_TEAM_ID", "sub": "com.acme.app", "aud": "https://appleid.apple.com"});
    let header = json!({"alg": "ES256", "typ": "JWT", "kid": "the-APPLE_KEY_ID"});
    row("apple-sign-in.yaml")
        .asks(plain(
            ask("POST /auth/token").jwt("client_secret", header, claims, 900).check(|seen| {
                let body = seen.text();
                assert!(
                    body.starts_with("grant_type=refresh_token&client_id=com.acme.app&client_secret=ey"),
                    "{body}"
                );
                assert!(body.ends_with("&refresh_token=the-APPLE_REFRESH_TOKEN"), "{body}");
            }),
            "a.apple.token",
        ))
        .sends("authorization", "Bearer a.apple.token")
}

fn basecamp() -> Row {
    let body: &[_] = &[
        ("grant_type", "refresh_token"),
        ("client_id", "the-BASECAMP_CLIENT_ID"),
        ("client_secret", "the-BASECAMP_CLIENT_SECRET"),
        ("refresh_token", "the-BASECAMP_REFRESH_TOKEN"),
    ];
    let reply = Reply::json(200, r#"{"access_token":"BAhbByIB","expires_in":1209600.0}"#);
    row("basecamp.yaml")
        .asks(ask("POST /authorization/token?type=refresh").form(body).gets_reply(reply))
        .sends("authorization", "Bearer BAhbByIB")
        .sends("user-agent", "Acme (it@acme.example)")
        .lives("14days", "expires_in")
}

fn box_() -> Row {
    let body: &[_] = &[
        ("grant_type", "client_credentials"),
        ("client_id", "the-BOX_CLIENT_ID"),
        ("client_secret", "the-BOX_CLIENT_SECRET"),
        ("box_subject_type", "enterprise"),
        ("box_subject_id", "123456"),
    ];
    let answer = json!({
        "access_token": "bx", "expires_in": 3992, "restricted_to": [],
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
    });
    row("box.yaml")
        .asks(ask("POST /oauth2/token").form(body).gets(answer))
        .sends("authorization", "Bearer bx")
        .lives("1h 6m 32s", "expires_in")
}

fn databricks() -> Row {
    let body: &[_] = &[("grant_type", "client_credentials"), ("scope", "all-apis")];
    let asked = ask("POST /oidc/v1/token")
        .form(body)
        .basic("the-DATABRICKS_CLIENT_ID", "the-DATABRICKS_CLIENT_SECRET");
    row("databricks.yaml").asks(plain(asked, "ey.D.B")).sends("authorization", "Bearer ey.D.B")
}

fn docusign() -> Row {
    let claims = json!({
        "iss": "the-DOCUSIGN_INTEGRATION_KEY", "sub": "the-DOCUSIGN_USER_ID", "aud": "account.docusign.com",
        "scope": "signature impersonation",
    });
    row("docusign.yaml")
        .asks(plain(
            ask("POST /oauth/token")
                .jwt("assertion", json!({"alg": "RS256", "typ": "JWT"}), claims, 3600)
                .check(grant_is_jwt_bearer),
            "ey.D.S",
        ))
        .sends("authorization", "Bearer ey.D.S")
}

/// The grant of RFC 7523, and no client beside it.
pub(super) fn grant_is_jwt_bearer(seen: &Seen) {
    let body = crate::support::message::form_pairs(&seen.body);
    assert_eq!(body[0], ("grant_type".to_owned(), "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned()));
    let keys: Vec<&str> = body.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["grant_type", "assertion"]);
    assert_eq!(seen.header("authorization"), None);
}

fn dropbox() -> Row {
    let body: &[_] = &[("grant_type", "refresh_token"), ("refresh_token", "the-DROPBOX_REFRESH_TOKEN")];
    let answer = json!({"access_token": "sl.x", "token_type": "bearer", "expires_in": 14400});
    row("dropbox.yaml")
        .asks(
            ask("POST /oauth2/token")
                .form(body)
                .basic("the-DROPBOX_APP_KEY", "the-DROPBOX_APP_SECRET")
                .gets(answer),
        )
        .sends("authorization", "Bearer sl.x")
        .lives("4h", "expires_in")
}

fn ebay() -> Row {
    let body: &[_] =
        &[("grant_type", "client_credentials"), ("scope", "https://api.ebay.com/oauth/api_scope")];
    let answer =
        json!({"access_token": "v^1.1#i^1", "expires_in": 7200, "token_type": "Application Access Token"});
    row("ebay.yaml")
        .asks(
            ask("POST /identity/v1/oauth2/token")
                .form(body)
                .basic("the-EBAY_CLIENT_ID", "the-EBAY_CLIENT_SECRET")
                .gets(answer),
        )
        .sends("authorization", "Bearer v^1.1#i^1")
        .lives("2h", "expires_in")
}

fn facebook() -> Row {
    let reply = Reply::new(
        200,
        &[("Content-Type", "text/plain; charset=UTF-8")],
        "access_token=4711|abc&expires=5184000",
    );
    row("facebook.yaml")
        .asks(
            ask("GET /oauth/access_token?grant_type=client_credentials&client_id=the-FACEBOOK_APP_ID&client_secret=the-FACEBOOK_APP_SECRET")
                .empty()
                .gets_reply(reply),
        )
        .sends("authorization", "Bearer 4711|abc")
        .lives("1month 29days 13h 26m 24s", "expires_at")
}

fn fiserv() -> Row {
    let answer = json!({"access_token": "fi", "token_type": "Bearer", "expires_in": 899_999});
    row("fiserv.yaml")
        .asks(
            ask("POST /fts-apim/oauth2/v2")
                .form(&[("grant_type", "client_credentials")])
                .basic("the-FISERV_API_KEY", "the-FISERV_API_SECRET")
                .gets(answer),
        )
        .sends("authorization", "Bearer fi")
        .lives("14m 59s", "expires_in")
}

fn fitbit() -> Row {
    let body: &[_] = &[("grant_type", "refresh_token"), ("refresh_token", "the-FITBIT_REFRESH_TOKEN")];
    let answer = json!({
        "access_token": "ey.F.B", "expires_in": 28800, "refresh_token": "the-next-one", "scope": "activity",
        "token_type": "Bearer", "user_id": "GGNJL9",
    });
    row("fitbit.yaml")
        .asks(
            ask("POST /oauth2/token")
                .form(body)
                .basic("the-FITBIT_CLIENT_ID", "the-FITBIT_CLIENT_SECRET")
                .gets(answer),
        )
        .sends("authorization", "Bearer ey.F.B")
        .lives("8h", "expires_in")
}

providers! {
    entra_id_v2 => entra();
    entra_id_v2_certificate => entra_certificate();
    entra_federated_credential => entra_federated();
    entra_id_v1 => entra_v1();
    azure_managed_apps_token => azure_managed_app();
    auth0_client_credentials => auth0();
    amazon_selling_partner => amazon_sp_api();
    amazon_selling_partner_restricted => amazon_sp_api_restricted();
    amazon_selling_partner_grantless => amazon_sp_api_grantless();
    adp_certificate_on_both_legs => adp();
    adobe_ims_server_to_server => adobe_ims();
    adobe_ims_old_jwt_exchange => adobe_ims_jwt();
    apple_app_store_connect => app_store_connect();
    apple_sign_in_client_secret => apple_sign_in();
    basecamp_float_lifetime => basecamp();
    box_client_credentials => box_();
    databricks_m2m => databricks();
    docusign_jwt => docusign();
    dropbox_one_place => dropbox();
    ebay_token_type => ebay();
    facebook_old_form => facebook();
    fiserv_milliseconds => fiserv();
    fitbit_refresh => fitbit();
}
