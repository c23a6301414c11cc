//! `sidepass authorize`: a browser brings the answer to a loopback port, and a running sidepass lives on what comes of it.

use std::cell::Cell;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::client::{self, Connection, Response};
use crate::support::idp::MockIdp;
use crate::support::leaks;
use crate::support::patience::{eventually, patience};
use crate::support::process::{Ended, Process, folder_with, sidepass};
use crate::support::proxy::Variables;
use crate::support::rotating::{Reuse, Rotating};

const HOUR: Duration = Duration::from_secs(3600);

/// A token service, a configuration, and the state file between `authorize` and `run`.
struct Stage {
    idp: MockIdp,
    books: Rotating,
    folder: TempDir,
    /// Of the last process that was started.
    admin: Cell<Option<SocketAddr>>,
}

impl Stage {
    fn new() -> Self {
        Self::with("")
    }

    /// With one more line of the profile.
    fn with(line: &str) -> Self {
        let idp = MockIdp::start(HOUR);
        let books = Rotating::install(&idp, HOUR, Reuse::EndsTheGrant);
        let (folder, _) = folder_with(&format!(
            "proxy: {{ listen: '127.0.0.1:0' }}\nadmin: {{ listen: '127.0.0.1:0' }}\nprofiles:\n  crm:\n    \
             type: oauth2_authorization_code\n    token_service_url: {}\n    client_id: a\n    \
             client_authentication: none\n    scope: [read, offline_access]\n    state_file: state.json\n    \
             authorization_url: https://login.example/authorize?access_type=offline\n{line}\
             routes:\n  main: {{ upstream: 'http://127.0.0.1:1', profile: crm }}\n",
            idp.url(),
        ));
        Self { idp, books, folder, admin: Cell::default() }
    }

    fn spawn(&self, arguments: &[&str]) -> Process {
        Process::spawn(arguments, &Variables::new(), self.folder.path())
    }

    fn state_file(&self) -> PathBuf {
        self.folder.path().join("state.json")
    }

    /// `sidepass authorize`, waiting for a person, and the page that it asks them to open.
    fn authorize(&self) -> (Process, String) {
        let mut process = self.spawn(&["authorize", "crm"]);
        eventually("it says which page to open", || {
            assert!(process.is_running() || process.stdout().contains('\n'), "{}", process.stderr());
            process.stdout().ends_with('\n')
        });
        let page = process.stdout().trim().to_owned();
        (process, page)
    }

    /// Authorizes, as it is meant to be.
    fn authorized(&self) -> Ended {
        let (mut process, page) = self.authorize();
        let shown = browse(&self.books.consent(&page));
        assert_eq!(shown.status, 200, "{}", shown.text());
        process.wait(patience())
    }

    fn probe(&self, target: &str) -> Response {
        client::get(self.admin.get().expect("a process was started"), target)
    }

    fn status(&self) -> serde_json::Value {
        self.probe("/status").json()["profiles"][0].clone()
    }

    /// A `run` that has got as far as it can.
    fn run(&self, state: &str) -> Process {
        let mut process = self.spawn(&["run"]);
        eventually("it runs", || {
            assert!(process.is_running(), "it ended: {}", process.stderr());
            self.admin.set(process.admin());
            self.admin.get().is_some_and(|admin| client::try_get(admin, "/livez").is_ok())
        });
        eventually(state, || self.status()["state"] == state);
        process
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let leaks = leaks::leaks_of(self.idp.mark());
        assert!(std::thread::panicking() || leaks.is_empty(), "{}", leaks.join("\n"));
    }
}

/// Where a loopback URL leads: address and target.
fn place(url: &str) -> (SocketAddr, String) {
    let rest = url.strip_prefix("http://").unwrap();
    let (address, target) = rest.split_once('/').unwrap();
    (address.parse().unwrap(), format!("/{target}"))
}

/// What a browser is shown there.
fn browse(url: &str) -> Response {
    let (address, target) = place(url);
    client::get(address, &target)
}

