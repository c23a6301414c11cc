use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::clock::Clock;
use crate::config::profile::{AuthorizationCode, RefreshToken};
use crate::token::source::FetchErrorClass;
use crate::token::testing::{access, literal, profile};

fn config(grant: Grant) -> Arc<ProfileConfig> {
    let mut config = profile("https://idp.test/token", "id", "secret");
    config.oauth2_mut().grant = grant;
    Arc::new(config)
}

fn refreshing(token: &str, state_file: Option<PathBuf>) -> Arc<ProfileConfig> {
    config(Grant::RefreshToken(RefreshToken { token: literal(token), state_file }))
}

fn authorized(state_file: PathBuf) -> Arc<ProfileConfig> {
    let code = AuthorizationCode { authorization_url: None, state_file, redirect_port: 0 };
    config(Grant::AuthorizationCode(code))
}

fn open(config: &Arc<ProfileConfig>) -> Rotation {
    Rotation::of(config).unwrap().unwrap()
}

fn show(rotation: &Rotation) -> Result<String, FetchError> {
    let oauth2 = rotation.profile.oauth2().unwrap();
    rotation.show(oauth2).map(|shown| shown.token.expose().to_owned())
}

/// A request that is answered with these tokens.
fn answered(rotation: &Rotation, new: Option<&str>) -> Result<Issued, FetchError> {
    let shown = rotation.show(rotation.profile.oauth2().unwrap())?;
    let new = new.map(|new| Secret::new(new.to_owned()));
    rotation.keep(&shown, new.clone());
    let access = access("at", Duration::from_secs(60), Clock::system().now());
    rotation.settle(shown, Ok(Issued { access, refresh_token: new }))
}

/// A request that ends in this error.
fn failed(rotation: &Rotation, code: FetchErrorCode) -> FetchError {
    let shown = rotation.show(rotation.profile.oauth2().unwrap()).unwrap();
    rotation.settle(shown, Err(FetchError::new(code, "as the service said"))).unwrap_err()
}

/// Nothing can be written beside the state file until this is dropped: a directory stands where the next file is made.
struct Blocked(PathBuf);

fn block(path: &Path) -> Blocked {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".tmp");
    std::fs::create_dir(&aside).unwrap();
    Blocked(aside.into())
}

impl Drop for Blocked {
    fn drop(&mut self) {
        std::fs::remove_dir(&self.0).unwrap();
    }
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    (folder, path)
}

#[test]
fn the_newest_token_is_shown_also_after_a_restart() {
    let (_folder, path) = place();
    let config = refreshing("first", Some(path));
    let rotation = open(&config);
    assert_eq!(rotation.whereabouts().0, Whereabouts::Configured);
    answered(&rotation, Some("second")).unwrap();
    assert_eq!(show(&rotation).unwrap(), "second");
    answered(&rotation, None).unwrap();
    assert_eq!(show(&rotation).unwrap(), "second", "no new one: the old one stays");
    drop(rotation);
    let rotation = open(&config);
    assert_eq!(show(&rotation).unwrap(), "second");
    assert_eq!(rotation.whereabouts().0, Whereabouts::StateFile);
}

#[test]
fn a_token_that_was_configured_anew_wins_over_the_stored_one() {
    let (_folder, path) = place();
    answered(&open(&refreshing("first", Some(path.clone()))), Some("second")).unwrap();
    assert_eq!(show(&open(&refreshing("other", Some(path.clone())))).unwrap(), "other");
    assert_eq!(show(&open(&refreshing("first", Some(path)))).unwrap(), "second");
}

#[test]
fn a_stored_token_is_not_shown_to_another_service_or_by_another_client() {
    let (_folder, path) = place();
    let config = authorized(path.clone());
    let fingerprint = fingerprint(config.oauth2().unwrap()).unwrap();
    let kept = Kept {
        profile: fingerprint,
        refresh_token: Secret::new("mine".to_owned()),
        since: SystemTime::now(),
    };
    crate::token::state_file::deliver(&path, &kept).unwrap();
    assert_eq!(show(&open(&config)).unwrap(), "mine");
    for (url, id) in [("https://other.test/token", "id"), ("https://idp.test/token", "other")] {
        let mut other = profile(url, id, "secret");
        other.oauth2_mut().grant = config.oauth2().unwrap().grant.clone();
        let error = show(&open(&Arc::new(other))).unwrap_err();
        assert_eq!((error.code, error.class), (FetchErrorCode::Unauthorized, FetchErrorClass::Permanent));
        assert!(error.message.contains("another client or token service"), "{error}");
        assert!(error.message.contains("sidepass authorize test"), "{error}");
    }
}

#[test]
fn before_the_first_consent_there_is_nothing_to_show() {
    let (_folder, path) = place();
    let rotation = open(&authorized(path));
    let error = show(&rotation).unwrap_err();
    assert_eq!(error.code, FetchErrorCode::Unauthorized);
    assert!(error.message.contains("nobody has authorized this profile yet: run `sidepass authorize test`"));
    assert_eq!(rotation.whereabouts(), (Whereabouts::Nowhere, None));
}

