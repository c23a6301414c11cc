use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;
use crate::secret::Secret;

fn kept(profile: &str, token: &str) -> Kept {
    let since = UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    Kept { profile: Fingerprint::of(&[profile]), refresh_token: Secret::new(token.to_owned()), since }
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crm.json");
    (folder, path)
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_was_written_is_read_after_a_restart_and_only_we_can_read_it() {
    let (folder, path) = place();
    let (file, nothing) = StateFile::open(&path).unwrap();
    assert_eq!(nothing, None);
    assert_eq!(names(folder.path()), ["crm.json.lock"], "nothing is made before there is something to keep");
    file.write(&kept("a", "one")).unwrap();
    file.write(&kept("a", "two")).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    drop(file);
    assert_eq!(StateFile::open(&path).unwrap().1, Some(kept("a", "two")));
    assert_eq!(names(folder.path()), ["crm.json", "crm.json.lock"]);
}

#[test]
fn a_second_owner_is_refused_and_told_who_the_first_one_is() {
    let (_folder, path) = place();
    let (first, _) = StateFile::open(&path).unwrap();
    let error = StateFile::open(&path).unwrap_err().0;
    assert!(error.contains(&format!("process id {} uses it", std::process::id())), "{error}");
    StateFile::check(&path).expect("a check needs no lock");
    drop(first);
    StateFile::open(&path).expect("the lock goes with its owner");
}

#[test]
fn a_check_makes_no_file() {
    let (folder, path) = place();
    StateFile::check(&path).unwrap();
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[test]
fn what_hinders_is_said_with_the_way_out() {
    let (folder, path) = place();
    let said = |path: &Path| {
        let error = StateFile::open(path).unwrap_err();
        assert_eq!(StateFile::check(path).unwrap_err(), error, "check says the same");
        error.0
    };
    assert!(said(&folder.path().join("gone/crm.json")).contains("gone does not exist; make it, or mount"));
    fs::write(&path, "no directory").unwrap();
    assert!(said(&path.join("crm.json")).contains("is no directory"));
    assert!(said(folder.path()).contains("is no file"));
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    assert!(said(&link).contains("is a link to nothing"));
}

#[test]
fn a_link_is_followed_and_stays() {
    let (folder, path) = place();
    fs::write(&path, &*kept("a", "one").to_bytes()).unwrap();
    let link = folder.path().join("link.json");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let (file, _) = StateFile::open(&link).unwrap();
    file.write(&kept("a", "two")).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(read(&path, Writer::Any).unwrap(), Some(kept("a", "two")));
}

#[test]
fn a_damaged_file_is_refused_and_nothing_of_it_is_shown() {
    let (_folder, path) = place();
    let good = String::from_utf8(kept("a", "canary").to_bytes().to_vec()).unwrap();
    for (bad, why) in [
        (String::new(), "is empty"),
        ("canary".to_owned(), "not JSON"),
        (good[..good.len() - 8].to_owned(), "not JSON"),
        ("[\"canary\"]".to_owned(), "no JSON object"),
        ("{\"refresh_token\":\"canary\"}".to_owned(), "no `version`"),
        (good.replace(": 1,", ": \"canary\","), "no `version`"),
        (good.replace(": 1,", ": 2,"), "newer sidepass"),
        (good.replace("\"since\"", "\"canary\""), "`since` is missing"),
        (good.replace("2026-01-01", "canary"), "`since` is no time"),
        (
            good.replace("\"refresh_token\": \"canary\"", "\"refresh_token\": [\"canary\"]"),
            "`refresh_token` is missing",
        ),
        (
            good.replace("\"refresh_token\": \"canary\"", "\"refresh_token\": \"\""),
            "`refresh_token` is missing",
        ),
        (format!("{good}{}", " ".repeat(1024 * 1024)), "larger than 1 MiB"),
    ] {
        fs::write(&path, &bad).unwrap();
        let error = StateFile::open(&path).unwrap_err().0;
        assert!(error.contains(why) && error.contains("restore it from a backup"), "{why}: {error}");
        assert!(!error.contains("canary"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), bad, "it stays for whoever repairs it");
    }
}

#[test]
fn what_a_crash_left_behind_is_in_nobodys_way() {
    let (folder, path) = place();
    fs::write(beside(&path, ".tmp"), "half a tok").unwrap();
    fs::set_permissions(beside(&path, ".tmp"), fs::Permissions::from_mode(0o644)).unwrap();
    let (file, _) = StateFile::open(&path).unwrap();
    file.write(&kept("a", "one")).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(names(folder.path()), ["crm.json", "crm.json.lock"]);
}

#[test]
fn a_token_from_elsewhere_goes_into_the_file_or_to_its_owner() {
    let (folder, path) = place();
    assert_eq!(deliver(&path, &kept("a", "one")).unwrap(), Delivery::Kept);
    let (file, read) = StateFile::open(&path).unwrap();
    assert_eq!(read, Some(kept("a", "one")));
    assert_eq!(deliver(&path, &kept("a", "two")).unwrap(), Delivery::Offered);
    let (a, b) = (Fingerprint::of(&["a"]), Fingerprint::of(&["b"]));
    assert!(file.is_offered(&b).unwrap_err().0.contains("is for another client"));
    assert_eq!(file.is_offered(&a), Ok(true));
    assert_eq!(file.take_offered().unwrap(), Some(kept("a", "two")));
    assert_eq!(file.is_offered(&a), Ok(false), "once");
    fs::write(beside(&path, OFFER), "canary").unwrap();
    let error = file.is_offered(&a).unwrap_err().0;
    assert!(error.contains("crm.json.new: is damaged") && !error.contains("canary"), "{error}");
    fs::remove_file(beside(&path, OFFER)).unwrap();
    drop(file);
    assert_eq!(StateFile::open(&path).unwrap().1, Some(kept("a", "two")));
    assert_eq!(names(folder.path()), ["crm.json", "crm.json.lock"]);
}

#[test]
fn what_was_left_for_an_owner_who_ended_is_taken_by_the_next() {
    let (_folder, path) = place();
    let (file, _) = StateFile::open(&path).unwrap();
    file.write(&kept("a", "one")).unwrap();
    assert_eq!(deliver(&path, &kept("a", "two")).unwrap(), Delivery::Offered);
    drop(file);
    let (file, _) = StateFile::open(&path).unwrap();
    assert_eq!(file.is_offered(&Fingerprint::of(&["a"])), Ok(true));
    assert_eq!(file.take_offered().unwrap(), Some(kept("a", "two")));
}

#[test]
fn a_token_that_root_brings_belongs_to_whoever_runs_sidepass() {
    let (_folder, path) = place();
    drop(StateFile::open(&path).unwrap());
    let us = rustix::process::geteuid();
    let owner = if us.is_root() { 65532 } else { us.as_raw() };
    std::os::unix::fs::chown(beside(&path, lock::SUFFIX), Some(owner), None).unwrap();
    assert_eq!(deliver(&path, &kept("a", "one")).unwrap(), Delivery::Kept);
    assert_eq!(fs::metadata(&path).unwrap().uid(), owner);
}

#[test]
fn no_two_lists_of_parts_have_one_fingerprint() {
    assert_ne!(Fingerprint::of(&["ab", "c"]), Fingerprint::of(&["a", "bc"]));
    assert_ne!(Fingerprint::of(&["a"]), Fingerprint::of(&["a", ""]));
}

proptest! {
    #[test]
    fn any_token_survives(token in "(?s).+", profile in any::<String>(), seconds in 0u64..253_402_300_800) {
        let since = UNIX_EPOCH + Duration::from_secs(seconds);
        let kept = Kept { since, ..kept(&profile, &token) };
        prop_assert_eq!(Kept::parse(&kept.to_bytes()), Ok(kept));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Kept::parse(&bytes);
    }

    #[test]
    fn a_part_of_a_file_is_never_taken_for_the_whole(token in "[!-~]{1,80}", share in 0.0f64..1.0) {
        let bytes = kept("a", &token).to_bytes();
        // Without its last line end it is still whole.
        let cut = ((bytes.len() - 1) as f64 * share) as usize;
        prop_assert!(Kept::parse(&bytes[..cut]).is_err());
    }
}

#[test]
fn a_link_in_place_of_the_lock_is_not_followed_to_what_it_names() {
    let (folder, path) = place();
    let victim = folder.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    std::os::unix::fs::symlink(&victim, folder.path().join("crm.json.lock")).unwrap();
    let error = StateFile::open(&path).unwrap_err().0;
    assert!(error.contains("crm.json.lock: is a link"), "{error}");
    assert!(deliver(&path, &kept("a", "one")).is_err());
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
}

#[test]
fn a_token_that_a_stranger_left_is_not_taken() {
    let (folder, path) = place();
    let (mut file, _) = StateFile::open(&path).unwrap();
    let offer = folder.path().join("crm.json.new");
    fs::write(&offer, &*kept("a", "theirs").to_bytes()).unwrap();
    assert_eq!(file.is_offered(&kept("a", "").profile), Ok(true), "it is ours so far");
    // Only root can give a file away; anybody else takes the role of another user.
    if std::os::unix::fs::chown(&offer, Some(4711), None).is_err() {
        file.uid += 1;
    }
    let error = file.is_offered(&kept("a", "").profile).unwrap_err().0;
    assert!(error.contains("crm.json.new: belongs to uid") && !error.contains("theirs"), "{error}");
    assert!(file.take_offered().is_err());
}

#[test]
fn a_pipe_that_somebody_left_is_not_waited_for() {
    let (folder, path) = place();
    let (file, _) = StateFile::open(&path).unwrap();
    let pipe = folder.path().join("crm.json.new");
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, mode, 0).unwrap();
    let error = file.is_offered(&kept("a", "").profile).unwrap_err().0;
    assert!(error.contains("is no file"), "{error}");
}
