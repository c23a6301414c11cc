//! A row of the table: what a file asks a token service for, what that answers, and what the API gets.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;
use sidepass::config::{Config, ConfigFile};

use super::tls::{Front, Identity};
use crate::support::client;
use crate::support::message::form_pairs;
use crate::support::patience::eventually;
use crate::support::proxy::{TestProxy, Variables};
use crate::support::reply::Reply;
use crate::support::server::{Seen, Server};

/// The listeners, which no example has.
const LISTEN: &str = "proxy: { listen: \"127.0.0.1:0\" }\nadmin: { listen: \"127.0.0.1:0\" }\n";

/// Where the examples are.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/examples/providers")
}

/// The text of an example.
pub(crate) fn read(file: &str) -> String {
    std::fs::read_to_string(folder().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

type Check = Box<dyn Fn(&Seen)>;

/// A request that the token service wants, and its answer.
pub(crate) struct Ask {
    line: &'static str,
    checks: Vec<Check>,
    answer: Option<String>,
    reply: Option<Reply>,
}

/// A request with this method and this target.
pub(crate) fn ask(line: &'static str) -> Ask {
    Ask { line, checks: Vec::new(), answer: None, reply: None }
}

impl Ask {
    /// It is checked by this.
    pub(crate) fn check(mut self, check: impl Fn(&Seen) + 'static) -> Self {
        self.checks.push(Box::new(check));
        self
    }

    /// This header stands there once.
    pub(crate) fn header(self, name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        self.check(move |seen| assert_eq!(seen.head.all(name), [value.as_str()], "{name}"))
    }

    /// These headers do not.
    pub(crate) fn without(self, names: &'static [&'static str]) -> Self {
        self.check(move |seen| {
            names.iter().for_each(|name| assert_eq!(seen.header(name), None, "{name}"));
        })
    }

    /// Id and secret in the header, and nowhere else.
    pub(crate) fn basic(self, id: &str, secret: &str) -> Self {
        self.header("authorization", basic(id, secret)).check(|seen| {
            assert!(!seen.text().contains("client_secret"), "{}", seen.text());
        })
    }

    /// The body is this form.
    pub(crate) fn form(self, members: &'static [(&'static str, &'static str)]) -> Self {
        self.header("content-type", "application/x-www-form-urlencoded").check(move |seen| {
            let body = form_pairs(&seen.body);
            let body: Vec<_> = body.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            assert_eq!(body, members);
        })
    }

    /// The body is this JSON.
    pub(crate) fn json(self, expected: Value) -> Self {
        self.header("content-type", "application/json").check(move |seen| {
            assert_eq!(serde_json::from_slice::<Value>(&seen.body).unwrap(), expected);
        })
    }

    /// There is no body.
    pub(crate) fn empty(self) -> Self {
        self.without(&["content-type"]).check(|seen| assert_eq!(seen.text(), ""))
    }

    /// A member of the form is a JWT with this header and these claims, besides `iat`, `nbf`, `exp` and `jti`, and this lifetime.
    pub(crate) fn jwt(self, member: &'static str, header: Value, claims: Value, lifetime: i64) -> Self {
        self.check(move |seen| {
            let body: BTreeMap<_, _> = form_pairs(&seen.body).into_iter().collect();
            expect_jwt(&body[member], &header, &claims, lifetime);
        })
    }

    /// The answer, as JSON.
    pub(crate) fn gets(mut self, answer: Value) -> Self {
        self.answer = Some(answer.to_string());
        self
    }

    /// The answer.
    pub(crate) fn gets_reply(mut self, reply: Reply) -> Self {
        self.reply = Some(reply);
        self
    }
}

/// What stands behind `Basic` for these.
pub(crate) fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

/// A JWT with this header and these claims, besides `iat`, `nbf`, `exp` and `jti`, that lives so long. Signatures are verified
/// elsewhere, against other implementations.
pub(crate) fn expect_jwt(token: &str, header: &Value, claims: &Value, lifetime: i64) {
    let parts: Vec<&str> = token.split('.').collect();
    let [head, payload, signature] = parts[..] else { panic!("no JWT: {token}") };
    let read =
        |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
    assert_eq!(&read(head), header);
    let mut found = read(payload);
    let members = found.as_object_mut().unwrap();
    let mut take = |name: &str| members.remove(name).and_then(|value| value.as_i64()).unwrap();
    let issued = take("iat");
    assert_eq!(take("exp") - issued, lifetime);
    members.remove("jti");
    assert!(members.remove("nbf").is_none_or(|nbf| nbf == issued));
    assert_eq!(&found, claims);
    assert!(signature.len() > 80, "a signature: {signature}");
}

/// How an example behaves.
pub(crate) struct Row {
    file: &'static str,
    asks: Vec<Ask>,
    target: &'static str,
    wants: Vec<Check>,
    lifetime: Option<(&'static str, &'static str)>,
    variables: Vec<(&'static str, String)>,
    way: Way,
}

/// How the scripted servers are reached.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    /// TLS, and only with the certificate of the example.
    MutualTls,
}

/// The example in this file.
pub(crate) fn row(file: &'static str) -> Row {
    Row {
        file,
        asks: Vec::new(),
        target: "/x",
        wants: Vec::new(),
        lifetime: Some(("1h", "expires_in")),
        variables: Vec::new(),
        way: Way::Plain,
    }
}

impl Row {
    pub(crate) fn file(&self) -> &'static str {
        self.file
    }

    /// The next request to the token service.
    pub(crate) fn asks(mut self, ask: Ask) -> Self {
        self.asks.push(ask);
        self
    }

    /// A variable besides those that are made up; `API_ADDRESS` in it is where the API listens.
    pub(crate) fn variable(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// The API gets this header, once.
    pub(crate) fn sends(self, name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        self.sends_checked(move |seen| assert_eq!(seen.head.all(name), [value.as_str()], "{name}"))
    }

    /// The API gets none of these.
    pub(crate) fn sends_no(self, names: &'static [&'static str]) -> Self {
        self.sends_checked(move |seen| {
            names.iter().for_each(|name| assert_eq!(seen.header(name), None, "{name}"));
        })
    }

    /// What the API gets is checked by this.
    pub(crate) fn sends_checked(mut self, check: impl Fn(&Seen) + 'static) -> Self {
        self.wants.push(Box::new(check));
        self
    }

    /// The lifetime of the token, and where it was read; an hour from `expires_in` unless told.
    pub(crate) fn lives(mut self, span: &'static str, from: &'static str) -> Self {
        self.lifetime = Some((span, from));
        self
    }

    /// The lifetime is told by a point in time that is years ahead.
    pub(crate) fn far(mut self) -> Self {
        self.lifetime = None;
        self
    }

    /// Both servers want the certificate of the example.
    pub(crate) fn mutual_tls(mut self) -> Self {
        self.way = Way::MutualTls;
        self
    }

    /// Starts the example and makes a request.
    #[track_caller]
    pub(crate) fn run(self) {
        let text = read(self.file);
        let api = Server::start(Box::new(|_| None), Box::new(|_| Reply::json(200, "{}")));
        let service = service(&self.asks, &format!("http://{}", api.address()));
        let home = tempfile::tempdir().unwrap();
        write_files(home.path());
        let identity = (self.way == Way::MutualTls).then(|| Identity::new(home.path()));
        let front = |server: &Server| identity.as_ref().map(|identity| identity.front(server.address()));
        let fronts = [front(&service), front(&api)];
        let origin = |server: &Server, front: &Option<Front>| match front {
            Some(front) => front.origin(),
            None => format!("http://{}", server.address()),
        };
        let origins = [origin(&service, &fronts[0]), origin(&api, &fronts[1])];
        let mut variables = surroundings(&text);
        for (name, path) in urls(&text) {
            let origin = &origins[usize::from(name == "API_URL")];
            variables.insert(name, format!("{origin}{path}"));
        }
        for (name, value) in &self.variables {
            let value = value.replace("API_ADDRESS", &api.address().to_string());
            variables.insert((*name).to_owned(), value);
        }
        let home = tempfile::tempdir().unwrap();
        write_files(home.path());
        let file =
            |name: &str, text: &str| ConfigFile { path: home.path().join(name), text: text.to_owned() };
        let files = [file(self.file, &text), file("listen.yaml", LISTEN)];
        let authority = identity.as_ref().map(|identity| identity.authority.clone());
        let trust = |config: &mut Config| {
            config.profiles.iter_mut().for_each(|profile| profile.transport.ca_file.clone_from(&authority));
            config.routes.iter_mut().for_each(|route| route.ca_file.clone_from(&authority));
        };
        let proxy =
            TestProxy::start_files(&files, &variables, trust).unwrap_or_else(|error| panic!("{error}"));
        eventually("the token is there", || {
            let ready = client::get(proxy.admin(), "/readyz").status == 200;
            assert!(ready || service.count() <= self.asks.len(), "{}", told(&proxy));
            ready
        });
        self.expect_asked(&service, &proxy);
        let answer = client::get(proxy.address(), self.target);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let seen = api.seen().pop().expect("the API was asked");
        for front in fronts.iter().flatten() {
            assert!(front.shown() > 0, "the certificate was not shown");
        }
        self.wants.iter().for_each(|check| check(&seen));
        let status = client::get(proxy.admin(), "/status").json();
        let profiles = status["profiles"].as_array().unwrap();
        if let Some((span, from)) = self.lifetime {
            let there = |profile: &&Value| profile["lifetime_from"] == from;
            let profile =
                profiles.iter().find(there).unwrap_or_else(|| panic!("nothing from {from}: {status:#}"));
            assert_eq!(profile["lifetime"], span, "{status:#}");
        }
    }

    fn expect_asked(&self, service: &Server, proxy: &TestProxy) {
        // A profile that signs in for another also has a token of its own: who comes first is open.
        let mut seen = service.seen();
        let line = |seen: &Seen| format!("{} {}", seen.method(), seen.target());
        seen.sort_by_key(line);
        let mut asks: Vec<&Ask> = self.asks.iter().collect();
        asks.sort_by_key(|ask| ask.line);
        let lines: Vec<_> = seen.iter().map(line).collect();
        let wanted: Vec<_> = asks.iter().map(|ask| ask.line).collect();
        assert_eq!(lines, wanted, "{}", told(proxy));
        for (ask, seen) in asks.iter().zip(&seen) {
            assert_eq!(seen.head.all("accept").len(), 1, "{seen:?}");
            ask.checks.iter().for_each(|check| check(seen));
        }
    }
}

