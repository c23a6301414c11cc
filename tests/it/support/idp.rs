//! The scripted token service: issues tokens that carry a canary, checks who asks, and misbehaves on demand.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::time::Instant;

use super::gate::Gate;
use super::leaks;
use super::message::{form_decode, form_pairs};
use super::reply::Reply;
use super::server::{Seen, Server};
use super::tokens::Tokens;

/// How clients prove themselves here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Basic, id and secret form-encoded (RFC 6749 §2.3.1): the default.
    FormBasic,
    /// Basic, id and secret as they are.
    RawBasic,
    /// `client_id` and `client_secret` in the form body.
    FormBody,
    /// Nobody asks.
    Anything,
}

/// Which token an answer carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Issue {
    /// A new one each time.
    New,
    /// The same one until it has expired, with `expires_in` shrinking.
    SameUntilExpiry,
}

type Script = Box<dyn Fn(&Seen) -> Option<Reply> + Send + Sync>;

struct State {
    mark: String,
    tokens: Tokens,
    clients: Mutex<HashMap<String, String>>,
    proof: Mutex<Proof>,
    issue: Mutex<Issue>,
    lifetime: Mutex<Duration>,
    hold: Mutex<Option<Gate>>,
    current: Mutex<Option<(String, Instant)>>,
    script: Mutex<VecDeque<Reply>>,
    standing: Mutex<Option<Script>>,
}

/// A token service on loopback.
pub(crate) struct MockIdp {
    server: Server,
    state: Arc<State>,
}

impl MockIdp {
    /// One that issues tokens of this lifetime to the clients it is told of.
    pub(crate) fn start(lifetime: Duration) -> Self {
        let state = Arc::new(State {
            mark: leaks::mint(),
            tokens: Tokens::default(),
            clients: Mutex::default(),
            proof: Mutex::new(Proof::FormBasic),
            issue: Mutex::new(Issue::New),
            lifetime: Mutex::new(lifetime),
            hold: Mutex::default(),
            current: Mutex::default(),
            script: Mutex::default(),
            standing: Mutex::default(),
        });
        let answers = Arc::clone(&state);
        let server = Server::start(Box::new(|_| None), Box::new(move |seen| answers.answer(seen)));
        Self { server, state }
    }

    /// The token service URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/token", self.server.address())
    }

    /// The server behind it: raw requests, stop, resume.
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// Every call so far.
    pub(crate) fn calls(&self) -> Vec<Seen> {
        self.server.seen()
    }

    /// How many calls there were.
    pub(crate) fn count(&self) -> usize {
        self.server.count()
    }

    /// What was issued.
    pub(crate) fn tokens(&self) -> Tokens {
        self.state.tokens.clone()
    }

    /// The canary within every token of this service.
    pub(crate) fn mark(&self) -> &str {
        &self.state.mark
    }

    /// A client that may come, with its secret; replaces the secret of a known one.
    pub(crate) fn set_client(&self, id: &str, secret: &str) {
        self.state.clients.lock().unwrap().insert(id.to_owned(), secret.to_owned());
    }

    /// How clients prove themselves from now on.
    pub(crate) fn set_proof(&self, proof: Proof) {
        *self.state.proof.lock().unwrap() = proof;
    }

    /// Which token an answer carries from now on.
    pub(crate) fn set_issue(&self, issue: Issue) {
        *self.state.issue.lock().unwrap() = issue;
    }

    /// The lifetime of tokens issued from now on.
    pub(crate) fn set_lifetime(&self, lifetime: Duration) {
        *self.state.lifetime.lock().unwrap() = lifetime;
    }

    /// The next calls get these answers, one each.
    pub(crate) fn script(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state.script.lock().unwrap().extend(replies);
    }

    /// Every call without a scripted answer gets this one, until [`MockIdp::behave`].
    pub(crate) fn always(&self, reply: Reply) {
        self.answer_with(move |_| Some(reply.clone()));
    }

    /// Every call without a scripted answer is put to `script` first; `None` issues a token.
    pub(crate) fn answer_with(&self, script: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) {
        *self.state.standing.lock().unwrap() = Some(Box::new(script));
    }

    /// Issues tokens again.
    pub(crate) fn behave(&self) {
        self.state.script.lock().unwrap().clear();
        *self.state.standing.lock().unwrap() = None;
    }

    /// Calls from now on are answered when the returned gate is open.
    pub(crate) fn hold(&self) -> Gate {
        let gate = Gate::closed();
        *self.state.hold.lock().unwrap() = Some(gate.clone());
        gate
    }

    /// Upstreams refuse every token issued so far.
    pub(crate) fn revoke_all(&self) {
        *self.state.current.lock().unwrap() = None;
        self.state.tokens.revoke_all();
    }

    /// The most calls within one second, so far.
    pub(crate) fn busiest_second(&self) -> usize {
        let times: Vec<Instant> = self.calls().iter().map(|call| call.at).collect();
        let within = |start: &Instant| {
            times.iter().filter(|at| (*start..*start + Duration::from_secs(1)).contains(at)).count()
        };
        times.iter().map(within).max().unwrap_or(0)
    }

    /// Notes a token for this client, as if the n-th call had issued it, and returns its text: for hand-made answers.
    pub(crate) fn mint(&self, client: &str, call: usize, lifetime: Duration) -> String {
        self.state.mint(client, call, lifetime)
    }
}

