use super::*;
use crate::config::profile::Scope;
use crate::secret::Secret;
use crate::token::form;
use crate::token::testing::{literal, profile};

fn page(url: &str, change: impl FnOnce(&mut OAuth2)) -> String {
    let mut profile = profile("https://idp.test/token", "my app", "secret");
    change(profile.oauth2_mut());
    let oauth2 = profile.oauth2().unwrap();
    let made = [("redirect_uri", "http://127.0.0.1:1/callback"), ("state", "S"), ("code_challenge", "C")];
    url::authorization(&profile, oauth2, &Secret::new(url.to_owned()), &made).unwrap()
}

#[test]
fn the_page_asks_for_a_code_with_everything_that_is_configured() {
    let url = page("https://idp.test/authorize", |oauth2| {
        oauth2.request.scope = Some(Scope::Text(literal("read offline_access")));
        oauth2.request.resource = Some(literal("https://api.test/"));
        oauth2.request.audience = Some(literal("api"));
    });
    assert_eq!(
        url,
        "https://idp.test/authorize?response_type=code&client_id=my+app&scope=read+offline_access\
         &resource=https%3A%2F%2Fapi.test%2F&audience=api\
         &redirect_uri=http%3A%2F%2F127.0.0.1%3A1%2Fcallback&state=S&code_challenge=C&code_challenge_method=S256"
    );
}

#[test]
fn the_query_of_the_endpoint_stays_but_for_what_is_ours() {
    let url = page("https://idp.test/a?access_type=offline&state=mine&&prompt=consent&st%61te=x", |_| {});
    let pairs: Vec<_> = form::pairs(url.split_once('?').unwrap().1).collect();
    let of =
        |key: &str| pairs.iter().filter(|(own, _)| own == key).map(|(_, v)| v.as_str()).collect::<Vec<_>>();
    assert_eq!((of("access_type"), of("prompt"), of("state")), (vec!["offline"], vec!["consent"], vec!["S"]));
    assert!(
        url.starts_with("https://idp.test/a?access_type=offline&prompt=consent&response_type=code&"),
        "{url}"
    );
}

#[test]
fn the_challenge_is_that_of_the_rfc() {
    // RFC 7636 appendix B
    let pkce = Pkce::of(Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned()));
    assert_eq!(pkce.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    assert_eq!(Pkce::new().unwrap().verifier().expose().len(), 43);
    assert_ne!(random().unwrap(), random().unwrap());
}

#[tokio::test]
async fn only_profiles_of_its_type_are_authorized() {
    let refused = |profile: ProfileConfig| async {
        Consent::prepare(Arc::new(profile), Clock::system()).await.unwrap_err().0
    };
    let error = refused(profile("https://idp.test/token", "id", "secret")).await;
    assert!(error.contains("is of type oauth2_client_credentials"), "{error}");
    let mut refreshing = profile("https://idp.test/token", "id", "secret");
    let token = crate::config::SecretSource::File("/run/secrets/rt".into());
    refreshing.oauth2_mut().grant =
        Grant::RefreshToken(crate::config::profile::RefreshToken { token, state_file: None });
    let error = refused(refreshing).await;
    assert!(error.contains("put a new one into /run/secrets/rt"), "{error}");
}
