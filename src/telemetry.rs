//! Logs: one line an event on stderr, as text on a terminal and as JSON elsewhere.
//!
//! Invariant: crates below us never log at trace, where they would show header values. What `error` means: this
//! request failed by our fault; `warn`: it recovered or will; `info`: start, stop, state changes; `debug`: one line a request.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// How much is logged.
pub type Level = LevelFilter;

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// Text.
    Text,
    /// JSON.
    Json,
}

/// Starts logging to stderr. A second call in one process does nothing.
pub fn init(level: Level, format: Format) {
    let terminal = std::io::stderr().is_terminal();
    let json = match format {
        Format::Auto => !terminal,
        Format::Text => false,
        Format::Json => true,
    };
    let others = level.min(LevelFilter::WARN);
    let targets = Targets::new().with_default(others).with_target("sidepass", level);
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let lines = if json {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
    } else {
        lines.with_ansi(terminal).boxed()
    };
    // An error only says that a subscriber is there already: a test's, which sees more.
    let _ = tracing_subscriber::registry().with(lines.with_filter(targets)).try_init();
}
