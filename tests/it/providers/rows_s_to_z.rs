use serde_json::json;

use super::providers;
use super::row::{Row, ask, basic, expect_jwt, row};
use super::rows_a_to_f::{grant_is_jwt_bearer, plain};
use crate::support::message::form_pairs;

fn salesforce() -> Row {
    let body: &[_] = &[
        ("grant_type", "client_credentials"),
        ("client_id", "the-SALESFORCE_CLIENT_ID"),
        ("client_secret", "the-SALESFORCE_CLIENT_SECRET"),
    ];
    // The answer names the host of the API: the test's own.
    let answer = json!({
        "access_token": "00D!AQ", "instance_url": "INSTANCE_URL", "id": "https://login.salesforce.com/id/00D/005",
        "token_type": "Bearer", "issued_at": "1388448267000", "signature": "c2ln",
    });
    row("salesforce.yaml")
        .variable("INSTANCE_HOST", "API_ADDRESS")
        .asks(ask("POST /services/oauth2/token").form(body).gets(answer))
        .sends("authorization", "Bearer 00D!AQ")
        .lives("15m", "default_lifetime")
}

fn salesforce_jwt() -> Row {
    let claims = json!({
        "iss": "the-SALESFORCE_CLIENT_ID", "sub": "robot@acme.example", "aud": "https://login.salesforce.com",
    });
    let answer = json!({"access_token": "00D!J", "instance_url": "https://x.my.salesforce.com", "token_type": "Bearer"});
    row("salesforce-jwt.yaml")
        .asks(
            ask("POST /services/oauth2/token")
                .jwt("assertion", json!({"alg": "RS256", "typ": "JWT"}), claims, 180)
                .check(grant_is_jwt_bearer)
                .gets(answer),
        )
        .sends("authorization", "Bearer 00D!J")
        .lives("15m", "default_lifetime")
}

fn marketing_cloud() -> Row {
    let body = json!({
        "grant_type": "client_credentials", "client_id": "the-MARKETING_CLOUD_CLIENT_ID",
        "client_secret": "the-MARKETING_CLOUD_CLIENT_SECRET", "account_id": "12345",
    });
    let answer = json!({
        "access_token": "ey.M.C", "token_type": "Bearer", "expires_in": 1079, "scope": "offline documents_and_images_read",
        "soap_instance_url": "https://x.soap.marketingcloudapis.com/", "rest_instance_url": "https://x.rest.marketingcloudapis.com/",
    });
    row("salesforce-marketing-cloud.yaml")
        .asks(ask("POST /v2/token").json(body).gets(answer))
        .sends("authorization", "Bearer ey.M.C")
        .lives("17m 59s", "expires_in")
}

fn ariba() -> Row {
    let answer = json!({"timeUpdated": 1_388_448_267_000_u64, "access_token": "ar", "refresh_token": "r",
        "token_type": "bearer", "scope": null, "expires_in": 1440});
    row("sap-ariba.yaml")
        .asks(
            ask("POST /v2/oauth/token")
                .form(&[("grant_type", "openapi_2lo")])
                .basic("the-ARIBA_CLIENT_ID", "the-ARIBA_CLIENT_SECRET")
                .gets(answer),
        )
        .sends("authorization", "Bearer ar")
        .sends("apikey", "the-ARIBA_APPLICATION_KEY")
        .sends("x-ariba-network-id", "AN01000000001")
        .lives("24m", "expires_in")
}

fn fieldglass() -> Row {
    row("sap-fieldglass.yaml")
        .asks(plain(
            ask("POST /api/oauth2/v2.0/token?grant_type=client_credentials&response_type=token")
                .basic("the-FIELDGLASS_CLIENT_ID", "the-FIELDGLASS_CLIENT_SECRET")
                .header("x-applicationkey", "the-FIELDGLASS_APPLICATION_KEY")
                .check(|seen| assert_eq!(seen.text(), "")),
            "fg",
        ))
        .sends("authorization", "Bearer fg")
        .sends("x-applicationkey", "the-FIELDGLASS_APPLICATION_KEY")
}

fn concur() -> Row {
    let body: &[_] = &[
        ("grant_type", "refresh_token"),
        ("client_id", "the-CONCUR_CLIENT_ID"),
        ("client_secret", "the-CONCUR_CLIENT_SECRET"),
        ("refresh_token", "the-CONCUR_REFRESH_TOKEN"),
    ];
    let answer = json!({
        "expires_in": "3600", "scope": "app-scope", "token_type": "Bearer", "access_token": "ey.C.C",
        "refresh_token": "the-next-one", "refresh_expires_in": 1_500_000_000, "geolocation": "https://us.api.concursolutions.com",
    });
    row("sap-concur.yaml")
        .asks(ask("POST /oauth2/v0/token").form(body).gets(answer))
        .sends("authorization", "Bearer ey.C.C")
}

