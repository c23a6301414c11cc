//! The scripted API: judges the credential of every request, and answers 200 or 401 accordingly, or what it is told.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use super::reply::Reply;
use super::server::{Pace, Seen, Server};
use super::tokens::{Tokens, Verdict};

type Script = Box<dyn Fn(&Seen) -> Option<Reply> + Send + Sync>;

/// What an upstream makes of requests without a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// They get 401.
    Wants,
    /// They get 200: it does not look.
    Ignores,
}

struct State {
    tokens: Tokens,
    client: Mutex<Option<String>>,
    strictness: Mutex<Strictness>,
    verdicts: Mutex<Vec<Verdict>>,
    script: Mutex<VecDeque<Reply>>,
    standing: Mutex<Option<Script>>,
    early: Mutex<Option<Script>>,
}

/// An upstream on loopback.
pub(crate) struct MockUpstream {
    server: Server,
    state: Arc<State>,
}

impl MockUpstream {
    /// One that takes the tokens in this register.
    pub(crate) fn start(tokens: Tokens) -> Self {
        let state = Arc::new(State {
            tokens,
            client: Mutex::default(),
            strictness: Mutex::new(Strictness::Wants),
            verdicts: Mutex::default(),
            script: Mutex::default(),
            standing: Mutex::default(),
            early: Mutex::default(),
        });
        let (judge, answers) = (Arc::clone(&state), Arc::clone(&state));
        let early = move |seen: &Seen| judge.look(seen);
        let server = Server::start(Box::new(early), Box::new(move |seen| answers.answer(seen)));
        Self { server, state }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// `http://127.0.0.1:port`
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// The server behind it: connections, stop, resume.
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// Every request so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.server.seen()
    }

    /// The newest request.
    #[track_caller]
    pub(crate) fn last(&self) -> Seen {
        self.server.seen().pop().expect("the upstream has seen no request")
    }

    /// How many requests there were.
    pub(crate) fn count(&self) -> usize {
        self.server.count()
    }

    /// What it made of the credential of each request, in order.
    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        self.state.verdicts.lock().unwrap().clone()
    }

    /// Only tokens of this client are meant for it.
    pub(crate) fn only_for(&self, client: &str) {
        *self.state.client.lock().unwrap() = Some(client.to_owned());
    }

    /// What it makes of requests without a credential.
    pub(crate) fn set_strictness(&self, strictness: Strictness) {
        *self.state.strictness.lock().unwrap() = strictness;
    }

    /// How fast it takes request bodies.
    pub(crate) fn set_pace(&self, pace: Pace) {
        self.server.set_pace(pace);
    }

    /// The next requests get these answers, whatever their credential.
    pub(crate) fn script(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state.script.lock().unwrap().extend(replies);
    }

    /// Every request without a scripted answer gets this one.
    pub(crate) fn always(&self, reply: Reply) {
        self.answer_with(move |_| Some(reply.clone()));
    }

    /// Every request without a scripted answer is put to `script` first; `None` looks at the credential.
    pub(crate) fn answer_with(&self, script: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) {
        *self.state.standing.lock().unwrap() = Some(Box::new(script));
    }

    /// Put to every request as soon as its head is there: an answer that does not wait for the body.
    pub(crate) fn answer_early(&self, script: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) {
        *self.state.early.lock().unwrap() = Some(Box::new(script));
    }

    /// What broke a rule that holds in every test: POSTs executed twice, credentials that must never arrive (but `allowed`).
    pub(crate) fn violations(&self, allowed: Option<Verdict>) -> Vec<String> {
        let (seen, verdicts) = (self.seen(), self.verdicts());
        let bad = |verdict| {
            Some(verdict) != allowed
                && matches!(verdict, Verdict::Expired | Verdict::Foreign | Verdict::Duplicate)
        };
        let mut found: Vec<String> = seen
            .iter()
            .zip(&verdicts)
            .filter(|(_, verdict)| bad(**verdict))
            .map(|(seen, verdict)| {
                format!("{verdict:?} credential reached the upstream: {}", seen.head.first)
            })
            .collect();
        for one in seen.iter().filter(|seen| seen.method() == "POST") {
            let Some(id) = one.header("x-test-id") else { continue };
            let same = |other: &&Seen| other.method() == "POST" && other.header("x-test-id") == Some(id);
            let (all, refused) =
                (seen.iter().filter(same), seen.iter().filter(same).filter(|s| s.answered == 401));
            if all.count() - refused.count().min(1) > 1 {
                found.push(format!("POST {id} was sent again without a 401"));
            }
        }
        found.dedup();
        found
    }
}

impl State {
    /// Judges the head of a request, whoever answers it.
    fn look(&self, seen: &Seen) -> Option<Reply> {
        let client = self.client.lock().unwrap().clone();
        let verdict = self.tokens.judge(&seen.head.all("authorization"), client.as_deref());
        let mut verdicts = self.verdicts.lock().unwrap();
        debug_assert_eq!(verdicts.len(), seen.number, "one verdict a request, in order");
        verdicts.push(verdict);
        self.early.lock().unwrap().as_ref().and_then(|script| script(seen))
    }

    fn answer(&self, seen: &Seen) -> Reply {
        if let Some(reply) = self.script.lock().unwrap().pop_front() {
            return reply;
        }
        if let Some(reply) = self.standing.lock().unwrap().as_ref().and_then(|script| script(seen)) {
            return reply;
        }
        let verdict = self.verdicts.lock().unwrap()[seen.number];
        match (verdict, *self.strictness.lock().unwrap()) {
            (Verdict::Valid, _) | (Verdict::Missing, Strictness::Ignores) => {
                Reply::new(200, &[("Content-Type", "text/plain")], "hello from upstream\n")
            }
            (_, Strictness::Ignores | Strictness::Wants) => refusal(),
        }
    }
}

/// The 401 of an upstream that does not like the token.
pub(crate) fn refusal() -> Reply {
    let headers = [("WWW-Authenticate", r#"Bearer error="invalid_token""#), ("X-Upstream", "refused")];
    Reply::new(401, &headers, "the upstream says no\n")
}
