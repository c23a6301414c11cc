//! `sidepass demo`: the sandbox, the demo app, and the real proxy with the repository's own proxy.yaml between them.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::{Failure, small_runtime, start_logging};
use crate::app::{App, Bound, StartError, obstacle};
use crate::config::server::{LogFormat, LogLevel};
use crate::config::{self, ConfigFile, Environment, ListenAddress, LogConfig};
use crate::demo::{DemoApp, Sandbox};
use crate::server::listen::{self, Socket};

const PROXY_YAML: &str = include_str!("../../proxy.yaml");

/// Where the demo app listens, unless the proxy was given any free port.
const APP_PORT: u16 = 4081;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Where the proxy listens; with port 0, admin and the demo app take free ports too
    #[arg(long, default_value = "localhost:4080", value_name = "ADDRESS", value_parser = on_this_machine)]
    listen: ListenAddress,
    /// How long the sandbox's tokens live, in seconds
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(2..=3600), value_name = "SECONDS")]
    lifetime: u64,
}

pub(super) fn run(options: &Options, environment: &Environment) -> Result<(), Failure> {
    start_logging(&LogConfig { level: LogLevel::Info, format: LogFormat::Text });
    let backstage = small_runtime()?;
    let sandbox = backstage
        .block_on(Sandbox::start(Duration::from_secs(options.lifetime)))
        .map_err(|error| Failure::new(format!("the sandbox cannot start: {error}")))?;
    let variables = variables(options, environment, sandbox.environment());
    let file = ConfigFile { path: PathBuf::from("proxy.yaml"), text: PROXY_YAML.to_owned() };
    let loaded = config::load(&[file], &variables)
        .map_err(|errors| Failure { code: super::EX_CONFIG, text: errors.to_string() })?;
    let bound = App::bind(loaded.config).map_err(in_the_demo)?;
    let proxy = base_url(&options.listen, &bound);
    let app = start_app(&backstage, if any_port(&options.listen) { 0 } else { APP_PORT }, &proxy)?;
    print!(
        "{}",
        welcome(&bound, &proxy, &format!("http://localhost:{}", app.address().port()), options.lifetime)
    );
    // The sandbox and the app live on a thread of their own, as the real ones live on machines of their own.
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let backstage = std::thread::spawn(move || {
        let _ = backstage.block_on(ended);
        drop((sandbox, app));
    });
    let outcome = bound.run_until_signal();
    drop(end);
    // A panic of the sandbox has printed itself.
    let _ = backstage.join();
    outcome?;
    println!("The demo has ended.");
    Ok(())
}

/// An address that curl lines can be printed for, and that nobody else can reach: the demo gives its tokens to whoever asks.
fn on_this_machine(text: &str) -> Result<ListenAddress, String> {
    match ListenAddress::parse(text) {
        Ok(ListenAddress::Unix(_)) => {
            Err("the demo listens on a TCP port; write localhost:0 for any".to_owned())
        }
        Ok(address) if !address.is_local() => {
            Err("the demo is for this machine only; write localhost:0 for any port".to_owned())
        }
        Ok(address) => Ok(address),
        Err((wrong, _)) => Err(format!("{wrong}; write localhost:4080, or localhost:0 for any port")),
    }
}

fn any_port(address: &ListenAddress) -> bool {
    match address {
        ListenAddress::Localhost { port } => *port == 0,
        ListenAddress::Tcp(address) => address.port() == 0,
        ListenAddress::Unix(_) => false,
    }
}

/// The demo's proxy.yaml is built in: its way out of a taken port is the flag, not a setting.
fn in_the_demo(error: StartError) -> Failure {
    match error {
        StartError::Listen { setting, address, source } => {
            let part = if setting == "admin.listen" { "admin listener" } else { "proxy" };
            taken(part, &address, &source)
        }
        error => error.into(),
    }
}

fn taken(part: &str, address: &str, error: &std::io::Error) -> Failure {
    let why = obstacle(error, address);
    Failure::new(format!(
        "the demo's {part} cannot listen on {address}: {why}; to take free ports instead: sidepass demo --listen localhost:0"
    ))
}

