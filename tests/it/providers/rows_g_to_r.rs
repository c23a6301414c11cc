use serde_json::json;

use super::providers;
use super::row::{Row, ask, basic, expect_jwt, row};
use super::rows_a_to_f::{grant_is_jwt_bearer, json_of, plain};
use crate::support::reply::Reply;

fn google_service_account() -> Row {
    let claims = json!({
        "iss": "robot@acme.iam.gserviceaccount.com", "aud": "https://oauth2.googleapis.com/token",
        "scope": "https://www.googleapis.com/auth/cloud-platform",
    });
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": "the-GOOGLE_KEY_ID"});
    let answer = json!({"access_token": "ya29.c.x", "expires_in": 3599, "token_type": "Bearer"});
    row("google-service-account.yaml")
        .asks(
            ask("POST /token").jwt("assertion", header, claims, 3600).check(grant_is_jwt_bearer).gets(answer),
        )
        .sends("authorization", "Bearer ya29.c.x")
        .lives("59m 59s", "expires_in")
}

fn google_user() -> Row {
    let body: &[_] = &[
        ("grant_type", "refresh_token"),
        ("client_id", "the-GOOGLE_CLIENT_ID"),
        ("client_secret", "the-GOOGLE_CLIENT_SECRET"),
        ("refresh_token", "the-GOOGLE_REFRESH_TOKEN"),
    ];
    row("google-user.yaml")
        .asks(plain(ask("POST /token").form(body).without(&["authorization"]), "ya29.u"))
        .sends("authorization", "Bearer ya29.u")
}

fn github_app() -> Row {
    let body = json!({"repositories": ["hello-world"], "permissions": {"contents": "read"}});
    let answer = json!({
        "token": "ghs_16C7e42F292c6912E7710c838347Ae178B4a", "expires_at": "2099-07-11T22:14:10Z",
        "permissions": {"contents": "read"}, "repository_selection": "selected",
    });
    row("github-app.yaml")
        .asks(
            ask("POST /app/installations/4711/access_tokens")
                .header("accept", "application/vnd.github+json")
                .header("x-github-api-version", "2022-11-28")
                .json(body)
                .check(|seen| {
                    let token = seen.header("authorization").unwrap().strip_prefix("Bearer ").unwrap();
                    let claims = json!({"iss": "the-GITHUB_APP_ID"});
                    expect_jwt(token, &json!({"alg": "RS256", "typ": "JWT"}), &claims, 540);
                })
                .gets_reply(Reply::json(201, answer.to_string())),
        )
        .sends("authorization", "Bearer ghs_16C7e42F292c6912E7710c838347Ae178B4a")
        .lives("9m", "jwt_exp")
}

fn github_oauth() -> Row {
    let body: &[_] = &[
        ("grant_type", "refresh_token"),
        ("client_id", "the-GITHUB_CLIENT_ID"),
        ("client_secret", "the-GITHUB_CLIENT_SECRET"),
        ("refresh_token", "the-GITHUB_REFRESH_TOKEN"),
    ];
    let form = "access_token=ghu_x&expires_in=28800&refresh_token=ghr_x&refresh_token_expires_in=15897600&scope=&token_type=bearer";
    let reply =
        Reply::new(200, &[("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")], form);
    row("github-oauth.yaml")
        .asks(
            ask("POST /login/oauth/access_token")
                .header("accept", "application/json")
                .form(body)
                .gets_reply(reply),
        )
        .sends("authorization", "Bearer ghu_x")
        .lives("8h", "expires_in")
}

fn hubspot() -> Row {
    let body: &[_] = &[
        ("grant_type", "refresh_token"),
        ("client_id", "the-HUBSPOT_CLIENT_ID"),
        ("client_secret", "the-HUBSPOT_CLIENT_SECRET"),
        ("refresh_token", "the-HUBSPOT_REFRESH_TOKEN"),
    ];
    // Longer than other tokens, and no limit is promised.
    let token = "C".repeat(600);
    let answer = json!({
        "access_token": token, "refresh_token": "the-HUBSPOT_REFRESH_TOKEN", "expires_in": 1800, "token_type": "bearer",
    });
    row("hubspot.yaml")
        .asks(ask("POST /oauth/2026-03/token").form(body).gets(answer))
        .sends("authorization", format!("Bearer {token}"))
        .lives("30m", "expires_in")
}

