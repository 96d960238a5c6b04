//! The log: one event per request and one per change of state, on standard error.
//!
//! Field names are stable, for the searches and alarms that people build on them. Evidence, tokens and
//! keys are never logged.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{ConfigError, LogConfig, LogFormat};

/// Sends the process's log to standard error as `config` says. Call it once, before the server starts.
///
/// # Errors
/// [`ConfigError`] if the level cannot be read, or a log was set up before.
pub fn init(config: &LogConfig) -> Result<(), ConfigError> {
    let fix = "use `error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,server=debug`";
    let filter = EnvFilter::try_new(&config.level)
        .map_err(|_| ConfigError::invalid("log.level", &config.level, fix))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let set = match config.format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
        LogFormat::Text => builder.try_init(),
    };
    set.map_err(|error| ConfigError::invalid("log", error, "set up the log of a process once"))
}