/// What the proxy says of itself, for a message.
fn told(proxy: &TestProxy) -> String {
    client::get(proxy.admin(), "/status").text()
}

/// A token service that gives each request its answers in turn; `INSTANCE_URL` in them is the API's.
fn service(asks: &[Ask], api: &str) -> Server {
    let mut replies: BTreeMap<String, VecDeque<Reply>> = BTreeMap::new();
    for ask in asks {
        let json = || Reply::json(200, ask.answer.clone().expect("an answer").replace("INSTANCE_URL", api));
        let reply = ask.reply.clone().unwrap_or_else(json);
        replies.entry(ask.line.to_owned()).or_default().push_back(reply);
    }
    let replies = Mutex::new(replies);
    let next = move |seen: &Seen| {
        let line = format!("{} {}", seen.method(), seen.target());
        let next = replies.lock().unwrap().get_mut(&line).and_then(VecDeque::pop_front);
        next.unwrap_or_else(|| Reply::json(404, "{}"))
    };
    Server::start(Box::new(|_| None), Box::new(next))
}

/// The variables of an example with a default that is a URL, and the path behind it.
fn urls(text: &str) -> Vec<(String, String)> {
    let variables = text.split("${").skip(1).filter_map(|rest| rest.split('}').next());
    let with_url = variables.filter_map(|inside| inside.split_once(":-https://"));
    with_url
        .map(|(name, url)| {
            let path = url.find('/').map_or("", |at| &url[at..]);
            (name.to_owned(), path.to_owned())
        })
        .collect()
}