/// The sandbox's variables, the proxy's address, and the settings of the proxy itself that the environment holds
/// (`SIDEPASS_LOG__LEVEL`, ...); profiles get nothing from outside.
fn variables(options: &Options, environment: &Environment, sandbox: Environment) -> Environment {
    let settings = environment.iter().filter(|(name, _)| name.starts_with("SIDEPASS_"));
    let mut variables: Environment = settings.map(|(name, value)| (name.clone(), value.clone())).collect();
    variables.extend(sandbox);
    variables.insert("SIDEPASS_PROXY__LISTEN".to_owned(), options.listen.to_string());
    if any_port(&options.listen) {
        variables.insert("SIDEPASS_ADMIN__LISTEN".to_owned(), "localhost:0".to_owned());
    }
    variables
}

fn start_app(backstage: &Runtime, port: u16, proxy: &str) -> Result<DemoApp, Failure> {
    let address = ListenAddress::Localhost { port };
    let failed = |error: std::io::Error| taken("app", &address.to_string(), &error);
    let sockets = listen::bind(&address).map_err(failed)?;
    let _entered = backstage.enter();
    let tcp = sockets.into_iter().filter_map(|socket| match socket {
        Socket::Tcp(listener) => Some(TcpListener::from_std(listener)),
        Socket::Unix(..) => None,
    });
    let listeners = tcp.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    backstage.block_on(DemoApp::start(listeners, proxy)).map_err(failed)
}

/// The address as it was asked for, with the port that it became.
fn base_url(asked: &ListenAddress, bound: &Bound) -> String {
    match (asked, bound.proxy_addresses().first()) {
        (ListenAddress::Tcp(_), Some(address)) => format!("http://{address}"),
        (_, first) => format!("http://localhost:{}", first.map_or(0, std::net::SocketAddr::port)),
    }
}

fn welcome(bound: &Bound, proxy: &str, app: &str, lifetime: u64) -> String {
    let admin = bound.admin_addresses().first().map_or(0, std::net::SocketAddr::port);
    format!(
        "
sidepass demo: three systems that want OAuth2, on this machine only, and the proxy with its own proxy.yaml.
No request below carries a credential; sidepass adds them. Tokens live {lifetime} s: watch them being renewed.

SAP Conversational AI (bearer token and a second secret header, X-Token):
  curl -s {proxy}/cai/train/v2/request -H 'Content-Type: application/json' -d '{{\"text\":\"hello\",\"language\":\"en\"}}'
SuccessFactors Learning (a token service that takes only JSON with a scope object):
  curl -s '{proxy}/lms/odatav4/public/admin/searchItem/v1/Items?$top=2'
Leonardo IoT (XSUAA, JWTs):
  curl -s {proxy}/iot/Timeseries/v1/Measurements

An app that can't do OAuth, in a browser:   {app}/?text=hello
What sidepass knows, without a secret:      http://localhost:{admin}/status   /readyz   /metrics
Ctrl-C ends it.

"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_listens_where_curl_can_reach_it_and_nobody_else_can() {
        for fine in ["localhost:4080", "localhost:0", "127.0.0.1:0", "[::1]:0"] {
            assert_eq!(on_this_machine(fine).unwrap().to_string(), fine);
        }
        for wrong in
            ["nonsense", "", "4080", "0.0.0.0:0", "192.0.2.1:80", "unix:/run/x.sock", "http://localhost"]
        {
            let told = on_this_machine(wrong).unwrap_err();
            assert!(told.contains("localhost:0") && !told.contains("SIDEPASS"), "{wrong}: {told}");
        }
    }

    #[test]
    fn a_taken_port_points_to_the_flag_and_not_to_a_file_that_is_built_in() {
        let source = std::io::Error::from(std::io::ErrorKind::AddrInUse);
        let error = StartError::Listen { setting: "admin.listen", address: "localhost:4090".into(), source };
        let failure = in_the_demo(error);
        assert_eq!(failure.code, 1);
        assert!(failure.text.contains("localhost:4090") && failure.text.contains("--listen localhost:0"));
        assert!(!failure.text.contains("proxy.yaml"), "{}", failure.text);
    }
}
