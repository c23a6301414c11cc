//! A rig before it runs: what stands in proxy.yaml, and how the mocks behave from the start.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use sidepass::config::Config;

use super::idp::MockIdp;
use super::leaks;
use super::patience::eventually;
use super::process::{Process, folder_with, free_port, listens};
use super::proxy::{TestProxy, Variables};
use super::rig::{Program, Rig};
use super::upstream::MockUpstream;

/// The client id of the default profile.
pub(crate) const CLIENT: &str = "sb-app!b1|api!b2";

/// A rig before it runs.
pub(crate) struct Setup {
    /// The token service; script it before the proxy starts.
    pub(crate) idp: MockIdp,
    /// The upstream.
    pub(crate) upstream: MockUpstream,
    /// The client secret of the default profile.
    pub(crate) secret: String,
    profile: Vec<String>,
    route: Vec<String>,
    proxy: Vec<String>,
    more: String,
    whole: Option<String>,
    variables: Variables,
    others: Vec<MockUpstream>,
    untouchables: Vec<MockUpstream>,
    rate: usize,
    warm: Warm,
    adjust: Option<Adjust>,
}

type Adjust = Box<dyn FnOnce(&mut Config)>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Warm {
    /// Started when `/readyz` says so.
    Wait,
    /// Started when it listens.
    No,
}

impl Setup {
    /// One profile `main`, one route `main` to the upstream, tokens that outlive every test.
    pub(crate) fn new() -> Self {
        let idp = MockIdp::start(Duration::from_secs(3600));
        let upstream = MockUpstream::start(idp.tokens());
        // Characters that every encoding handles differently.
        let secret = format!("{}$+=/% &", leaks::mint());
        idp.set_client(CLIENT, &secret);
        let variables =
            [("TOKEN_URL", idp.url()), ("UPSTREAM", upstream.url()), ("CLIENT_ID", CLIENT.to_owned())];
        let mut variables: Variables =
            variables.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        variables.insert("CLIENT_SECRET".to_owned(), secret.clone());
        Self {
            idp,
            upstream,
            secret,
            profile: Vec::new(),
            route: Vec::new(),
            proxy: Vec::new(),
            more: String::new(),
            whole: None,
            variables,
            others: Vec::new(),
            untouchables: Vec::new(),
            rate: 4,
            warm: Warm::Wait,
            adjust: None,
        }
    }

    /// Changes the configuration after it was read; for the proxy in this process only.
    pub(crate) fn adjust(mut self, adjust: impl FnOnce(&mut Config) + 'static) -> Self {
        self.adjust = Some(Box::new(adjust));
        self
    }

    /// The lifetime of tokens.
    pub(crate) fn lifetime(self, span: Duration) -> Self {
        self.idp.set_lifetime(span);
        self
    }

    /// One more line of the profile `main`.
    pub(crate) fn profile(mut self, line: &str) -> Self {
        self.profile.push(line.to_owned());
        self
    }

    /// One more line of the route `main`.
    pub(crate) fn route(mut self, line: &str) -> Self {
        self.route.push(line.to_owned());
        self
    }

    /// One more line of the section `proxy`.
    pub(crate) fn proxy(mut self, line: &str) -> Self {
        self.proxy.push(line.to_owned());
        self
    }

    /// More text behind the route `main`: other routes (two spaces deep), or other sections.
    pub(crate) fn more(mut self, text: &str) -> Self {
        self.more.push_str(text);
        self
    }

    /// These profiles and routes instead of the default ones; `${TOKEN_URL}`, `${UPSTREAM}` and what [`Setup::variable`] adds.
    pub(crate) fn yaml(mut self, text: &str) -> Self {
        self.whole = Some(text.to_owned());
        self
    }

    /// An environment variable.
    pub(crate) fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    /// Another upstream, which takes the same tokens; its URL is in this variable.
    pub(crate) fn upstream(mut self, variable: &str) -> Self {
        let upstream = MockUpstream::start(self.idp.tokens());
        self.variables.insert(variable.to_owned(), upstream.url());
        self.others.push(upstream);
        self
    }

    /// Somebody who must never be contacted; its URL is in this variable.
    pub(crate) fn untouchable(mut self, variable: &str) -> Self {
        let upstream = MockUpstream::start(self.idp.tokens());
        self.variables.insert(variable.to_owned(), upstream.url());
        self.untouchables.push(upstream);
        self
    }

