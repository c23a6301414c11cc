//! The commands: exit codes that scripts can trust, messages that say where and what.

use crate::support::leaks;
use crate::support::patience::eventually;
use crate::support::process::{Ended, Process, folder_with, free_port, sidepass};
use crate::support::proxy::Variables;
use crate::support::setup::Setup;

/// A configuration that is fine, and its environment.
struct Fine {
    setup: Setup,
    variables: Variables,
}

impl Fine {
    fn new() -> Self {
        let setup = Setup::new();
        let mut variables = Variables::new();
        for name in ["TOKEN_URL", "UPSTREAM", "CLIENT_ID", "CLIENT_SECRET"] {
            variables.insert(name.to_owned(), setup.value(name).to_owned());
        }
        Self { setup, variables }
    }

    fn run(&self, yaml: &str, arguments: &[&str]) -> Ended {
        let (folder, file) = folder_with(yaml);
        let mut all = arguments.to_vec();
        all.extend(["--config", file.to_str().unwrap()]);
        let ended = sidepass(&all, &self.variables, folder.path());
        if !arguments.contains(&"--reveal") {
            leaks::scan("output", ended.out.as_bytes());
        }
        leaks::scan("standard error", ended.err.as_bytes());
        assert!(!ended.err.contains("panicked"), "{}", ended.err);
        ended
    }
}

impl Drop for Fine {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let leaked =
                [leaks::leaks_of(leaks::core(&self.setup.secret)), leaks::leaks_of(self.setup.idp.mark())]
                    .concat();
            assert!(leaked.is_empty(), "{leaked:?}");
        }
    }
}

#[test]
fn check_says_yes_to_what_would_start() {
    let fine = Fine::new();
    let ended = fine.run(&fine.setup.text(), &["check"]);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    assert_eq!(fine.setup.idp.count() + fine.setup.upstream.count(), 0, "check calls nobody");
}

#[test]
fn a_bad_configuration_is_exit_78_with_file_line_and_hint_for_check_and_run_alike() {
    let fine = Fine::new();
    let text = fine.setup.text().replace("profile: main", "profile: mian\n    upstraem: x");
    for command in ["check", "run"] {
        let ended = fine.run(&text, &[command]);
        assert_eq!(ended.code, 78, "{command}: {}", ended.err);
        let said = ended.out + &ended.err;
        assert!(said.contains("proxy.yaml:"), "{said}");
        assert!(said.contains("mian") && said.contains("main"), "the nearest name: {said}");
        assert!(said.contains("upstraem") && said.contains("upstream"), "all mistakes at once: {said}");
    }
}

#[test]
fn a_missing_file_is_exit_78_and_named() {
    let ended = sidepass(&["check", "--config", "nowhere.yaml"], &Variables::new(), &std::env::temp_dir());
    assert_eq!(ended.code, 78, "{}", ended.err);
    assert!(ended.err.contains("nowhere.yaml"), "{}", ended.err);
}

#[test]
fn a_bad_command_line_is_exit_64() {
    for arguments in [&["run", "--confgi", "x"][..], &["frobnicate"], &["token"], &["explain", "GET"], &[]] {
        let ended = sidepass(arguments, &Variables::new(), &std::env::temp_dir());
        assert_eq!(ended.code, 64, "{arguments:?}: {}{}", ended.out, ended.err);
        assert!(!ended.err.is_empty(), "{arguments:?} says why");
    }
}

