//! Every preset loads with its example, asks for a token exactly as its golden image says, and is documented.
//!
//! `UPDATE_GOLDEN=1 cargo test --test it presets::` writes the images anew; read the difference before you commit it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sidepass::clock::Clock;
use sidepass::config::preset::{self, Preset};
use sidepass::config::profile::{Grant, ProfileConfig, ProfileKind, TokenEndpoint, describe};
use sidepass::config::{ConfigFile, Environment, HttpUrl, SecretSource, load};
use sidepass::secret::Secret;
use sidepass::token::SecretSlot;
use sidepass::token::keys::HeldPair;
use sidepass::token::request::{self, Endpoint, Occasion};
use tempfile::TempDir;

use crate::support::idp::{MockIdp, Proof};
use crate::support::process::{folder_with, sidepass};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn updates() -> bool {
    std::env::vars_os().any(|(name, _)| name == "UPDATE_GOLDEN")
}

/// The environment that examples name, so that images are the same everywhere.
fn environment() -> Environment {
    [
        ("CLIENT_ID", "sb-app!b1|api!b2"),
        ("CLIENT_SECRET", "s3cr3t$+="),
        ("REFRESH_TOKEN", "refresh-1"),
        ("FIELDGLASS_APPLICATION_KEY", "key-1"),
        ("B1_PASSWORD", "s3cr3t-b1"),
        ("TABLEAU_TOKEN", "s3cr3t-tableau"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

/// A folder with the key pair that examples name.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let algorithm = &rcgen::PKCS_RSA_SHA256;
    let key = rcgen::KeyPair::generate_rsa_for(algorithm, rcgen::RsaKeySize::_2048).unwrap();
    let mut parameters = rcgen::CertificateParams::new(vec![]).unwrap();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "sfadmin");
    let certificate = parameters.self_signed(&key).unwrap();
    std::fs::write(folder.path().join("tls.crt"), certificate.pem()).unwrap();
    std::fs::write(folder.path().join("tls.key"), key.serialize_pem()).unwrap();
    folder
}

/// The profile that these lines make.
fn profile(lines: &str, folder: &Path) -> Result<ProfileConfig, String> {
    let indented: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    let other = "  app:\n    type: static_token\n    token: { env: CLIENT_SECRET }\n";
    let text = format!("profiles:\n  main:\n{indented}{other}");
    let file = ConfigFile { path: folder.join("proxy.yaml"), text };
    let loaded = load(&[file], &environment()).map_err(|errors| errors.to_string())?;
    Ok(loaded.config.profiles.into_iter().next().unwrap())
}

/// The settings of a profile that makes no token request.
fn shown(profile: &ProfileConfig) -> String {
    let settings = describe::settings(profile);
    settings.iter().map(|setting| format!("{}: {}\n", setting.path, folderless(&setting.value))).collect()
}

/// A value without the folder that differs from run to run.
fn folderless(value: &str) -> String {
    match (value.strip_prefix("{ file: "), value.rsplit_once('/')) {
        (Some(_), Some((_, name))) => format!("{{ file: {name}"),
        _ => value.to_owned(),
    }
}

/// The token request of a profile: its method, URL, headers and body, as they go out. A JWT in it is shown as what it
/// says, without what differs from one to the next.
fn image(profile: &ProfileConfig) -> Result<String, String> {
    let Some(oauth2) = profile.oauth2() else { return Ok(shown(profile)) };
    let TokenEndpoint::Url(url) = &oauth2.endpoint else { return Err("an issuer".to_owned()) };
    let endpoint = Endpoint { url: url.read().unwrap(), issuer: None };
    let shown = match &oauth2.grant {
        Grant::RefreshToken(refresh) => Some(refresh.token.read().unwrap()),
        _ => None,
    };
    let keys = HeldPair::of(profile);
    let occasion = Occasion {
        endpoint: &endpoint,
        slot: SecretSlot::Current,
        shown: shown.as_ref(),
        keys: &keys,
        now: Clock::system().now(),
    };
    let request = request::build(profile, oauth2, &occasion).map_err(|error| error.to_string())?;
    let mut text = format!("{} {}\n", request.method, request.url.expose());
    let mut headers: Vec<_> = request
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()))
        .collect();
    headers.sort();
    text.extend(headers);
    write!(text, "\n{}\n", steady(&request.body)).unwrap();
    Ok(text)
}

