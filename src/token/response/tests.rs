mod rules;

use proptest::prelude::*;

use super::*;
use crate::clock::Clock;
use crate::token::LifetimeFrom;
use crate::token::error::FetchErrorClass;

const SECRET: &str = "s3cr3t+/=";

fn answer(status: u16, content_type: &str, body: impl AsRef<[u8]>) -> Answer {
    Answer {
        status,
        content_type: Some(content_type.to_owned()),
        content_encoding: None,
        date: None,
        retry_after: None,
        location: None,
        dpop_nonce: None,
        body: body.as_ref().to_vec(),
        cut: false,
    }
}

fn json(status: u16, body: impl AsRef<[u8]>) -> Answer {
    answer(status, "application/json", body)
}

fn judge(answer: &Answer) -> Result<AccessToken, FetchError> {
    judge_for(AuthorizationScheme::Bearer, answer)
}

fn judge_for(scheme: AuthorizationScheme, answer: &Answer) -> Result<AccessToken, FetchError> {
    Ok(judge_with(answer, &AnswerRules::default(), Service::OAuth2, scheme)?.access)
}

fn judge_by(answer: &Answer, rules: &AnswerRules, service: Service) -> Result<Issued, FetchError> {
    judge_with(answer, rules, service, AuthorizationScheme::Bearer)
}

fn judge_with(
    answer: &Answer,
    rules: &AnswerRules,
    service: Service,
    scheme: AuthorizationScheme,
) -> Result<Issued, FetchError> {
    let now = Clock::system().now();
    let mut redactor = Redactor::default();
    redactor.hide(&Secret::new(SECRET.to_owned()));
    read(
        answer,
        &Expectation {
            sent_at: now,
            received_at: now,
            last_lifetime: None,
            default_lifetime: Duration::from_secs(300),
            rules,
            scheme,
            service,
            redactor: &redactor,
            invalid_client_hint: "try client_authentication: body_parameter",
        },
    )
}

fn token(answer: &Answer) -> String {
    judge(answer).unwrap().text.expose().to_owned()
}

fn error(answer: &Answer) -> FetchError {
    judge(answer).unwrap_err()
}

#[test]
fn what_else_the_answer_says_is_kept_and_its_tokens_are_not() {
    let salesforce =
        r#"{"access_token":"00D!x","refresh_token":"r","instance_url":"https://x.my.salesforce.com"}"#;
    let access = judge(&json(200, salesforce)).unwrap();
    assert_eq!(access.fields.get("instance_url").as_deref(), Some("https://x.my.salesforce.com"));
    assert_eq!(access.fields.get("refresh_token"), None);
    assert_eq!(access.fields.get("access_token"), None);
    let form = answer(200, "application/x-www-form-urlencoded", "access_token=a&api_domain=eu");
    assert_eq!(judge(&form).unwrap().fields.get("api_domain").as_deref(), Some("eu"));
}

#[test]
fn reads_the_answers_of_the_three_sap_services() {
    let lms = r#"{"access_token":"eyJzaWduYXR1cmUi","expires_in":1800,"token_type":"Bearer"}"#;
    let xsuaa = r#"{"access_token":"a.b.c","token_type":"bearer","expires_in":43199,"scope":"uaa.resource","jti":"1"}"#;
    let access = judge(&json(200, lms)).unwrap();
    assert_eq!((access.text.expose(), access.lifetime), ("eyJzaWduYXR1cmUi", Duration::from_secs(1800)));
    assert_eq!(judge(&json(200, xsuaa)).unwrap().lifetime, Duration::from_secs(43199));
}