fn jamf() -> Row {
    let reply = json!({"token": "eyJ.jamf", "expires": "2099-11-21T12:00:00.123Z"});
    row("jamf.yaml")
        .asks(
            ask("POST /api/v1/auth/token")
                .header("authorization", basic("robot", "the-JAMF_PASSWORD"))
                .empty()
                .gets(reply),
        )
        .sends("authorization", "Bearer eyJ.jamf")
        .far()
}

fn keycloak() -> Row {
    let answer = json!({
        "access_token": "ey.K.C", "expires_in": 300, "refresh_expires_in": 0, "token_type": "Bearer",
        "not-before-policy": 0, "scope": "profile email",
    });
    row("keycloak.yaml")
        .asks(
            ask("POST /realms/acme/protocol/openid-connect/token")
                .form(&[("grant_type", "client_credentials")])
                .basic("the-KEYCLOAK_CLIENT_ID", "the-KEYCLOAK_CLIENT_SECRET")
                .gets(answer),
        )
        .sends("authorization", "Bearer ey.K.C")
        .lives("5m", "expires_in")
}

fn mailchimp() -> Row {
    let body: &[_] = &[
        ("grant_type", "client_credentials"),
        ("client_id", "the-MAILCHIMP_CLIENT_ID"),
        ("client_secret", "the-MAILCHIMP_CLIENT_SECRET"),
    ];
    let answer = json!({"access_token": "mc", "expires_in": 0, "scope": null});
    row("mailchimp.yaml")
        .asks(ask("POST /oauth2/token").form(body).gets(answer))
        .sends("authorization", "Bearer mc")
        .lives("1day", "default_lifetime")
}

fn n_able() -> Row {
    let answer = json!({"tokens": {
        "access": {"token": "n.a.t", "type": "Bearer", "expirySeconds": 3600},
        "refresh": {"token": "n.r.t", "type": "Body", "expirySeconds": 90000},
    }});
    row("n-able.yaml")
        .asks(
            ask("POST /api/auth/authenticate")
                .header("authorization", "Bearer the-N_ABLE_USER_TOKEN")
                .header("content-length", "0")
                .empty()
                .gets(answer),
        )
        .sends("authorization", "Bearer n.a.t")
}

fn netdocuments() -> Row {
    let body: &[_] = &[("grant_type", "client_credentials"), ("scope", "read")];
    let answer = json!({"token_type": "bearer", "expires_in": "3600", "access_token": "nd"});
    row("netdocuments.yaml")
        .asks(
            ask("POST /v1/OAuth")
                .form(body)
                .basic("the-NETDOCUMENTS_CLIENT_ID", "the-NETDOCUMENTS_CLIENT_SECRET")
                .gets(answer),
        )
        .sends("authorization", "Bearer nd")
}

fn odoo() -> Row {
    let body: &[_] = &[
        ("grant_type", "client_credentials"),
        ("client_id", "the-ODOO_CLIENT_ID"),
        ("client_secret", "the-ODOO_CLIENT_SECRET"),
    ];
    let answer = json!({"access_token": "od", "access_token_validity": 3600, "token_type": "Bearer"});
    row("odoo.yaml")
        .asks(ask("POST /restapi/1.0/common/oauth2/access_token").form(body).gets(answer))
        .sends("authorization", "Bearer od")
}

fn okta() -> Row {
    let nonce = Reply::new(
        400,
        &[("Content-Type", "application/json"), ("DPoP-Nonce", "n-7")],
        r#"{"error":"use_dpop_nonce","error_description":"Authorization server requires nonce in DPoP proof."}"#,
    );
    let answer = json!({"access_token": "ey.O.K", "token_type": "DPoP", "expires_in": 3600, "scope": "okta.users.read"});
    let asked = || {
        ask("POST /oauth2/v1/token").check(|seen| {
            let body: std::collections::BTreeMap<_, _> =
                crate::support::message::form_pairs(&seen.body).into_iter().collect();
            assert_eq!((&*body["grant_type"], &*body["scope"]), ("client_credentials", "okta.users.read"));
            let url = format!("http://{}/oauth2/v1/token", seen.header("host").unwrap());
            let header = json!({"alg": "RS256", "typ": "JWT", "kid": "the-OKTA_KEY_ID"});
            let claims = json!({"iss": "the-OKTA_CLIENT_ID", "sub": "the-OKTA_CLIENT_ID", "aud": url});
            expect_jwt(&body["client_assertion"], &header, &claims, 300);
            crate::support::dpop::Proof::verify(seen.header("dpop").unwrap()).unwrap();
        })
    };
    let with_nonce = asked().check(|seen| {
        let proof = crate::support::dpop::Proof::verify(seen.header("dpop").unwrap()).unwrap();
        assert_eq!(proof.claim("nonce"), "n-7");
    });
    row("okta.yaml")
        .asks(asked().gets_reply(nonce))
        .asks(with_nonce.gets(answer))
        .sends("authorization", "DPoP ey.O.K")
        .sends_checked(|seen| {
            let proof = crate::support::dpop::Proof::verify(seen.header("dpop").unwrap()).unwrap();
            assert_eq!(proof.claim("ath"), crate::support::dpop::hash("ey.O.K"));
        })
}

