//! Refresh tokens that are good for one use: none is lost, none is shown twice, whatever happens to the process.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::client;
use crate::support::idp::MockIdp;
use crate::support::leaks;
use crate::support::patience::{eventually, patience};
use crate::support::process::{Process, folder_with, listens, sidepass};
use crate::support::proxy::Variables;
use crate::support::rig::Rig;
use crate::support::rotating::{Reuse, Rotating};
use crate::support::setup::Setup;

const HOUR: Duration = Duration::from_secs(3600);

/// The refresh token in a state file.
fn stored(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let json: serde_json::Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    json["refresh_token"].as_str().unwrap().to_owned()
}

/// A rig whose profile has a refresh token, in a file, and a state file.
fn setup(lifetime: Duration) -> (TempDir, PathBuf, Rotating, Setup) {
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("state.json");
    let setup = Setup::new();
    let books = Rotating::install(&setup.idp, lifetime, Reuse::EndsTheGrant);
    let first = folder.path().join("first");
    fs::write(&first, books.newest()).unwrap();
    let setup = setup
        .profile("type: oauth2_refresh_token")
        .profile(&format!("refresh_token: {{ file: {} }}", first.display()))
        .profile(&format!("state_file: {}", state.display()));
    (folder, state, books, setup)
}

fn state(rig: &Rig) -> String {
    rig.profile_status("main")["state"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn every_new_refresh_token_is_on_the_disk_before_its_access_token_is_used() {
    let (_folder, file, books, setup) = setup(Duration::from_secs(2));
    let rig = setup.start();
    let mut used = 0;
    eventually("four tokens", || {
        std::thread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| assert_eq!(rig.get("/").status, 200));
            }
        });
        let seen = rig.upstream.seen();
        used = Rotating::number(seen.last().unwrap().header("authorization").unwrap());
        let on_disk = Rotating::number(&stored(&file));
        assert!(on_disk >= used, "token {used} was used, and refresh token {on_disk} is on the disk");
        used >= 4
    });
    assert_eq!(books.reused(), 0);
    assert_eq!(rig.profile_status("main")["refresh_token"]["kept_in"], "state_file");
}

#[test]
fn a_lost_answer_is_followed_by_one_more_try_and_then_by_a_cry_for_help() {
    let (folder, _, books, setup) = setup(HOUR);
    books.lose(1);
    let rig = setup.cold().start();
    eventually("unauthorized", || state(&rig) == "unauthorized");
    assert_eq!((rig.idp.count(), books.reused()), (2, 1), "the old token, once more");
    let failure = rig.profile_status("main")["last_failure"].clone();
    assert_eq!(failure["code"], "token_unauthorized");
    let message = failure["message"].as_str().unwrap();
    let first = folder.path().join("first");
    for part in ["was lost", "put a new refresh token into", &first.display().to_string()] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(rig.probe("/readyz").status, 503);
    assert_eq!(rig.get("/").reason(), "token_unavailable");
    fs::write(&first, books.grant()).unwrap();
    rig.wait_until_ready();
    assert_eq!((rig.get("/").status, state(&rig).as_str()), (200, "valid"));
}

#[test]
fn a_try_after_a_lost_answer_succeeds_where_the_service_forgives() {
    let folder = TempDir::new().unwrap();
    let setup = Setup::new();
    let books = Rotating::install(&setup.idp, HOUR, Reuse::Forgiven);
    books.lose(1);
    let rig = setup
        .variable("FIRST", books.newest())
        .profile("type: oauth2_refresh_token")
        .profile("refresh_token: ${FIRST}")
        .profile(&format!("state_file: {}", folder.path().join("state.json").display()))
        .start();
    assert_eq!((rig.idp.count(), books.reused()), (2, 0));
    assert_eq!(stored(&folder.path().join("state.json")), books.newest());
}

