use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::oneshot;

use super::*;

fn csrf() -> Csrf {
    Csrf::new(&CsrfConfig {
        path: PathAndQuery::from_static("/sap/opu/?sap-client=100"),
        fetch: Method::GET,
        methods: vec![Method::POST],
    })
}

fn session() -> Arc<Session> {
    csrf().sessions.of(None)
}

fn token(text: &'static str) -> Fetched {
    Fetched::Token(HeaderValue::from_static(text), Jar::default())
}

fn text(held: &Held) -> &str {
    held.token.to_str().unwrap()
}

#[test]
fn the_request_for_a_token_asks_the_same_host() {
    let csrf = csrf();
    let mut write = HeaderMap::new();
    write.insert(HOST, HeaderValue::from_static("erp.example"));
    write.insert(COOKIE, HeaderValue::from_static("a=1"));
    let head = csrf.request(&write);
    assert_eq!((head.method, head.uri.to_string().as_str()), (Method::GET, "/sap/opu/?sap-client=100"));
    assert_eq!((&head.headers[HOST], &head.headers[X_CSRF_TOKEN]), (&write[HOST], &FETCH));
    assert!(!head.headers.contains_key(COOKIE));
    assert!(csrf.concerns(&Method::POST) && !csrf.concerns(&Method::GET));
}

#[test]
fn an_answer_without_a_token_is_told_without_its_query_or_its_fields() {
    for value in ["", "Required", "fetch", &"x".repeat(LONGEST + 1)] {
        let answer =
            Response::builder().status(404).header("x-csrf-token", value).header("x-secret", "s3cret");
        let error = csrf().answered(&answer.body(()).unwrap(), &Clock::system()).unwrap_err();
        let told = error.to_string();
        assert_eq!(told, "no CSRF token: the upstream answered 404 without an X-CSRF-Token to GET /sap/opu/");
        assert_eq!((error.reason(), error.status().as_u16()), ("csrf_unavailable", 502));
    }
}

#[tokio::test]
async fn a_failure_is_everybodys_who_waited_for_it_and_nobodys_after_that() {
    let (session, (end, ended)) = (session(), oneshot::channel());
    let calls = AtomicUsize::new(0);
    let failing = async {
        calls.fetch_add(1, Ordering::Relaxed);
        let _ = ended.await;
        Err(ProxyError::Csrf("gone".into()))
    };
    let never = || async { panic!("somebody fetches already") };
    let (first, second, third, ()) = tokio::join!(
        session.held(None, failing),
        session.held(None, never()),
        session.held(None, never()),
        async {
            end.send(()).unwrap();
        }
    );
    for outcome in [first, second, third] {
        assert_eq!(outcome.unwrap_err().to_string(), "no CSRF token: gone");
    }
    assert_eq!(calls.into_inner(), 1);
    let held = session.held(None, async { Ok(token("t")) }).await.unwrap().unwrap();
    assert_eq!(text(&held), "t");
}

#[tokio::test]
async fn a_fetch_that_is_given_up_leaves_its_place_to_the_next() {
    let session = session();
    let mut first = Box::pin(session.held(None, std::future::pending()));
    assert!(poll_once(first.as_mut()).is_none());
    let mut second = Box::pin(session.held(None, async { Ok(token("t")) }));
    assert!(poll_once(second.as_mut()).is_none());
    drop(first);
    assert_eq!(text(&second.await.unwrap().unwrap()), "t");
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_and_forgotten_by_its_number() {
    let session = session();
    let old = session.held(None, async { Ok(token("old")) }).await.unwrap().unwrap();
    let new = session.held(Some(old.number), async { Ok(token("new")) }).await.unwrap().unwrap();
    assert_eq!(text(&new), "new");
    // Whoever had the old one too takes the new one that is there.
    let again = session.held(Some(old.number), async { panic!("there is one") }).await.unwrap().unwrap();
    assert_eq!(text(&again), "new");
    session.forget(old.number);
    assert!(session.held(None, async { panic!("there is one") }).await.unwrap().is_some());
    session.forget(new.number);
    let nothing = session.held(None, async { Ok(Fetched::Unauthorized) }).await.unwrap();
    assert!(nothing.is_none());
}

/// One poll, with a waker that does nothing.
fn poll_once<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
    match future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}
