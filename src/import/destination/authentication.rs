//! A destination's `Authentication`, and the profile that is its counterpart.

use super::client;
use super::properties::Properties;
use crate::import::custom::Custom;
use crate::import::draft::{Draft, Item};
use crate::import::input::folded;
use crate::import::yaml::{Entry, Yaml};

/// What a destination's route needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Credential {
    /// Nothing.
    None,
    /// The profile of the same name.
    Profile,
    /// A client certificate towards the API.
    Certificate,
}

/// What a user's token has to do with it, for those where the user comes with every request.
const USERS: &str = "it passes on the user of each request";

/// Adds the settings of the profile; the error says why there is no counterpart, and what to do.
pub(super) fn read(
    draft: &mut Draft<'_>,
    item: &mut Item,
    name: &str,
    authentication: &str,
    properties: &mut Properties<'_>,
) -> Result<Credential, String> {
    match authentication {
        "noauthentication" => return Ok(Credential::None),
        "clientcertificateauthentication" => return Ok(Credential::Certificate),
        "basicauthentication" => basic(draft, item, name, properties),
        "oauth2clientcredentials" => client::put(draft, item, name, properties),
        "oauth2password" => {
            item.word("type", "oauth2_password");
            client::put(draft, item, name, properties);
            user(draft, item, name, "username", properties);
        }
        "oauth2refreshtoken" => refresh_token(draft, item, name, properties),
        "oauth2authorizationcode" => authorization_code(draft, item, name, properties),
        "oauth2samlbearerassertion" => saml(draft, item, name, properties),
        "oauth2tokenexchange" => token_exchange(draft, item, name, properties),
        other => return Err(no_counterpart(other)),
    }
    Ok(Credential::Profile)
}

fn no_counterpart(authentication: &str) -> String {
    match authentication {
        "oauth2jwtbearer" | "oauth2usertokenexchange" => format!(
            "{USERS} by handing the user's JWT to the token service as an assertion, and an `oauth2_jwt_bearer` profile \
             signs its own. If the token service takes RFC 8693, write `type: oauth2_token_exchange` with \
             `subject_token: {{ header: Authorization }}`; for a technical user, OAuth2ClientCredentials"
        ),
        "principalpropagation" => format!(
            "{USERS} through the Cloud Connector, which only BTP's connectivity service reaches; leave such calls to it, or \
             use a technical user"
        ),
        "samlassertion" => format!(
            "{USERS} as a SAML assertion in a header, signed by the subaccount; an `oauth2_saml_bearer_assertion` profile \
             gets a token for one, if the API takes tokens"
        ),
        "oauth2technicaluserpropagation" => "it sends the token of a technical user to the Cloud Connector, which only BTP's \
             connectivity service reaches; for an API on the Internet, write OAuth2ClientCredentials"
            .into(),
        _ => "there is no such type here; known are NoAuthentication, BasicAuthentication, ClientCertificateAuthentication, \
              OAuth2ClientCredentials, OAuth2Password, OAuth2RefreshToken, OAuth2AuthorizationCode, \
              OAuth2SAMLBearerAssertion and OAuth2TokenExchange"
            .into(),
    }
}

fn basic(draft: &mut Draft<'_>, item: &mut Item, name: &str, properties: &mut Properties<'_>) {
    item.word("type", "user_credentials");
    user(draft, item, name, "user", properties);
}

/// Adds user and password.
fn user(draft: &mut Draft<'_>, item: &mut Item, name: &str, key: &str, properties: &mut Properties<'_>) {
    properties.skip(&["Password"]);
    let user = match properties.text("User") {
        Some(user) => draft.value(item, name, "USER", user),
        None => {
            item.warn("the export has no `User`: put it into the variable");
            draft.variable(name, "USER")
        }
    };
    if key == "user" && matches!(&user, Yaml::Text(user) if user.contains(':')) {
        item.error("`User` holds a colon, which does not fit into Basic (RFC 7617)");
    }
    item.put(key, user);
    let password = draft.variable(name, "PASSWORD");
    item.put("password", password);
}

fn refresh_token(draft: &mut Draft<'_>, item: &mut Item, name: &str, properties: &mut Properties<'_>) {
    item.word("type", "oauth2_refresh_token");
    client::put(draft, item, name, properties);
    item.note(
        "The app handed it over with every call; from now on sidepass keeps it, and each that follows.",
    );
    let token = draft.variable(name, "REFRESH_TOKEN");
    item.put("refresh_token", token);
    item.text("state_file", format!("{name}.state"));
}

