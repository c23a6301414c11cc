//! The proxy within the test's own process, started as `main` starts it: load, bind, run.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use sidepass::app::App;
use sidepass::config::{self, Config, ConfigFile};
use sidepass::shutdown;

/// The environment that `${VAR}` and `{ env }` see.
pub(crate) type Variables = BTreeMap<String, String>;

/// A running proxy.
pub(crate) struct TestProxy {
    proxy: SocketAddr,
    admin: SocketAddr,
    handle: shutdown::Handle,
    /// Closed when it has ended.
    ended: Mutex<Receiver<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TestProxy {
    /// Loads this text and starts; the error is the message that a user would read.
    pub(crate) fn start(yaml: &str, variables: &Variables) -> Result<Self, String> {
        Self::start_adjusted(yaml, variables, |_| {})
    }

    /// The same, with a change of what was loaded.
    pub(crate) fn start_adjusted(
        yaml: &str,
        variables: &Variables,
        adjust: impl FnOnce(&mut Config),
    ) -> Result<Self, String> {
        let file = ConfigFile { path: PathBuf::from("proxy.yaml"), text: yaml.to_owned() };
        Self::start_files(&[file], variables, adjust)
    }

    /// The same with files that lie where their relative paths start.
    pub(crate) fn start_files(
        files: &[ConfigFile],
        variables: &Variables,
        adjust: impl FnOnce(&mut Config),
    ) -> Result<Self, String> {
        let mut loaded = config::load(files, variables).map_err(|errors| errors.to_string())?;
        adjust(&mut loaded.config);
        let bound = App::bind(loaded.config).map_err(|error| error.to_string())?;
        let first = |addresses: &[SocketAddr]| *addresses.first().expect("there is a TCP listener");
        let (proxy, admin) = (first(bound.proxy_addresses()), first(bound.admin_addresses()));
        let (handle, stop) = shutdown::channel();
        let (end, ended) = channel();
        let run = move || {
            bound.run(stop).expect("it runs");
            drop(end);
        };
        let thread = std::thread::Builder::new().name("sidepass".to_owned()).spawn(run).unwrap();
        Ok(Self { proxy, admin, handle, ended: Mutex::new(ended), thread: Some(thread) })
    }

    /// Where callers connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.proxy
    }

    /// Where probes, metrics and status are.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// As SIGTERM does.
    pub(crate) fn drain(&self) {
        self.handle.drain();
    }

    /// Ends it at once; false if it does not end in time.
    pub(crate) fn stop(&mut self, within: Duration) -> bool {
        self.handle.now();
        self.ends_within(within)
    }

    /// Whether it ends in this time; says yes from then on.
    pub(crate) fn ends_within(&mut self, span: Duration) -> bool {
        let ended = self.ended.lock().unwrap().recv_timeout(span) == Err(RecvTimeoutError::Disconnected);
        if let (true, Some(thread)) = (ended, self.thread.take()) {
            // A panic in it has been noted by the hook.
            let _ = thread.join();
        }
        ended
    }
}
