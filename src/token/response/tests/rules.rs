//! Answers that are not as RFC 6749 has them.

use super::*;
use crate::config::profile::Success;

fn rules(token: &str) -> AnswerRules {
    AnswerRules { token: MemberPath::parse(token), ..AnswerRules::default() }
}

fn of_rules(body: &str, rules: &AnswerRules) -> Result<Issued, FetchError> {
    judge_by(&json(200, body), rules, Service::OAuth2)
}

#[test]
fn camel_case_is_read_behind_the_names_of_the_rfc() {
    let azure = r#"{"accessToken":"t","expiresIn":"3599","expiresOn":"1388452167","refreshToken":"r"}"#;
    let issued = judge_by(&json(200, azure), &AnswerRules::default(), Service::OAuth2).unwrap();
    assert_eq!((issued.access.text.expose(), issued.access.lifetime.as_secs()), ("t", 3599));
    assert_eq!(issued.refresh_token.unwrap().expose(), "r");
    assert_eq!(token(&json(200, r#"{"accessToken":"b","access_token":"a"}"#)), "a");
    assert_eq!(token(&json(200, r#"{"accessToken":"b","access_token":null}"#)), "b");
}

#[test]
fn a_token_is_found_by_path_in_objects_and_lists() {
    let toast = r#"{"token":{"accessToken":"t","expiresIn":86400},"status":"SUCCESS"}"#;
    let issued = of_rules(toast, &rules("token.accessToken")).unwrap();
    assert_eq!(issued.access.text.expose(), "t");
    assert_eq!(issued.access.fields.get("status").as_deref(), Some("SUCCESS"));
    assert_eq!(issued.access.fields.get("token.accessToken"), None, "it is not kept twice");
    let list = of_rules(r#"[{"token":"t"}]"#, &rules("0.token")).unwrap();
    assert_eq!(list.access.text.expose(), "t");
    let missing = of_rules(r#"{"access_token":"sEcReT","data":{"a":1}}"#, &rules("data.token")).unwrap_err();
    assert_eq!(missing.code, FetchErrorCode::Missing);
    let said =
        "holds no text at data.token, where `answer.token` looks for the token (it has: access_token, data)";
    assert!(missing.message.contains(said) && !missing.message.contains("sEcReT"), "{missing}");
}

#[test]
fn an_answer_may_be_the_token_if_the_rule_says_so() {
    let whole = rules(".");
    for (content_type, body) in
        [("text/plain", "dG9rZW4=\n"), ("application/json", "\"dG9rZW4=\""), ("", "\u{feff}dG9rZW4=")]
    {
        let issued = judge_by(&answer(200, content_type, body), &whole, Service::Login).unwrap();
        assert_eq!(issued.access.text.expose(), "dG9rZW4=");
        assert!(judge_by(&answer(200, content_type, body), &AnswerRules::default(), Service::Login).is_err());
    }
    for (body, code) in [
        ("", FetchErrorCode::Missing),
        ("\"\"", FetchErrorCode::Missing),
        ("{\"access_token\":\"t\"}", FetchErrorCode::Missing),
        ("<html>a page</html>", FetchErrorCode::Unfit),
    ] {
        let failed = judge_by(&answer(200, "text/plain", body), &whole, Service::Login).unwrap_err();
        assert_eq!(failed.code, code, "{body}");
    }
}

#[test]
fn a_login_also_finds_a_member_called_token() {
    let github = r#"{"token":"ghs_x","expires_at":"2099-01-01T00:00:00Z"}"#;
    let issued = judge_by(&json(201, github), &AnswerRules::default(), Service::Login).unwrap();
    assert_eq!(issued.access.text.expose(), "ghs_x");
    assert_eq!(issued.access.lifetime_from, LifetimeFrom::ExpiresAt);
    let missing = error(&json(200, r#"{"token":"x"}"#)).message;
    assert!(
        missing.contains("(it has: token); is this the token endpoint? If so, let `answer.token`"),
        "{missing}"
    );
}

#[test]
fn a_login_that_is_refused_is_a_refused_client() {
    for (status, body) in
        [(401, ""), (403, ""), (403, r#"{"error":"Forbidden"}"#), (403, r#"{"message":"no"}"#)]
    {
        let failed = judge_by(&json(status, body), &AnswerRules::default(), Service::Login).unwrap_err();
        assert_eq!(failed.code, FetchErrorCode::InvalidClient, "{status} {body}");
        assert!(failed.message.contains("body_parameter"), "the hint: {failed}");
    }
}

#[test]
fn success_is_what_the_rule_says() {
    let ok = Success { path: MemberPath::parse("ok").unwrap(), value: None };
    let rules = AnswerRules {
        token: MemberPath::parse("authed_user.access_token"),
        refresh_token: MemberPath::parse("authed_user.refresh_token"),
        success: Some(ok),
        ..AnswerRules::default()
    };
    let good = r#"{"ok":true,"authed_user":{"id":"U1","access_token":"xoxe.xoxp-1","refresh_token":"xoxe-1","expires_in":43200}}"#;
    let issued = of_rules(good, &rules).unwrap();
    assert_eq!(issued.access.text.expose(), "xoxe.xoxp-1");
    assert_eq!(issued.refresh_token.unwrap().expose(), "xoxe-1");
    assert_eq!(issued.access.fields.get("authed_user.id").as_deref(), Some("U1"));
    assert_eq!(issued.access.fields.get("authed_user.refresh_token"), None);

    let failed = of_rules(r#"{"ok":false,"error":"invalid_refresh_token"}"#, &rules).unwrap_err();
    assert_eq!((failed.code, failed.class), (FetchErrorCode::InvalidGrant, FetchErrorClass::Permanent));
    assert!(failed.message.contains("answered 200: invalid_refresh_token"), "{failed}");
    let failed = of_rules(r#"{"ok":false,"error":"bad_client_secret"}"#, &rules).unwrap_err();
    assert_eq!(failed.code, FetchErrorCode::InvalidClient);
    let failed = of_rules(r#"{"ok":false,"error":"ratelimited"}"#, &rules).unwrap_err();
    assert_eq!((failed.code, failed.class), (FetchErrorCode::RateLimited, FetchErrorClass::Transient));
    let failed = of_rules(r#"{"ok":false,"message":"nope","authed_user":{"access_token":"x"}}"#, &rules);
    assert!(failed.unwrap_err().message.contains("an error (nope)"));
    let failed = of_rules(r#"{"authed_user":{"access_token":"x"}}"#, &rules).unwrap_err();
    assert!(failed.message.contains("is no success: `ok` says so"), "{failed}");
}

#[test]
fn an_error_beside_a_token_is_a_failure_unless_it_says_that_there_is_none() {
    let failed = error(&json(200, r#"{"access_token":"x","error":"invalid_grant"}"#));
    assert_eq!(failed.code, FetchErrorCode::InvalidGrant);
    for none in ["\"\"", "null", "0", "\"0\"", "false", "\"none\"", "\"OK\"", "{}", "[]"] {
        assert_eq!(token(&json(200, format!(r#"{{"access_token":"x","error":{none},"errors":[]}}"#))), "x");
    }
}

#[test]
fn errors_of_many_shapes_are_told() {
    let cases = [
        (
            r#"{"errors":[{"errorType":"invalid_client","message":"Visit the docs"}],"success":false}"#,
            "invalid_client (Visit the docs)",
        ),
        (
            r#"{"errors":[{"code":99,"message":"Unable to verify your credentials"}]}"#,
            "99 (Unable to verify your credentials)",
        ),
        (r#"{"errors":["no such tenant"]}"#, "an error"),
        (
            r#"{"error":{"code":-304,"message":{"lang":"en-us","value":"Fail to login"}}}"#,
            "-304 (Fail to login)",
        ),
        (r#"{"error":true,"code":"E7","message":"bad"}"#, "E7 (bad)"),
        (r#"{"error":401,"message":"bad"}"#, "401 (bad)"),
        (r#"{"message":"Bad credentials","documentation_url":"https://docs"}"#, "an error (Bad credentials)"),
        (r#"{"errorCode":"E0000022","errorSummary":"not supported"}"#, "E0000022 (not supported)"),
        (r#"{"type":"https://x/y","title":"Unauthorized","detail":"wrong key"}"#, "an error (wrong key)"),
        (
            r#"{"fault":{"faultstring":"Invalid ApiKey","detail":{"errorcode":"x"}}}"#,
            "an error (Invalid ApiKey)",
        ),
    ];
    for (body, said) in cases {
        for status in [400, 401, 403] {
            let failed = error(&json(status, body));
            assert!(failed.message.contains(said), "{status} {body}: {failed}");
            assert_eq!(failed.class, FetchErrorClass::Permanent);
        }
    }
}

#[test]
fn member_names_are_told_only_if_they_hide_nothing() {
    let name = "eyJhbGciOiJSUzI1NiJ9_eyJzdWIiOiJ4In0_c2lnbmF0dXJl";
    let message = error(&json(200, format!(r#"{{"{name}":1}}"#))).message;
    assert!(!message.contains("it has") && !message.contains(name), "{message}");
    // A bare token may look like a form.
    let message = error(&answer(200, "text/plain", "dG9rZW4=")).message;
    assert!(message.contains("holds no access_token") && !message.contains("dG9"), "{message}");
}