#[test]
fn a_state_file_that_cannot_be_written_any_more_burns_no_refresh_token() {
    let (folder, file, books, setup) = setup(Duration::from_secs(4));
    let rig = setup.start();
    // Where the next version of the file is to be made stands a directory.
    let obstacle = folder.path().join("state.json.tmp");
    fs::create_dir(&obstacle).unwrap();
    eventually("the failure shows", || rig.last_failure("main") == "token_state_file");
    assert_eq!(rig.profile_status("main")["refresh_token"]["kept_in"], "memory");
    let asked = rig.idp.count();
    eventually("it tries again", || {
        rig.profile_status("main")["last_failure"]["attempts"].as_u64().is_some_and(|attempts| attempts >= 2)
    });
    assert_eq!(rig.idp.count(), asked, "nothing is asked for meanwhile");
    assert_eq!(Rotating::number(&stored(&file)), asked - 1, "the old file is whole");
    fs::remove_dir(&obstacle).unwrap();
    eventually("it is written", || Rotating::number(&stored(&file)) >= asked);
    eventually("it goes on", || rig.get("/").status == 200 && rig.last_failure("main").is_empty());
    assert_eq!(books.reused(), 0);
}

#[test]
fn without_a_state_file_a_new_refresh_token_lives_in_memory_and_a_warning_says_so() {
    let setup = Setup::new();
    let books = Rotating::install(&setup.idp, Duration::from_secs(2), Reuse::EndsTheGrant);
    let rig = setup
        .variable("FIRST", books.newest())
        .yaml(
            "profiles:\n  unkept:\n    type: oauth2_refresh_token\n    token_service_url: ${TOKEN_URL}\n    \
             client_id: a\n    client_authentication: none\n    refresh_token: ${FIRST}\n\
             routes:\n  main:\n    upstream: ${UPSTREAM}\n    profile: unkept\n",
        )
        .start();
    eventually("three tokens", || rig.idp.count() >= 3);
    assert_eq!(books.reused(), 0);
    assert_eq!(rig.profile_status("unkept")["refresh_token"]["kept_in"], "memory");
    assert_eq!(leaks::log_lines(&["WARN", "unkept", "set state_file"]).len(), 1);
}

/// Processes that come and go over one state file.
struct Stage {
    idp: MockIdp,
    books: Rotating,
    folder: TempDir,
    variables: Variables,
}

impl Stage {
    fn new(reuse: Reuse) -> Self {
        let idp = MockIdp::start(HOUR);
        let books = Rotating::install(&idp, HOUR, reuse);
        let (folder, _) = folder_with(&format!(
            "proxy: {{ listen: '127.0.0.1:0' }}\nadmin: {{ listen: '127.0.0.1:0' }}\nprofiles:\n  crm:\n    \
             type: oauth2_refresh_token\n    token_service_url: {}\n    client_id: a\n    \
             client_authentication: none\n    refresh_token: ${{FIRST}}\n    state_file: state.json\n\
             routes:\n  main: {{ upstream: 'http://127.0.0.1:1', profile: crm }}\n",
            idp.url(),
        ));
        let variables = Variables::from([("FIRST".to_owned(), books.newest())]);
        Self { idp, books, folder, variables }
    }

    fn spawn(&self, arguments: &[&str]) -> Process {
        Process::spawn(arguments, &self.variables, self.folder.path())
    }

    fn state_file(&self) -> PathBuf {
        self.folder.path().join("state.json")
    }

    /// Starts a process and waits until it has a token.
    fn ready(&self) -> Process {
        let mut process = self.spawn(&["run"]);
        eventually("it is ready", || {
            assert!(process.is_running(), "it ended: {}", process.stderr());
            let probe = |admin| client::try_get(admin, "/readyz").is_ok_and(|answer| answer.status == 200);
            process.admin().is_some_and(probe)
        });
        process
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let leaks = leaks::leaks_of(self.idp.mark());
        assert!(std::thread::panicking() || leaks.is_empty(), "{}", leaks.join("\n"));
    }
}

