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
    let (source_name, text) = chosen_filter(variable(env::VP_LOG), variable(env::RUST_LOG), &settings.filter);
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
fn chosen_filter(
    vp_log: Option<String>,
    rust_log: Option<String>,
    configured: &str,
) -> (&'static str, String) {
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn vp_log_wins_over_rust_log_and_that_over_the_settings() {
        let chosen = |vp_log: Option<&str>, rust_log: Option<&str>| {
            chosen_filter(vp_log.map(str::to_owned), rust_log.map(str::to_owned), "info")
        };
        assert_eq!(chosen(Some("debug"), Some("warn")), (env::VP_LOG, "debug".to_owned()));
        assert_eq!(chosen(Some(" "), Some("warn")), (env::RUST_LOG, "warn".to_owned()));
        assert_eq!(chosen(None, Some("")), ("log.filter", "info".to_owned()));
    }

    #[test]
    fn noisy_libraries_are_quiet_unless_they_are_named() {
        let shown = |text: &str| parse_filter(text).unwrap().to_string();
        assert!(shown("trace").contains("sqlx=warn"));
        assert!(shown("info,sqlx=debug").contains("sqlx=debug"));
        assert!(!shown("info,sqlx=debug").contains("sqlx=warn"));
    }

    #[test]
    fn a_filter_that_is_none_is_refused() {
        for bad in ["loud=loud", "a=b=c", "[x"] {
            assert!(check_filter(bad).is_err(), "{bad:?}");
        }
        for good in ["info", "vp_worker=debug,warn", "", "off"] {
            assert!(check_filter(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn people_get_text_and_machines_json() {
        let json = |terminal| {
            [LogFormat::Auto, LogFormat::Text, LogFormat::Json].map(|format| is_json(format, terminal))
        };
        assert_eq!(json(true), [false, false, true]);
        assert_eq!(json(false), [true, false, true]);
    }

    #[test]
    fn no_color_is_obeyed() {
        assert!(is_coloured(true, None) && is_coloured(true, Some(OsStr::new(""))));
        assert!(!is_coloured(true, Some(OsStr::new("1"))) && !is_coloured(false, None));
    }
}