/// A body without what differs from one request to the next: assertions are shown by what they say.
fn steady(body: &Secret) -> String {
    let pairs: Vec<_> = body
        .expose()
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((key @ ("assertion" | "client_assertion"), value)) => format!("{key}={}", assertion(value)),
            _ => pair.to_owned(),
        })
        .collect();
    pairs.join("&")
}

fn assertion(value: &str) -> String {
    let part = |text: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
        let mut json: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
        let members = json.as_object_mut()?;
        let (from, to) = (members.get("iat").cloned(), members.get("exp").cloned());
        if let (Some(from), Some(to)) = (from, to) {
            let lives = to.as_u64().unwrap() - from.as_u64().unwrap();
            members.insert("exp".to_owned(), format!("iat + {lives}").into());
        }
        for key in ["iat", "nbf", "jti", "x5t", "x5t#S256", "kid"] {
            members.entry(key).and_modify(|value| *value = "…".into());
        }
        Some(json.to_string())
    };
    let parts: Vec<_> = value.split('.').collect();
    match parts.as_slice() {
        [header, claims, signature] if !signature.is_empty() => {
            format!("<JWT {} {}>", part(header).unwrap_or_default(), part(claims).unwrap_or_default())
        }
        _ => "<SAML assertion>".to_owned(),
    }
}

/// The forms of a preset: as its example stands, and with a key pair where it knows one.
fn forms(preset: &Preset) -> Vec<(String, String)> {
    let example = preset.example();
    let mut forms = vec![(preset.name.clone(), example.clone())];
    if preset.fills("key_pair") {
        let mut with: String = example
            .lines()
            .filter(|line| !line.starts_with("client_secret"))
            .map(|line| format!("{line}\n"))
            .collect();
        with.push_str("key_pair: { certificate: { file: tls.crt }, private_key: { file: tls.key } }\n");
        for optional in
            preset.parameters.iter().filter(|parameter| parameter.about.starts_with("with key_pair: the"))
        {
            writeln!(with, "{}: {}", optional.name, optional.example).unwrap();
        }
        forms.push((format!("{}_key_pair", preset.name), with));
    }
    forms
}

/// Compares a text with the file that holds it, or writes that file.
fn golden(path: &PathBuf, said: &str, wrong: &mut Vec<String>) {
    if updates() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, said).unwrap();
    }
    match std::fs::read_to_string(path) {
        Ok(expected) if expected == said => {}
        Ok(expected) => wrong.push(format!("{}\n--- expected\n{expected}--- is\n{said}", path.display())),
        Err(error) => wrong.push(format!("{}: {error}; it is\n{said}", path.display())),
    }
}

