//! What the APIs of the sandbox take and answer.

use super::*;

#[tokio::test]
async fn iot_needs_neither_a_scope_nor_a_content_type() {
    let fixture = Fixture::start(LONG).await;
    let basic = fixture.basic("IOT", str::to_owned);
    for headers in [vec![basic.as_str()], vec!["Content-Type:", &basic], vec![FORM, &basic]] {
        let reply = fixture.token("IOT", &headers, GRANT).await;
        assert_eq!(reply.status, 200, "{headers:?} {}", reply.body);
    }
}

#[tokio::test]
async fn iot_verifies_the_token_and_answers_measurements() {
    let fixture = Fixture::start(LONG).await;
    let token = fixture.access_token("IOT").await;
    let get = format!("GET {MEASUREMENTS}");
    let reply = fixture.api("IOT", &get, &[&bearer(&token)], "").await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(reply.json()["Values"][0]["Bearing_Temperature"].is_f64());

    let foreign = fixture.access_token("CAI").await;
    for refused in [tampered(&token), foreign, token[..token.len() - 8].to_owned(), "rubbish".into()] {
        let reply = fixture.api("IOT", &get, &[&bearer(&refused)], "").await;
        assert_eq!(reply.status, 401);
        assert!(reply.head.contains("www-authenticate: bearer error=\"invalid_token\""), "{}", reply.head);
    }
    let missing = fixture.api("IOT", &get, &[], "").await;
    assert_eq!(missing.status, 401);
    assert!(missing.head.contains("www-authenticate: bearer\r\n"), "{}", missing.head);
    let post = fixture.api("IOT", &format!("POST {MEASUREMENTS}"), &[&bearer(&token)], "").await;
    assert_eq!(post.status, 405);
}

#[tokio::test]
async fn an_expired_token_is_refused_by_every_api() {
    let fixture = Fixture::start(Duration::from_secs(3)).await;
    let (cai, lms, iot) =
        tokio::join!(fixture.access_token("CAI"), fixture.access_token("LMS"), fixture.access_token("IOT"));
    let x_token = format!("X-Token: Token {}", fixture.get("CAI_REQUEST_TOKEN"));
    let say = json!({ "text": "hello" }).to_string();
    for expected in [200, 401] {
        let replies = [
            fixture.api("CAI", &format!("POST {REQUEST}"), &[JSON, &bearer(&cai), &x_token], &say).await,
            fixture.api("LMS", &format!("GET {}", items::PATH), &[&bearer(&lms)], "").await,
            fixture.api("IOT", &format!("GET {MEASUREMENTS}"), &[&bearer(&iot)], "").await,
        ];
        for reply in replies {
            assert_eq!(reply.status, expected, "{}", reply.body);
            assert_eq!(expected == 401, reply.body.contains("expired"), "{}", reply.body);
        }
        // What was announced plus the second that a whole-second `exp` may take.
        tokio::time::sleep(Duration::from_millis(4050)).await;
    }
}

#[tokio::test]
async fn cai_answers_only_when_both_tokens_are_right() {
    let fixture = Fixture::start(LONG).await;
    let token = fixture.access_token("CAI").await;
    let request_token = fixture.get("CAI_REQUEST_TOKEN");
    let right = format!("Token {request_token}");
    let say = json!({ "text": "Hello there", "language": "en" }).to_string();

    let reply = fixture.say(&token, &right, &say).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.json()["results"]["intents"][0]["slug"], "greetings");
    assert_eq!(reply.json()["results"]["status"], 200);

    for (token, x_token) in [
        (token.as_str(), "Token wrong"),
        (token.as_str(), request_token),
        (token.as_str(), ""),
        (tampered(&token).as_str(), right.as_str()),
        (request_token, right.as_str()),
        ("", right.as_str()),
    ] {
        let reply = fixture.say(token, x_token, &say).await;
        assert_eq!(reply.status, 401, "{x_token:?} {}", reply.body);
        assert!(!reply.body.contains("greetings"));
    }
}

#[tokio::test]
async fn cai_understands_or_says_that_it_does_not() {
    let fixture = Fixture::start(LONG).await;
    let token = fixture.access_token("CAI").await;
    let right = format!("Token {}", fixture.get("CAI_REQUEST_TOKEN"));
    let weather = fixture.say(&token, &right, &json!({ "text": "Will it rain?" }).to_string()).await;
    assert_eq!(weather.json()["results"]["intents"][0]["slug"], "weather");
    let nothing = fixture.say(&token, &right, &json!({ "text": "qwertz" }).to_string()).await;
    assert_eq!((nothing.status, nothing.json()["results"]["intents"].clone()), (200, json!([])));
    for wrong in ["", "[]", "{}", "{\"text\":\" \"}", "{\"text\":7}", "{"] {
        let reply = fixture.say(&token, &right, wrong).await;
        assert_eq!((reply.status, reply.json()["results"].clone()), (400, Value::Null), "{wrong}");
    }
    let credentials = [bearer(&token), format!("X-Token: {right}")];
    let headers = [credentials[0].as_str(), credentials[1].as_str()];
    let short_path = fixture.api("CAI", "POST /v2/request", &[JSON, headers[0], headers[1]], "{}").await;
    assert_eq!(short_path.status, 400);
    assert_eq!(fixture.api("CAI", &format!("GET {REQUEST}"), &headers, "").await.status, 405);
    assert_eq!(fixture.api("CAI", "GET /", &headers, "").await.status, 404);
}

#[tokio::test]
async fn lms_lists_items_to_an_admin_only() {
    let fixture = Fixture::start(LONG).await;
    let token = fixture.access_token("LMS").await;
    let get = format!("GET {}", items::PATH);
    let reply = fixture.api("LMS", &format!("{get}?$top=2&$count=true"), &[&bearer(&token)], "").await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.json()["value"].as_array().unwrap().len(), 2);
    assert_eq!(reply.json()["@odata.count"], 4);
    let filtered = fixture.api("LMS", &format!("{get}?$filter=x"), &[&bearer(&token)], "").await;
    assert_eq!(filtered.status, 501);
    let rubbish = fixture.api("LMS", &format!("{get}?$top=-1"), &[&bearer(&token)], "").await;
    assert_eq!(rubbish.status, 400);

    let learner = fixture.basic("LMS", str::to_owned);
    let learner = fixture.token("LMS", &[JSON, &learner], &lms_body(&lms_scope("user"))).await.json();
    let learner = bearer(learner["access_token"].as_str().unwrap());
    assert_eq!(fixture.api("LMS", &get, &[&learner], "").await.status, 403);

    let mut outer: Value = serde_json::from_slice(&STANDARD.decode(&token).unwrap()).unwrap();
    outer["tokenContent"] = json!(outer["tokenContent"].as_str().unwrap().replace("600", "6000"));
    let tampered = STANDARD.encode(outer.to_string());
    for refused in [tampered.as_str(), "rubbish", ""] {
        let reply = fixture.api("LMS", &get, &[&bearer(refused)], "").await;
        assert_eq!(reply.status, 401);
        assert!(reply.json()["error"]["message"].is_string(), "{}", reply.body);
    }
}