fn authorization_code(draft: &mut Draft<'_>, item: &mut Item, name: &str, properties: &mut Properties<'_>) {
    item.word("type", "oauth2_authorization_code");
    let variable = draft.variable_name(name, "AUTHORIZATION_URL");
    item.warn(format!(
        "a destination has no authorization URL: put it into the variable, and run `sidepass authorize {name}` once"
    ));
    item.put("authorization_url", Yaml::Expanded(format!("${{{variable}}}")));
    client::put(draft, item, name, properties);
    item.text("state_file", format!("{name}.state"));
}

fn token_exchange(draft: &mut Draft<'_>, item: &mut Item, name: &str, properties: &mut Properties<'_>) {
    item.word("type", "oauth2_token_exchange");
    client::put(draft, item, name, properties);
    item.note("The user's token comes with each request of the app, in this header.");
    item.put("subject_token", Yaml::Map(vec![Entry::new("header", Yaml::Ours("Authorization".into()))]));
}

fn saml(draft: &mut Draft<'_>, item: &mut Item, name: &str, properties: &mut Properties<'_>) {
    item.word("type", "oauth2_saml_bearer_assertion");
    let mut custom = Custom::default();
    let company = properties.text("companyId");
    let url = properties.text("tokenServiceURL").unwrap_or_default().to_ascii_lowercase();
    let target = target(item, company.is_some(), &url);
    item.word("target_system_type", target);
    client::token_service(draft, item, name, properties, &mut custom);
    properties.skip(&["tokenServicePassword", "KeyStorePassword", "clientSecret"]);
    let (user, client_key) = (properties.text("tokenServiceUser"), properties.text("clientKey"));
    let secret = target != "successfactors";
    let id = if secret { user.or(client_key) } else { client_key.or(user) };
    let id = match id {
        Some(id) => draft.value(item, name, "CLIENT_ID", id),
        None => {
            item.warn("the export has no `clientKey`: put it into the variable");
            draft.variable(name, "CLIENT_ID")
        }
    };
    item.put("client_id", id);
    if secret {
        let secret = draft.variable(name, "CLIENT_SECRET");
        item.put("client_secret", secret);
    } else {
        item.note("SuccessFactors wants the client's key, and no secret.");
        item.word("client_authentication", "none");
    }
    let needed = [
        ("companyId", "company_id", company, target == "successfactors"),
        ("audience", "audience", properties.text("audience"), true),
    ];
    for (member, key, value, is_needed) in needed {
        let value = match value {
            Some(value) => draft.value(item, name, member, value),
            None if is_needed => {
                item.warn(format!("the export has no `{member}`: put it into the variable"));
                draft.variable(name, key)
            }
            None => continue,
        };
        item.put(key, value);
    }
    match properties.text("SystemUser").filter(|user| folded(user) != "principalpropagation") {
        Some(user) => {
            let user = draft.value(item, name, "USER_ID", user);
            item.put("user_id", user);
        }
        None => item.warn(format!(
            "{USERS}, and a profile is for one: `user_id` names it, or else the common name of the key pair's certificate"
        )),
    }
    let store = properties.text("KeyStoreLocation");
    item.warn(
        "the subaccount's own key signed the assertions and cannot be exported: create a key pair, and let the target system \
         trust its certificate",
    );
    let pair = match store {
        Some(store) => client::key_pair(draft, item, name, &store),
        None => draft.key_pair(name).0,
    };
    item.put("key_pair", pair);
    client::extras(draft, item, name, properties, &mut custom);
    custom.put(item);
}

/// CPI's "Target System Type", which a destination does not name.
fn target(item: &mut Item, company: bool, url: &str) -> &'static str {
    if company || url.contains("successfactors") || url.contains("sapsf") {
        return "successfactors";
    }
    if url.contains(".authentication.") {
        return "btp_cf";
    }
    if url.contains("oauthasservices") || url.contains("/oauth2/apitoken") {
        return "btp_neo";
    }
    item.warn(
        "which kind of system this is, the token service URL does not tell: look at `target_system_type`",
    );
    "btp_cf"
}