#[test]
fn consent_is_asked_for_once_and_then_sidepass_lives_on_the_refresh_token() {
    let stage = Stage::new();
    let check = || sidepass(&["check"], &Variables::new(), stage.folder.path());
    let said = check();
    assert!(said.code == 0 && said.err.contains("nobody has authorized it yet"), "{}", said.err);
    let (mut process, page) = stage.authorize();
    for part in [
        "https://login.example/authorize?access_type=offline&",
        "client_id=a&",
        "scope=read+offline_access&",
        "redirect_uri=http%3A%2F%2F127.0.0.1%3A",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let shown = browse(&stage.books.consent(&page));
    assert!(shown.status == 200 && shown.text().contains("Profile crm is authorized."), "{}", shown.text());
    assert_eq!(shown.header("cache-control"), Some("no-store"));
    let ended = process.wait(patience());
    assert_eq!(ended.code, 0, "{}", ended.err);
    for part in ["ssh -L", "authorized; the refresh token is kept in", "state.json"] {
        assert!(ended.err.contains(part), "{part}: {}", ended.err);
    }
    assert!(stage.state_file().exists());
    assert!(!check().err.contains("nobody"), "{}", check().err);
    drop(stage.run("valid"));
    drop(stage.run("valid"));
    assert_eq!((stage.idp.count(), stage.books.reused()), (3, 0), "a code, and a refresh token each time");
}

#[test]
fn a_running_sidepass_takes_what_a_person_consents_to_without_a_restart() {
    let stage = Stage::new();
    let mut running = stage.run("unauthorized");
    let failure = stage.status()["last_failure"].clone();
    assert_eq!(failure["code"], "token_unauthorized");
    assert!(failure["message"].as_str().unwrap().contains("run `sidepass authorize crm`"), "{failure}");
    assert_eq!(stage.probe("/readyz").status, 503);
    assert_eq!(stage.idp.count(), 0, "there is nothing to ask for");
    let ended = stage.authorized();
    assert!(ended.code == 0 && ended.err.contains("within two seconds"), "{}", ended.err);
    eventually("it is ready", || stage.probe("/readyz").status == 200);
    // Once more, while the token of before is still good: perhaps for another scope.
    assert_eq!(stage.status()["generation"], 1);
    assert_eq!(stage.authorized().code, 0);
    eventually("it takes the newer one", || stage.status()["generation"] == 2);
    assert_eq!(stage.books.reused(), 0);
    assert!(running.is_running());
}

#[test]
fn what_is_no_answer_to_us_ends_nothing() {
    let stage = Stage::new();
    let (mut process, page) = stage.authorize();
    let right = stage.books.consent(&page);
    let (address, target) = place(&right);
    // Browsers keep connections ready; others never end what they began.
    let idle: Vec<_> = (0..8).map(|_| TcpStream::connect(address).unwrap()).collect();
    let mut slow = Connection::open(address);
    slow.send(b"GET /callback?code=a&state=b HTTP/1.1\r\nHost: ");
    let mut endless = Connection::open(address);
    endless.send([b"GET / HTTP/1.1\r\nX: ".as_slice(), &[b'a'; 100_000]].concat());
    for (target, status) in [
        (target.replace("&state=", "&state=x"), 400),
        ("/callback?error=access_denied".to_owned(), 400),
        ("/callback".to_owned(), 400),
        (target.replace("/callback", "/other"), 404),
        ("/favicon.ico".to_owned(), 404),
    ] {
        let shown = client::get(address, &target);
        assert_eq!(shown.status, status, "{target}: {}", shown.text());
    }
    assert_eq!(client::call(address, "POST", &target, &[], b"").status, 405);
    let foreign = format!("GET {target} HTTP/1.1\r\nHost: evil.example:{}\r\n\r\n", address.port());
    assert_eq!(Connection::open(address).send(foreign).read().status, 421);
    assert!(process.is_running());
    assert_eq!(client::get(address, &target).status, 200, "and the right one is taken");
    assert_eq!(process.wait(patience()).code, 0);
    drop((idle, slow, endless));
}

#[test]
fn an_answer_is_taken_once() {
    let stage = Stage::new();
    let gate = stage.idp.hold();
    let (mut process, page) = stage.authorize();
    let (address, target) = place(&stage.books.consent(&page));
    let mut first = Connection::open(address);
    first.send(client::request(address, "GET", &target, &[], b""));
    eventually("the code is exchanged", || stage.idp.count() == 1);
    let second = client::get(address, &target);
    assert!(second.status == 400 && second.text().contains("its answer already"), "{}", second.text());
    gate.open();
    assert_eq!(first.read().status, 200);
    assert_eq!((process.wait(patience()).code, stage.idp.count()), (0, 1));
}

#[test]
fn a_person_may_say_no() {
    let stage = Stage::new();
    let (mut process, page) = stage.authorize();
    let right = stage.books.consent(&page);
    let state = right.split("state=").nth(1).unwrap();
    let back = right.split('?').next().unwrap();
    let no = "error=access_denied&error_description=%3Cb%3Enot+today%3C%2Fb%3E";
    let shown = browse(&format!("{back}?{no}&state={state}"));
    assert!(shown.status == 400 && shown.text().contains("&lt;b&gt;not today&lt;/b&gt;"), "{}", shown.text());
    let ended = process.wait(patience());
    assert_eq!((ended.code, stage.idp.count()), (1, 0));
    assert!(
        ended.err.contains("profile crm is not authorized: consent was refused (access_denied"),
        "{}",
        ended.err
    );
    assert!(!stage.state_file().exists());
}

#[test]
fn a_code_that_brings_no_refresh_token_is_told_how_to_ask_for_one() {
    let stage = Stage::new();
    stage.books.online_only();
    let (mut process, page) = stage.authorize();
    let shown = browse(&stage.books.consent(&page));
    let ended = process.wait(patience());
    for said in [shown.text(), ended.err] {
        assert!(said.contains("offline_access") && said.contains("access_type=offline"), "{said}");
    }
    assert_eq!((shown.status, ended.code), (400, 1));
    assert!(!stage.state_file().exists());
}

#[test]
fn a_code_that_the_service_does_not_take_is_not_shown() {
    let stage = Stage::new();
    let (mut process, page) = stage.authorize();
    let right = stage.books.consent(&page);
    // Another consent: the code of before is no good any more.
    stage.books.consent(&page);
    let shown = browse(&right);
    assert!(shown.status == 400 && shown.text().contains("invalid_grant"), "{}", shown.text());
    let ended = process.wait(patience());
    assert!(ended.code == 1 && ended.err.contains("invalid_grant"), "{}", ended.err);
}

#[test]
fn a_browser_is_opened_where_there_is_a_screen_and_nobody_objects() {
    use std::os::unix::fs::PermissionsExt;
    let stage = Stage::new();
    let (program, opened) = (stage.folder.path().join("xdg-open"), stage.folder.path().join("opened"));
    fs::write(&program, "#!/bin/sh\nprintf %s \"$1\" > opened.part && /bin/mv opened.part opened\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut variables = Variables::from([("PATH".to_owned(), stage.folder.path().display().to_string())]);
    let start = |variables: &Variables, more: &[&str]| {
        let arguments = [&["authorize", "crm"], more].concat();
        let process = Process::spawn(&arguments, variables, stage.folder.path());
        eventually("it waits", || process.stderr().contains("ssh -L"));
        process
    };
    drop(start(&variables, &[]));
    variables.insert("DISPLAY".to_owned(), ":0".to_owned());
    drop(start(&variables, &["--no-browser"]));
    assert!(!opened.exists());
    let process = start(&variables, &[]);
    eventually("it is opened", || opened.exists());
    assert_eq!(fs::read_to_string(&opened).unwrap(), process.stdout().trim());
}

#[test]
fn an_issuer_names_the_page_and_its_answer_says_whose_it_is() {
    let stage = Stage::new();
    let issuer = stage.idp.url().trim_end_matches("/token").to_owned();
    let yaml = stage.folder.path().join("proxy.yaml");
    let text = fs::read_to_string(&yaml).unwrap();
    let text = text.replace(&format!("token_service_url: {}", stage.idp.url()), &format!("issuer: {issuer}"));
    let lines = text.lines().filter(|line| !line.contains("authorization_url"));
    fs::write(&yaml, lines.collect::<Vec<_>>().join("\n")).unwrap();
    let (mut process, page) = stage.authorize();
    assert!(page.starts_with(&format!("{issuer}/authorize?ui=en&response_type=code&")), "{page}");
    let right = stage.books.consent(&page);
    let shown = browse(&format!("{right}&iss=https://evil.example"));
    assert!(shown.status == 400 && shown.text().contains("another issuer"), "{}", shown.text());
    assert_eq!(process.wait(patience()).code, 1);
    let (mut process, page) = stage.authorize();
    let shown = browse(&format!("{}&iss={issuer}", stage.books.consent(&page)));
    assert_eq!(shown.status, 200, "{}", shown.text());
    assert_eq!(process.wait(patience()).code, 0);
    drop(stage.run("valid"));
}

#[test]
fn nobody_waits_for_ever_and_nothing_is_begun_that_cannot_be_ended() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let stage = Stage::with(&format!("    redirect_port: {port}\n"));
    let run = |arguments: &[&str]| sidepass(arguments, &Variables::new(), stage.folder.path());
    let ended = run(&["authorize", "crm"]);
    assert!(
        ended.code == 1 && ended.err.contains(&format!("redirect_port {port}: cannot listen")),
        "{}",
        ended.err
    );
    assert_eq!(ended.out, "", "no page is named that leads nowhere");
    drop(taken);
    let ended = run(&["authorize", "crm", "--timeout", "1s"]);
    assert!(ended.code == 1 && ended.err.contains("nobody gave consent within 1s"), "{}", ended.err);
    assert!(ended.out.contains(&format!("127.0.0.1%3A{port}%2Fcallback")), "{}", ended.out);
    let ended = run(&["authorize", "other"]);
    assert!(ended.code == 64 && ended.err.contains("there are: crm"), "{}", ended.err);
    fs::write(stage.state_file(), "{").unwrap();
    let ended = run(&["authorize", "crm"]);
    assert!(ended.code == 1 && ended.err.contains("is damaged"), "{}", ended.err);
}
