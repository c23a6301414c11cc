//! The demo app in front of a stand-in for sidepass.

use super::*;

/// What stands in for sidepass: the real APIs behind one port, with credentials put on; or a problem document.
async fn stand_in(problem: Option<&'static str>) -> (Server, String) {
    let port = Port::free().unwrap();
    let origin = port.origin();
    let service = Service::sync(move |call| {
        assert!(call.header("authorization").is_none() && call.header("x-token").is_none());
        if let Some(problem) = problem {
            let status = http::StatusCode::SERVICE_UNAVAILABLE;
            let mut answer = call::text(status, "application/problem+json", problem.to_owned());
            answer.headers_mut().insert("retry-after", "2".parse().unwrap());
            return answer;
        }
        let body = match call.path.as_str() {
            "/cai/train/v2/request" => {
                let sent: Value = serde_json::from_slice(&call.body).unwrap();
                let found = intent::of(sent["text"].as_str().unwrap());
                let intents: Vec<Value> =
                    found.map(|i| json!({ "slug": i.slug, "confidence": 0.9 })).into_iter().collect();
                json!({ "results": { "intents": intents } })
            }
            "/iot/Timeseries/v1/Measurements" => {
                json!({ "Values": [{ "_time": "noon", "Oil_Level": 78.9 }] })
            }
            _ => json!({ "value": [{ "itemID": "<b>", "itemTitle": "Tokens & Secrets" }] }),
        };
        call::json(http::StatusCode::OK, &body)
    });
    (Server::start(port, service), origin)
}

async fn demo_app(sidepass: &str) -> (DemoApp, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let app = DemoApp::start(vec![listener], sidepass).await.unwrap();
    let origin = format!("http://{}", app.address());
    (app, origin)
}

#[tokio::test]
async fn the_demo_app_shows_the_intent_as_a_page_and_as_json() {
    let (_sidepass, proxy) = stand_in(None).await;
    let (_app, app) = demo_app(&proxy).await;
    let empty = send(&app, "GET /", &[], "").await;
    assert_eq!(empty.status, 200);
    assert!(empty.body.contains("<label for=\"text\">") && empty.head.contains("default-src 'none'"));

    let page = send(&app, "GET /?text=%3Cb%3Ehello", &["Accept: text/html,application/json"], "").await;
    assert!(page.body.contains("greetings") && page.body.contains("&lt;b&gt;hello"), "{}", page.body);
    assert!(!page.body.contains("<b>"));

    let accept = "Accept: application/json";
    let json = send(&app, "GET /?text=goodbye", &[accept], "").await.json();
    assert_eq!((&json["text"], &json["intent"]), (&json!("goodbye"), &json!("goodbye")));
    let none = send(&app, "GET /?text=qwertz", &[accept], "").await;
    assert_eq!((none.status, none.json()["intent"].clone()), (200, Value::Null));
    assert_eq!(send(&app, "GET /?text=", &[accept], "").await.status, 400);
    assert_eq!(send(&app, "GET /nowhere", &[], "").await.status, 404);
    assert_eq!(send(&app, "POST /", &[], "").await.status, 405);
}

#[tokio::test]
async fn the_demo_app_shows_items_and_measurements() {
    let (_sidepass, proxy) = stand_in(None).await;
    let (_app, app) = demo_app(&proxy).await;
    let items = send(&app, "GET /items", &[], "").await;
    assert!(
        items.body.contains("<td>&lt;b&gt;</td>") && items.body.contains("Tokens &amp; Secrets"),
        "{}",
        items.body
    );
    let measurements = send(&app, "GET /measurements", &[], "").await;
    assert!(measurements.body.contains("<td class=\"number\">78.9</td>"), "{}", measurements.body);
}

#[tokio::test]
async fn the_demo_app_says_why_sidepass_did_not_pass_a_request_on() {
    let problem =
        r#"{"title":"No token","reason":"token_unavailable","detail":"the token service refuses <us>"}"#;
    let (_sidepass, proxy) = stand_in(Some(problem)).await;
    let (_app, app) = demo_app(&proxy).await;
    let page = send(&app, "GET /?text=hello", &[], "").await;
    assert_eq!(page.status, 503);
    assert!(page.body.contains("sidepass has no valid access token right now"), "{}", page.body);
    assert!(page.body.contains("refuses &lt;us&gt; Try again in 2 s."), "{}", page.body);

    let nobody = Port::free().unwrap().origin();
    let (_app, app) = demo_app(&nobody).await;
    let reply = send(&app, "GET /items", &["Accept: application/json"], "").await;
    assert_eq!(reply.status, 502);
    assert!(reply.json()["error"].as_str().unwrap().contains("does not answer"), "{}", reply.body);
}
