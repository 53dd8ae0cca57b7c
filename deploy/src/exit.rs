//! Exit codes and the error every command ends with.

use std::error::Error;
use std::fmt;

use vp_shared::api::{ErrorCode, ToolError};
use vp_shared::error::Chain;

/// The exit codes of `vp`. Scripts act on these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// It failed, and no other code says more.
    Failure = 1,
    /// The command line, or a tool's input, is wrong.
    Usage = 2,
    /// `wait`: the mission failed.
    MissionFailed = 3,
    /// `wait`: the mission was cancelled.
    MissionCancelled = 4,
    /// `wait`: the time was over before the mission.
    TimedOut = 5,
    /// The broker or the ledger did not answer (`EX_UNAVAILABLE`).
    Unavailable = 69,
    /// Try again later (`EX_TEMPFAIL`).
    Temporary = 75,
    /// The caller may not (`EX_NOPERM`).
    Forbidden = 77,
    /// The configuration is wrong (`EX_CONFIG`).
    Config = 78,
}

impl From<ErrorCode> for Exit {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::ValidationError | ErrorCode::UnknownLane => Self::Usage,
            ErrorCode::BrokerUnavailable | ErrorCode::LedgerUnavailable => Self::Unavailable,
            ErrorCode::LaneBacklogged | ErrorCode::LaneUnavailable => Self::Temporary,
            ErrorCode::Forbidden | ErrorCode::GuardrailViolation => Self::Forbidden,
            ErrorCode::IdempotencyConflict
            | ErrorCode::UnsupportedSchedule
            | ErrorCode::NotFound
            | ErrorCode::AlreadyTerminal
            | ErrorCode::ArtifactUnavailable
            | ErrorCode::Internal => Self::Failure,
        }
    }
}

/// Why a command ended badly: its exit code, what went wrong, and what the reader can do.
#[derive(Debug)]
pub struct Failed {
    /// What the process exits with.
    pub exit: Exit,
    /// What was attempted and why it failed.
    pub message: String,
    /// What the reader can do.
    pub hint: Option<String>,
}

impl Failed {
    /// A failure in words.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    /// A failure with the whole chain of an error.
    pub fn from_error(exit: Exit, error: &dyn Error) -> Self {
        Self::new(exit, Chain(error).to_string())
    }

    /// With what the reader can do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl From<ToolError> for Failed {
    fn from(error: ToolError) -> Self {
        let message = format!("{} ({})", error.message, error.code);
        Self { exit: error.code.into(), message, hint: error.hint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_error_has_an_exit_code_that_is_not_success() {
        for code in ErrorCode::ALL {
            assert_ne!(Exit::from(code), Exit::Ok, "{code}");
        }
    }
}