impl State {
    fn answer(&self, seen: &Seen) -> Reply {
        let reply = self.reply(seen);
        match &*self.hold.lock().unwrap() {
            Some(gate) => reply.held(gate),
            None => reply,
        }
    }

    fn reply(&self, seen: &Seen) -> Reply {
        if let Some(reply) = self.script.lock().unwrap().pop_front() {
            return reply;
        }
        let standing = self.standing.lock().unwrap().as_ref().and_then(|script| script(seen));
        standing.unwrap_or_else(|| self.issue_to(seen))
    }

    fn issue_to(&self, seen: &Seen) -> Reply {
        let Some(client) = self.client(seen) else {
            return Reply::json(401, r#"{"error":"invalid_client","error_description":"who are you?"}"#);
        };
        let lifetime = *self.lifetime.lock().unwrap();
        let issue = *self.issue.lock().unwrap();
        let mut current = self.current.lock().unwrap();
        let held = current.clone().filter(|(_, expires)| *expires > Instant::now());
        let (text, left) = match (issue, held) {
            (Issue::SameUntilExpiry, Some((text, expires))) => (text, expires - Instant::now()),
            _ => (self.mint(&client, seen.number, lifetime), lifetime),
        };
        *current = Some((text.clone(), Instant::now() + left));
        token_answer(&text, &number(left))
    }

    fn mint(&self, client: &str, call: usize, lifetime: Duration) -> String {
        let text = format!("tok-{}-{call}-{}", self.mark, client.len());
        self.tokens.issue(&text, client, call, lifetime);
        text
    }

    /// Who asks, if the proof is good.
    fn client(&self, seen: &Seen) -> Option<String> {
        let basic = || {
            let value = seen.header("authorization")?.strip_prefix("Basic ")?;
            let text = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
            text.split_once(':').map(|(id, secret)| (id.to_owned(), secret.to_owned()))
        };
        let (id, secret) = match *self.proof.lock().unwrap() {
            Proof::Anything => return Some("anybody".to_owned()),
            Proof::RawBasic => {
                // An id may hold a colon where nothing is encoded: the known ids decide where it ends.
                let value = seen.header("authorization")?.strip_prefix("Basic ")?;
                let text = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
                let clients = self.clients.lock().unwrap();
                return clients
                    .iter()
                    .find(|(id, secret)| text == format!("{id}:{secret}"))
                    .map(|(id, _)| id.clone());
            }
            Proof::FormBasic => basic().map(|(id, secret)| (form_decode(&id), form_decode(&secret)))?,
            Proof::FormBody => {
                let pairs: HashMap<_, _> = form_pairs(&seen.body).into_iter().collect();
                (pairs.get("client_id")?.clone(), pairs.get("client_secret")?.clone())
            }
        };
        (self.clients.lock().unwrap().get(&id) == Some(&secret)).then_some(id)
    }
}

/// A good answer with this token and this `expires_in`, spelled as given.
pub(crate) fn token_answer(token: &str, expires_in: &str) -> Reply {
    Reply::json(
        200,
        format!(r#"{{"access_token":"{token}","token_type":"bearer","expires_in":{expires_in}}}"#),
    )
}

fn number(span: Duration) -> String {
    if span.subsec_nanos() == 0 { span.as_secs().to_string() } else { format!("{:.3}", span.as_secs_f64()) }
}
