use crate::config::profile::describe::settings;
use crate::config::{ConfigFile, Environment, load};

fn described(lines: &str) -> Vec<String> {
    let text = format!("profiles:\n  p:\n{lines}");
    let env = [("SECRET", "hunter2"), ("TENANT", "hunter2-tenant")];
    let env: Environment = env.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let file = ConfigFile { path: "p.yaml".into(), text };
    let loaded = load(&[file], &env).unwrap_or_else(|errors| panic!("{errors}"));
    let lines: Vec<_> = settings(&loaded.config.profiles[0])
        .iter()
        .map(|setting| setting.to_string().split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert!(!lines.join("\n").contains("hunter2"), "{lines:#?}");
    lines
}

fn has(lines: &[String], line: &str) {
    assert!(lines.iter().any(|known| known == line), "{line}: {lines:#?}");
}

#[test]
fn every_setting_says_whence_it_has_come() {
    let lines = described(
        "    preset: entra\n    tenant: ${TENANT}\n    client_id: app\n    client_secret: { env: SECRET }\n    token_wait: 1s\n",
    );
    has(&lines, "type: oauth2_client_credentials # default");
    has(
        &lines,
        "token_service_url: https://login.microsoftonline.com/${TENANT}/oauth2/v2.0/token # preset entra",
    );
    has(&lines, "client_authentication: body_parameter # preset entra");
    has(&lines, "client_id: app # p.yaml:5:16");
    has(&lines, "client_secret: { env: SECRET } # p.yaml:6:20");
    has(&lines, "token_wait: 1s # p.yaml:7:17");
    has(&lines, "method: post # default");
}

#[test]
fn a_secret_is_named_wherever_it_stands() {
    let lines = described(
        "    token_service_url: https://h.example/t?key=hunter2\n    client_id: { env: SECRET }\n    client_secret: { current: hunter2, next: { env: SECRET } }\n    scope: \"a ${SECRET}\"\n    custom_parameters:\n      body: { api_key: hunter2, list: [a, '${SECRET}'] }\n      url: { x: 'b${SECRET}' }\n",
    );
    has(&lines, "token_service_url: https://h.example/t?… # p.yaml:3:24");
    has(&lines, "client_secret.current: (hidden) # p.yaml:5:31");
    has(&lines, "client_secret.next: { env: SECRET } # p.yaml:5:46");
    has(&lines, "scope: \"a ${SECRET}\" # p.yaml:6:12");
    has(&lines, "custom_parameters.body.api_key: (hidden) # p.yaml:8:24");
    has(&lines, "custom_parameters.url.x: b${SECRET} # p.yaml:9:17");
}

#[test]
fn a_secret_of_a_login_is_hidden_as_a_number_in_a_list_and_in_a_text() {
    let login = |body: &str| {
        described(&format!(
            "    type: http_login\n    token_service_url: https://h.example/t\n    request:\n      body: {body}\n"
        ))
    };
    let lines = login("{ password: 4711, pin: hunter2, passphrases: [hunter2, 4711], n: 7 }");
    for path in ["password", "pin", "passphrases.0", "passphrases.1"] {
        let hidden = |line: &String| line.starts_with(&format!("request.body.{path}: \"(hidden)\" #"));
        let plain = |line: &String| line.starts_with(&format!("request.body.{path}: (hidden) #"));
        assert!(lines.iter().any(|line| hidden(line) || plain(line)), "{path}: {lines:#?}");
    }
    assert!(!lines.join("\n").contains("4711"), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("request.body.n: 7 #")), "{lines:#?}");
    login("user=joe&password=hunter2");
    login("<login><Password>hunter2</Password></login>");
}

#[test]
fn a_default_within_a_map_that_was_written_is_a_default() {
    let lines = described(
        "    type: oauth2_jwt_bearer\n    token_service_url: https://h.example/t\n    key_pair: { private_key: { env: SECRET } }\n    assertion: { issuer: me, scope: a b }\n"
            .replace("{ env: SECRET }", "\"-----BEGIN PRIVATE KEY-----hunter2\"")
            .as_str(),
    );
    has(&lines, "assertion.issuer: me # p.yaml:6:26");
    has(&lines, "assertion.scope: \"a b\" # p.yaml:6:37");
    has(&lines, "assertion.thumbprint: none # default");
    has(&lines, "assertion.lifetime: 5m # default");
}
