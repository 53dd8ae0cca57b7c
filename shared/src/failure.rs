//! Why an attempt or a mission failed: a class that policy acts on, and a text for people.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The classes of failure. Policy acts on the class, never on text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The executor ended and said it failed.
    ExecutorError,
    /// The attempt ran longer than it may.
    Timeout,
    /// The attempt was silent longer than it may.
    IdleTimeout,
    /// The attempt used more than its budget.
    BudgetExceeded,
    /// A guardrail refused what the attempt wanted to do.
    Guardrail,
    /// The executor ended well and left nothing behind.
    MissingDeliverable,
    /// The worker that ran it died or was cut off.
    WorkerLost,
    /// The mission's deadline passed.
    DeadlineExceeded,
    /// The mission cannot be run as it was written.
    InvalidMission,
    /// A credential was refused.
    Auth,
    /// A service the executor needs did not answer.
    UpstreamUnavailable,
    /// A fault of this system.
    Internal,
}

impl FailureClass {
    /// All classes.
    pub const ALL: [Self; 12] = [
        Self::ExecutorError,
        Self::Timeout,
        Self::IdleTimeout,
        Self::BudgetExceeded,
        Self::Guardrail,
        Self::MissingDeliverable,
        Self::WorkerLost,
        Self::DeadlineExceeded,
        Self::InvalidMission,
        Self::Auth,
        Self::UpstreamUnavailable,
        Self::Internal,
    ];

    /// The class's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ExecutorError => "executor_error",
            Self::Timeout => "timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::BudgetExceeded => "budget_exceeded",
            Self::Guardrail => "guardrail",
            Self::MissingDeliverable => "missing_deliverable",
            Self::WorkerLost => "worker_lost",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::InvalidMission => "invalid_mission",
            Self::Auth => "auth",
            Self::UpstreamUnavailable => "upstream_unavailable",
            Self::Internal => "internal",
        }
    }

    /// The class of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }

    /// True when no attempt follows, whatever a lane or a caller says: another one cannot help, or, with nothing left
    /// behind, is not lawful, as the attempt's outcome is recorded by then.
    pub const fn is_permanent(self) -> bool {
        matches!(
            self,
            Self::BudgetExceeded
                | Self::Guardrail
                | Self::MissingDeliverable
                | Self::DeadlineExceeded
                | Self::InvalidMission
                | Self::Auth
        )
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A failure as it stands in events, ledger and notices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// What policy acts on.
    pub class: FailureClass,
    /// What happened, for people; at most 4 KiB.
    pub message: String,
}

impl Failure {
    /// The longest message, in bytes.
    pub const MAX_MESSAGE_BYTES: usize = 4096;

    /// A failure with its message cut to the limit.
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self { class, message: crate::text::cut(message.into(), Self::MAX_MESSAGE_BYTES) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for class in FailureClass::ALL {
            assert_eq!(FailureClass::from_name(class.name()), Some(class));
            assert_eq!(serde_json::to_value(class).unwrap(), class.name());
        }
    }
}
