//! `sidepass import …`: existing credentials as a proxy.yaml on standard output; what could not be carried over on
//! standard error.

use std::io::{Read, Write};

use clap::{Args, Subcommand};

use super::Failure;
use crate::config::Environment;
use crate::import::{self, Kind, MAX_BYTES, Origin};

/// The variable that Cloud Foundry sets.
const VCAP: &str = "VCAP_SERVICES";

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Security material of SAP Cloud Integration: OData JSON of OAuth2ClientCredentials, UserCredentials, SecureParameters
    Cpi(File),
    /// Destinations of SAP BTP: one, a list, or the answer of "find destination"
    Destination(File),
    /// A service key or binding of SAP BTP (secret or x509), or a Google service-account key
    ServiceKey(File),
    /// VCAP_SERVICES of Cloud Foundry: from the environment, or from a file
    Vcap {
        /// The file; `-` is standard input; without it, the variable VCAP_SERVICES
        file: Option<String>,
    },
}

#[derive(Debug, Args)]
struct File {
    /// The export, JSON; `-` is standard input
    file: String,
}

pub(super) fn run(options: &Options, environment: &Environment) -> Result<(), Failure> {
    let (kind, file) = match &options.what {
        What::Cpi(file) => (Kind::Cpi, Some(&file.file)),
        What::Destination(file) => (Kind::Destination, Some(&file.file)),
        What::ServiceKey(file) => (Kind::ServiceKey, Some(&file.file)),
        What::Vcap { file } => (Kind::Vcap, file.as_ref()),
    };
    let (text, origin) = match file.map(String::as_str) {
        Some("-") => (read(std::io::stdin().lock(), "standard input")?, Origin::Input),
        Some(path) => {
            let file = std::fs::File::open(path).map_err(|error| Failure::new(unopened(path, &error)))?;
            (read(file, path)?, Origin::File(path))
        }
        None => {
            let text = environment.get(VCAP).cloned().ok_or_else(|| {
                Failure::new(format!("the environment variable {VCAP} is not set; name a file, or `-`"))
            })?;
            (text, Origin::Variable(VCAP))
        }
    };
    let imported = import::import(kind, &text, origin)
        .map_err(|error| Failure::new(format!("nothing was imported:\n{error}")))?;
    for warning in &imported.warnings {
        eprintln!("warning: {warning}");
    }
    // `| head` is no reason to panic.
    let written = std::io::stdout().write_all(imported.yaml.as_bytes());
    written.map_err(|error| Failure::new(format!("cannot write to standard output: {}", error.kind())))
}

fn unopened(path: &str, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => format!("{path} does not exist"),
        kind => format!("cannot read {path}: {kind}"),
    }
}

/// The text of an export: one byte more than is allowed is enough to refuse it.
fn read(from: impl Read, name: &str) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let most = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    from.take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::new(format!("cannot read {name}: {}", error.kind())))?;
    if bytes.len() > MAX_BYTES {
        return Err(Failure::new(format!("{name} is larger than 1 MiB: is it an export?")));
    }
    String::from_utf8(bytes).map_err(|_| Failure::new(format!("{name} is not UTF-8 text")))
}
