//! A token service that replaces the refresh token each time and ends the grant when one is shown twice (RFC 9700 §4.14.2).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::idp::MockIdp;
use super::message::form_pairs;
use super::reply::Reply;
use super::server::Seen;
use super::tokens::Tokens;

/// What it thinks of a refresh token that was shown before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// The grant is over.
    EndsTheGrant,
    /// The one before the newest is taken once more: its answer may have been lost.
    Forgiven,
}

struct Grant {
    mark: String,
    tokens: Tokens,
    lifetime: Duration,
    reuse: Reuse,
    /// How many refresh tokens there were.
    number: usize,
    over: bool,
    reused: usize,
    /// The next answers are made, and lost.
    lose: usize,
    /// The consent that a code was given for.
    consent: Option<Consent>,
    /// Whether codes bring a refresh token.
    offline: bool,
}

/// What a person said yes to.
struct Consent {
    code: String,
    challenge: String,
    redirect_uri: String,
}

/// The service's books; cheap to clone.
#[derive(Clone)]
pub(crate) struct Rotating(Arc<Mutex<Grant>>);

impl Rotating {
    /// Has this token service rotate, with access tokens of this lifetime.
    pub(crate) fn install(idp: &MockIdp, lifetime: Duration, reuse: Reuse) -> Self {
        let grant = Grant {
            mark: idp.mark().to_owned(),
            tokens: idp.tokens(),
            lifetime,
            reuse,
            number: 0,
            over: false,
            reused: 0,
            lose: 0,
            consent: None,
            offline: true,
        };
        let books = Self(Arc::new(Mutex::new(grant)));
        let answers = books.clone();
        let issuer = idp.url().trim_end_matches("/token").to_owned();
        idp.answer_with(move |seen| {
            let metadata = seen.target() == "/.well-known/oauth-authorization-server";
            Some(if metadata { metadata_of(&issuer) } else { answers.answer(seen) })
        });
        books
    }

    /// The refresh token that is good now; a secret, whose mark the leak scanner knows.
    pub(crate) fn newest(&self) -> String {
        self.books().refresh_token()
    }

    /// A new grant, as after another consent: its first refresh token.
    pub(crate) fn grant(&self) -> String {
        let mut books = self.books();
        books.over = false;
        books.number += 1;
        books.refresh_token()
    }

    /// A person opens this page and says yes: the address that the browser is sent to.
    pub(crate) fn consent(&self, page: &str) -> String {
        let asked: HashMap<_, _> =
            form_pairs(page.split_once('?').unwrap().1.as_bytes()).into_iter().collect();
        assert_eq!(
            (asked["response_type"].as_str(), asked["code_challenge_method"].as_str()),
            ("code", "S256")
        );
        let mut books = self.books();
        let code = format!("code-{}-{}", books.mark, super::leaks::number());
        let (challenge, redirect_uri) = (asked["code_challenge"].clone(), asked["redirect_uri"].clone());
        let back = format!("{redirect_uri}?code={code}&state={}", asked["state"]);
        books.consent = Some(Consent { code, challenge, redirect_uri });
        back
    }

    /// Codes bring no refresh token from now on.
    pub(crate) fn online_only(&self) {
        self.books().offline = false;
    }

    /// The next answers are made, and lost on the way.
    pub(crate) fn lose(&self, answers: usize) {
        self.books().lose = answers;
    }

    /// How often a refresh token was shown that was over.
    pub(crate) fn reused(&self) -> usize {
        self.books().reused
    }

    /// The number of a refresh or access token that this service made.
    pub(crate) fn number(token: &str) -> usize {
        token.rsplit('-').next().and_then(|number| number.parse().ok()).expect("a token of this service")
    }

    fn books(&self) -> MutexGuard<'_, Grant> {
        self.0.lock().unwrap()
    }

    fn answer(&self, seen: &Seen) -> Reply {
        let members: HashMap<_, _> = form_pairs(&seen.body).into_iter().collect();
        let member = |name: &str| members.get(name).map_or("", String::as_str);
        match member("grant_type") {
            "refresh_token" => self.books().answer(member("refresh_token"), seen.number),
            "authorization_code" => {
                let (code, redirect_uri) = (member("code"), member("redirect_uri"));
                self.books().exchange(code, member("code_verifier"), redirect_uri, seen.number)
            }
            other => panic!("an unknown grant: {other}"),
        }
    }
}

/// RFC 8414 §3.2
fn metadata_of(issuer: &str) -> Reply {
    Reply::json(
        200,
        format!(
            r#"{{"issuer":"{issuer}","token_endpoint":"{issuer}/token","authorization_endpoint":"{issuer}/authorize?ui=en"}}"#
        ),
    )
}

impl Grant {
    fn refresh_token(&self) -> String {
        format!("rt-{}-{}", self.mark, self.number)
    }

    fn exchange(&mut self, code: &str, verifier: &str, redirect_uri: &str, call: usize) -> Reply {
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        let good = self.consent.take().is_some_and(|consent| {
            (consent.code.as_str(), consent.challenge, consent.redirect_uri.as_str())
                == (code, challenge, redirect_uri)
        });
        if !good {
            let echo =
                format!(r#"{{"error":"invalid_grant","error_description":"<b>{code}</b> is no good"}}"#);
            return Reply::json(400, echo);
        }
        self.over = false;
        self.number += 1;
        self.issue(call)
    }

    fn answer(&mut self, shown: &str, call: usize) -> Reply {
        let before = format!("rt-{}-{}", self.mark, self.number.wrapping_sub(1));
        let forgiven = self.reuse == Reuse::Forgiven && shown == before;
        if self.over || (shown != self.refresh_token() && !forgiven) {
            self.over |= self.reuse == Reuse::EndsTheGrant;
            self.reused += 1;
            let echo = format!(r#"{{"error":"invalid_grant","error_description":"{shown} is over"}}"#);
            return Reply::json(400, echo);
        }
        if !forgiven {
            self.number += 1;
        }
        self.issue(call)
    }

    fn issue(&mut self, call: usize) -> Reply {
        let access = format!("tok-{}-{}", self.mark, self.number);
        self.tokens.issue(&access, "rotating", call, self.lifetime);
        if self.lose > 0 {
            self.lose -= 1;
            return Reply::close();
        }
        let seconds = self.lifetime.as_secs();
        let refresh = if self.offline {
            format!(r#","refresh_token":"{}""#, self.refresh_token())
        } else {
            String::new()
        };
        Reply::json(
            200,
            format!(r#"{{"access_token":"{access}","token_type":"bearer","expires_in":{seconds}{refresh}}}"#),
        )
    }
}
