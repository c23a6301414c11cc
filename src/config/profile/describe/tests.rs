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