#[test]
fn reads_json_whatever_its_type_and_with_a_byte_order_mark() {
    let body = "\u{feff}{\"access_token\":\"t\"}";
    for content_type in ["text/html", "text/plain;charset=utf-8", "application/octet-stream"] {
        assert_eq!(token(&answer(200, content_type, body)), "t");
    }
    assert_eq!(token(&json(201, r#"{"access_token":"t"}"#)), "t");
}

#[test]
fn reads_a_form_only_if_its_type_says_so() {
    let body = "access_token=t%2B1&expires_in=28800&token_type=bearer\n";
    for content_type in ["application/x-www-form-urlencoded", "text/plain; charset=utf-8"] {
        let access = judge(&answer(200, content_type, body)).unwrap();
        assert_eq!((access.text.expose(), access.lifetime.as_secs()), ("t+1", 28800));
    }
    assert_eq!(error(&json(200, body)).code, FetchErrorCode::NotJson);
}

#[test]
fn success_needs_a_token_and_nothing_else() {
    for body in [
        "{}",
        "[]",
        "null",
        "7",
        r#"{"access_token":null}"#,
        r#"{"access_token":""}"#,
        r#"{"access_token":7}"#,
        r#"{"token":"x"}"#,
        "",
    ] {
        assert_eq!(error(&json(200, body)).code, FetchErrorCode::Missing, "{body}");
    }
    for body in [
        r#"{"access_token":"x","error":""}"#,
        r#"{"access_token":"x","error":null}"#,
        r#"{"access_token":"x","token_type":"Application Access Token"}"#,
        r#"{"access_token":"x","token_type":"BEARER"}"#,
        r#"{"access_token":"x","token_type":null,"scope":null,"refresh_expires_in":0}"#,
    ] {
        assert_eq!(token(&json(200, body)), "x", "{body}");
    }
}

#[test]
fn an_error_without_a_token_is_a_failure_even_on_200() {
    let failed = error(&json(200, r#"{"error":"invalid_client","error_description":"Bad credentials"}"#));
    assert_eq!((failed.code, failed.class), (FetchErrorCode::InvalidClient, FetchErrorClass::Permanent));
    assert!(failed.message.contains("invalid_client (Bad credentials)"), "{failed}");
    assert!(failed.message.contains("body_parameter"), "{failed}");
}

#[test]
fn refuses_token_types_that_are_no_bearer() {
    for token_type in ["mac", "DPoP", "dpop", "N_A"] {
        let body = format!(r#"{{"access_token":"x","token_type":"{token_type}"}}"#);
        assert_eq!(error(&json(200, body)).code, FetchErrorCode::TypeUnsupported, "{token_type}");
    }
}

#[test]
fn where_a_token_must_be_bound_no_other_is_taken() {
    let answer = |token_type: &str| json(200, format!(r#"{{"access_token":"x"{token_type}}}"#));
    for token_type in [r#","token_type":"DPoP""#, r#","token_type":"dpop""#] {
        assert!(judge_for(AuthorizationScheme::Dpop, &answer(token_type)).is_ok(), "{token_type}");
    }
    for token_type in [r#","token_type":"Bearer""#, r#","token_type":"mac""#, ""] {
        let failed = judge_for(AuthorizationScheme::Dpop, &answer(token_type)).unwrap_err();
        assert_eq!(failed.code, FetchErrorCode::TypeUnsupported, "{token_type}");
        assert!(failed.message.contains("not bound to our key"), "{failed}");
    }
    assert!(error(&answer(r#","token_type":"DPoP""#)).message.contains("dpop: true"));
}

#[test]
fn refuses_tokens_that_do_not_fit_a_header() {
    for text in [r"a\r\nX-Evil: 1", "a b", "é", r"\u007f", r"\u0000", r"\n"] {
        let failed = error(&json(200, format!(r#"{{"access_token":"{text}"}}"#)));
        assert_eq!(failed.code, FetchErrorCode::Unfit, "{text}");
    }
    let of_length = |length| json(200, format!(r#"{{"access_token":"{}"}}"#, "x".repeat(length)));
    assert_eq!(token(&of_length(MAX_TOKEN)).len(), MAX_TOKEN);
    assert_eq!(error(&of_length(MAX_TOKEN + 1)).code, FetchErrorCode::Unfit);
}

#[test]
fn says_what_a_page_that_is_no_answer_looks_like() {
    let title = format!("Please\r\n log in, {SECRET}. {}", "x ".repeat(500));
    let page = format!("<html><head><TITLE>{title}</TITLE></head><body>tok-short</body>");
    let failed = error(&answer(200, "text/html; charset=utf-8", page));
    assert_eq!((failed.code, failed.class), (FetchErrorCode::NotJson, FetchErrorClass::Transient));
    assert!(failed.message.contains("200, text/html"), "{failed}");
    assert!(failed.message.contains("a page titled \"Please log in, [redacted]"), "{failed}");
    assert!(!failed.message.contains("tok-short"), "the body is never shown: {failed}");
    assert!(failed.message.chars().count() < 200, "{failed}");

    let mut compressed = answer(200, "application/json", b"\x1f\x8b\x08");
    compressed.content_encoding = Some("gzip".to_owned());
    assert!(error(&compressed).message.contains("compressed"));
}

#[test]
fn statuses_have_their_codes_and_classes() {
    use FetchErrorClass::{Permanent, Transient, Unavailable};
    use FetchErrorCode as Code;
    let cases = [
        (301, Code::Redirect, Permanent),
        (400, Code::HttpStatus, Permanent),
        (401, Code::InvalidClient, Permanent),
        (403, Code::HttpStatus, Permanent),
        (404, Code::HttpStatus, Permanent),
        (408, Code::HttpStatus, Transient),
        (429, Code::RateLimited, Transient),
        (500, Code::ServerError, Unavailable),
        (503, Code::ServerError, Unavailable),
    ];
    for (status, code, class) in cases {
        for body in ["", "<html>", "{}"] {
            let failed = error(&answer(status, "text/html", body));
            assert_eq!((failed.code, failed.class), (code, class), "{status} {body}");
            assert!(failed.message.contains(&status.to_string()), "{failed}");
        }
    }
}

#[test]
fn a_token_in_a_failed_answer_is_not_taken() {
    for status in [302, 400, 401, 500] {
        assert!(judge(&json(status, r#"{"access_token":"x","expires_in":60}"#)).is_err(), "{status}");
    }
}

#[test]
fn oauth_errors_have_their_codes() {
    use FetchErrorCode as Code;
    let cases = [
        (400, "invalid_client", Code::InvalidClient),
        (500, "invalid_client", Code::InvalidClient),
        (400, "unauthorized_client", Code::UnauthorizedClient),
        (400, "invalid_scope", Code::InvalidScope),
        (400, "invalid_grant", Code::InvalidGrant),
        (401, "invalid_grant", Code::InvalidGrant),
        (400, "interaction_required", Code::InvalidGrant),
        (400, "unsupported_grant_type", Code::OauthError),
        (400, "use_dpop_nonce", Code::OauthError),
        (401, "unauthorized", Code::InvalidClient),
        (500, "whatever", Code::ServerError),
    ];
    for (status, name, code) in cases {
        let failed = error(&json(status, format!(r#"{{"error":"{name}"}}"#)));
        assert_eq!(failed.code, code, "{status} {name}");
        assert!(failed.message.contains(name), "{failed}");
    }
    let busy = error(&json(400, r#"{"error":"temporarily_unavailable"}"#));
    assert_eq!(busy.class, FetchErrorClass::Unavailable);
}

#[test]
fn learning_answers_a_wrong_secret_with_a_bare_403() {
    let failed = error(&answer(403, "text/plain", ""));
    assert!(failed.message.contains("wrong client secret"), "{failed}");
    let body = r#"{"error":{"errorCode":"FORBIDDEN","message":"Invalid credentials"}}"#;
    let failed = error(&json(403, body));
    assert_eq!(failed.class, FetchErrorClass::Permanent);
    assert!(failed.message.contains("FORBIDDEN (Invalid credentials)"), "{failed}");
}

#[test]
fn error_texts_never_show_a_secret_a_token_or_control_characters() {
    let jwt = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJhY21lIn0.c2lnbmF0dXJl";
    let description = format!("client acme:{SECRET} sent {jwt}\\r\\n\\u001b[31mred {}", "long ".repeat(100));
    let body = format!(r#"{{"error":"invalid_client","error_description":"{description}"}}"#);
    let message = error(&json(400, body)).message;
    assert!(!message.contains(SECRET) && !message.contains("eyJ"), "{message}");
    assert!(!message.chars().any(char::is_control), "{message}");
    assert!(message.contains("acme:[redacted] sent [redacted] [31mred"), "{message}");

    for code in [SECRET, jwt, "bad code", "<script>", "x\\ny"] {
        let failed = error(&json(400, format!(r#"{{"error":"{code}"}}"#)));
        assert!(failed.message.contains("an error"), "{failed}");
    }
}

#[test]
fn a_redirect_names_the_host_only() {
    let mut redirect = answer(307, "text/html", "");
    redirect.location = Some("https://login.example.com/path?secret=1".to_owned());
    let failed = error(&redirect);
    assert!(failed.message.contains("login.example.com"), "{failed}");
    assert!(!failed.message.contains("secret=1") && !failed.message.contains("/path"), "{failed}");
}

#[test]
fn retry_after_is_seconds_or_a_date_by_the_services_clock() {
    let wait = |text: &str| {
        let mut limited = json(429, "{}");
        limited.retry_after = Some(text.to_owned());
        // A service whose clock is far from ours.
        limited.date = Some("Sun, 06 Nov 1994 08:49:37 GMT".to_owned());
        error(&limited).retry_after.map(|wait| wait.as_secs())
    };
    assert_eq!(wait("7"), Some(7));
    assert_eq!(wait("Sun, 06 Nov 1994 08:50:07 GMT"), Some(30));
    assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
    assert_eq!((wait("-5"), wait("abc"), wait("")), (None, None, None));
    assert_eq!(wait("999999999999999999999999"), Some(u64::MAX));
}

#[test]
fn absolute_times_are_read_by_the_services_clock() {
    let mut early = json(200, r#"{"access_token":"t","expires_at":"1994-11-06T09:19:37Z"}"#);
    early.date = Some("Sun, 06 Nov 1994 08:49:37 GMT".to_owned());
    let access = judge(&early).unwrap();
    assert_eq!((access.lifetime.as_secs(), access.lifetime_from), (1800, LifetimeFrom::ExpiresAt));
}

#[test]
fn an_answer_that_was_cut_is_too_large_unless_its_status_says_more() {
    let mut cut = json(200, "x".repeat(10));
    cut.cut = true;
    assert_eq!(error(&cut).code, FetchErrorCode::TooLarge);
    cut.status = 502;
    assert_eq!(error(&cut).code, FetchErrorCode::ServerError);
}

proptest! {
    #[test]
    fn never_panics_and_never_takes_an_unfit_token(
        status in 100_u16..600,
        content_type in prop_oneof!["text/plain", "application/x-www-form-urlencoded", ".*"],
        body in prop_oneof![
            any::<Vec<u8>>(),
            ".*".prop_map(String::into_bytes),
            "(access_token|error|expires_in|=|&|%[0-9a-f]{2}|[a-z0-9])*".prop_map(String::into_bytes),
            "\\{\"(access_token|error|errors|expires_at)\": ?(\"[ -~]*\"|-?[0-9]{1,30}(e[0-9]{1,2})?|null|\\[\\]|\\{\\})\\}"
                .prop_map(String::into_bytes),
        ],
        retry_after in proptest::option::of(".*"),
        date in proptest::option::of(".*"),
    ) {
        let answer = Answer { retry_after, date, ..answer(status, &content_type, body) };
        match judge(&answer) {
            Ok(access) => {
                prop_assert!((200..300).contains(&status));
                let text = access.text.expose();
                prop_assert!(!text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic()));
                prop_assert!(!access.lifetime.is_zero());
            }
            Err(failed) => prop_assert!(!failed.message.chars().any(char::is_control), "{}", failed.message),
        }
    }
}

#[test]
fn a_broken_answer_that_names_a_token_is_not_shown() {
    let short = "0123456789abcdef0123456789abcdef";
    for body in [
        format!(r#"{{"access_token":"{short}","expires_in":18"#),
        format!(r#"{{"accessToken":"{short}",}}"#),
        format!("<token><access_token>{short}</access_token></token>"),
    ] {
        for status in [200, 400, 500] {
            let message = error(&answer(status, "application/json", &body)).message;
            assert!(!message.contains(short) && !message.is_empty(), "{message}");
        }
    }
}