fn concur_password() -> Row {
    let body: &[_] = &[
        ("grant_type", "password"),
        ("client_id", "the-CONCUR_CLIENT_ID"),
        ("client_secret", "the-CONCUR_CLIENT_SECRET"),
        ("username", "the-CONCUR_COMPANY_ID"),
        ("password", "the-CONCUR_REQUEST_TOKEN"),
        ("credtype", "authtoken"),
    ];
    row("sap-concur-password.yaml")
        .asks(plain(ask("POST /oauth2/v0/token").form(body), "ey.C.P"))
        .sends("authorization", "Bearer ey.C.P")
}

fn business_one() -> Row {
    let body = json!({"CompanyDB": "SBODEMO", "UserName": "manager", "Password": "the-B1_PASSWORD"});
    let answer = json!({
        "odata.metadata": "https://b1/b1s/v1/$metadata#B1Sessions/@Element", "SessionId": "d1e5-b1", "Version": "1000190",
        "SessionTimeout": 30,
    });
    row("sap-business-one.yaml")
        .asks(ask("POST /b1s/v1/Login").json(body).without(&["authorization"]).gets(answer))
        .sends("cookie", "B1SESSION=d1e5-b1")
        .sends_no(&["authorization"])
        .lives("30m", "expires_in")
}

fn servicenow() -> Row {
    let claims =
        json!({"iss": "the-SERVICENOW_CLIENT_ID", "sub": "robot", "aud": "the-SERVICENOW_CLIENT_ID"});
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": "the-SERVICENOW_KEY_ID"});
    let answer =
        json!({"access_token": "sn", "scope": "useraccount", "token_type": "Bearer", "expires_in": 1799});
    row("servicenow.yaml")
        .asks(
            ask("POST /oauth_token.do")
                .jwt("assertion", header, claims, 300)
                .check(|seen| {
                    let body = form_pairs(&seen.body);
                    let keys: Vec<&str> = body.iter().map(|(key, _)| key.as_str()).collect();
                    assert_eq!(keys, ["grant_type", "client_id", "client_secret", "assertion"]);
                })
                .gets(answer),
        )
        .sends("authorization", "Bearer sn")
        .lives("29m 59s", "expires_in")
}

fn shopify() -> Row {
    let body: &[_] = &[
        ("grant_type", "client_credentials"),
        ("client_id", "the-SHOPIFY_CLIENT_ID"),
        ("client_secret", "the-SHOPIFY_CLIENT_SECRET"),
    ];
    let answer = json!({"access_token": "f85632530bf277ec9ac6f649fc327f17", "scope": "write_orders,read_customers", "expires_in": 86399});
    row("shopify.yaml")
        .asks(ask("POST /admin/oauth/access_token").form(body).gets(answer))
        .sends("x-shopify-access-token", "f85632530bf277ec9ac6f649fc327f17")
        .sends_no(&["authorization"])
        .lives("23h 59m 59s", "expires_in")
}

const SLACK: &[(&str, &str)] = &[
    ("grant_type", "refresh_token"),
    ("client_id", "the-SLACK_CLIENT_ID"),
    ("client_secret", "the-SLACK_CLIENT_SECRET"),
    ("refresh_token", "the-SLACK_REFRESH_TOKEN"),
];

fn slack() -> Row {
    let answer = json!({
        "ok": true, "access_token": "xoxe.xoxb-1", "expires_in": 43200, "refresh_token": "xoxe-1-next",
        "token_type": "bot", "scope": "commands", "bot_user_id": "U0KRQLJ9H", "team": {"name": "Acme", "id": "T9TK3CUKW"},
    });
    row("slack.yaml")
        .asks(ask("POST /api/oauth.v2.access").form(SLACK).gets(answer))
        .sends("authorization", "Bearer xoxe.xoxb-1")
        .lives("12h", "expires_in")
}