#[test]
fn a_refused_token_needs_a_person_and_a_lost_answer_is_named_as_the_cause() {
    let rotation = open(&refreshing("first", None));
    let error = failed(&rotation, FetchErrorCode::InvalidGrant);
    assert_eq!(error.code, FetchErrorCode::Unauthorized);
    assert!(error.message.contains("put a new refresh token into `refresh_token` of the profile"), "{error}");
    assert!(!error.message.contains("lost"), "{error}");
    for lost in [FetchErrorCode::Timeout, FetchErrorCode::Interrupted, FetchErrorCode::ServerError] {
        let rotation = open(&refreshing("first", None));
        assert_eq!(failed(&rotation, lost).code, lost);
        assert_eq!(failed(&rotation, FetchErrorCode::Connect).code, FetchErrorCode::Connect);
        assert_eq!(show(&rotation).unwrap(), "first", "the old one, once more");
        let error = failed(&rotation, FetchErrorCode::InvalidGrant);
        assert!(error.message.contains("the answer to the request before this one was lost"), "{error}");
    }
}

#[test]
fn a_request_that_was_dropped_counts_as_lost() {
    let rotation = open(&refreshing("first", None));
    show(&rotation).unwrap();
    assert!(failed(&rotation, FetchErrorCode::InvalidGrant).message.contains("was lost"));
}

#[test]
fn an_answer_that_is_no_good_brings_its_refresh_token_all_the_same() {
    let (_folder, path) = place();
    let config = refreshing("first", Some(path));
    let rotation = open(&config);
    let shown = rotation.show(config.oauth2().unwrap()).unwrap();
    rotation.keep(&shown, Some(Secret::new("second".to_owned())));
    let unfit = FetchError::new(FetchErrorCode::Unfit, "a token with a space");
    assert_eq!(rotation.settle(shown, Err(unfit)).unwrap_err().code, FetchErrorCode::Unfit);
    drop(rotation);
    assert_eq!(show(&open(&config)).unwrap(), "second");
}

#[test]
fn what_cannot_be_written_is_neither_lost_nor_used_nor_given_away() {
    let (_folder, path) = place();
    let config = refreshing("first", Some(path.clone()));
    let rotation = open(&config);
    let now = Clock::system().now();
    assert!(rotation.waiting(now).unwrap().is_none());
    let blocked = block(&path);
    let error = answered(&rotation, Some("second")).unwrap_err();
    assert_eq!((error.code, error.class), (FetchErrorCode::StateFile, FetchErrorClass::Transient));
    assert!(error.message.contains("waits to be written"), "{error}");
    assert_eq!(rotation.waiting(now).unwrap_err().code, FetchErrorCode::StateFile, "again and again");
    assert_eq!(rotation.whereabouts().0, Whereabouts::Memory);
    drop(blocked);
    assert_eq!(rotation.waiting(now).unwrap().unwrap().text.expose(), "at", "what waited is given away");
    assert!(rotation.waiting(now).unwrap().is_none(), "once");
    assert_eq!(rotation.whereabouts().0, Whereabouts::StateFile);
    drop(rotation);
    assert_eq!(show(&open(&config)).unwrap(), "second");
}

#[test]
fn a_token_that_waited_too_long_is_not_given_away() {
    let (_folder, path) = place();
    let rotation = open(&refreshing("first", Some(path.clone())));
    let blocked = block(&path);
    answered(&rotation, Some("second")).unwrap_err();
    drop(blocked);
    let later = Clock::system().now().after(Duration::from_secs(61));
    assert!(rotation.waiting(later).unwrap().is_none());
    assert_eq!(show(&rotation).unwrap(), "second");
}

#[test]
fn the_end_writes_what_could_not_be_written() {
    let (_folder, path) = place();
    let config = refreshing("first", Some(path.clone()));
    let rotation = open(&config);
    let blocked = block(&path);
    answered(&rotation, Some("second")).unwrap_err();
    drop(blocked);
    drop(rotation);
    assert_eq!(show(&open(&config)).unwrap(), "second");
}

#[test]
fn a_token_that_somebody_brought_is_used_from_the_next_request_on() {
    let (_folder, path) = place();
    let config = authorized(path.clone());
    let rotation = open(&config);
    assert!(!rotation.is_offered());
    let profile = fingerprint(config.oauth2().unwrap()).unwrap();
    let kept = Kept { profile, refresh_token: Secret::new("brought".to_owned()), since: SystemTime::now() };
    crate::token::state_file::deliver(&path, &kept).unwrap();
    assert!(rotation.is_offered());
    assert_eq!(show(&rotation).unwrap(), "brought");
    assert!(!rotation.is_offered());
}

#[test]
fn other_grants_have_no_refresh_token() {
    assert!(Rotation::of(&Arc::new(profile("https://idp.test/token", "id", "secret"))).unwrap().is_none());
}

#[test]
fn debug_shows_no_token() {
    let rotation = open(&refreshing("canary", None));
    answered(&rotation, Some("canary-2")).unwrap();
    let shown = rotation.show(rotation.profile.oauth2().unwrap()).unwrap();
    assert!(!format!("{rotation:?} {shown:?}").contains("canary"));
}