#[test]
fn help_and_version_are_no_failures() {
    for arguments in [
        &["--help"][..],
        &["run", "--help"],
        &["check", "--help"],
        &["token", "--help"],
        &["explain", "--help"],
    ] {
        let ended = sidepass(arguments, &Variables::new(), &std::env::temp_dir());
        assert_eq!(ended.code, 0, "{arguments:?}");
        assert!(ended.out.len() > 100, "it teaches: {}", ended.out);
    }
    let ended = sidepass(&["--version"], &Variables::new(), &std::env::temp_dir());
    assert_eq!((ended.code, ended.out.trim()), (0, concat!("sidepass ", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn a_taken_port_names_the_setting() {
    let fine = Fine::new();
    let port = free_port();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let text = fine.setup.text().replace("${PROXY_LISTEN:-127.0.0.1:0}", &format!("127.0.0.1:{port}"));
    let ended = fine.run(&text, &["run"]);
    assert_ne!(ended.code, 0);
    assert!(ended.err.contains("proxy.listen") && ended.err.contains(&port.to_string()), "{}", ended.err);
}

#[test]
fn token_shows_a_token_only_when_told_to_reveal_it() {
    let fine = Fine::new();
    let text = fine.setup.text();
    let masked = fine.run(&text, &["token", "main"]);
    assert_eq!(masked.code, 0, "{}{}", masked.out, masked.err);
    assert!(!masked.out.is_empty() && !masked.out.contains("tok-"), "{}", masked.out);
    let revealed = fine.run(&text, &["token", "main", "--reveal"]);
    assert!(revealed.code == 0 && revealed.out.contains(fine.setup.idp.mark()), "{}", revealed.err);
    assert_eq!(fine.setup.idp.count(), 2);
    let unknown = fine.run(&text, &["token", "mian"]);
    assert!(unknown.code != 0 && unknown.err.contains("main"), "{}", unknown.err);
}

#[test]
fn a_token_that_was_given_never_expires() {
    let fine = Fine::new();
    let text = fine.setup.text().replace(
        "profiles:\n",
        "profiles:\n  given:\n    type: user_credentials\n    user: bob\n    password: { env: CLIENT_SECRET }\n",
    );
    let ended = fine.run(&text, &["token", "given"]);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    assert!(ended.out.contains("expires      never\n") && !ended.out.contains("years"), "{}", ended.out);
}

#[test]
fn token_says_why_there_is_none() {
    let mut fine = Fine::new();
    fine.variables.insert("CLIENT_SECRET".to_owned(), "wrong".to_owned());
    let ended = fine.run(&fine.setup.text(), &["token", "main"]);
    assert_ne!(ended.code, 0);
    assert!((ended.out + &ended.err).contains("invalid_client"));
}

#[test]
fn explain_shows_the_way_of_a_request_and_no_secret() {
    let fine = Fine::new();
    let text = fine.setup.text() + "    headers: { X-Api-Key: { env: CLIENT_SECRET } }\n";
    let ended = fine.run(&text, &["explain", "GET", "http://localhost:4080/items/1?x=y"]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    let upstream = format!("{}/items/1?x=y", fine.setup.value("UPSTREAM"));
    for part in ["main", &upstream, "uthorization", "-api-key"] {
        assert!(ended.out.to_ascii_lowercase().contains(&part.to_ascii_lowercase()), "{part}: {}", ended.out);
    }
    let more = text.replace("client_id:", "dpop: true\n    client_id:") + "    csrf: { path: /root/?a=b }\n";
    let write = fine.run(&more, &["explain", "POST", "http://localhost:4080/items"]);
    for part in ["authorization: DPoP ", "dpop: <a proof", "x-csrf-token: <fetched with GET /root/,"] {
        assert!(write.out.contains(part), "{part}: {}{}", write.out, write.err);
    }
    assert_eq!(fine.setup.idp.count() + fine.setup.upstream.count(), 0, "explain calls nobody");
    let none = fine.run(
        &text.replace("upstream: ${UPSTREAM}", "upstream: ${UPSTREAM}\n    match: { path_prefix: /api }"),
        &["explain", "GET", "/other"],
    );
    assert!(none.code != 0 && (none.out + &none.err).contains("no_route"), "says so");
}

#[test]
fn healthcheck_is_what_readyz_is() {
    let setup = Setup::new().cold();
    let gate = setup.idp.hold();
    let mut variables = Variables::new();
    for name in ["TOKEN_URL", "UPSTREAM", "CLIENT_ID", "CLIENT_SECRET"] {
        variables.insert(name.to_owned(), setup.value(name).to_owned());
    }
    for name in ["PROXY_LISTEN", "ADMIN_LISTEN"] {
        variables.insert(name.to_owned(), format!("127.0.0.1:{}", free_port()));
    }
    let (folder, file) = folder_with(&setup.text());
    let file = file.to_str().unwrap();
    let health =
        |variables: &Variables| sidepass(&["healthcheck", "--config", file], variables, folder.path()).code;
    assert_eq!(health(&variables), 1, "nobody there");
    let _process = Process::spawn(&["run", "--config", file], &variables, folder.path());
    gate.open();
    eventually("healthy", || health(&variables) == 0);
    // Secrets are the running process's business: one that is missing for a moment makes nobody unhealthy.
    variables.remove("CLIENT_SECRET");
    assert_eq!(health(&variables), 0, "only the admin address is needed");
}

#[test]
fn logs_are_json_where_nobody_looks() {
    let mut rig = Setup::new().start_process();
    rig.get("/");
    eventually("it says that it started", || rig.process().stderr().ends_with('\n'));
    let text = rig.process().stderr();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    for line in whole.lines() {
        let event: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(event["level"].is_string(), "{line}");
    }
}

#[test]
fn settings_of_the_environment_override_the_file() {
    let setup = Setup::new();
    let listen = format!("127.0.0.1:{}", free_port());
    // SIDEPASS_PORT is what Kubernetes injects for a Service called sidepass.
    let rig = setup
        .variable("SIDEPASS_PROXY__LISTEN", &listen)
        .variable("SIDEPASS_PORT", "tcp://10.0.0.1:4080")
        .cold()
        .start();
    assert_eq!(rig.address.to_string(), listen);
}

#[test]
fn an_unreadable_secret_file_is_named_with_its_owner() {
    let fine = Fine::new();
    let text = fine.setup.text().replace("{ env: CLIENT_SECRET }", "{ file: /nowhere/secret }");
    let ended = fine.run(&text, &["check"]);
    assert_eq!(ended.code, 78, "{}", ended.err);
    assert!((ended.out + &ended.err).contains("/nowhere/secret"));
}
