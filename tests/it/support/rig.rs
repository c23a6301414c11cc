//! The rig: token service, upstream and proxy, put together; what holds in every test is checked when it is dropped.
//!
//! Checked each time: no expired, foreign or duplicate credential reached an upstream; no POST was executed twice; the
//! token service was not called more often than a schedule can explain; whoever must not be contacted was not; no thread
//! of the program panicked; it ended when told; and no secret shows in log, metrics, status, problem documents or output.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use super::client::{self, Connection, Response};
use super::idp::MockIdp;
use super::leaks;
use super::patience::{eventually, patience};
use super::process::Process;
use super::proxy::TestProxy;
use super::tokens::Verdict;
use super::upstream::MockUpstream;

/// The proxy, in one of two ways.
pub(super) enum Program {
    /// Within the test's process.
    Thread(TestProxy),
    /// The binary.
    Process(Process, #[expect(dead_code, reason = "kept: proxy.yaml lies in it")] TempDir),
}

impl Program {
    #[track_caller]
    pub(super) fn process(&mut self) -> &mut Process {
        match self {
            Self::Process(process, _) => process,
            Self::Thread(_) => panic!("this rig runs no process"),
        }
    }
}

/// Token service, upstream and proxy, running.
pub(crate) struct Rig {
    pub(super) program: Program,
    /// Where callers connect.
    pub(crate) address: SocketAddr,
    /// Where probes, metrics and status are.
    pub(crate) admin: SocketAddr,
    /// The token service.
    pub(crate) idp: MockIdp,
    /// The upstream of the route `main`.
    pub(crate) upstream: MockUpstream,
    /// Other upstreams, in the order of `Setup::upstream`.
    pub(crate) others: Vec<MockUpstream>,
    /// The client secret.
    pub(crate) secret: String,
    pub(super) untouchables: Vec<MockUpstream>,
    pub(super) rate: usize,
    pub(super) panics: usize,
    pub(super) over: bool,
    pub(super) allowed: Mutex<Option<Verdict>>,
}

impl Rig {
    /// This rig's upstreams may see such credentials: the test is about them.
    pub(crate) fn allow(&self, verdict: Verdict) {
        *self.allowed.lock().unwrap() = Some(verdict);
    }

    /// Waits until `/readyz` says so.
    #[track_caller]
    pub(crate) fn wait_until_ready(&self) {
        eventually("sidepass is ready", || self.probe("/readyz").status == 200);
    }

    /// A connection of a caller.
    #[track_caller]
    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.address)
    }

    /// GET through the proxy.
    #[track_caller]
    pub(crate) fn get(&self, target: &str) -> Response {
        client::get(self.address, target)
    }

    /// A POST with an id, through the proxy.
    #[track_caller]
    pub(crate) fn post(&self, target: &str, body: &[u8]) -> Response {
        let id = leaks::number().to_string();
        self.call("POST", target, &[("X-Test-Id", &id)], body)
    }

    /// A request through the proxy.
    #[track_caller]
    pub(crate) fn call(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        client::call(self.address, method, target, headers, body)
    }

    /// The bytes of a request to the proxy.
    pub(crate) fn request(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Vec<u8> {
        client::request(self.address, method, target, headers, body)
    }

    /// GET from the admin listener.
    #[track_caller]
    pub(crate) fn probe(&self, target: &str) -> Response {
        client::get(self.admin, target)
    }

    /// What `/status` says of a profile.
    #[track_caller]
    pub(crate) fn profile_status(&self, name: &str) -> serde_json::Value {
        let status = self.probe("/status").json();
        let profiles = status["profiles"].as_array().expect("a list of profiles");
        profiles.iter().find(|profile| profile["name"] == name).expect("a status for each profile").clone()
    }

    /// The stable code of a profile's last failure, as `/status` says; empty if there is none.
    #[track_caller]
    pub(crate) fn last_failure(&self, name: &str) -> String {
        self.profile_status(name)["last_failure"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The sum of a metric over the series that carry all of these labels, written `name="value"`.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let text = self.probe("/metrics").text();
        let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let lines =
            text.lines().filter(of_name).filter(|line| labels.iter().all(|label| line.contains(label)));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// As SIGTERM does.
    pub(crate) fn drain(&mut self) {
        match &mut self.program {
            Program::Thread(proxy) => proxy.drain(),
            Program::Process(process, _) => process.signal(Signal::TERM),
        }
    }

    /// The process, if this rig runs one.
    #[track_caller]
    pub(crate) fn process(&mut self) -> &mut Process {
        self.program.process()
    }

    /// The program has ended as the test wanted it to: nothing more is asked of it.
    pub(crate) fn is_over(&mut self) {
        self.over = true;
    }

    /// Waits until the in-process program has ended by itself.
    #[track_caller]
    pub(crate) fn wait_until_ended(&mut self, span: Duration) {
        let Program::Thread(proxy) = &mut self.program else { panic!("ask the process") };
        assert!(proxy.ends_within(span), "it did not end within {span:?}");
        self.over = true;
    }

    /// Everything that must hold in every test, and did not.
    fn violations(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        if !self.over {
            for target in ["/metrics", "/status", "/readyz", "/livez"] {
                // Looked through for secrets as it is read.
                found.extend(
                    client::try_get(self.admin, target).err().map(|error| format!("admin {target}: {error}")),
                );
            }
            found.extend(self.end().err());
        }
        let allowed = *self.allowed.lock().unwrap();
        for upstream in self.others.iter().chain([&self.upstream]) {
            found.extend(upstream.violations(allowed));
        }
        for (n, upstream) in
            self.untouchables.iter().enumerate().filter(|(_, one)| one.server().connections() > 0)
        {
            found.push(format!("untouchable {n} was contacted: {:?}", upstream.seen()));
        }
        let busiest = self.idp.busiest_second();
        if busiest > self.rate {
            found.push(format!(
                "{busiest} calls of the token service within a second, {} are allowed",
                self.rate
            ));
        }
        found.extend(leaks::panics_since(self.panics));
        found.extend(leaks::leaks_of(self.idp.mark()));
        found.extend(leaks::leaks_of(leaks::core(&self.secret)));
        found
    }

    fn end(&mut self) -> Result<(), String> {
        match &mut self.program {
            Program::Thread(proxy) => match proxy.stop(patience()) {
                true => Ok(()),
                false => Err("the proxy did not end when told to".to_owned()),
            },
            Program::Process(process, _) => {
                process.signal(Signal::TERM);
                process.signal(Signal::TERM);
                let ended = process.wait(patience());
                leaks::scan("standard error", ended.err.as_bytes());
                leaks::scan("standard output", ended.out.as_bytes());
                if ended.err.contains("panicked at") {
                    Err(format!("it panicked: {}", ended.err))
                } else {
                    Ok(())
                }
            }
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.end()));
            return;
        }
        let found = self.violations();
        assert!(found.is_empty(), "what must hold in every test did not:\n{}", found.join("\n"));
    }
}