fn slack_user() -> Row {
    let answer = json!({
        "ok": true, "app_id": "A0", "team": {"id": "T9TK3CUKW"},
        "authed_user": {"id": "U1234", "scope": "chat:write", "access_token": "xoxe.xoxp-1", "token_type": "user",
            "refresh_token": "xoxe-1-next", "expires_in": 43200},
    });
    row("slack-user.yaml")
        .asks(ask("POST /api/oauth.v2.access").form(SLACK).gets(answer))
        .sends("authorization", "Bearer xoxe.xoxp-1")
        .lives("12h", "expires_in")
}

fn snowflake() -> Row {
    row("snowflake.yaml")
        .sends("x-snowflake-authorization-token-type", "KEYPAIR_JWT")
        .sends_checked(|seen| {
            let token = seen.header("authorization").unwrap().strip_prefix("Bearer ").unwrap();
            let payload = token.split('.').nth(1).unwrap();
            let payload =
                base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload).unwrap();
            let issuer = serde_json::from_slice::<serde_json::Value>(&payload).unwrap()["iss"]
                .as_str()
                .unwrap()
                .to_owned();
            assert!(issuer.starts_with("ACME.ROBOT.SHA256:") && issuer.len() == 18 + 44, "{issuer}");
            let claims = json!({"iss": issuer, "sub": "ACME.ROBOT"});
            expect_jwt(token, &json!({"alg": "RS256", "typ": "JWT"}), &claims, 59 * 60);
        })
        .lives("59m", "jwt_exp")
}

fn spotify() -> Row {
    row("spotify.yaml")
        .asks(plain(
            ask("POST /api/token")
                .form(&[("grant_type", "client_credentials")])
                .basic("the-SPOTIFY_CLIENT_ID", "the-SPOTIFY_CLIENT_SECRET"),
            "NgCXRK",
        ))
        .sends("authorization", "Bearer NgCXRK")
}

fn stripe() -> Row {
    let body: &[_] = &[
        ("grant_type", "refresh_token"),
        ("client_secret", "the-STRIPE_SECRET_KEY"),
        ("refresh_token", "the-STRIPE_REFRESH_TOKEN"),
    ];
    let answer = json!({
        "access_token": "sk_acct", "livemode": false, "refresh_token": "rt_1", "token_type": "bearer",
        "stripe_publishable_key": "pk_1", "stripe_user_id": "acct_1", "scope": "read_write",
    });
    row("stripe.yaml")
        .asks(ask("POST /oauth/token").form(body).without(&["authorization"]).gets(answer))
        .sends("authorization", "Bearer sk_acct")
        .lives("1day", "default_lifetime")
}

fn tableau() -> Row {
    let body = json!({"credentials": {
        "personalAccessTokenName": "the-TABLEAU_TOKEN_NAME", "personalAccessTokenSecret": "the-TABLEAU_TOKEN_SECRET",
        "site": {"contentUrl": "acme"},
    }});
    let answer = json!({"credentials": {
        "site": {"id": "9a8b7c6d", "contentUrl": "acme"}, "user": {"id": "9f9e9d9c"},
        "token": "12ab34cd56ef78ab90cd12ef34ab56cd", "estimatedTimeToExpiration": "177:05:38",
    }});
    row("tableau.yaml")
        .asks(ask("POST /api/3.24/auth/signin").header("accept", "application/json").json(body).gets(answer))
        .sends("x-tableau-auth", "12ab34cd56ef78ab90cd12ef34ab56cd")
        .sends_no(&["authorization"])
        .lives("7days 9h 5m 38s", "expires_in")
}

fn toast() -> Row {
    let body = json!({
        "clientId": "the-TOAST_CLIENT_ID", "clientSecret": "the-TOAST_CLIENT_SECRET", "userAccessType": "TOAST_MACHINE_CLIENT",
    });
    let answer = json!({
        "@class": ".SuccessfulResponse", "status": "SUCCESS",
        "token": {"tokenType": "Bearer", "scope": null, "expiresIn": 19168, "accessToken": "to", "idToken": null, "refreshToken": null},
    });
    row("toast.yaml")
        .asks(ask("POST /authentication/v1/authentication/login").json(body).gets(answer))
        .sends("authorization", "Bearer to")
        .sends("toast-restaurant-external-id", "0e2a4b6c-0000-4000-8000-000000000000")
        .lives("5h 19m 28s", "expires_in")
}

fn uk_open_banking() -> Row {
    let body: &[_] =
        &[("grant_type", "client_credentials"), ("client_id", "the-BANK_CLIENT_ID"), ("scope", "accounts")];
    row("uk-open-banking.yaml")
        .mutual_tls()
        .asks(plain(ask("POST /token").form(body).without(&["authorization"]), "ob"))
        .sends("authorization", "Bearer ob")
        .sends("x-fapi-financial-id", "0015800001041REAAY")
}

