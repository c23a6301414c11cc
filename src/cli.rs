//! The commands and their flags; one file a command.
//!
//! Every command reads the configuration through the same [`crate::config::load`], so that what `check` accepts starts.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what commands are for")]

mod authorize;
mod check;
mod demo;
mod explain;
mod healthcheck;
mod import;
mod issuer;
mod run;
mod settings;
mod token;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, ConfigFile, Environment, Loaded, LogConfig, ProfileConfig};
use crate::{app::StartError, telemetry};

/// sysexits.h: the command line was used incorrectly.
const EX_USAGE: u8 = 64;

/// sysexits.h: something was found in an unconfigured or misconfigured state.
const EX_CONFIG: u8 = 78;

const ABOUT: &str = "\
sidepass carries your pass: an app sends it a plain HTTP request, and the request
leaves with a fresh OAuth2 access token (and any other secret header) on it.";

const TEACH: &str = "\
Start here:
  sidepass demo                          a sandbox with three systems, and curl lines to try
  sidepass check                         is proxy.yaml fine? says what is not, and where
  sidepass run                           serve the routes of proxy.yaml
  sidepass explain GET /cai/v2/request   which route, which profile, which headers, which URL
  sidepass explain --profile cai_bot     every setting of a profile, and where it comes from
  sidepass token cai_bot                 can this profile get a token? what is in it?
  sidepass authorize crm                 consent in a browser, where a profile needs it
  sidepass import cpi export.json        existing credentials as a proxy.yaml; also destination, service-key, vcap

A proxy.yaml is as short as this:
  profiles:
    crm:
      token_service_url: https://login.example.com/oauth/token
      client_id: { env: CRM_CLIENT_ID }
      client_secret: { env: CRM_CLIENT_SECRET }
  routes:
    crm:
      match: { path_prefix: /crm }
      strip_prefix: true
      upstream: https://api.example.com
      profile: crm

Then `curl http://localhost:4080/crm/contacts` reaches https://api.example.com/contacts
with `Authorization: Bearer <fresh token>`.

Exit codes: 0 fine, 1 failed, 64 bad command line, 78 bad configuration.";

#[derive(Debug, Parser)]
#[command(name = "sidepass", version, about = ABOUT, after_help = TEACH, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the routes of proxy.yaml until SIGTERM or Ctrl-C
    Run(Config),
    /// Read proxy.yaml as `run` would, report every mistake, start nothing
    Check(check::Options),
    /// Start a sandbox of token services and APIs, and the proxy in front of it
    Demo(demo::Options),
    /// Ask a running sidepass whether it is ready (for HEALTHCHECK; exit code 0 or 1)
    Healthcheck(Config),
    /// Get a token for a profile, and show its lifetime and claims
    Token(token::Options),
    /// Have a person consent in a browser, once, for a profile of type oauth2_authorization_code
    Authorize(authorize::Options),
    /// Show what would happen to a request, without sending it; or a profile in full
    Explain(explain::Options),
    /// Turn exports of SAP CPI, SAP BTP, Cloud Foundry or Google into a proxy.yaml without secrets
    Import(import::Options),
}

#[derive(Debug, Args)]
struct Config {
    /// The configuration; more than once to unite several files
    #[arg(short = 'c', long = "config", value_name = "FILE", default_value = "proxy.yaml")]
    files: Vec<PathBuf>,
}

impl Config {
    /// The files' texts.
    fn read(&self) -> Result<Vec<ConfigFile>, Failure> {
        let files: Result<Vec<_>, _> = self.files.iter().map(|path| ConfigFile::read(path)).collect();
        files.map_err(|errors| Failure { code: EX_CONFIG, text: errors.to_string() })
    }

    /// The configuration; the text of all mistakes otherwise.
    fn load(&self, environment: &Environment) -> Result<Loaded, Failure> {
        let loaded = config::load(&self.read()?, environment);
        loaded.map_err(|errors| Failure { code: EX_CONFIG, text: errors.to_string() })
    }

    /// The profile of this name; which ones there are otherwise.
    fn profile(&self, name: &str, environment: &Environment) -> Result<ProfileConfig, Failure> {
        let profiles = self.load(environment)?.config.profiles;
        let names: Vec<_> = profiles.iter().map(|profile| profile.name.to_string()).collect();
        profiles.into_iter().find(|profile| profile.name.as_str() == name).ok_or_else(|| Failure {
            code: EX_USAGE,
            text: format!("no profile is called `{name}`; there are: {}", names.join(", ")),
        })
    }
}

/// Why a command ends with another code than 0.
#[derive(Debug)]
struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    fn new(text: impl Into<String>) -> Self {
        Self { code: 1, text: text.into() }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let code = match error {
            StartError::Route { .. } | StartError::Profile { .. } => EX_CONFIG,
            StartError::Listen { .. } | StartError::Runtime(_) | StartError::Metrics(_) => 1,
        };
        Self { code, text: error.to_string() }
    }
}

/// Runs the command that the arguments name; `environment` is the process's.
pub fn run(arguments: impl IntoIterator<Item = std::ffi::OsString>, environment: &Environment) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let asked = !error.use_stderr();
            // Nobody to tell if even this cannot be printed.
            let _ = error.print();
            return if asked { ExitCode::SUCCESS } else { ExitCode::from(EX_USAGE) };
        }
    };
    let outcome = match cli.command {
        Command::Run(config) => run::run(&config, environment),
        Command::Check(options) => check::run(&options, environment),
        Command::Demo(options) => demo::run(&options, environment),
        Command::Healthcheck(config) => healthcheck::run(&config, environment),
        Command::Token(options) => token::run(&options, environment),
        Command::Authorize(options) => authorize::run(&options, environment),
        Command::Explain(options) => explain::run(&options, environment),
        Command::Import(options) => import::run(&options, environment),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, text }) => {
            eprintln!("{}", text.trim_end());
            ExitCode::from(code)
        }
    }
}

/// Starts logging as configured.
fn start_logging(log: &LogConfig) {
    use config::server::{LogFormat, LogLevel};
    let level = match log.level {
        LogLevel::Error => telemetry::Level::ERROR,
        LogLevel::Warn => telemetry::Level::WARN,
        LogLevel::Info => telemetry::Level::INFO,
        LogLevel::Debug => telemetry::Level::DEBUG,
        LogLevel::Trace => telemetry::Level::TRACE,
    };
    let format = match log.format {
        LogFormat::Auto => telemetry::Format::Auto,
        LogFormat::Text => telemetry::Format::Text,
        LogFormat::Json => telemetry::Format::Json,
    };
    telemetry::init(level, format);
}

/// A runtime for a command that asks one thing over the network.
fn small_runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::new(format!("cannot start: {error}")))
}