    /// The value of a variable.
    pub(crate) fn value(&self, variable: &str) -> &str {
        &self.variables[variable]
    }

    /// How many calls of the token service one second may see (4: one profile).
    pub(crate) fn rate(mut self, calls: usize) -> Self {
        self.rate = calls;
        self
    }

    /// Does not wait for the first token.
    pub(crate) fn cold(mut self) -> Self {
        self.warm = Warm::No;
        self
    }

    /// The text of proxy.yaml.
    pub(crate) fn text(&self) -> String {
        let lines = |lines: &[String], indent: &str| -> String {
            lines
                .iter()
                .map(|line| format!("{indent}{}\n", line.replace('\n', &format!("\n{indent}"))))
                .collect()
        };
        let profiles_and_routes = self.whole.clone().unwrap_or_else(|| {
            let profile = lines(&self.profile, "    ");
            let route = lines(&self.route, "    ");
            format!(
                "profiles:\n  main:\n    token_service_url: ${{TOKEN_URL}}\n    client_id: ${{CLIENT_ID}}\n    \
                 client_secret: {{ env: CLIENT_SECRET }}\n{profile}\
                 routes:\n  main:\n    upstream: ${{UPSTREAM}}\n    profile: main\n{route}{}",
                self.more
            )
        });
        format!(
            "proxy:\n  listen: ${{PROXY_LISTEN:-127.0.0.1:0}}\n{}admin:\n  listen: ${{ADMIN_LISTEN:-127.0.0.1:0}}\n{profiles_and_routes}",
            lines(&self.proxy, "  ")
        )
    }

    /// Starts the proxy in this process.
    #[track_caller]
    pub(crate) fn start(mut self) -> Rig {
        let (yaml, variables) = (self.text(), self.variables.clone());
        let adjust = self.adjust.take().unwrap_or_else(|| Box::new(|_| {}));
        let proxy = TestProxy::start_adjusted(&yaml, &variables, adjust)
            .unwrap_or_else(|error| panic!("{error}\n{yaml}"));
        let (address, admin) = (proxy.address(), proxy.admin());
        self.rig(Program::Thread(proxy), address, admin)
    }

    /// Starts the binary.
    #[track_caller]
    pub(crate) fn start_process(self) -> Rig {
        self.start_binary(None)
    }

    /// Starts the binary where a process may open so many files.
    #[track_caller]
    pub(crate) fn start_process_with_files(self, most: u32) -> Rig {
        self.start_binary(Some(most))
    }

    #[track_caller]
    fn start_binary(mut self, files: Option<u32>) -> Rig {
        let listen = || SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let (address, admin) = (listen(), listen());
        self.variables.insert("PROXY_LISTEN".to_owned(), address.to_string());
        self.variables.insert("ADMIN_LISTEN".to_owned(), admin.to_string());
        let (folder, file) = folder_with(&self.text());
        let arguments = ["run", "--config", file.to_str().unwrap()];
        let process = Process::spawn_with(files, &arguments, &self.variables, folder.path());
        let mut program = Program::Process(process, folder);
        eventually("the binary listens", || {
            assert!(program.process().is_running(), "it ended: {}", program.process().stderr());
            listens(address) && listens(admin)
        });
        self.rig(program, address, admin)
    }

    #[track_caller]
    fn rig(self, program: Program, address: SocketAddr, admin: SocketAddr) -> Rig {
        let Self { idp, upstream, secret, others, untouchables, rate, warm, .. } = self;
        let panics = leaks::panics();
        let rig = Rig {
            program,
            address,
            admin,
            idp,
            upstream,
            others,
            secret,
            untouchables,
            rate,
            panics,
            over: false,
            allowed: Mutex::default(),
        };
        if warm == Warm::Wait {
            rig.wait_until_ready();
        }
        rig
    }
}

/// Writes a file as Kubernetes does: `..data` is a symlink that is swapped; returns the path to name in proxy.yaml.
pub(crate) fn mount_secret(folder: &Path, version: &str, text: &str) -> std::path::PathBuf {
    let data = folder.join(format!("..{version}"));
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("secret"), text).unwrap();
    let (next, current, file) = (folder.join("..next"), folder.join("..data"), folder.join("secret"));
    std::os::unix::fs::symlink(&data, &next).unwrap();
    std::fs::rename(&next, current).unwrap();
    let _ = std::os::unix::fs::symlink("..data/secret", &file);
    file
}