#[test]
fn a_process_that_is_killed_as_soon_as_it_has_a_token_has_lost_nothing() {
    let stage = Stage::new(Reuse::EndsTheGrant);
    for round in 1..=6 {
        let process = stage.ready();
        process.signal(Signal::KILL);
        assert_eq!(Rotating::number(&stored(&stage.state_file())), round);
    }
    assert_eq!(stage.books.reused(), 0);
}

#[test]
fn whenever_a_process_is_killed_its_state_file_is_whole() {
    let stage = Stage::new(Reuse::Forgiven);
    for round in 0..12_u32 {
        let asked = stage.idp.count();
        let mut process = stage.spawn(&["run"]);
        eventually("the token service was asked", || {
            assert!(process.is_running(), "it ended: {}", process.stderr());
            stage.idp.count() > asked
        });
        std::thread::sleep(Duration::from_micros(u64::from(round) * 300));
        process.signal(Signal::KILL);
        process.wait(patience());
        if stage.state_file().exists() {
            let (on_disk, newest) =
                (Rotating::number(&stored(&stage.state_file())), Rotating::number(&stage.books.newest()));
            assert!(newest - on_disk <= 1, "{on_disk} on the disk, {newest} at the service");
        }
    }
    let _last = stage.ready();
    assert_eq!(stage.books.reused(), 0, "what was lost was forgiven, and nothing older was shown");
}

#[test]
fn a_process_that_is_told_to_end_waits_for_the_answer_that_is_under_way() {
    let stage = Stage::new(Reuse::EndsTheGrant);
    let gate = stage.idp.hold();
    let mut process = stage.spawn(&["run"]);
    eventually("the token service was asked", || {
        stage.idp.count() == 1 && process.admin().is_some_and(listens)
    });
    process.signal(Signal::TERM);
    eventually("it drains", || process.stderr().contains("draining"));
    std::thread::sleep(Duration::from_secs(1));
    assert!(process.is_running(), "it waits");
    gate.open();
    assert_eq!(process.wait(patience()).code, 0);
    assert_eq!(stored(&stage.state_file()), stage.books.newest());
}

#[test]
fn a_second_process_is_refused_the_state_file_of_the_first() {
    let stage = Stage::new(Reuse::EndsTheGrant);
    let first = stage.ready();
    for command in [vec!["run"], vec!["token", "crm"]] {
        let ended = sidepass(&command, &stage.variables, stage.folder.path());
        assert_ne!(ended.code, 0, "{command:?}");
        let said = format!("process id {} uses it", first.id());
        assert!(ended.err.contains(&said) && ended.err.contains("crm"), "{command:?}: {}", ended.err);
    }
    assert_eq!(sidepass(&["check"], &stage.variables, stage.folder.path()).code, 0, "a check is no owner");
    assert_eq!((stage.idp.count(), stage.books.reused()), (1, 0));
}

#[test]
fn a_state_file_that_cannot_be_used_is_refused_by_check_and_run_alike() {
    let stage = Stage::new(Reuse::EndsTheGrant);
    let yaml = stage.folder.path().join("proxy.yaml");
    let good = fs::read_to_string(&yaml).unwrap();
    let refused = |text: &str, why: &str| {
        fs::write(&yaml, text).unwrap();
        for command in ["check", "run"] {
            let ended = sidepass(&[command], &stage.variables, stage.folder.path());
            assert_eq!(ended.code, 78, "{command}: {}", ended.err);
            assert!(ended.err.contains(why) && ended.err.contains("profiles."), "{command}: {}", ended.err);
        }
    };
    refused(&good.replace("state.json", "gone/state.json"), "does not exist; make it, or mount a volume");
    refused(&good.replace("state.json", "proxy.yaml/state.json"), "is no directory");
    refused(&good.replace("state.json", "proxy.yaml"), "is damaged: it is not JSON");
    let profile = good.split("  crm:\n").nth(1).unwrap().split("routes:").next().unwrap();
    let twice = good.replace("profiles:\n", &format!("profiles:\n  first:\n{profile}"));
    refused(&twice, "is that of profile first already");
    assert_eq!(stage.idp.count(), 0);
    assert!(!stage.state_file().exists(), "a check makes no state file");
}
