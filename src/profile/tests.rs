use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::token::error::FetchErrorCode;
use crate::token::testing::{access, profile};

const HOUR: Duration = Duration::from_secs(3600);

/// Answers what it is told to, and counts who still holds it.
struct Scripted {
    clock: Clock,
    answer: Arc<Mutex<Result<(&'static str, Duration), FetchErrorCode>>>,
}

impl TokenSource for Scripted {
    async fn fetch(&self, _: FetchContext) -> Result<AccessToken, FetchError> {
        let (text, lifetime) = self.answer.lock().unwrap().map_err(|code| FetchError::new(code, "why"))?;
        Ok(access(text, lifetime, self.clock.now()))
    }

    fn inputs_changed(&self) -> bool {
        false
    }
}

type Answer = Arc<Mutex<Result<(&'static str, Duration), FetchErrorCode>>>;

fn start(
    config: ProfileConfig,
    first: Result<(&'static str, Duration), FetchErrorCode>,
) -> (Profile, Answer) {
    let clock = Clock::fake();
    let answer: Answer = Arc::new(Mutex::new(first));
    let source = Scripted { clock: clock.clone(), answer: Arc::clone(&answer) };
    (Profile::start_with(Arc::new(config), clock, Arc::new(()), source), answer)
}

fn shown(profile: &Profile) -> Value {
    serde_json::to_value(profile.status()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_status_tells_everything_but_the_token() {
    let mut config = profile("https://idp.test:8443/oauth/token?apikey=canary", "id", "canary");
    config.description = Some("Perform calls.".to_owned());
    let (profile, _) = start(config, Ok(("canary-token", HOUR)));
    assert_eq!(shown(&profile)["state"], "pending");
    tokio::time::sleep(Duration::from_millis(10)).await;
    let mut status = shown(&profile);
    assert!(status["next_refresh"].take().as_str().unwrap().starts_with("2026-01-01T00:"));
    assert_eq!(status["fingerprint"].take().as_str().unwrap().len(), 8);
    assert_eq!(
        status,
        json!({
            "name": "test",
            "type": "oauth2_client_credentials",
            "description": "Perform calls.",
            "state": "valid",
            "token_service": "idp.test:8443",
            "fingerprint": null,
            "generation": 1,
            "issued_at": "2026-01-01T00:00:00Z",
            "expires_at": "2026-01-01T01:00:00Z",
            "lifetime": "1h",
            "lifetime_from": "expires_in",
            "next_refresh": null,
            "last_success": "2026-01-01T00:00:00Z",
        })
    );
    assert!(!shown(&profile).to_string().contains("canary"));
    assert!(!format!("{profile:?}").contains("canary"));
}

#[tokio::test(start_paused = true)]
async fn the_state_goes_from_valid_over_stale_to_expired() {
    let mut config = profile("https://idp.test/", "id", "secret");
    config.stale_if_error = Duration::from_secs(600);
    let (profile, answer) = start(config, Ok(("t", HOUR)));
    tokio::time::sleep(Duration::from_secs(1)).await;
    *answer.lock().unwrap() = Err(FetchErrorCode::ServerError);
    let state = |after: u64| {
        let profile = &profile;
        async move {
            tokio::time::sleep(Duration::from_secs(after)).await;
            shown(profile)["state"].as_str().unwrap().to_owned()
        }
    };
    assert_eq!(state(3590).await, "valid");
    assert_eq!(state(20).await, "stale");
    assert_eq!(state(600).await, "expired");
    let failure = shown(&profile)["last_failure"].take();
    assert_eq!((&failure["code"], &failure["message"]), (&json!("token_server_error"), &json!("why")));
    assert!(failure["attempts"].as_u64().unwrap() > 5);
    *answer.lock().unwrap() = Ok(("t2", HOUR));
    assert_eq!(state(61).await, "valid");
    assert_eq!(shown(&profile).get("last_failure"), None);
}

#[tokio::test(start_paused = true)]
async fn a_profile_that_never_had_a_token_has_failed() {
    let (profile, _) =
        start(profile("https://idp.test/", "id", "secret"), Err(FetchErrorCode::InvalidClient));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let status = shown(&profile);
    assert_eq!((&status["state"], &status["last_failure"]["attempts"]), (&json!("failed"), &json!(1)));
    assert!(status["next_refresh"].is_string());
}

#[tokio::test(start_paused = true)]
async fn dropping_a_profile_ends_its_task() {
    let (profile, answer) = start(profile("https://idp.test/", "id", "secret"), Ok(("t", HOUR)));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(Arc::strong_count(&answer), 2);
    drop(profile);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(Arc::strong_count(&answer), 1, "the source is gone with the task");
}

#[tokio::test]
async fn one_fetch_for_the_command_line_tells_the_error() {
    let config = profile("http://idp.test/token", "id", "secret");
    let failed = fetch_once(Arc::new(config), Clock::system()).await.unwrap_err();
    assert_eq!(failed.code, FetchErrorCode::RequestInvalid);
}

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn the_log_tells_of_tokens_and_failures_without_showing_them() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // With a single subscriber, tracing asks the thread that logs a line first, for all threads; other tests have none.
    let _second = tracing::Dispatch::new(tracing_subscriber::fmt().with_writer(std::io::sink).finish());
    let _guard = tracing::subscriber::set_default(subscriber);
    let config = profile("https://idp.test/?apikey=canary", "id", "canary-secret");
    let (profile, answer) = start(config, Ok(("canary-token", Duration::from_secs(2 * 365 * 86400))));
    tokio::time::sleep(Duration::from_secs(1)).await;
    *answer.lock().unwrap() = Err(FetchErrorCode::Timeout);
    tokio::time::sleep(24 * HOUR).await;
    *answer.lock().unwrap() = Ok(("canary-other", HOUR));
    tokio::time::sleep(HOUR / 2).await;
    drop(profile);

    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for part in [
        "token fetched profile=test generation=1 fingerprint=",
        "longer than a year",
        "no new token: why profile=test code=\"token_timeout\" attempts=1",
        "token renewed profile=test generation=2",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("canary"), "{text}");
}

#[tokio::test]
async fn a_profile_that_is_dropped_gives_its_state_file_back() {
    use crate::config::profile::{Grant, RefreshToken};
    use crate::token::testing::literal;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let mut config = profile("http://127.0.0.1:1/token", "id", "secret");
    config.oauth2_mut().grant =
        Grant::RefreshToken(RefreshToken { token: literal("first"), state_file: Some(path.clone()) });
    let config = Arc::new(config);
    let start = || Profile::start(Arc::clone(&config), Clock::system(), Arc::new(()));
    let first = start().unwrap();
    assert_eq!(shown(&first)["refresh_token"]["kept_in"], "configured");
    assert!(start().unwrap_err().to_string().contains("uses it"));
    drop(first);
    // The task ends when the runtime looks at it next.
    let again = async {
        while start().is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), again).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_profile_that_needs_a_person_says_so_as_long_as_it_has_no_token_to_use() {
    let (profile, answer) =
        start(profile("https://idp.test/token", "id", "secret"), Err(FetchErrorCode::Unauthorized));
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(shown(&profile)["state"], "unauthorized");
    *answer.lock().unwrap() = Ok(("token", HOUR));
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(shown(&profile)["state"], "valid");
    *answer.lock().unwrap() = Err(FetchErrorCode::Unauthorized);
    tokio::time::sleep(Duration::from_secs(55 * 60)).await;
    assert_eq!(shown(&profile)["state"], "valid", "the token of before is good");
    tokio::time::sleep(Duration::from_secs(10 * 60)).await;
    assert_eq!(shown(&profile)["state"], "unauthorized");
}