#[test]
fn every_preset_asks_for_a_token_as_its_image_says() {
    let folder = folder();
    let mut wrong = Vec::new();
    assert!(preset::all().len() >= 30, "some are broken: {:?}", preset::all());
    for (name, lines) in preset::all().iter().flat_map(forms) {
        let profile = match profile(&lines, folder.path()) {
            Ok(profile) => profile,
            Err(errors) => {
                wrong.push(format!("{name}: {errors}"));
                continue;
            }
        };
        match image(&profile) {
            Ok(image) => {
                let path = root().join(format!("tests/fixtures/presets/{name}.txt"));
                golden(&path, &format!("{lines}---\n{image}"), &mut wrong);
            }
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Presets that exist, and the settings that they stand for.
const PLAIN: &[(&str, &str)] = &[
    (
        "successfactors_lms",
        "token_service_url: https://acme.plateau.com/learning/oauth-api/rest/v1/token\nclient_id: acme\n\
         client_secret: { env: CLIENT_SECRET }\ncontent_type: application/json\n\
         scope: { userId: apiadmin, companyId: acme, userType: admin, resourceType: learning_public_api }\n",
    ),
    (
        "xsuaa",
        "token_service_url: https://acme.authentication.eu10.hana.ondemand.com/oauth/token\n\
         client_id: { env: CLIENT_ID }\nclient_secret: { env: CLIENT_SECRET }\n",
    ),
    (
        "entra",
        "token_service_url: https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/token\n\
         client_id: { env: CLIENT_ID }\nclient_secret: { env: CLIENT_SECRET }\n\
         client_authentication: body_parameter\nscope: https://graph.microsoft.com/.default\n",
    ),
    (
        "zoom",
        "token_service_url: https://zoom.us/oauth/token\nclient_id: { env: CLIENT_ID }\n\
         client_secret: { env: CLIENT_SECRET }\ngrant_type: account_credentials\n\
         custom_parameters: { body: { account_id: AbCdEf12345 } }\n",
    ),
    (
        "salesforce",
        "token_service_url: https://acme.my.salesforce.com/services/oauth2/token\n\
         client_id: { env: CLIENT_ID }\nclient_secret: { env: CLIENT_SECRET }\n\
         client_authentication: body_parameter\n",
    ),
    (
        "successfactors",
        "type: oauth2_saml_bearer_assertion\ntoken_service_url: https://api4.successfactors.com/oauth/token\n\
         client_id: { env: CLIENT_ID }\nclient_authentication: none\ntarget_system_type: successfactors\n\
         audience: www.successfactors.com\ncompany_id: acme\n\
         key_pair: { certificate: { file: tls.crt }, private_key: { file: tls.key } }\n",
    ),
];

#[test]
fn a_preset_and_the_settings_it_stands_for_send_the_same_bytes() {
    let folder = folder();
    for (name, lines) in PLAIN {
        let image = |lines: &str| {
            image(&profile(lines, folder.path()).unwrap_or_else(|errors| panic!("{name}: {errors}")))
        };
        let preset = preset::all().iter().find(|preset| preset.name == *name).unwrap();
        assert_eq!(image(&preset.example()), image(lines), "{name}");
    }
}

#[test]
fn what_a_user_writes_wins_and_maps_are_merged() {
    let folder = folder();
    let image = |lines: &str| image(&profile(lines, folder.path()).unwrap()).unwrap();
    let credentials = "client_id: a\nclient_secret: { env: CLIENT_SECRET }\n";
    let own = image(&format!(
        "preset: Zoom\naccount: x\ncustom_parameters: {{ body: {{ more: y }} }}\n{credentials}"
    ));
    assert!(own.contains("&account_id=x&more=y\n"), "{own}");
    let taken = image(&format!("preset: zoom\naccount: x\ncustom_parameters: null\n{credentials}"));
    assert!(taken.ends_with("\n\ngrant_type=account_credentials\n"), "{taken}");
    let url = image(&format!("preset: entra\ntoken_service_url: https://login.example/t\n{credentials}"));
    assert!(
        url.starts_with("POST https://login.example/t\n") && url.contains("graph.microsoft.com"),
        "{url}"
    );
    let variable = format!("preset: ias\nhost: '${{CLIENT_SECRET}}.example'\n{credentials}");
    let refused = profile(&variable, folder.path()).unwrap_err();
    assert!(
        refused.contains("this value is not a bare host name") && !refused.contains("s3cr3t"),
        "{refused}"
    );
}

#[test]
fn a_service_key_says_what_a_preset_would_ask_for() {
    let folder = folder();
    let key = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let url = "https://acme.authentication.eu10.hana.ondemand.com";
    key("xsuaa.json", &format!(r#"{{"url":"{url}","clientid":"sb-a!b1","clientsecret":"s3cr3t"}}"#));
    let profile_of = |lines: &str| profile(lines, folder.path()).unwrap_or_else(|errors| panic!("{errors}"));
    let of_key = profile_of("preset: xsuaa\nservice_key: { file: xsuaa.json }\n");
    assert!(image(&of_key).unwrap().starts_with(&format!("POST {url}/oauth/token\n")));

    let pem = std::fs::read_to_string(folder.path().join("tls.key")).unwrap();
    let google = serde_json::json!({
        "type": "service_account", "client_email": "bot@acme.iam.gserviceaccount.com", "private_key_id": "k1",
        "private_key": pem, "token_uri": "https://oauth2.googleapis.com/token",
    });
    key("google.json", &google.to_string());
    let of_key = profile_of(
        "preset: google\nservice_key: { file: google.json }\nscopes: https://www.googleapis.com/auth/drive\n",
    );
    let said = image(&of_key).unwrap();
    assert!(said.contains(r#""iss":"bot@acme.iam.gserviceaccount.com""#), "{said}");
    assert!(said.contains(r#""scope":"https://www.googleapis.com/auth/drive""#), "{said}");
    let filled: Vec<_> =
        describe::settings(&of_key).into_iter().filter(describe::Setting::is_filled).collect();
    let of = |path: &str| filled.iter().find(|setting| setting.path == path).unwrap().to_string();
    assert!(of("assertion.issuer").ends_with("# service_key"), "{}", of("assertion.issuer"));
    assert!(of("assertion.lifetime").ends_with("# preset google"), "{}", of("assertion.lifetime"));
}

/// docs/presets.md, made from the presets.
fn page() -> String {
    let mut text = include_str!("../fixtures/presets/head.md").to_owned();
    text.push_str(
        "| preset | provider | parameters | besides | headers of routes |\n|---|---|---|---|---|\n",
    );
    for preset in preset::all() {
        let code =
            |names: &[String]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let parameters: Vec<_> = preset
            .parameters
            .iter()
            .map(|parameter| {
                let about = &parameter.about;
                match &parameter.default {
                    Some(default) => format!("[`{}`: {about}; `{default}`]", parameter.name),
                    None if parameter.optional => format!("[`{}`: {about}]", parameter.name),
                    None => format!("`{}`: {about}, `{}`", parameter.name, parameter.example),
                }
            })
            .collect();
        let mut besides = code(&preset.yours);
        if preset.fills("key_pair") {
            besides.push_str(", or `key_pair` for the secret");
        }
        let route: Vec<_> =
            preset.route.iter().map(|(name, value)| format!("`{name}: \"{value}\"`")).collect();
        writeln!(
            text,
            "| `{}` | [{}]({}) | {} | {besides} | {} |",
            preset.name,
            preset.title,
            preset.page,
            parameters.join("<br>"),
            route.join("<br>")
        )
        .unwrap();
    }
    text
}

#[test]
fn the_documentation_lists_every_preset() {
    let mut wrong = Vec::new();
    golden(&root().join("docs/presets.md"), &page(), &mut wrong);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn commands_show_what_a_preset_filled_in_and_no_secret() {
    let yaml = "profiles:\n  shop:\n    preset: shopify\n    shop: acme\n    client_id: app\n    client_secret: { env: CLIENT_SECRET }\n  \
                other:\n    token_service_url: https://login.example/token\n    client_id: app\n    client_secret: { env: CLIENT_SECRET }\n\
                routes:\n  shop:\n    upstream: https://acme.myshopify.com\n    profile: shop\n";
    let (folder, file) = folder_with(yaml);
    let variables = environment();
    let run = |arguments: &[&str]| {
        let all = [arguments, &["--config", file.to_str().unwrap()]].concat();
        let ended = sidepass(&all, &variables, folder.path());
        assert!(!format!("{}{}", ended.out, ended.err).contains("s3cr3t"), "{}{}", ended.out, ended.err);
        ended
    };
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");

    let explained = run(&["explain", "--profile", "shop"]);
    assert_eq!(explained.code, 0, "{}", explained.err);
    for part in [
        "token_service_url: https://acme.myshopify.com/admin/oauth/access_token # preset shopify",
        "client_secret: { env: CLIENT_SECRET } # ",
        "token_wait: 5s # default",
        "routes need under headers: X-Shopify-Access-Token: \"{token}\"",
    ] {
        assert!(squeezed(&explained.out).contains(part), "{part}: {}", explained.out);
    }
    let request = run(&["explain", "GET", "/x"]);
    assert!(request.out.starts_with("route ") && request.out.contains(&explained.out), "{}", request.out);
    let unknown = run(&["explain", "--profile", "shpo"]);
    assert!(unknown.code == 64 && unknown.err.contains("shop, other"), "{}", unknown.err);
    assert_eq!(run(&["explain", "--profile", "shop", "GET", "/x"]).code, 64);

    let checked = run(&["check"]);
    assert_eq!(checked.code, 0, "{}", checked.err);
    let shown: Vec<_> = checked.out.lines().skip(1).collect();
    assert_eq!(shown.len(), 2, "only what was filled in: {}", checked.out);
    let wants = "warning: routes.shop: Shopify, client credentials wants a header X-Shopify-Access-Token";
    assert!(checked.err.contains(wants), "{}", checked.err);
    assert!(shown[0].starts_with("profiles.shop.token_service_url: https://acme."), "{}", checked.out);
}

/// Those whose bytes are held to the last one, as a server sees them.
const WIRE: &[&str] = &["successfactors_lms", "xsuaa", "entra", "zoom", "salesforce", "successfactors"];

#[test]
fn token_requests_arrive_byte_for_byte() {
    let folder = folder();
    let idp = MockIdp::start(Duration::from_secs(3600));
    idp.set_proof(Proof::Anything);
    let origin = idp.url().trim_end_matches("/token").to_owned();
    let host = origin.trim_start_matches("http://").to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut wrong = Vec::new();
    for name in WIRE {
        let preset = preset::all().iter().find(|preset| preset.name == *name).unwrap();
        let mut profile = profile(&preset.example(), folder.path()).unwrap();
        // The service of this machine stands in for the real one, under the same path.
        let ProfileKind::OAuth2(oauth2) = &mut profile.kind else { panic!("{name}") };
        let TokenEndpoint::Url(url) = &oauth2.endpoint else { panic!("{name}") };
        let real = HttpUrl::parse(url.read().unwrap().expose()).unwrap();
        let local = Secret::new(format!("{origin}{}", real.path()));
        oauth2.endpoint = TokenEndpoint::Url(SecretSource::Literal(local));
        let fetched = sidepass::profile::fetch_once(Arc::new(profile), Clock::system());
        runtime.block_on(fetched).unwrap_or_else(|error| panic!("{name}: {error}"));
        let seen = idp.calls().pop().unwrap();
        let head = String::from_utf8(seen.head.raw.clone()).unwrap().replace(&host, &real.authority());
        let body = steady(&Secret::new(seen.text()));
        // An assertion's length differs from one to the next.
        let head = match body == seen.text() {
            true => head,
            false => {
                head.replace(&format!("content-length: {}\r\n", seen.body.len()), "content-length: …\r\n")
            }
        };
        let version = concat!("sidepass/", env!("CARGO_PKG_VERSION"));
        let text = format!("{head}{body}\n").replace(version, "sidepass/VERSION").replace("\r\n", "\\r\\n\n");
        golden(&root().join(format!("tests/fixtures/presets/wire/{name}.txt")), &text, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
