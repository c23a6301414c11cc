//! Secrets that are read at each fetch.

use super::*;
use crate::config::profile::ClientSecret;

fn file_profile(url: &str, content: &str) -> (tempfile::TempDir, PathBuf, ProfileConfig) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    std::fs::write(&path, content).unwrap();
    let mut profile = profile(url, "id", "unused");
    profile.body_secret(SecretSource::File(path.clone()));
    (dir, path, profile)
}

#[tokio::test]
async fn a_rotated_secret_is_read_at_the_next_fetch_and_noticed_before() {
    let server = Server::start([ok(r#"{"access_token":"t"}"#)]).await;
    let (_dir, path, profile) = file_profile(&server.url, "one\n");
    let source = source_of(profile);
    assert!(!source.inputs_changed(), "nothing was fetched with the old one");
    fetch(&source).await.unwrap();
    assert!(!source.inputs_changed());
    std::fs::write(&path, "one\n").unwrap();
    assert!(!source.inputs_changed(), "content decides, not the time of change");
    std::fs::write(&path, "two\n").unwrap();
    assert!(source.inputs_changed());
    fetch(&source).await.unwrap();
    assert!(!source.inputs_changed());
    assert!(server.request(0).ends_with("client_secret=one"));
    assert!(server.request(1).ends_with("client_secret=two"));
    std::fs::remove_file(&path).unwrap();
    assert!(source.inputs_changed());
}

#[tokio::test]
async fn a_secret_rotated_during_the_fetch_is_tried_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    let refusal = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".to_owned();
    let rotated = Then::Write(path.clone(), "two", refusal.clone());
    let server = Server::start([rotated, ok(r#"{"access_token":"t"}"#)]).await;
    std::fs::write(&path, "one").unwrap();
    let mut profile = profile(&server.url, "id", "unused");
    profile.body_secret(SecretSource::File(path));
    assert!(fetch(&source_of(profile.clone())).await.is_ok());
    assert!(server.request(1).ends_with("client_secret=two"));

    let server = Server::start([Then::Answer(refusal)]).await;
    profile.oauth2_mut().endpoint = TokenEndpoint::Url(literal(&server.url));
    assert_eq!(fetch(&source_of(profile)).await.unwrap_err().code, FetchErrorCode::InvalidClient);
    assert_eq!(server.count(), 1, "nothing changed, so nothing is repeated");
}

#[tokio::test]
async fn an_unreadable_secret_makes_no_request() {
    let server = Server::start([ok("{}")]).await;
    let (dir, _, profile) = file_profile(&server.url, "x");
    drop(dir);
    assert_eq!(fetch(&source_of(profile)).await.unwrap_err().code, FetchErrorCode::SecretUnreadable);
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn a_refused_secret_is_followed_by_the_next_one_and_that_is_remembered() {
    let refused = || status("401 Unauthorized", "", r#"{"error":"invalid_client"}"#);
    let script =
        [refused(), ok(r#"{"access_token":"t1"}"#), ok(r#"{"access_token":"t2"}"#), refused(), refused()];
    let server = Server::start(script).await;
    let mut profile = profile(&server.url, "id", "");
    let secret = ClientSecret { current: literal("one"), next: Some(literal("two")) };
    profile.oauth2_mut().client.authentication = ClientAuthentication::BodyParameter { secret };
    let source = source_of(profile);
    let shown = |index: usize| server.request(index).rsplit_once("client_secret=").unwrap().1.to_owned();

    assert_eq!(fetch(&source).await.unwrap().secret, Some(SecretSlot::Next));
    assert_eq!([shown(0), shown(1)], ["one", "two"]);
    assert_eq!(fetch(&source).await.unwrap().secret, Some(SecretSlot::Next));
    assert_eq!(shown(2), "two");
    // Both are refused: no third attempt.
    assert_eq!(fetch(&source).await.unwrap_err().code, FetchErrorCode::InvalidClient);
    assert_eq!((shown(3), shown(4), server.count()), ("two".to_owned(), "one".to_owned(), 5));
}
