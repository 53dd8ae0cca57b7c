//! Log lines to stderr: text for people, JSON for machines. stdout is for data.

use std::ffi::OsStr;
use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use crate::config::{LogFormat, LogSettings, env};

/// Libraries that report what is our business to report; a filter that names them wins.
const QUIET: &str = "async_nats=warn,sqlx=warn,sea_orm=warn,sea_orm_migration=warn";

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The filter is none.
    #[error("`{source_name}` is no log filter: {why}; want levels such as `info,vp_worker=debug`")]
    BadFilter {
        /// The variable or key it came from.
        source_name: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// There is a log already.
    #[error("the log was set up twice")]
    Twice(#[source] TryInitError),
}

/// Starts logging for this process: call it once, before anything else may log.
///
/// `VP_LOG` decides what is logged, else `RUST_LOG`, else the settings. A line that cannot be written is lost
/// without a word: the mission goes on.
///
/// # Errors
/// [`LogError`].
pub fn init(settings: &LogSettings) -> Result<(), LogError> {
    let variable = |name: &str| std::env::var(name).ok();
    let (source_name, text) =
        chosen_filter(variable(env::VP_LOG), variable(env::RUST_LOG), &settings.filter);
    let filter = parse_filter(&text).map_err(|why| LogError::BadFilter { source_name, why })?;
    let terminal = io::stderr().is_terminal();
    let no_color = std::env::var_os(env::NO_COLOR);
    let builder = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_env_filter(filter)
        // Its way to report a failed write is `eprintln!`, which panics when stderr is closed.
        .log_internal_errors(false);
    let done = if is_json(settings.format, terminal) {
        builder.json().flatten_event(true).with_ansi(false).finish().try_init()
    } else {
        builder.with_ansi(is_coloured(terminal, no_color.as_deref())).finish().try_init()
    };
    done.map_err(LogError::Twice)
}

/// Checks a filter's text.
///
/// # Errors
/// What is wrong with it.
pub fn check_filter(text: &str) -> Result<(), String> {
    parse_filter(text).map(drop)
}

fn parse_filter(text: &str) -> Result<EnvFilter, String> {
    EnvFilter::builder().parse(format!("{QUIET},{text}")).map_err(|error| error.to_string())
}

/// The first that is set, and where it came from; an empty variable is not set.
fn chosen_filter(vp_log: Option<String>, rust_log: Option<String>, configured: &str) -> (&'static str, String) {
    let set = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    if let Some(text) = set(vp_log) {
        (env::VP_LOG, text)
    } else if let Some(text) = set(rust_log) {
        (env::RUST_LOG, text)
    } else {
        ("log.filter", configured.to_owned())
    }
}

fn is_json(format: LogFormat, terminal: bool) -> bool {
    match format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    }
}

fn is_coloured(terminal: bool, no_color: Option<&OsStr>) -> bool {
    terminal && no_color.is_none_or(OsStr::is_empty)
}