fn paypal() -> Row {
    let answer = json!({
        "scope": "https://uri.paypal.com/services/invoicing", "access_token": "A21AA", "token_type": "Bearer",
        "app_id": "APP-80W284485P519543T", "expires_in": "31668", "nonce": "2020-04-03T15:35:36Z",
    });
    row("paypal.yaml")
        .asks(
            ask("POST /v1/oauth2/token")
                .form(&[("grant_type", "client_credentials")])
                .basic("the-PAYPAL_CLIENT_ID", "the-PAYPAL_CLIENT_SECRET")
                .gets(answer),
        )
        .sends("authorization", "Bearer A21AA")
        .lives("8h 47m 48s", "expires_in")
}

fn perimeter81() -> Row {
    let answer = json!({"data": {
        "tokenType": "Bearer", "accessToken": "p81", "accessTokenExpire": 4_070_908_800_u64,
        "accessTokenIssued": 1_600_000_000,
    }});
    row("perimeter81.yaml")
        .asks(
            ask("POST /api/v1/auth/authorize")
                .json(json!({"grantType": "api_key", "apiKey": "the-PERIMETER81_API_KEY"}))
                .gets(answer),
        )
        .sends("authorization", "Bearer p81")
        .far()
}

fn pingone() -> Row {
    row("pingone.yaml")
        .asks(plain(
            ask("POST /5c1d6c2e-0000-4000-8000-000000000000/as/token")
                .form(&[("grant_type", "client_credentials")])
                .basic("the-PINGONE_CLIENT_ID", "the-PINGONE_CLIENT_SECRET"),
            "ey.P.1",
        ))
        .sends("authorization", "Bearer ey.P.1")
}

fn plentymarkets() -> Row {
    let answer = json!({"tokenType": "Bearer", "expiresIn": 86400, "accessToken": "pl", "refreshToken": "r"});
    row("plentymarkets.yaml")
        .asks(
            ask("POST /rest/login")
                .check(|seen| {
                    assert_eq!(
                        json_of(seen),
                        json!({"username": "robot", "password": "the-PLENTY_PASSWORD"})
                    );
                })
                .gets(answer),
        )
        .sends("authorization", "Bearer pl")
        .lives("1day", "expires_in")
}

fn reddit() -> Row {
    row("reddit.yaml")
        .asks(plain(
            ask("POST /api/v1/access_token")
                .form(&[("grant_type", "client_credentials")])
                .basic("the-REDDIT_CLIENT_ID", "the-REDDIT_CLIENT_SECRET"),
            "rd",
        ))
        .sends("authorization", "Bearer rd")
        .sends("user-agent", "web:acme.example:v1 (by /u/acme)")
}

providers! {
    google_service_account_jwt => google_service_account();
    google_user_one_place => google_user();
    github_app_installation => github_app();
    github_oauth_form_answer => github_oauth();
    hubspot_refresh => hubspot();
    jamf_absolute_time => jamf();
    keycloak_zeros => keycloak();
    mailchimp_zero_lifetime => mailchimp();
    n_able_deep_members => n_able();
    netdocuments_text_lifetime => netdocuments();
    odoo_access_token_validity => odoo();
    okta_service_app_dpop => okta();
    paypal_text_lifetime => paypal();
    perimeter81_absolute_time => perimeter81();
    pingone_environment_path => pingone();
    plentymarkets_camel_case => plentymarkets();
    reddit_one_place => reddit();
}
