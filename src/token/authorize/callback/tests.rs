use super::*;

const STATE: &str = "aVeryLongStateThatNobodyGuesses";

fn expected(issuer: Option<&str>) -> Expected {
    let address = SocketAddr::from(([127, 0, 0, 1], 8123));
    Expected::new(
        address,
        Secret::new(STATE.to_owned()),
        issuer.map(|name| Issuer { name: name.to_owned(), is_named: false }),
    )
}

/// What a GET of this target means: `code …`, `error …`, or the status of a page.
fn judged(expected: &Expected, target: &str) -> String {
    said(expected.judge(format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1:8123\r\n\r\n").as_bytes()))
}

fn said(verdict: Verdict) -> String {
    match verdict {
        Verdict::Answer(Ok(code)) => format!("code {}", code.expose()),
        Verdict::Answer(Err(error)) => format!("error {error}"),
        Verdict::Refused(page) => {
            let page = String::from_utf8(page.to_bytes()).unwrap();
            assert!(!page.contains(STATE), "{page}");
            page.split(' ').nth(1).unwrap().to_owned()
        }
    }
}

#[test]
fn a_code_with_our_state_is_the_answer() {
    let expected = expected(None);
    assert_eq!(judged(&expected, &format!("/callback?code=a%2Bb+c&state={STATE}")), "code a+b c");
    assert_eq!(judged(&expected, &format!("/callback?state={STATE}&session=x&code=a&iss=whoever")), "code a");
}

#[test]
fn what_does_not_belong_to_us_ends_nothing() {
    let expected = expected(None);
    for (target, status) in [
        ("/callback?code=a&state=other", "400"),
        ("/callback?code=a&state=", "400"),
        ("/callback?code=a", "400"),
        ("/callback?error=access_denied", "400"),
        ("/callback", "400"),
        (&format!("/callback?state={STATE}"), "400"),
        (&format!("/callback?code=a&state={STATE}&state={STATE}"), "400"),
        (&format!("/callback?code=a&code=b&state={STATE}"), "400"),
        (&format!("/callback?code=&state={STATE}"), "400"),
        (&format!("/other?code=a&state={STATE}"), "404"),
        (&format!("/callback/?code=a&state={STATE}"), "404"),
        ("/favicon.ico", "404"),
    ] {
        assert_eq!(judged(&expected, target), status, "{target}");
    }
    let target = format!("/callback?code=a&state={STATE}");
    for (head, status) in [
        (format!("POST {target} HTTP/1.1\r\nHost: 127.0.0.1:8123\r\n\r\n"), "405"),
        (format!("GET {target} HTTP/1.1\r\nHost: evil.example:8123\r\n\r\n"), "421"),
        (format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1:8124\r\n\r\n"), "421"),
        (format!("GET {target} HTTP/1.1\r\n\r\n"), "421"),
        ("\x16\x03\x01 hello\r\n\r\n".to_owned(), "400"),
        ("\r\n\r\n".to_owned(), "400"),
    ] {
        assert_eq!(said(expected.judge(head.as_bytes())), status, "{head}");
    }
    let local = format!("GET {target} HTTP/1.1\r\nhost: localhost:8123\r\n\r\n");
    assert_eq!(said(expected.judge(local.as_bytes())), "code a");
}

#[test]
fn an_answer_of_another_issuer_is_refused() {
    let expected = expected(Some("https://id.example"));
    let target = |iss: &str| format!("/callback?code=a&state={STATE}{iss}");
    assert_eq!(judged(&expected, &target("&iss=https%3A%2F%2Fid.example")), "code a");
    assert_eq!(judged(&expected, &target("")), "code a", "not every service says who it is");
    for iss in ["&iss=https%3A%2F%2Fevil.example", "&iss=https%3A%2F%2Fid.example%2F"] {
        assert!(judged(&expected, &target(iss)).starts_with("error the answer comes from another issuer"));
    }
}

#[test]
fn where_every_answer_names_its_issuer_one_that_does_not_is_refused() {
    let issuer = Issuer { name: "https://id.example".to_owned(), is_named: true };
    let expected = Expected { issuer: Some(issuer), ..expected(None) };
    let target = format!("/callback?code=a&state={STATE}");
    assert!(judged(&expected, &target).starts_with("error the answer does not say which issuer"));
    assert!(judged(&expected, &format!("{target}&iss=")).starts_with("error the answer does not say"));
    assert_eq!(judged(&expected, &format!("{target}&iss=https%3A%2F%2Fid.example")), "code a");
}

#[test]
fn a_refusal_is_told_in_words_and_cleaned() {
    let expected = expected(None);
    let said = |error: &str| judged(&expected, &format!("/callback?state={STATE}&{error}"));
    assert_eq!(said("error=access_denied"), "error consent was refused (access_denied)");
    let told = said(&format!("error=odd%0d%0aone&error_description=no%1b[31m+{STATE}+{}", "x".repeat(500)));
    assert_eq!(told, "error the service gave no consent (odd one: no [31m [redacted] [redacted])");
}

mod any {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_bytes_panic_and_none_without_the_state_is_an_answer(head in proptest::collection::vec(any::<u8>(), 0..300)) {
            let head = [head.as_slice(), b"\r\n\r\n"].concat();
            prop_assert!(matches!(expected(None).judge(&head), Verdict::Refused(_)));
        }

        #[test]
        fn no_query_without_the_state_is_an_answer(query in "[ -~]{0,200}") {
            prop_assume!(!query.contains(STATE));
            let verdict = expected(None).answer(&query);
            prop_assert!(matches!(verdict, Verdict::Refused(_)));
        }
    }
}