/// Every other variable that an example needs: called by its name, so that it is found again where it goes.
pub(crate) fn surroundings(text: &str) -> Variables {
    let word =
        |rest: &str| rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next().map(str::to_owned);
    let forms = text.split("env: ").skip(1).filter_map(word);
    let plain = text
        .split("${")
        .skip(1)
        .filter(|rest| rest.split('}').next().is_some_and(|name| !name.contains(':')));
    let names: BTreeSet<String> = forms.chain(plain.filter_map(word)).collect();
    names
        .into_iter()
        .map(|name| {
            let value = format!("the-{name}");
            (name, value)
        })
        .collect()
}

/// The files that examples name: keys and a token of somebody else.
pub(crate) fn write_files(home: &Path) {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/keys");
    let rsa = std::fs::read_to_string(keys.join("rsa.pem")).unwrap();
    let key = rcgen::KeyPair::from_pem(&rsa).unwrap();
    let mut parameters = rcgen::CertificateParams::new(["robot.acme.example".to_owned()]).unwrap();
    parameters.not_after = rcgen::date_time_ymd(2099, 1, 1);
    let certificate = parameters.self_signed(&key).unwrap().pem();
    let p256 = std::fs::read_to_string(keys.join("p256.pem")).unwrap();
    for (name, text) in [
        ("key.pem", rsa.as_str()),
        ("tls.key", &rsa),
        ("tls.crt", &certificate),
        ("key.p8", &p256),
        ("token", "their.own.jwt\n"),
    ] {
        std::fs::write(home.join(name), text).unwrap();
    }
}