fn workday() -> Row {
    let body: &[_] = &[("grant_type", "client_credentials"), ("tenant_alias", "acme")];
    let scheme = basic("the-WORKDAY_CLIENT_ID", "the-WORKDAY_CLIENT_SECRET").replacen("Basic", "ID", 1);
    row("workday.yaml")
        .asks(plain(ask("POST /v1/token").form(body).header("authorization", scheme), "wd"))
        .sends("authorization", "Bearer wd")
}

fn workday_refresh_token() -> Row {
    let body: &[_] = &[("grant_type", "refresh_token"), ("refresh_token", "the-WORKDAY_REFRESH_TOKEN")];
    let answer =
        json!({"access_token": "wd2", "refresh_token": "the-WORKDAY_REFRESH_TOKEN", "token_type": "Bearer"});
    row("workday-refresh-token.yaml")
        .asks(
            ask("POST /ccx/oauth2/acme/token")
                .form(body)
                .basic("the-WORKDAY_CLIENT_ID", "the-WORKDAY_CLIENT_SECRET")
                .gets(answer),
        )
        .sends("authorization", "Bearer wd2")
        .lives("1h", "default_lifetime")
}

fn workday_adaptive() -> Row {
    let body: &[_] = &[("username", "robot@acme.example"), ("password", "the-ADAPTIVE_PASSWORD")];
    row("workday-adaptive.yaml")
        .asks(ask("POST /api/v1/token").form(body).gets(json!({"adaptiveAPIAccessToken": "ad"})))
        .sends("authorization", "Bearer ad")
        .lives("50m", "default_lifetime")
}

fn wp_oauth_server() -> Row {
    let answer =
        json!({"access_token": "wp", "expires_in": "3600", "token_type": "Bearer", "scope": "basic"});
    row("wp-oauth-server.yaml")
        .asks(
            ask("POST /oauth/token")
                .form(&[("grant_type", "client_credentials")])
                .basic("the-WORDPRESS_CLIENT_ID", "the-WORDPRESS_CLIENT_SECRET")
                .gets(answer),
        )
        .sends("authorization", "Bearer wp")
}

fn x() -> Row {
    row("x.yaml")
        .asks(
            ask("POST /oauth2/token")
                .form(&[("grant_type", "client_credentials")])
                .basic("the-X_API_KEY", "the-X_API_KEY_SECRET")
                .gets(json!({"token_type": "bearer", "access_token": "AAAA%2FAAA%3DAAAAAAAA"})),
        )
        .sends("authorization", "Bearer AAAA%2FAAA%3DAAAAAAAA")
        .lives("12h", "default_lifetime")
}

fn zoom() -> Row {
    let body: &[_] = &[("grant_type", "account_credentials"), ("account_id", "the-ZOOM_ACCOUNT_ID")];
    let answer = json!({"access_token": "ey.Z.M", "token_type": "bearer", "expires_in": 3599, "scope": "user:read:admin",
        "api_url": "https://api.zoom.us"});
    row("zoom.yaml")
        .asks(
            ask("POST /oauth/token")
                .form(body)
                .basic("the-ZOOM_CLIENT_ID", "the-ZOOM_CLIENT_SECRET")
                .gets(answer),
        )
        .sends("authorization", "Bearer ey.Z.M")
        .lives("59m 59s", "expires_in")
}

providers! {
    salesforce_instance_url => salesforce();
    salesforce_by_jwt => salesforce_jwt();
    salesforce_marketing_cloud => marketing_cloud();
    sap_ariba => ariba();
    sap_fieldglass => fieldglass();
    sap_concur_refresh_token => concur();
    sap_concur_by_password => concur_password();
    sap_business_one => business_one();
    servicenow_jwt => servicenow();
    shopify_own_header => shopify();
    slack_rotation => slack();
    slack_authed_user => slack_user();
    snowflake_key_pair => snowflake();
    spotify_basic => spotify();
    stripe_one_place => stripe();
    tableau_clock => tableau();
    toast_deep_members => toast();
    uk_open_banking_tls_client_auth => uk_open_banking();
    workday_id_scheme => workday();
    workday_by_refresh_token => workday_refresh_token();
    workday_adaptive_token_name => workday_adaptive();
    wp_oauth_server_text_lifetime => wp_oauth_server();
    x_app_only => x();
    zoom_server_to_server => zoom();
}
